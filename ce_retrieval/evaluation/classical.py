"""Classical fills that use the photo alone: what retrieval has to beat.

All of them share their arguments:

Parameters
----------
photos : uint8 (B, H, W, 3)
hole : bool (H, W), the same for all photos

Returns
-------
uint8 (B, H, W, 3); known pixels are bit-identical.

Raises
------
MaskError
    the hole is empty, full, or of another size than the photos.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.pixels import check_hole, to_bytes, to_unit

Photos = NDArray[np.uint8]
Fill = Callable[[Photos, NDArray[np.bool_]], Photos]

INPAINT_RADIUS = 5.0  # px, neighbourhood of OpenCV's two methods
BIHARMONIC_BATCH = 64  # photos a system: with more, the right-hand sides outgrow the caches and it takes longer


def telea(photos: Photos, hole: NDArray[np.bool_]) -> Photos:
    """A. Telea, "An image inpainting technique based on the fast marching method", J. Graphics Tools 9(1), 2004.

    OpenCV's implementation with a radius of 5 px. It also reads missing pixels of the photo's border: they are set to the
    mean colour of the known ones. Arguments: see the module.
    """
    import cv2

    return _opencv(photos, hole, cv2.INPAINT_TELEA)


def navier_stokes(photos: Photos, hole: NDArray[np.bool_]) -> Photos:
    """M. Bertalmio, A. Bertozzi, G. Sapiro, "Navier-Stokes, fluid dynamics, and image and video inpainting", CVPR 2001.

    OpenCV's implementation with a radius of 5 px; missing pixels of the border as for `telea`. Arguments: see the module.
    """
    import cv2

    return _opencv(photos, hole, cv2.INPAINT_NS)


def biharmonic(photos: Photos, hole: NDArray[np.bool_]) -> Photos:
    """S. Damelin, N. Hoang, "On surface completion and image inpainting by biharmonic functions", 2018.

    scikit-image's implementation, which clips each photo's channel to the range of its known pixels. The photos are
    stacked along the channels, which are independent, so that one factorisation serves a batch. Arguments: see the module.
    """
    from skimage.restoration import inpaint_biharmonic

    _check(photos, hole)
    filled = photos.copy()
    height, width = hole.shape
    for start in range(0, len(photos), BIHARMONIC_BATCH):
        part = photos[start : start + BIHARMONIC_BATCH]
        stacked = part.transpose(1, 2, 0, 3).reshape(height, width, -1) / 255.0
        surface = inpaint_biharmonic(stacked, hole, split_into_regions=False, channel_axis=-1)
        inside = surface.reshape(height, width, len(part), 3)[hole]
        filled[start : start + BIHARMONIC_BATCH, hole] = to_bytes(inside).transpose(1, 0, 2)
    return filled


def smooth(photos: Photos, hole: NDArray[np.bool_]) -> Photos:
    """Laplace fill: the membrane through the hole's edge (`PoissonSolver.smooth`), factorised once for the batch.

    Arguments: see the module. SolverError when the iteration for a very large hole does not converge.
    """
    _check(photos, hole)
    solver = PoissonSolver(hole)
    filled = photos.copy()
    for photo, out in zip(photos, filled, strict=True):
        out[hole] = to_bytes(solver.smooth(to_unit(photo))[hole])
    return filled


CLASSICAL: dict[str, Fill] = {
    "telea": telea,
    "navier-stokes": navier_stokes,
    "biharmonic": biharmonic,
    "smooth": smooth,
}


def _opencv(photos: Photos, hole: NDArray[np.bool_], method: int) -> Photos:
    import cv2

    _check(photos, hole)
    mask = hole.astype(np.uint8)
    filled = photos.copy()
    for out in filled:
        # OpenCV reads missing pixels of the photo's border as if they were known: it must not see the truth there.
        out[hole] = np.rint(out[~hole].mean(axis=0))
        out[hole] = cv2.inpaint(out, mask, INPAINT_RADIUS, method)[hole]
    return filled


def _check(photos: Photos, hole: NDArray[np.bool_]) -> None:
    if photos.ndim != 4 or photos.shape[3] != 3 or photos.dtype != np.uint8:
        raise ValueError(f"photos are {photos.dtype} {photos.shape}: expected uint8 (B, H, W, 3)")
    check_hole(hole, photos.shape[1:3])
