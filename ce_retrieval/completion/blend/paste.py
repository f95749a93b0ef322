"""Putting a fill into the hole of a photo: the part of the photo that it hangs on, and blends with solvers kept."""

import numpy as np

from ce_retrieval.completion.blend.hole_cache import PerHole
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.pixels import crop, resize

SOLVERS_HELD = 4


class Blender:
    """Blends fills into photos; keeps the solvers of the last holes. Safe to share by threads."""

    def __init__(self) -> None:
        self._solver = PerHole(PoissonSolver, SOLVERS_HELD)

    def blend(self, source: np.ndarray, photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return the blend float32 (h, w, 3) of a source float32 in [0, 1] into a photo uint8 (h, w, 3)."""
        return self._solver(hole).blend(source[None], photo.astype(np.float32) / np.float32(255))[0]


def box_around(hole: np.ndarray) -> tuple[int, int, int, int]:
    """Return (y0, x0, y1, x1) of the hole and the ring of pixels about it: all that a fill depends on."""
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    height, width = hole.shape
    return max(0, rows[0] - 1), max(0, cols[0] - 1), min(height, rows[-1] + 2), min(width, cols[-1] + 2)


def insert(photo: np.ndarray, hole: np.ndarray, inner: tuple[slice, slice], fill: np.ndarray) -> np.ndarray:
    """Return a copy of the photo with the fill float32 (h, w, 3) of the crop `inner` in its hole; the rest is untouched."""
    filled = photo.copy()
    pixels = np.clip(np.rint(fill * 255), 0, 255).astype(np.uint8)
    filled[inner][hole[inner]] = pixels[hole[inner]]
    return filled


def scene_patch(scene: np.ndarray, shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part `box` (y0, x0, y1, x1) of a scene uint8 (h, w, 3) resized as a whole to `shape` (H, W), bicubic.

    The whole scene is resized so that the pixels are reproducible: Pillow orders and rounds its two passes by the size of
    its input, and a resize of the part alone may differ by a few grey levels.
    """
    return resize(scene, shape)[crop(box)]
