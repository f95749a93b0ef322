"""The rim of a hole, the known pixels just around it, and how far candidates are from a photo there.

The re-rank by "local context" of J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007,
section 4, in its plainest form. Deviations: squared differences of RGB instead of L*a*b*, a rim of 16 px instead of 80 (for
photos of 128 px instead of 1024) whose weight falls with the distance from the hole, no texture term, and no translation
or scaling of the candidate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError

RIM_WIDTH = 16
# px by which the weight falls by 1/e. Against a flat rim of 8 px, on held-out photos with a centre hole: L2 of the paste
# 4.40 instead of 4.53 %, of the blend 3.57 instead of 3.64 % (docs/evaluation.md).
RIM_FALLOFF = 4.0
CHUNK = 8  # candidates compared at once: their rims stay in the cache


def rim_of(hole: NDArray[np.bool_], width: int = RIM_WIDTH) -> NDArray[np.bool_]:
    """Known pixels within `width` px of the hole, by chessboard distance: a square hole of side s has a square rim.

    Args:
        hole: bool (H, W), True = missing.
        width: px, at least 1.

    Returns:
        bool (H, W), True on the rim: at least one pixel, and none of the hole's.

    Raises:
        MaskError: the hole is empty or covers the whole photo.
        ValueError: a width under 1, or a hole that is not a boolean (H, W) array.
    """
    if hole.ndim != 2 or hole.dtype != np.bool_:
        raise ValueError(f"hole: a boolean (H, W) array is needed, not {hole.dtype} {hole.shape}")
    if width < 1:
        raise ValueError(f"width of the rim: at least 1 px is needed, not {width}")
    if not hole.any() or hole.all():
        raise MaskError("the hole has no rim: mark some pixels as missing, but not all of them")
    near = _spread(_spread(hole, width).T, width).T
    return near & ~hole


def rim_weights(hole: NDArray[np.bool_], width: int = RIM_WIDTH, falloff: float = RIM_FALLOFF) -> NDArray[np.float32]:
    """Weights of the rim's pixels, exp(-(distance - 1) / falloff): what touches the hole decides most.

    Args:
        hole: bool (H, W), True = missing.
        width: px, at least 1.
        falloff: px, over 0; distance is Euclidean, from a pixel to the nearest one of the hole.

    Returns:
        float32 (H, W): 1 at pixels beside the hole, falling outwards, 0 beyond the rim and in the hole.

    Raises:
        MaskError, ValueError: as `rim_of`; ValueError for a falloff that is not positive.
    """
    from scipy.ndimage import distance_transform_edt

    if not falloff > 0:
        raise ValueError(f"falloff of the rim: a positive number of px is needed, not {falloff}")
    rim = rim_of(hole, width)
    weights = np.zeros(hole.shape, np.float32)
    weights[rim] = np.exp(-(distance_transform_edt(~hole)[rim] - 1) / falloff)
    return weights


def _spread(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """True where a marked pixel of the same column lies within `width` rows: a running count through sums from the top."""
    height = marked.shape[0]
    above = np.zeros((height + 1, marked.shape[1]), dtype=np.int32)
    np.cumsum(marked, axis=0, out=above[1:])
    rows = np.arange(height)
    return above[np.minimum(rows + width + 1, height)] > above[np.maximum(rows - width, 0)]


def rim_distance(
    photo: NDArray[np.uint8], candidates: NDArray[np.uint8], weights: NDArray[np.float32] | NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Mean squared difference between a photo and each candidate over the rim.

    Args:
        photo: uint8 (H, W, 3). Read where the weights are positive only.
        candidates: uint8 (K, H, W, 3), aligned with the photo.
        weights: float32 (H, W), as from `rim_weights`, or bool (H, W), as from `rim_of`.

    Returns:
        float32 (K,): weighted mean over pixels and channels of the squared difference of [0, 1] values; in [0, 1]. Equal
        candidates have equal distances, whatever their order.

    Raises:
        MaskError: no weight is positive.
        ValueError: photos that are not uint8, or shapes that do not match.
    """
    if photo.dtype != np.uint8 or candidates.dtype != np.uint8:
        raise ValueError(f"uint8 photos are needed, not {photo.dtype} and {candidates.dtype}")
    if photo.shape != (*weights.shape, 3) or candidates.shape[1:] != photo.shape:
        raise ValueError(f"photo {photo.shape}, candidates {candidates.shape} and weights {weights.shape} do not match")
    if not (weights > 0).any():
        raise MaskError("the rim is empty: take it from a hole, with rim_weights")
    # One gather of values, not of pixels: three bytes at a time are slower than three gathers of one.
    by_value = np.repeat(weights.ravel(), 3).astype(np.float32)
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
        # NumPy's sum is pairwise: precise, and each row is summed in the same order as every other.
        distances[start : start + CHUNK] = difference.sum(axis=1)
    return distances
