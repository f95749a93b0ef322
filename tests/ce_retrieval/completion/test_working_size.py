"""The working size and the way back, against the definitions."""

import numpy as np
import pytest

from ce_retrieval.completion.working_size import (
    enlarged_mask,
    enlarged_values,
    enlarged_window,
    sampled,
    working_photo,
)


@pytest.mark.parametrize("side", [50, 37, 99.5])
def test_the_small_photo_is_the_mean_over_areas_and_its_hole_covers_all(bundled_photos, odd_holes, side):
    photo = np.ascontiguousarray(bundled_photos[1][:100, :140])
    for name, hole in odd_holes(100, 140).items():
        working = working_photo(photo, hole, side)
        assert max(working.hole.shape) == round(side) and not working.whole
        rows, cols = working.factor
        for y in range(0, working.hole.shape[0], 7):
            for x in range(0, working.hole.shape[1], 5):
                # Overlaps of this small pixel with each large one.
                down = np.clip(
                    np.minimum(np.arange(100) + 1, (y + 1) * rows) - np.maximum(np.arange(100), y * rows), 0, 1
                )
                across = np.clip(
                    np.minimum(np.arange(140) + 1, (x + 1) * cols) - np.maximum(np.arange(140), x * cols), 0, 1
                )
                share = np.outer(down, across)
                share[share < 1e-4] = 0
                assert working.hole[y, x] == bool((share[hole] > 0).any()), name
                if not working.hole[y, x]:
                    mean = (share[..., None] * photo).sum((0, 1)) / share.sum()
                    np.testing.assert_allclose(working.photo[y, x], mean, atol=1.01)
                else:
                    assert not working.photo[y, x].any()


def test_a_small_photo_is_left_as_it_is(bundled_photos):
    photo = bundled_photos[1][:40, :50]
    working = working_photo(photo, np.zeros((40, 50), bool), 50)
    assert working.whole and working.photo is photo


def test_enlarged_masks_are_those_of_the_pixel_below():
    mask = np.random.default_rng(0).random((7, 9)) < 0.5
    factor = (30 / 7, 41 / 9)
    window = (3, 5, 28, 40)
    expected = [
        [mask[int((y + 0.5) / factor[0]), int((x + 0.5) / factor[1])] for x in range(5, 40)] for y in range(3, 28)
    ]
    np.testing.assert_array_equal(enlarged_mask(mask, factor, window), expected)


def test_enlarged_values_keep_planes_and_do_not_mix_sides():
    """A linear field stays one; across the border of the mask nothing leaks."""
    factor, corner = (4.0, 3.5), (8.0, 7.0)
    rows, cols = np.mgrid[:10, :12].astype(np.float32)
    plane = np.stack([rows, cols, rows - 2 * cols], axis=2)
    everywhere = np.ones((10, 12), bool)
    window = (14, 14, 40, 40)
    found = enlarged_values(plane, everywhere, factor, window, corner)
    y = (np.arange(14, 40) + 0.5 - 8) / 4 - 0.5
    x = (np.arange(14, 40) + 0.5 - 7) / 3.5 - 0.5
    y, x = np.meshgrid(y, x, indexing="ij")
    np.testing.assert_allclose(found, np.stack([y, x, y - 2 * x], axis=2), atol=0.1)
    half = cols < 6
    leaky = np.repeat(np.where(half, np.float32(0.25), np.float32(1e6))[..., None], 3, axis=2)
    found = enlarged_values(leaky, half, factor, window, corner)
    inside = enlarged_mask(half, factor, (6, 7, 32, 33))  # the same pixels, counted from the corner
    np.testing.assert_allclose(found[inside], 0.25, rtol=1e-3)


def test_a_window_lies_inside_and_reaches_the_border():
    assert enlarged_window((0, 0, 7, 9), (30 / 7, 41 / 9), (30, 41)) == (0, 0, 30, 41)
    assert enlarged_window((1, 2, 6, 9), (30 / 7, 41 / 9), (30, 41)) == (5, 10, 25, 41)


def test_a_sample_at_the_same_scale_is_the_crop(bundled_photos):
    scene = bundled_photos[0]
    np.testing.assert_array_equal(sampled(scene, (10.0, 20.0, 60.0, 90.0), (50, 70)), scene[10:60, 20:90])
