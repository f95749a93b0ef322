"""Scene completion in full: what is there is found and fills, known pixels stay, and the record says where all came from."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scene_cases import index_of
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import TERM_WEIGHTS, SceneSettings
from ce_retrieval.errors import CeretError, CheckpointError, MaskError, PhotoError, PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex

SETTINGS = SceneSettings(rerank="rim", top=6)
FEW = [name for name in TERM_WEIGHTS if name != "content"]  # so few scenes do not tell what is to be expected
TOP, LEFT = 60, 100  # where the photo lies in the coffee picture
SHAPE = (160, 200)


def resized(picture: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize(shape[::-1], Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][TOP : TOP + SHAPE[0], LEFT : LEFT + SHAPE[1]])


@pytest.fixture(scope="module")
def hole() -> np.ndarray:
    hole = np.zeros(SHAPE, bool)
    hole[50:105, 70:130] = True
    hole[60:70, 130:140] = True
    return hole


@pytest.fixture(scope="module")
def others(bundled_photos) -> dict[str, np.ndarray]:
    """Scenes of other things."""
    return {
        "cat": bundled_photos[1][20:220, 60:310],
        "rocket": bundled_photos[3][100:300, 200:450],
        "face": bundled_photos[0][:200, 100:350],
        "suit": bundled_photos[0][250:450, 100:350],
    }


@pytest.fixture(scope="module")
def index(tmp_path_factory, bundled_photos, others) -> PhotoIndex:
    """The photo's own scene, 13 px further up and 21 further left, among others."""
    own = bundled_photos[2][TOP - 13 : TOP + 187, LEFT - 21 : LEFT + 229]
    return index_of(tmp_path_factory.mktemp("scenes"), {"own": own, **others})


def test_a_shifted_scene_is_found_and_fills_the_hole(index, photo, hole):
    for seam in (0.0, 16.0):
        done = SceneCompleter(index, replace(SETTINGS, seam=seam)).complete(photo, hole)
        best = done.candidates[0]
        assert Path(best.photo).name == "own.png"
        assert best.offset == (-13, -21) and best.scale == (1, 1) and best.share == 1
        assert np.abs(done.best.astype(int) - photo).max() <= 1
        assert [c.rank for c in done.candidates] == list(range(1, len(done.candidates) + 1))
        totals = [c.total for c in done.candidates]
        assert totals == sorted(totals)
        assert all(set(c.scores) == set(FEW) for c in done.candidates)


@pytest.mark.parametrize("size", [(178, 222), (192, 240), (320, 400), (640, 800)])
def test_a_scene_of_another_size_is_brought_to_the_photos(tmp_path, photo, hole, others, size):
    """Larger by 1/0.9, a scale of the search; by 1.2, which is none; and so large that it is brought down before."""
    index = index_of(tmp_path, {"own": resized(photo, size), **others})
    done = SceneCompleter(index, SETTINGS).complete(photo, hole)
    best = done.candidates[0]
    assert Path(best.photo).name == "own.png"
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
        assert Path(best.photo).name == "own.png"
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
    photo = resized(bundled_photos[2], shape)
    before = photo.copy()
    settings = replace(SETTINGS, seam=seam, top=3, side=side)
    completer = SceneCompleter(index, settings, workers=2)
    for name, hole in odd_holes(*shape).items():
        done = completer.complete(photo, hole, candidate_fills=True)
        assert len(done.fills) == len(done.candidates) == len(done.thumbnails) > 0
        np.testing.assert_array_equal(done.best, done.fills[0])
        np.testing.assert_array_equal(photo, before)
        for filled in done.fills:
            assert filled.shape == photo.shape and filled.dtype == np.uint8
        if seam == 0:
            assert done.seam is None
            for filled in done.fills:
                np.testing.assert_array_equal(filled[~hole], photo[~hole], name)
            continue
        if done.seam is None:
            continue  # so small a photo that the seam's reach is none
        np.testing.assert_array_equal(done.best[done.seam == 0], photo[done.seam == 0], name)
        assert (done.seam[hole] == 255).all()
        working = max(1.0, max(shape) / side)
        reach = round(seam * min(side, max(shape)) / 1024)
        assert (distance_transform_edt(~hole)[done.seam > 0] <= working * (reach + 2)).all(), name
        assert done.provenance()["changed_outside_hole"] == ((done.seam > 0) & ~hole).sum() > 0


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


def test_top_and_pick(index, photo, hole):
    fills = SceneCompleter(index, SETTINGS).complete(photo, hole, candidate_fills=True).fills
    done = SceneCompleter(index, replace(SETTINGS, top=3, pick=2)).complete(photo, hole)
    assert len(done.candidates) == len(done.thumbnails) == 3 and not done.fills
    assert [c.share for c in done.candidates] == [0, 1, 0]
    np.testing.assert_array_equal(done.best, fills[1])
    with pytest.raises(PhotoError, match=r"pick is 6, but 5 candidates are left: choose 1 to 5$"):
        SceneCompleter(index, replace(SETTINGS, pick=6)).complete(photo, hole)


def test_a_copy_of_a_scene_is_no_second_candidate(tmp_path, photo, hole, others):
    noisy = np.clip(photo + np.random.default_rng(0).normal(0, 3, photo.shape), 0, 255).astype(np.uint8)
    index = index_of(tmp_path, {"a": photo, "b": noisy, **others})
    done = SceneCompleter(index, SETTINGS).complete(photo, hole)
    names = [Path(c.photo).stem for c in done.candidates]
    assert names[0] == "a" and "b" not in names and len(names) == 5
    both = SceneCompleter(index, replace(SETTINGS, duplicate=0.0)).complete(photo, hole)
    assert {"a", "b"} <= {Path(c.photo).stem for c in both.candidates}


def test_weights_and_terms_of_ones_own_decide_the_order(index, photo, hole):
    def stems(completer: SceneCompleter) -> list[str]:
        return [Path(c.photo).stem for c in completer.complete(photo, hole).candidates]

    bright = {"dark": lambda shown, photo, hole: float(shown[hole].mean())}
    off = dict.fromkeys(TERM_WEIGHTS, 0.0)
    darkest = SceneCompleter(index, replace(SETTINGS, terms=off), terms=bright)
    done = darkest.complete(photo, hole)
    values = [c.scores["dark"] for c in done.candidates]
    assert values == sorted(values) and len(set(values)) == 5
    assert [c.total for c in done.candidates] != [0] * 5
    for term in FEW:
        alone = SceneCompleter(index, replace(SETTINGS, terms={**off, term: 1.0})).complete(photo, hole).candidates
        assert [c.scores[term] for c in alone] == sorted(c.scores[term] for c in alone)
    assert stems(SceneCompleter(index, replace(SETTINGS, terms=off))) != stems(darkest)


def test_a_network_adds_the_term_content(index, photo, hole, tiny_weights, tmp_path, monkeypatch):
    guided = SceneCompleter(index, replace(SETTINGS, rerank="guided", weights=str(tiny_weights)))
    assert guided.network["path"] == str(tiny_weights)
    done = guided.complete(photo, hole)
    values = [c.scores["content"] for c in done.candidates]
    assert all(value > 0 for value in values) and len(set(values)) == len(values)
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


def test_the_record_says_all(index, photo, hole, tmp_path):
    done = SceneCompleter(index, SETTINGS).complete(photo, hole, candidate_fills=True)
    assert done.save(tmp_path / "out" / "beach.png") == tmp_path / "out" / "beach.png"
    record = json.loads((tmp_path / "out" / "beach.json").read_text())
    assert record["method"] == "scenes" and record["settings"]["seam"] == 16 and record["network"] is None
    names = ["beach.png", "beach.candidates/seam.png", "beach.candidates/sheet.png"]
    assert list(record["files"]) == [*names, *(f"beach.candidates/{n:02d}.png" for n in range(1, 6))]
    seam = np.asarray(Image.open(tmp_path / "out" / names[1]))[..., 0]
    np.testing.assert_array_equal(seam, done.seam)
    best = np.asarray(Image.open(tmp_path / "out" / names[0]))
    first = record["candidates"][0]
    scene = np.asarray(Image.open(first["photo"]))
    rows, cols = np.nonzero(seam == 255)
    there = scene[rows - int(first["offset"][0]), cols - int(first["offset"][1])]
    assert np.abs(best[rows, cols].astype(int) - there).max() <= 1  # the own scene, so the blend adds nothing
    assert set(first["scores"]) == set(FEW) and record["expected"] is None


def test_lost_scenes_give_way(tmp_path, bundled_photos, photo, hole, others):
    index = index_of(tmp_path, {"own": bundled_photos[2][TOP - 13 : TOP + 187, LEFT - 21 : LEFT + 229], **others})
    (tmp_path / "scenes" / "own.png").unlink()
    Image.fromarray(photo).save(tmp_path / "scenes" / "cat.png")
    done = SceneCompleter(index, SETTINGS).complete(photo, hole)
    assert len(done.candidates) == 3 and len(done.dropped) == 2
    assert any("own.png" in line for line in done.dropped) and any("changed" in line for line in done.dropped)
    for name in ("rocket", "face", "suit"):
        (tmp_path / "scenes" / f"{name}.png").unlink()
    with pytest.raises(PhotoError, match=r"none of the 5 scenes can be read .*; and 2 more$"):
        SceneCompleter(index, SETTINGS).complete(photo, hole)


def test_a_hole_that_no_scene_can_hold_says_why(tmp_path, bundled_photos):
    """A hole as high as its photo, and scenes that are wide and low: enlarged 1.25 times they are too low still."""
    index = index_of(tmp_path, {name: bundled_photos[2][y : y + 60, :250] for name, y in (("a", 0), ("b", 90))})
    photo = resized(bundled_photos[2], (200, 30))
    hole = np.zeros((200, 30), bool)
    hole[1:-1, 10:20] = True
    with pytest.raises(
        PhotoError, match=r"none of the 2 scenes can fill the hole .*[ab].png: too small: .*[ab].png: too small: "
    ):
        SceneCompleter(index, SETTINGS).complete(photo, hole)


def test_wrong_settings_are_named(index, photo, hole):
    for change, message in (
        ({"rerank": "best"}, "rerank 'best' is unknown"),
        ({"top": 0}, "top is 0"),
        ({"aligned": 0}, "aligned is 0"),
        ({"pick": 0}, "pick is 0"),
        ({"pick": 7}, "pick is 7, but 6 candidates are kept"),
        ({"seam": -1.0}, "seam is -1"),
        ({"seam": 41.0}, "expected 0 to 40"),
        ({"side": 8}, "side is 8"),
        ({"radius": float("inf")}, "radius is inf px"),
        ({"radius": 0.0}, "radius is 0.0 px"),
        ({"scales": ()}, r"scales are \(\)"),
        ({"duplicate": -1.0}, "duplicate is -1"),
        ({"terms": {"beauty": 1.0}}, "no ranking term is called 'beauty': choose among scene, context"),
        ({"terms": {"seam": -1.0}}, "weight of seam is -1"),
        ({"trust": -0.1}, "trust is -0.1: expected 0 to 1"),
        ({"trust": 1.5}, "trust is 1.5"),
        ({"candidates": 0}, "candidates is 0"),
    ):
        with pytest.raises(PhotoIndexError, match=message):
            SceneCompleter(index, replace(SETTINGS, **change))
    with pytest.raises(PhotoIndexError, match="is called 'gist', as one that is there"):
        SceneCompleter(index, SETTINGS, terms={"gist": lambda shown, photo, hole: 0.0})
    completer = SceneCompleter(index, SETTINGS)
    results = completer.complete_many([photo] * 3, [np.zeros_like(hole), hole, np.ones_like(hole)])
    assert isinstance(results[0], MaskError) and isinstance(results[2], MaskError)
    assert not isinstance(results[1], CeretError)
