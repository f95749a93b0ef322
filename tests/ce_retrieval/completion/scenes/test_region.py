"""The region of a hole: its context, and what a seam may take of it. Photos that leave too little are named."""

from dataclasses import replace

import numpy as np
import pytest
from scene_cases import index_of
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.patches.completer import PatchCompleter
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.scenes.region import region_of
from ce_retrieval.completion.scenes.seam_domain import seam_domain
from ce_retrieval.completion.settings import PatchSettings, SceneSettings
from ce_retrieval.completion.working_size import Working
from ce_retrieval.errors import MaskError, PhotoError

SETTINGS = SceneSettings(places="none", rerank="rim", top=3)


def grid(shape: tuple[int, int], rows: int, cols: int) -> np.ndarray:
    hole = np.zeros(shape, bool)
    hole[::rows, ::cols] = True
    return hole


def test_the_context_is_what_lies_within_the_scaled_radius():
    hole = np.zeros((300, 512), bool)
    hole[100:140, :30] = True
    photo = np.random.default_rng(0).integers(0, 256, (300, 512, 3), dtype=np.uint8)
    region = region_of(Working(photo, hole, (1.0, 1.0)), seam=16.0)
    assert region.box == (60, 0, 180, 70) and region.size == (120, 70) and region.reach == 8
    np.testing.assert_array_equal(region.photo, photo[60:180, :70])
    np.testing.assert_array_equal(region.hole, hole[60:180, :70])
    np.testing.assert_array_equal(region.context, ((distance_transform_edt(~hole) <= 40) & ~hole)[60:180, :70])
    np.testing.assert_array_equal(region.domain, seam_domain(hole, 8)[60:180, :70])


def test_a_seam_stays_a_pixel_within_the_context():
    hole = np.zeros((30, 40), bool)
    hole[10:20, 10:25] = True
    working = Working(np.zeros((30, 40, 3), np.uint8), hole, (1.0, 1.0))
    for radius, seam, reach in ((80.0, 0.0, 0), (80.0, 40.0, 2), (130.0, 100.0, 4), (1.0, 40.0, 0)):
        region = region_of(working, seam, radius=radius)
        assert region.reach == reach and region.context.any()
        assert distance_transform_edt(~region.hole)[region.domain].max() == reach


def test_a_grid_of_pixels_is_filled_and_keeps_the_photo(other_index, truth):
    done = SceneCompleter(other_index, replace(SETTINGS, seam=40.0)).complete(truth, grid((80, 100), 8, 8))
    assert done.hole.sum() < (done.seam > 0).sum() <= 5 * done.hole.sum()


def test_a_seam_that_reaches_all_of_the_photo_is_named_before_scenes_are_opened(other_index, truth, monkeypatch):
    hole = grid((80, 100), 3, 1)
    kept = SceneCompleter(other_index, replace(SETTINGS, seam=0.0)).complete(truth, hole)
    np.testing.assert_array_equal(kept.best[~hole], truth[~hole])
    monkeypatch.setattr(other_index, "read_photo", lambda *_: pytest.fail("a scene was opened"))
    with pytest.raises(
        MaskError, match=r"seam of 16 px, at the 100x80 px .*; set `seam` to 0, or mark a smaller"
    ) as caught:
        SceneCompleter(other_index, SETTINGS).complete(truth, hole)
    assert "\n" not in str(caught.value)


def test_a_hole_that_is_full_at_the_working_size_alone_names_that_size(tmp_path, bundled_photos):
    index = index_of(tmp_path, {str(n): bundled_photos[n][:48:2, :36:2] for n in (0, 1)})
    photo, hole = bundled_photos[2][:300, :400], grid((300, 400), 12, 16)
    for completer in (
        SceneCompleter(index, SETTINGS),
        PatchCompleter(index, PatchSettings(rerank="rim")),
        PatchCompleter(None, PatchSettings(side=24)),
    ):
        with pytest.raises(MaskError, match=r"visible at 24x18 px, .*400x300 .*: raise that size \(") as caught:
            completer.complete(photo, hole)
        assert "\n" not in str(caught.value)


def test_a_photo_too_narrow_for_patches_at_the_working_size_names_both_sizes(tmp_path, bundled_photos):
    index = index_of(tmp_path, {str(n): bundled_photos[n][:80, :250] for n in (0, 1)})
    photo = np.ascontiguousarray(np.tile(bundled_photos[2][:16, :350], (1, 2, 1)))
    hole = np.zeros((16, 700), bool)
    hole[4:10, 100:110] = True
    for completer in (
        PatchCompleter(index, PatchSettings(rerank="rim")),
        PatchCompleter(None, PatchSettings(side=250)),
    ):
        with pytest.raises(
            PhotoError, match=r"the photo is 700x16 px, and 250x6 .*7x7 px or more; raise that"
        ) as caught:
            completer.complete(photo, hole)
        assert "\n" not in str(caught.value)
    # Scenes need no such room.
    assert SceneCompleter(index, SETTINGS).complete(photo, hole).candidates
