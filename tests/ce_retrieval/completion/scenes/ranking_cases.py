"""Crops of a photo at the index's size, with one hole."""

import numpy as np

SIDE = 64
HOLE = np.zeros((SIDE, SIDE), bool)
HOLE[20:44, 18:46] = True


def crops(picture: np.ndarray, count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    corners = zip(
        rng.integers(0, picture.shape[0] - SIDE, count), rng.integers(0, picture.shape[1] - SIDE, count), strict=True
    )
    return np.stack([picture[y : y + SIDE, x : x + SIDE] for y, x in corners])


def unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255
