"""Hard inputs of scene completion and of patches: odd holes, tiny photos, few scenes."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scene_cases import index_of, of_size, own_and_others
from scipy.ndimage import distance_transform_edt

import ce_retrieval
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, SceneSettings
from ce_retrieval.errors import CeretError, MaskError, PhotoError
from ce_retrieval.photo_index import PhotoIndex

SETTINGS = SceneSettings(rerank="rim", top=3)
PATCHES = PatchSettings(scenes=SETTINGS)
SHAPE = (80, 100)
ABOVE, LEFT = 9, 13  # px of the photo's own scene beyond the photo
HIDDEN = (255, 0, 255)  # what lies under a hole, and is in no scene


@pytest.fixture(scope="module")
def scenes(bundled_photos) -> dict[str, np.ndarray]:
    return own_and_others(bundled_photos)


@pytest.fixture(scope="module")
def truth(scenes) -> np.ndarray:
    return np.ascontiguousarray(scenes["own"][ABOVE : ABOVE + SHAPE[0], LEFT : LEFT + SHAPE[1]])


@pytest.fixture(scope="module")
def index(tmp_path_factory, scenes) -> PhotoIndex:
    return index_of(tmp_path_factory.mktemp("hard"), scenes)


def hidden(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    return np.where(hole[..., None], np.uint8(HIDDEN), photo)


def stems(done) -> list[str]:
    return [Path(candidate.photo).stem for candidate in done.candidates]


def hole_of(*boxes: tuple[slice, slice], shape: tuple[int, int] = SHAPE) -> np.ndarray:
    hole = np.zeros(shape, bool)
    for box in boxes:
        hole[box] = True
    return hole


HOLES = {
    "at the border": hole_of(np.s_[30:50, :12]),
    "in a corner": hole_of(np.s_[-15:, -20:]),
    "a whole side": hole_of(np.s_[:14, :]),
    "all four sides": ~hole_of(np.s_[12:-12, 12:-12]),
    "all four sides, 1 px": ~hole_of(np.s_[1:-1, 1:-1]),
    "from side to side": hole_of(np.s_[:, 40:52]),
    "many": hole_of(*(np.s_[y : y + 5, x : x + 5] for y in range(4, 80, 15) for x in range(4, 100, 15))),
    "one pixel": hole_of(np.s_[43, 51]),
    "one pixel in the corner": hole_of(np.s_[0, 0]),
    "with an island": hole_of(np.s_[20:60, 30:70]) & ~hole_of(np.s_[35:45, 45:55]),
    "with an island of a pixel": hole_of(np.s_[20:60, 30:70]) & ~hole_of(np.s_[40, 50]),
    "nearly all": ~hole_of(np.s_[30:50, 40:60]),
}


@pytest.mark.parametrize("name", HOLES)
def test_scenes_fill_any_hole_with_what_was_there(index, truth, name):
    hole = HOLES[name]
    photo = hidden(truth, hole)
    for seam in (0.0, 40.0):
        done = SceneCompleter(index, replace(SETTINGS, seam=seam), workers=2).complete(photo, hole)
        assert stems(done)[0] == "own" and done.candidates[0].offset == (-ABOVE, -LEFT)
        assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
        assert (done.seam is None) == (seam == 0)
        may_differ = hole if done.seam is None else done.seam > 0
        np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ])
        assert distance_transform_edt(~hole)[may_differ].max() <= round(seam * 100 / 1024)


@pytest.mark.parametrize("name", [name for name in HOLES if name != "nearly all"])  # of which 8x8 px would be left
def test_scenes_fill_any_hole_of_a_photo_above_the_working_size(index, truth, name):
    """Placed to a pixel of the working size, 2.5 of the photo: near what was there, and none of what was hidden."""
    hole = HOLES[name]
    photo = hidden(truth, hole)
    done = SceneCompleter(index, replace(SETTINGS, side=40, seam=0.0), workers=2).complete(photo, hole)
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])
    assert stems(done)[0] == "own" and done.candidates[0].offset == pytest.approx((-ABOVE, -LEFT), abs=3)
    assert np.abs(done.best.astype(int) - truth)[hole].mean() < 25
    assert np.abs(done.best.astype(int) - HIDDEN).max(axis=-1)[hole].min() > 80


@pytest.mark.parametrize("name", HOLES)
def test_patches_fill_any_hole_and_keep_the_rest(index, truth, name):
    hole = HOLES[name]
    photo = hidden(truth, hole)
    done = PatchCompleter(index, PATCHES, workers=2).complete(photo, hole)
    assert stems(done) == ["own"]
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])
    assert np.median(np.abs(done.best.astype(int) - truth)[hole]) < 30
    alone = PatchCompleter(None, PATCHES, workers=2).complete(photo, hole).best
    np.testing.assert_array_equal(alone[~hole], photo[~hole])
    # Means of the photo's own pixels.
    assert (alone[hole] >= photo[~hole].min(axis=0)).all() and (alone[hole] <= photo[~hole].max(axis=0)).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (1, 9), (9, 1), (1, 400), (15, 200), (200, 15)])
def test_photos_too_small_for_a_context_are_named(index, shape):
    photo = np.full((*shape, 3), 99, np.uint8)
    hole = np.zeros(shape, bool)
    hole[-1, -1] = True
    for complete in (
        SceneCompleter(index, SETTINGS).complete,
        PatchCompleter(index, PATCHES).complete,
        PatchCompleter(None, PATCHES).complete,
        lambda photo, hole: ce_retrieval.complete(photo, hole, index, rerank="rim"),
    ):
        with pytest.raises(
            PhotoError, match=f"the photo is {shape[1]}x{shape[0]}: at least 16 px a side .*; enlarge it"
        ) as caught:
            complete(photo, hole)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(16, 16), (16, 21), (20, 16)])
def test_the_smallest_photos_are_filled(tmp_path, bundled_photos, scenes, shape):
    own = of_size(bundled_photos[2], 24, 30)
    truth = np.ascontiguousarray(own[2 : 2 + shape[0], 5 : 5 + shape[1]])
    index = index_of(tmp_path, {**{name: of_size(scene, 24, 30) for name, scene in scenes.items()}, "own": own})
    for box in (np.s_[3:8, 3:8], np.s_[:5], np.s_[7, 8], np.s_[-3:, -4:]):
        hole = hole_of(box, shape=shape)
        photo = hidden(truth, hole)
        for seam in (0.0, 40.0):
            done = SceneCompleter(index, replace(SETTINGS, seam=seam)).complete(photo, hole)
            assert stems(done)[0] == "own"
            assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
            may_differ = hole if done.seam is None else done.seam > 0
            np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ])
        for patches in (PatchCompleter(index, PATCHES), PatchCompleter(None, PATCHES)):
            np.testing.assert_array_equal(patches.complete(photo, hole).best[~hole], photo[~hole])


@pytest.mark.parametrize("count", [1, 2])
def test_a_scene_or_two_are_enough(tmp_path, scenes, truth, count):
    index = index_of(tmp_path, {name: scenes[name] for name in ("own", "cat")[:count]})
    hole = HOLES["with an island"]
    done = ce_retrieval.complete(hidden(truth, hole), hole, index, rerank="rim")
    assert done.settings.top == 20 and stems(done) == ["own", "cat"][:count] and not done.dropped
    assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
    patches = ce_retrieval.complete(hidden(truth, hole), hole, index, method="patchmatch", scenes=SETTINGS, sources=20)
    assert stems(patches) == ["own", "cat"][:count]
    np.testing.assert_array_equal(patches.best[~hole], truth[~hole])
    with pytest.raises(PhotoError, match=f"pick is 3, but {count} candidate.* left: choose 1( to 2)?$"):
        ce_retrieval.complete(truth, hole, index, rerank="rim", pick=3)


def test_scenes_too_low_for_the_hole_are_left_out_by_name(tmp_path, bundled_photos):
    coffee = bundled_photos[2]
    index = index_of(tmp_path, {"tall": coffee[:220, :60], "a": coffee[:60, :220], "b": coffee[90:150, :220]})
    truth = np.ascontiguousarray(coffee[10:210, 20:50])
    hole = hole_of(np.s_[1:-1, 10:20], shape=(200, 30))
    done = SceneCompleter(index, SETTINGS).complete(hidden(truth, hole), hole)
    assert stems(done) == ["tall"]
    assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
    assert len(done.dropped) == 2 and done.provenance()["dropped"] == list(done.dropped)
    for name in ("a", "b"):
        assert any(f"{name}.png: too small: 220x60 px" in line for line in done.dropped)


def test_one_bad_photo_of_a_batch_spares_the_others(index, truth):
    good = HOLES["with an island"]
    tiny = np.zeros((2, 2, 3), np.uint8), np.eye(2, dtype=bool)
    lone = ~hole_of(np.s_[40, 50])  # a single known pixel
    jobs = [(truth, good), tiny, (truth, lone), (truth, good)]
    for completer in (SceneCompleter(index, SETTINGS), PatchCompleter(index, PATCHES)):
        results = completer.complete_many([photo for photo, _ in jobs], [hole for _, hole in jobs])
        assert isinstance(results[1], PhotoError) and isinstance(results[2], CeretError)
        assert "\n" not in str(results[2]) and "make the hole smaller" in str(results[2])
        np.testing.assert_array_equal(results[0].best, results[3].best)
    with pytest.raises(MaskError, match=r"no 7x7 px of the photo whole to copy from: mark a smaller hole, or give"):
        PatchCompleter(None, PATCHES).complete(truth, lone)
