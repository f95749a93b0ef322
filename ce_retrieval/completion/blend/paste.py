"""Filling a crop of a photo: a Poisson blend with cached solvers, and writing a fill into the hole."""

import numpy as np

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.pixels import crop, resize, to_bytes, to_unit

SOLVERS_HELD = 4


class Blender:
    """Blends fills into photos with the solvers of the last holes at hand. Threads may share it."""

    def __init__(self) -> None:
        self._solver = HoleCache(PoissonSolver, SOLVERS_HELD)

    def blend(self, source: np.ndarray, photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
        """Return the blend float32 (h, w, 3) of a source float32 in [0, 1] into a photo uint8 (h, w, 3)."""
        return self._solver(hole).blend(source[None], to_unit(photo))[0]


def insert(photo: np.ndarray, hole: np.ndarray, inner: tuple[slice, slice], fill: np.ndarray) -> np.ndarray:
    """Return a copy of the photo whose hole shows `fill`, float32 (h, w, 3) over the crop `inner`."""
    filled = photo.copy()
    filled[inner][hole[inner]] = to_bytes(fill)[hole[inner]]
    return filled


def scene_patch(scene: np.ndarray, shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part `box` (y0, x0, y1, x1) of a scene uint8 (h, w, 3) resized as a whole to `shape` (H, W), bicubic.

    The whole scene is resized so that the pixels are reproducible: Pillow orders and rounds its two passes by the size of
    its input, and a resize of the part alone may differ by a few grey levels.
    """
    return resize(scene, shape)[crop(box)]
