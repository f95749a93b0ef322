"""Scene completion in full: what is there is found and fills, known pixels stay, and the record says where all came from."""

import json
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scene_cases import ABOVE, LEFT, SHAPE, hole_of, index_of, of_size, stems
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes import ranking
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import TERM_WEIGHTS, SceneSettings
from ce_retrieval.errors import CeretError, CheckpointError, MaskError, PhotoError, SettingsError

SETTINGS = SceneSettings(places="none", rerank="rim", allow_same_photo=True, top=6)
FEW = [name for name in TERM_WEIGHTS if name not in ("content", "kind")]  # of few scenes, without network and kinds


@pytest.fixture(scope="module")
def photo(truth) -> np.ndarray:
    return truth


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    return hole_of(np.s_[25:53, 35:65], np.s_[30:35, 65:70])


@pytest.fixture(scope="module")
def others(scenes) -> dict[str, np.ndarray]:
    """Scenes of other things."""
    return {name: scene for name, scene in scenes.items() if name != "own"}


@pytest.fixture(scope="module")
def completer(index) -> SceneCompleter:
    return SceneCompleter(index, SETTINGS)


def test_a_shifted_scene_is_found_and_fills_the_hole(index, completer, photo, hole):
    for one in (completer, SceneCompleter(index, replace(SETTINGS, seam=0.0))):
        done = one.complete(photo, hole)
        best = done.candidates[0]
        assert stems(done)[0] == "own"
        assert best.offset == (-ABOVE, -LEFT) and best.scale == (1, 1) and best.share == 1
        assert np.abs(done.best.astype(int) - photo).max() <= 1
        assert [c.rank for c in done.candidates] == list(range(1, len(done.candidates) + 1))
        totals = [c.total for c in done.candidates]
        assert totals == sorted(totals)
        assert len(done.candidates) == 4 and all(set(c.scores) == set(FEW) for c in done.candidates)


@pytest.mark.parametrize("size", [(89, 111), (96, 120), (160, 200), (320, 400)])
def test_a_scene_of_another_size_is_brought_to_the_photos(tmp_path, photo, hole, others, size):
    """Larger by 1/0.9, a scale of the search; by 1.2, which is none; and so large that it is brought down before."""
    index = index_of(tmp_path, {"own": of_size(photo, *size), **others})
    done = SceneCompleter(index, replace(SETTINGS, allow_same_photo=True)).complete(photo, hole)
    best = done.candidates[0]
    assert stems(done)[0] == "own"
    assert best.scale == pytest.approx((SHAPE[0] / size[0], SHAPE[1] / size[1]), rel=0.02)
    assert best.offset == pytest.approx((0, 0), abs=2)
    assert np.abs(done.best.astype(int) - photo)[hole].mean() < 4


def test_a_photo_larger_than_the_working_size_is_filled_at_its_own(tmp_path, bundled_photos, others):
    """The fill is as sharp as its scene, though it was placed and blended at a quarter of the size."""
    photo = np.ascontiguousarray(bundled_photos[2][30:330, 40:440])
    hole = np.zeros((300, 400), bool)
    hole[91:190, 133:262] = True
    index = index_of(tmp_path, {"own": bundled_photos[2][2:336, 0:444], **others})
    for seam in (0.0, 16.0):
        done = SceneCompleter(index, replace(SETTINGS, side=100, seam=seam)).complete(photo, hole)
        best = done.candidates[0]
        assert stems(done)[0] == "own"
        assert best.offset == pytest.approx((-28, -40), abs=3) and best.scale == pytest.approx((1, 1), rel=0.03)
        outside = ~hole if done.seam is None else done.seam == 0
        np.testing.assert_array_equal(done.best[outside], photo[outside])
        # Placed to a pixel of the working size, 4 of the photo: so compared after a mean over 8.
        means = [picture[88:192, 128:264].reshape(13, 8, 17, 8, 3).mean((1, 3)) for picture in (done.best, photo)]
        assert np.abs(means[0] - means[1]).mean() < 6
        steps = [np.abs(np.diff(picture[91:190, 133:262].astype(int), axis=1)).mean() for picture in (done.best, photo)]
        assert 0.85 < steps[0] / steps[1] < 1.15


@pytest.mark.parametrize(("shape", "side"), [((80, 100), 1024), ((64, 64), 1024), ((150, 210), 70)])
@pytest.mark.parametrize("seam", [0.0, 40.0])
def test_known_pixels_stay_outside_the_seam(index, bundled_photos, odd_holes, shape, side, seam):
    photo = of_size(bundled_photos[2], *shape)
    before = photo.copy()
    completer = SceneCompleter(index, replace(SETTINGS, seam=seam, top=3, side=side), workers=2)
    working = max(1.0, max(shape) / side)
    reach = round(seam * min(side, max(shape)) / 1024)
    for name, hole in odd_holes(*shape).items():
        done = completer.complete(photo, hole, candidate_fills=True)
        assert len(done.fills) == len(done.candidates) == len(done.thumbnails) > 0
        assert all(filled.shape == photo.shape and filled.dtype == np.uint8 for filled in done.fills)
        np.testing.assert_array_equal(done.best, done.fills[0])
        np.testing.assert_array_equal(photo, before)
        assert (done.seam is None) == (reach == 0)
        near = distance_transform_edt(~hole) <= (working * (reach + 2) if reach else 0)
        for filled in done.fills:
            np.testing.assert_array_equal(filled[~near], photo[~near], name)
        may_differ = hole if done.seam is None else done.seam > 0
        np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ], name)
        assert not may_differ[~near].any() and (done.seam is None or (done.seam[hole] == 255).all()), name
        changed = done.provenance()["changed_outside_hole"]
        assert changed == (may_differ & ~hole).sum() and (changed > 0) == (reach > 0)


@pytest.mark.parametrize("side", [1024, 90])
def test_hidden_content_has_no_influence_nor_have_threads(index, photo, hole, side):
    other = photo.copy()
    other[hole] = np.random.default_rng(1).integers(0, 256, (int(hole.sum()), 3))
    settings = replace(SETTINGS, side=side)
    one = SceneCompleter(index, settings, workers=1).complete(photo, hole, candidate_fills=True)
    two = SceneCompleter(index, settings, workers=3).complete(other, hole, candidate_fills=True)
    assert one.candidates == two.candidates
    for first, second in zip(one.fills, two.fills, strict=True):
        np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(one.seam, two.seam)


def test_top_and_pick(index, completer, photo, hole):
    fills = completer.complete(photo, hole, candidate_fills=True).fills
    done = SceneCompleter(index, replace(SETTINGS, top=3, pick=2)).complete(photo, hole)
    assert len(done.candidates) == len(done.thumbnails) == 3 and not done.fills
    assert [c.share for c in done.candidates] == [0, 1, 0]
    np.testing.assert_array_equal(done.best, fills[1])
    with pytest.raises(PhotoError, match=r"`pick` is 6, but 4 candidates are left: choose 1 to 4$"):
        SceneCompleter(index, replace(SETTINGS, pick=6)).complete(photo, hole)


def test_a_copy_of_a_scene_is_not_a_second_candidate(tmp_path, photo, hole, others, monkeypatch):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 3, photo.shape), 0, 255).astype(np.uint8)
    index = index_of(tmp_path, {"a": photo, "b": noisy, **others})
    completer = SceneCompleter(index, replace(SETTINGS, allow_same_photo=True))
    names = stems(completer.complete(photo, hole))
    assert names[0] == "a" and "b" not in names and len(names) == 4
    monkeypatch.setattr(ranking, "DUPLICATE", 0.0)
    assert {"a", "b"} <= set(stems(completer.complete(photo, hole)))


def test_weights_and_further_terms_decide_the_order(index, photo, hole):
    bright = {"dark": lambda shown, photo, hole: float(shown[hole].mean())}
    off = dict.fromkeys(TERM_WEIGHTS, 0.0)
    darkest = SceneCompleter(index, replace(SETTINGS, terms=off), terms=bright).complete(photo, hole)
    values = [c.scores["dark"] for c in darkest.candidates]
    assert values == sorted(values) and len(set(values)) == 4
    assert [c.total for c in darkest.candidates] != [0] * 4
    for term in FEW:
        alone = SceneCompleter(index, replace(SETTINGS, terms={**off, term: 1.0})).complete(photo, hole).candidates
        assert [c.scores[term] for c in alone] == sorted(c.scores[term] for c in alone)
    assert stems(SceneCompleter(index, replace(SETTINGS, terms=off)).complete(photo, hole)) != stems(darkest)


def test_a_network_adds_the_term_content(index, photo, hole, tiny_weights, tmp_path, monkeypatch):
    guided = SceneCompleter(index, replace(SETTINGS, rerank="guided", weights=str(tiny_weights)))
    assert guided.network["path"] == str(tiny_weights)
    done = guided.complete(photo, hole)
    values = [c.scores["content"] for c in done.candidates]
    assert len(set(values)) == len(values) == 4 and min(values) > 0
    alone = {**dict.fromkeys(TERM_WEIGHTS, 0.0), "content": 1.0}
    settings = replace(guided.settings, terms=alone)
    ordered = [c.scores["content"] for c in SceneCompleter(index, settings).complete(photo, hole).candidates]
    assert ordered == sorted(ordered) and set(ordered) == set(values)
    monkeypatch.setattr("ce_retrieval.models.shipped.FOLDER", tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="are not installed"):
        SceneCompleter(index, replace(SETTINGS, rerank="guided"))


def test_only_the_first_of_the_rerank_are_aligned(index, photo, hole):
    done = SceneCompleter(index, replace(SETTINGS, aligned=2)).complete(photo, hole)
    assert len(done.candidates) == 2
    as_found = SceneCompleter(index, replace(SETTINGS, aligned=2, rerank="none")).complete(photo, hole)
    assert sorted(c.context_rank for c in as_found.candidates) == [1, 2]


def test_the_record_says_all(completer, photo, hole, tmp_path):
    done = completer.complete(photo, hole, candidate_fills=True)
    assert done.save(tmp_path / "out" / "beach.png") == tmp_path / "out" / "beach.png"
    record = json.loads((tmp_path / "out" / "beach.json").read_text())
    assert record["method"] == "scenes" and record["settings"]["seam"] == 16 and record["network"] is None
    names = ["beach.png", "beach.candidates/seam.png", "beach.candidates/sheet.png"]
    assert list(record["files"]) == [*names, *(f"beach.candidates/{n:02d}.png" for n in range(1, 5))]
    seam = np.asarray(Image.open(tmp_path / "out" / names[1]))[..., 0]
    np.testing.assert_array_equal(seam, done.seam)
    best = np.asarray(Image.open(tmp_path / "out" / names[0]))
    first = record["candidates"][0]
    scene = np.asarray(Image.open(first["photo"]))
    rows, cols = np.nonzero(seam == 255)
    there = scene[rows - int(first["offset"][0]), cols - int(first["offset"][1])]
    assert np.abs(best[rows, cols].astype(int) - there).max() <= 1  # the own scene, so the blend adds nothing
    assert set(first["scores"]) == set(FEW) and record["expected"] is None


def test_wrong_terms_are_named(index):
    with pytest.raises(SettingsError, match="`terms`: no ranking term is called 'beauty': choose among scene, context"):
        SceneCompleter(index, replace(SETTINGS, terms={"beauty": 1.0}))
    with pytest.raises(SettingsError, match="a ranking term 'gist' exists: give yours another name"):
        SceneCompleter(index, SETTINGS, terms={"gist": lambda shown, photo, hole: 0.0})


def test_one_wrong_hole_of_a_batch_spares_the_others(completer, photo, hole):
    results = completer.complete_many([photo] * 3, [np.zeros_like(hole), hole, np.ones_like(hole)])
    assert isinstance(results[0], MaskError) and isinstance(results[2], MaskError)
    assert not isinstance(results[1], CeretError)


def test_composites_are_the_fills_at_the_working_size(index, photo, hole):
    completer = SceneCompleter(index, replace(SETTINGS, top=3))
    found, done = completer.composites(photo, hole), completer.complete(photo, hole, candidate_fills=True)
    assert found.candidates == done.candidates and found.working.whole
    np.testing.assert_array_equal(found.small, done.fills)
