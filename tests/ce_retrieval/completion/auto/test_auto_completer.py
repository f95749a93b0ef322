"""Method `auto`: which parts are filled by what, what the record says, and what it goes on without."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from ce_retrieval.completion.auto import choice
from ce_retrieval.completion.auto import completer as auto
from ce_retrieval.completion.auto.choice import Model
from ce_retrieval.completion.auto.completer import AutoCompleter, refined
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import AutoSettings, PatchSettings, SceneSettings
from ce_retrieval.errors import CeretError, MaskError, PhotoError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo

SETTINGS = AutoSettings(rerank="rim", aligned=6, top=3)
ALWAYS, NEVER = Model(20.0, {}), Model(-20.0, {})


@pytest.fixture
def photo(crop_folder) -> np.ndarray:
    return load_photo(crop_folder / "photo1/07.png").pixels


@pytest.fixture
def hole(photo) -> np.ndarray:
    hole = np.zeros(photo.shape[:2], bool)
    hole[20:50, 15:45] = True
    hole[30:70, 70:105] = True
    return hole


@pytest.fixture
def of_kind(crop_folder, tmp_path, fake_kind) -> PhotoIndex:
    build_index(
        [crop_folder], tmp_path / "k.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1, kind="kind")
    )
    return PhotoIndex.open(tmp_path / "k.ceret")


@pytest.fixture
def choose(monkeypatch):
    """A function that makes scenes win always or never, before and after they are placed."""

    def choose(before: Model, after: Model) -> None:
        monkeypatch.setattr(auto, "BEFORE", before)
        monkeypatch.setattr(auto, "AFTER", after)
        monkeypatch.setattr(choice, "AFTER", after)
        monkeypatch.setattr(choice, "WIDE", math.inf)
        monkeypatch.setattr(auto, "WIDE", math.inf)

    return choose


def methods(done) -> list[str]:
    return [part.method for part in done.parts]


def refuse(*arguments, **more):
    raise AssertionError("called")


def test_without_an_index_patches_fill_and_it_says_what_an_index_adds(photo, hole):
    completer = AutoCompleter(workers=1)
    assert [line for _, line in completer.notes] == [auto.WITHOUT_INDEX] and "`index`" in auto.WITHOUT_INDEX
    done = completer.complete(photo, hole)
    np.testing.assert_array_equal(
        done.best, PatchCompleter(None, PatchSettings(start="smooth")).complete(photo, hole).best
    )
    assert methods(done) == ["patchmatch"] * 2 and not done.notes and done.seam is None
    assert all(0 <= part.confidence <= 1 for part in done.parts)


def test_each_wide_part_has_a_scene_of_its_own(index, photo, hole, choose):
    choose(ALWAYS, ALWAYS)
    done = AutoCompleter(index, SETTINGS).complete(photo, hole)
    assert methods(done) == ["scenes+patchmatch"] * 2
    changed = (done.best != photo).any(axis=2)
    assert done.seam is not None and not (changed & ~hole & (done.seam == 0)).any()
    assert (changed & hole).sum() > 0.5 * hole.sum()
    record = done.provenance()
    assert record["method"] == "auto" and [one["pixels"] for one in record["parts"]] == [1400, 900]
    assert record["parts"][0]["box"] == [30, 70, 70, 105]
    assert record["parts"][0]["scene"]["photo"] == record["candidates"][0]["photo"]
    assert all(one["scene"]["offset"] for one in record["parts"])
    json.dumps(record, allow_nan=False)


def test_one_part_is_the_scene_with_its_texture_from_patches(index, photo, hole, choose):
    choose(ALWAYS, ALWAYS)
    hole[:, :60] = False
    settings = replace(SETTINGS, seam=0.0)
    done = AutoCompleter(index, settings).complete(photo, hole)
    scene = SceneCompleter(index, SceneSettings(rerank="rim", aligned=6, top=3, seam=0.0)).complete(photo, hole)
    np.testing.assert_array_equal(done.best, refined(scene.best, hole, 0, 1))
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])
    assert done.candidates[0].photo == scene.candidates[0].photo and done.seam is None


def test_scenes_that_look_worse_lose_to_patches(index, photo, hole, choose):
    choose(ALWAYS, NEVER)
    done = AutoCompleter(index, SETTINGS).complete(photo, hole)
    np.testing.assert_array_equal(done.best, AutoCompleter().complete(photo, hole).best)
    assert methods(done) == ["patchmatch"] * 2 and done.seam is None
    assert done.candidates and not any(one.share for one in done.candidates)
    assert done.parts[0].confidence > 0.99


def test_in_a_wide_part_a_scene_of_the_kind_wins_and_stays_as_it_is(of_kind, photo, hole, choose, monkeypatch):
    choose(ALWAYS, NEVER)
    monkeypatch.setattr(choice, "WIDE", -9.0)
    monkeypatch.setattr(auto, "WIDE", -9.0)
    monkeypatch.setattr(choice, "UNLIKE", -1.0)
    assert methods(AutoCompleter(of_kind, SETTINGS).complete(photo, hole)) == ["scenes"] * 2
    monkeypatch.setattr(choice, "UNLIKE", 1.1)
    assert methods(AutoCompleter(of_kind, SETTINGS).complete(photo, hole)) == ["patchmatch"] * 2


def test_scenes_that_cannot_win_are_not_placed(index, photo, hole, choose, monkeypatch):
    choose(NEVER, ALWAYS)
    monkeypatch.setattr(SceneCompleter, "fill", refuse)
    assert methods(AutoCompleter(index, SETTINGS).complete(photo, hole)) == ["patchmatch"] * 2


def test_for_thin_parts_scenes_are_not_even_searched(index, photo, choose, monkeypatch):
    choose(ALWAYS, ALWAYS)
    monkeypatch.setattr(SceneCompleter, "queries", refuse)
    thin = np.zeros(photo.shape[:2], bool)
    thin[40:43, 10:90] = True
    assert methods(AutoCompleter(index, SETTINGS).complete(photo, thin)) == ["patchmatch"]


@pytest.mark.parametrize("after", [ALWAYS, NEVER])
def test_what_lies_under_the_hole_changes_nothing(index, photo, hole, choose, after):
    choose(ALWAYS, after)
    completer = AutoCompleter(index, replace(SETTINGS, allow_same_photo=True))
    junk = np.where(hole[..., None], np.uint8((255, 0, 255)), photo)
    np.testing.assert_array_equal(completer.complete(photo, hole).best[hole], completer.complete(junk, hole).best[hole])


def test_the_result_does_not_depend_on_the_threads(index, photo, hole, choose):
    choose(ALWAYS, ALWAYS)
    one, three = (AutoCompleter(index, SETTINGS, workers=n).complete(photo, hole) for n in (1, 3))
    np.testing.assert_array_equal(one.best, three.best)
    assert one.provenance() == three.provenance()


def test_an_index_without_kinds_says_so_and_is_not_sure(index, photo, hole, choose):
    choose(ALWAYS, ALWAYS)
    completer = AutoCompleter(index, SETTINGS)
    assert ["no kind features" in line for _, line in completer.notes] == [True]
    done = completer.complete(photo, hole)
    assert [part.confidence for part in done.parts] == [None, None] and not done.notes


def test_with_kinds_it_says_how_sure_a_scene_is_of_the_kind(of_kind, photo, hole, choose):
    choose(ALWAYS, ALWAYS)
    completer = AutoCompleter(of_kind, SETTINGS)
    done = completer.complete(photo, hole)
    assert not completer.notes and all(0 < part.confidence < 1 for part in done.parts)
    assert {"kind", "alike", "nearest"} <= set(done.parts[0].evidence)


@pytest.mark.parametrize(("least", "noted"), [(1.1, True), (-1.1, False)])
def test_a_collection_with_nothing_alike_is_noted(of_kind, photo, hole, monkeypatch, least, noted):
    monkeypatch.setattr(auto, "UNLIKE", least)
    monkeypatch.setattr(auto, "SAME_KIND", 1.1)
    notes = AutoCompleter(of_kind, SETTINGS).complete(photo, hole).notes
    assert len(notes) == noted
    assert all(
        "nothing alike" in line and "index more photos" in line and "`method` to patchmatch" in line for line in notes
    )


def test_one_photo_of_the_place_is_alike(of_kind, photo, hole, monkeypatch):
    monkeypatch.setattr(auto, "UNLIKE", 1.1)
    monkeypatch.setattr(auto, "SAME_KIND", -1.1)
    assert not AutoCompleter(of_kind, SETTINGS).complete(photo, hole).notes


def test_the_very_place_wins_and_stays_as_it_is(index, photo, hole, choose, monkeypatch):
    choose(ALWAYS, NEVER)
    monkeypatch.setattr(auto, "SAME_PLACE", np.inf)
    done = AutoCompleter(index, SETTINGS).complete(photo, hole)
    assert methods(done) == ["scenes"] * 2 and done.candidates[0].share == 1


def test_a_hole_that_hides_the_kind_is_noted(of_kind, photo):
    hole = np.ones(photo.shape[:2], bool)
    hole[:, :9] = False
    done = AutoCompleter(of_kind, SETTINGS).complete(photo, hole)
    assert ["too little of the photo to tell its kind" in line for line in done.notes] == [True]


def test_kind_features_of_another_network_are_not_judged(index, of_kind, photo, hole, choose, monkeypatch):
    choose(ALWAYS, ALWAYS)
    monkeypatch.setattr(auto, "KIND", "another")
    done = AutoCompleter(of_kind, SETTINGS).complete(photo, hole)
    assert not done.notes and done.parts[0].confidence is None and "kind" not in done.parts[0].evidence


def test_without_torch_scenes_are_ordered_by_their_rim(index, photo, hole, monkeypatch):
    monkeypatch.setattr(auto, "missing_packages", lambda: ["torch"])
    completer = AutoCompleter(index, AutoSettings(aligned=6))
    assert completer.settings.rerank == "rim" and completer.network is None
    assert any("pip install torch" in line for _, line in completer.notes)
    assert completer.complete(photo, hole).best.shape == photo.shape


@pytest.fixture
def frame() -> tuple[np.ndarray, np.ndarray]:
    """A photo of which no whole patch is known, and its hole."""
    photo = np.random.default_rng(0).integers(0, 256, (40, 44, 3)).astype(np.uint8)
    hole = np.ones((40, 44), bool)
    hole[:5] = hole[-5:] = hole[:, :5] = hole[:, -5:] = False
    return photo, hole


def test_where_no_patch_is_known_a_scene_fills(index, frame):
    done = AutoCompleter(index, replace(SETTINGS, seam=0.0)).complete(*frame)
    assert methods(done) == ["scenes"]
    np.testing.assert_array_equal(done.best[~frame[1]], frame[0][~frame[1]])


def test_without_a_patch_and_an_index_the_network_fills(frame, tiny_weights):
    completer = AutoCompleter(None, AutoSettings(weights=str(tiny_weights)))
    assert completer.network["path"] == str(tiny_weights)
    done = completer.complete(*frame)
    assert methods(done) == ["network"] and done.parts[0].confidence is None
    np.testing.assert_array_equal(done.best[~frame[1]], frame[0][~frame[1]])


def test_where_nothing_can_fill_both_reasons_are_given(frame, monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    with pytest.raises(MaskError, match=r"no 7x7 px .* nor can the network: .*pip install torch") as caught:
        AutoCompleter().complete(*frame)
    assert "\n" not in str(caught.value)


def test_where_no_scene_fits_patches_stay(index, photo, hole, choose, monkeypatch):
    choose(ALWAYS, ALWAYS)

    def lost(self, query, workers):
        raise PhotoError("every scene is lost")

    monkeypatch.setattr(SceneCompleter, "fill", lost)
    done = AutoCompleter(index, SETTINGS).complete(photo, hole)
    assert methods(done) == ["patchmatch"] * 2 and done.notes == ("no scene fills it: every scene is lost",)


def test_an_error_of_one_photo_spares_the_others(index, photo, hole):
    results = AutoCompleter(index, SETTINGS).complete_many([photo, photo, photo], [hole, ~np.zeros_like(hole), hole])
    assert isinstance(results[1], CeretError)
    np.testing.assert_array_equal(results[0].best, results[2].best)
