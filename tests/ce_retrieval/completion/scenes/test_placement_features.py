import numpy as np
import pytest
from scipy.ndimage import median_filter

from ce_retrieval.completion.scenes.placement_features import texture_of
from ce_retrieval.pixels import to_lab


def noise(seed, *shape):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def gradient(lightness):
    padded = np.pad(lightness.astype(np.float64), 1, mode="edge")
    down, across = padded[2:, 1:-1] - padded[:-2, 1:-1], padded[1:-1, 2:] - padded[1:-1, :-2]
    return np.hypot(down, across) / 2


def loop_texture(lightness, hole):
    """Median of the known gradients of each window; nan where there are none."""
    height, width = lightness.shape
    known = ~hole
    steps = ((0, 0), (-1, 0), (1, 0), (0, -1), (0, 1))
    values = gradient(lightness)
    for y, x in np.ndindex(height, width):
        around = [(np.clip(y + dy, 0, height - 1), np.clip(x + dx, 0, width - 1)) for dy, dx in steps]
        if not all(known[place] for place in around):
            values[y, x] = np.nan
    padded = np.pad(values, 2, mode="edge")
    out = np.full(lightness.shape, np.nan)
    for y, x in np.ndindex(height, width):
        window = padded[y : y + 5, x : x + 5]
        if np.isfinite(window).any():
            out[y, x] = np.nanmedian(window)
    return out


def test_texture_of_a_whole_photo_is_the_median_of_gradients():
    lightness = to_lab(noise(1, 23, 31, 3))[..., 0].copy()
    expected = median_filter(gradient(lightness), 5, mode="nearest")
    assert np.allclose(texture_of(lightness), expected, atol=1e-4)


def test_a_ramp_has_its_slope_as_texture():
    ramp = np.tile(np.arange(40, dtype=np.float32) * 1.5, (30, 1))
    assert np.allclose(texture_of(ramp)[:, 5:-5], 1.5)


@pytest.mark.parametrize("share", [0.02, 0.2])
def test_texture_beside_a_hole_is_the_median_of_what_is_known(share):
    lightness = to_lab(noise(2, 24, 27, 3))[..., 0].copy()
    hole = np.random.default_rng(3).random(lightness.shape) < share
    hole[5:12, 5:20] = True
    expected = loop_texture(lightness, hole)
    some = np.isfinite(expected)
    got = texture_of(lightness, hole)
    assert 0 < some.sum() < some.size
    assert np.allclose(got[some], expected[some], atol=1e-4)
    assert np.isfinite(got).all() and set(got[~some]) <= set(got[some])


def test_texture_does_not_depend_on_missing_pixels():
    lightness = to_lab(noise(4, 24, 27, 3))[..., 0].copy()
    hole = np.random.default_rng(5).random(lightness.shape) < 0.1
    other = np.where(hole, np.float32(77), lightness)
    assert np.array_equal(texture_of(lightness, hole), texture_of(other, hole))


def test_texture_is_zero_where_no_gradient_is_known():
    hole = np.array([[True, False], [False, True]])
    assert not texture_of(np.ones((2, 2), np.float32), hole).any()
