"""The rim of a hole, the weighted known pixels next to it, and how far candidates differ from a photo there.

The re-rank by "local context" of J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007,
section 4, in its plainest form. Deviations: squared differences of RGB instead of L*a*b*; a rim of 16 px instead of 80 (for
photos of 128 px instead of 1024) whose weights fall with the distance from the hole; no texture term; candidates are neither
translated nor scaled.
"""

from __future__ import annotations

import numpy as np

from ce_retrieval.errors import MaskError
from ce_retrieval.pixels import Bools, Floats, Photo, check_hole

RIM_WIDTH = 16  # px at the index's size
FALLOFF = 4.0  # px over which a weight falls by e
# Rim distance below which two photos count as the same place.
SAME_PLACE = 0.002
CHUNK = 8  # candidates compared at once, so that their rims stay in the processor's cache


def rim_of(hole: Bools, width: int = RIM_WIDTH) -> Bools:
    """Return the known pixels within `width` px of the hole, by chessboard distance: a square hole has a square rim.

    Parameters
    ----------
    hole : bool (H, W), True = missing
    width : int, px, 1 or more

    Returns
    -------
    bool (H, W), True at one pixel or more.

    Raises
    ------
    MaskError
        As `check_hole`.
    ValueError
        The width is under 1.
    """
    from scipy.ndimage import distance_transform_cdt

    check_hole(hole)
    if width < 1:
        raise ValueError(f"width of the rim: at least 1 px is needed, not {width}")
    near: Bools = distance_transform_cdt(~hole, metric="chessboard") <= width
    return near & ~hole


def rim_weights(hole: Bools, width: int = RIM_WIDTH, falloff: float = FALLOFF) -> Floats:
    """Return the weights of the rim's pixels, exp(-(distance - 1) / falloff): pixels beside the hole count most.

    Parameters
    ----------
    hole : bool (H, W), True = missing
    width : int, px, 1 or more
    falloff : float, px, over 0
        The distance is Euclidean, to the nearest pixel of the hole.

    Returns
    -------
    float32 (H, W): 1 at pixels beside the hole, falling outwards, 0 beyond the rim and in the hole.

    Raises
    ------
    MaskError, ValueError
        As `rim_of`; ValueError if the falloff is not positive.
    """
    from scipy.ndimage import distance_transform_edt

    if not falloff > 0:
        raise ValueError(f"falloff of the rim: a positive number of px is needed, not {falloff}")
    rim = rim_of(hole, width)
    weights = np.zeros(hole.shape, np.float32)
    weights[rim] = np.exp(-(distance_transform_edt(~hole)[rim] - 1) / falloff)
    return weights


def rim_distance(photo: Photo, candidates: Photo, weights: Floats) -> Floats:
    """Return the mean squared difference between a photo and each candidate over the rim.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
        Read only where the weights are positive.
    candidates : uint8 (K, H, W, 3)
        Aligned with the photo.
    weights : float32 (H, W)
        As from `rim_weights`.

    Returns
    -------
    float32 (K,): weighted mean over pixels and channels of the squared difference of [0, 1] values; in [0, 1]. Equal
    candidates have equal distances, whatever their order.

    Raises
    ------
    MaskError
        No weight is positive.
    ValueError
        Photos are not uint8, or shapes do not match.
    """
    if photo.dtype != np.uint8 or candidates.dtype != np.uint8:
        raise ValueError(f"uint8 photos are needed, not {photo.dtype} and {candidates.dtype}")
    if photo.shape != (*weights.shape, 3) or candidates.shape[1:] != photo.shape:
        raise ValueError(f"photo {photo.shape}, candidates {candidates.shape} and weights {weights.shape} do not match")
    if not (weights > 0).any():
        raise MaskError("the rim is empty: take it from a hole, with rim_weights")
    # One gather of single values: it is faster than one of pixels, three bytes at a time.
    by_value = np.repeat(weights.ravel(), 3)
    values = np.flatnonzero(by_value > 0)
    pixels = candidates.reshape(len(candidates), -1)
    mine = photo.reshape(-1)[values].astype(np.float32)
    roots = np.sqrt(by_value[values] / by_value.sum(dtype=np.float32)) / np.float32(255)
    distances = np.empty(len(pixels), np.float32)
    for start in range(0, len(pixels), CHUNK):
        difference = pixels[start : start + CHUNK].take(values, axis=1).astype(np.float32)
        difference -= mine
        difference *= roots
        difference *= difference
        # NumPy's sum is pairwise: it is precise, and sums each row in the same order.
        distances[start : start + CHUNK] = difference.sum(axis=1)
    return distances
