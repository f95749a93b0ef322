import numpy as np
from skimage.color import rgb2lab

from ce_retrieval.pixels import resize_area, to_lab


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def test_lab_is_that_of_scikit_image():
    photo = noise(0, 60, 70, 3)
    difference = np.abs(to_lab(photo) - rgb2lab(photo))
    assert difference.max() < 0.5 and difference.mean() < 0.15
    greys = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.abs(to_lab(greys) - rgb2lab(greys)).max() < 0.2


def test_resizing_by_areas_keeps_flat_colours_and_the_size_asked_for():
    flat = np.full((20, 30, 3), (10, 200, 90), np.uint8)
    for size in ((16, 24), (25, 38), (20, 30)):
        out = resize_area(flat, size)
        assert out.shape == (*size, 3) and (out == flat[0, 0]).all()
    halves = resize_area(noise(6, 20, 30, 3), (10, 15))
    blocks = noise(6, 20, 30, 3).reshape(10, 2, 15, 2, 3).mean(axis=(1, 3))
    assert np.abs(halves - blocks).max() <= 0.5
