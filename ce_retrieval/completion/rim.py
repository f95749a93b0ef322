"""The rim of a hole, the known pixels just around it, and how far candidates are from a photo there.

The re-rank by "local context" of J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007,
section 4, in its plainest form. Deviations: squared differences of RGB instead of L*a*b*, a rim of 8 px instead of 80 (for
photos of 128 px instead of 1024), no texture term, and no translation or scaling of the candidate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError

RIM_WIDTH = 8


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


def _spread(marked: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """True where a marked pixel of the same column lies within `width` rows: a running count through sums from the top."""
    height = marked.shape[0]
    above = np.zeros((height + 1, marked.shape[1]), dtype=np.int32)
    np.cumsum(marked, axis=0, out=above[1:])
    rows = np.arange(height)
    return above[np.minimum(rows + width + 1, height)] > above[np.maximum(rows - width, 0)]


def rim_distance(
    photo: NDArray[np.uint8], candidates: NDArray[np.uint8], rim: NDArray[np.bool_]
) -> NDArray[np.float32]:
    """Mean squared difference between a photo and each candidate over the rim.

    Summed in integers, so exact up to the last rounding: equal candidates have equal distances, whatever their order.

    Args:
        photo: uint8 (H, W, 3). Read on the rim only.
        candidates: uint8 (K, H, W, 3), aligned with the photo.
        rim: bool (H, W), as from `rim_of`.

    Returns:
        float32 (K,): mean over the rim's pixels and channels of the squared difference of [0, 1] values; in [0, 1].

    Raises:
        MaskError: the rim is empty.
        ValueError: arrays that are not uint8, or shapes that do not match.
    """
    if photo.dtype != np.uint8 or candidates.dtype != np.uint8:
        raise ValueError(f"uint8 photos are needed, not {photo.dtype} and {candidates.dtype}")
    if rim.dtype != np.bool_ or photo.shape != (*rim.shape, 3) or candidates.shape[1:] != photo.shape:
        raise ValueError(f"photo {photo.shape}, candidates {candidates.shape} and rim {rim.shape} do not match")
    if not rim.any():
        raise MaskError("the rim is empty: take it from a hole, with rim_of")
    # One gather of values, not of pixels: three bytes at a time are slower than three gathers of one.
    values = np.flatnonzero(np.repeat(rim.ravel(), 3))
    seen = candidates.reshape(len(candidates), -1).take(values, axis=1)
    difference = np.subtract(seen, photo.reshape(-1)[values], dtype=np.int16)
    total = np.einsum("kn,kn->k", difference, difference, dtype=np.int64)
    return (total / (len(values) * 255.0**2)).astype(np.float32)
