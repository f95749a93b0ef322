"""Hard inputs of scene completion and of patches: odd holes, tiny photos, few scenes."""

from dataclasses import replace

import numpy as np
import pytest
from scene_cases import ABOVE, HIDDEN, LEFT, hidden, hole_of, index_of, of_size, stems
from scipy.ndimage import distance_transform_edt

import ce_retrieval
from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, SceneSettings
from ce_retrieval.errors import CeretError, MaskError, PhotoError

SETTINGS = SceneSettings(places="none", rerank="rim", allow_same_photo=True, top=3)
PATCHES = PatchSettings(rerank="rim", allow_same_photo=True)


@pytest.fixture(scope="module")
def by_seam(index) -> dict[float, SceneCompleter]:
    return {seam: SceneCompleter(index, replace(SETTINGS, seam=seam), workers=2) for seam in (0.0, 40.0)}


@pytest.fixture(scope="module")
def by_patches(index) -> tuple[PatchCompleter, PatchCompleter]:
    """With scenes, and from the photo alone."""
    return PatchCompleter(index, PATCHES, workers=2), PatchCompleter(None, PATCHES, workers=2)


@pytest.fixture(scope="module")
def reduced(index) -> SceneCompleter:
    """Works at 40 px."""
    return SceneCompleter(index, replace(SETTINGS, side=40, seam=0.0), workers=2)


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
@pytest.mark.parametrize("seam", [0.0, 40.0])
def test_scenes_fill_any_hole_with_what_was_there(by_seam, truth, name, seam):
    hole = HOLES[name]
    photo = hidden(truth, hole)
    done = by_seam[seam].complete(photo, hole)
    assert stems(done)[0] == "own" and done.candidates[0].offset == (-ABOVE, -LEFT)
    assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
    assert (done.seam is None) == (seam == 0)
    may_differ = hole if done.seam is None else done.seam > 0
    np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ])
    assert distance_transform_edt(~hole)[may_differ].max() <= round(seam * 100 / 1024)


@pytest.mark.parametrize("name", [name for name in HOLES if name != "nearly all"])  # of which 8x8 px would be left
def test_scenes_fill_any_hole_of_a_photo_above_the_working_size(reduced, truth, name):
    """Placed to a pixel of the working size, 2.5 of the photo: near what was there, and none of what was hidden."""
    hole = HOLES[name]
    photo = hidden(truth, hole)
    done = reduced.complete(photo, hole)
    np.testing.assert_array_equal(done.best[~hole], photo[~hole])
    assert stems(done)[0] == "own" and done.candidates[0].offset == pytest.approx((-ABOVE, -LEFT), abs=3)
    assert np.abs(done.best.astype(int) - truth)[hole].mean() < 25
    assert np.abs(done.best.astype(int) - HIDDEN).max(axis=-1)[hole].min() > 80


@pytest.mark.parametrize("name", HOLES)
def test_patches_fill_any_hole_and_keep_the_rest(by_patches, truth, name):
    hole = HOLES[name]
    photo = hidden(truth, hole)
    with_scenes, alone = (completer.complete(photo, hole) for completer in by_patches)
    assert stems(with_scenes) == ["own"]
    np.testing.assert_array_equal(with_scenes.best[~hole], photo[~hole])
    assert np.median(np.abs(with_scenes.best.astype(int) - truth)[hole]) < 30
    np.testing.assert_array_equal(alone.best[~hole], photo[~hole])
    # Means of the photo's own pixels.
    known = photo[~hole]
    assert (alone.best[hole] >= known.min(axis=0)).all() and (alone.best[hole] <= known.max(axis=0)).all()


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (1, 9), (9, 1), (1, 400), (15, 200), (200, 15)])
def test_photos_too_small_for_a_context_are_named(index, by_seam, by_patches, shape):
    photo = np.full((*shape, 3), 99, np.uint8)
    hole = np.zeros(shape, bool)
    hole[-1, -1] = True
    for complete in (
        by_seam[0.0].complete,
        *(completer.complete for completer in by_patches),
        lambda photo, hole: ce_retrieval.complete(photo, hole, index, rerank="rim"),
    ):
        with pytest.raises(
            PhotoError, match=f"the photo is {shape[1]}x{shape[0]}: at least 16 px a side .*; enlarge it"
        ) as caught:
            complete(photo, hole)
        assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def of_small_scenes(tmp_path_factory, bundled_photos, scenes) -> list[SceneCompleter | PatchCompleter]:
    small = {name: of_size(scene, 24, 30) for name, scene in scenes.items()} | {
        "own": of_size(bundled_photos[2], 24, 30)
    }
    index = index_of(tmp_path_factory.mktemp("small"), small)
    by_scenes = [SceneCompleter(index, replace(SETTINGS, seam=seam)) for seam in (0.0, 40.0)]
    return [*by_scenes, PatchCompleter(index, PATCHES), PatchCompleter(None, PATCHES)]


@pytest.mark.parametrize("shape", [(16, 16), (16, 21), (20, 16)])
@pytest.mark.parametrize("box", [np.s_[3:8, 3:8], np.s_[:5], np.s_[7, 8], np.s_[-3:, -4:]], ids=str)
def test_the_smallest_photos_are_filled(of_small_scenes, bundled_photos, shape, box):
    truth = np.ascontiguousarray(of_size(bundled_photos[2], 24, 30)[2 : 2 + shape[0], 5 : 5 + shape[1]])
    hole = hole_of(box, shape=shape)
    photo = hidden(truth, hole)
    *by_scenes, with_scenes, alone = (completer.complete(photo, hole) for completer in of_small_scenes)
    for done in by_scenes:
        assert stems(done)[0] == "own"
        assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
        may_differ = hole if done.seam is None else done.seam > 0
        np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ])
    for done in (with_scenes, alone):
        np.testing.assert_array_equal(done.best[~hole], photo[~hole])


@pytest.mark.parametrize("count", [1, 2])
def test_a_scene_or_two_are_enough(tmp_path, scenes, truth, count):
    index = index_of(tmp_path, {name: scenes[name] for name in ("own", "cat")[:count]})
    hole = HOLES["with an island"]
    allowed = {"rerank": "rim", "allow_same_photo": True}
    done = ce_retrieval.complete(hidden(truth, hole), hole, index, method="scenes", **allowed)
    assert done.settings.top == 20 and stems(done) == ["own", "cat"][:count] and not done.dropped
    assert np.abs(done.best.astype(int) - truth)[hole].max() <= 1
    patches = ce_retrieval.complete(hidden(truth, hole), hole, index, method="patchmatch", sources=20, **allowed)
    assert stems(patches) == ["own", "cat"][:count]
    np.testing.assert_array_equal(patches.best[~hole], truth[~hole])
    with pytest.raises(PhotoError, match=f"`pick` is 3, but {count} candidate.* left: choose 1( to 2)?$"):
        ce_retrieval.complete(truth, hole, index, method="scenes", pick=3, **allowed)


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


def test_one_bad_photo_of_a_batch_spares_the_others(by_seam, by_patches, truth):
    good = HOLES["with an island"]
    tiny = np.zeros((2, 2, 3), np.uint8), np.eye(2, dtype=bool)
    lone = ~hole_of(np.s_[40, 50])  # a single known pixel
    jobs = [(truth, good), tiny, (truth, lone), (truth, good)]
    for completer in (by_seam[40.0], by_patches[0]):
        results = completer.complete_many([photo for photo, _ in jobs], [hole for _, hole in jobs])
        assert isinstance(results[1], PhotoError) and isinstance(results[2], CeretError)
        assert "\n" not in str(results[2]) and "make the hole smaller" in str(results[2])
        np.testing.assert_array_equal(results[0].best, results[3].best)
    with pytest.raises(MaskError, match=r"no 7x7 px of the photo whole to copy from: mark a smaller hole, or give"):
        by_patches[1].complete(truth, lone)
