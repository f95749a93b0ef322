"""The texture by which the surroundings of a hole are compared, beside their colour in L*a*b* (`pixels.to_lab`).

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 4: "a 5x5 median filter of image
gradient magnitude at each pixel".
"""

from __future__ import annotations

import numpy as np

from ce_retrieval.pixels import Bools, Floats

MEDIAN = 5  # px, side of the median's window


def texture_of(lightness: Floats, hole: Bools | None = None) -> Floats:
    """Return the 5x5 median of the gradient's magnitude.

    Parameters
    ----------
    lightness : float32 (H, W)
        L of L*a*b*.
    hole : bool (H, W), True = missing; None for a whole photo.

    Returns
    -------
    float32 (H, W), L per px, 0 or more. No value depends on a missing pixel; all are 0 where no gradient is known.

    Notes
    -----
    Central differences over 2 px; the photo's border repeats its outermost pixels. The paper does not say what a pixel
    beside the hole has: here the median of those gradients of its window that no missing pixel enters, and where there
    are none, the value of the nearest pixel that has some.
    """
    import cv2

    border = cv2.BORDER_REPLICATE
    across = cv2.Sobel(lightness, -1, 1, 0, ksize=1, scale=0.5, borderType=border)
    down = cv2.Sobel(lightness, -1, 0, 1, ksize=1, scale=0.5, borderType=border)
    # Not cv2.magnitude, whose last bit depends on where the arrays lie in memory.
    across *= across
    down *= down
    across += down
    gradient = np.sqrt(across, out=across)
    if hole is None:
        return cv2.medianBlur(gradient, MEDIAN)
    cross = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
    unknown = cv2.dilate(hole.astype(np.uint8), cross) > 0
    return _median_of_known(gradient, unknown)


def _median_of_known(values: Floats, unknown: Bools) -> Floats:
    """Return what `cv2.medianBlur` does, over the known values of each window alone; float32 (H, W)."""
    import cv2
    from scipy.ndimage import distance_transform_edt

    medians = cv2.medianBlur(np.where(unknown, np.float32(0), values), MEDIAN)
    mixed = cv2.dilate(unknown.astype(np.uint8), np.ones((MEDIAN, MEDIAN), np.uint8)) > 0
    rows, cols = np.nonzero(mixed)
    half = MEDIAN // 2
    padded = np.pad(np.where(unknown, np.float32(np.inf), values), half, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (MEDIAN, MEDIAN))
    for start in range(0, len(rows), 1 << 16):
        part = slice(start, start + (1 << 16))
        ranked = np.sort(windows[rows[part], cols[part]].reshape(-1, MEDIAN * MEDIAN), axis=1)
        count = np.isfinite(ranked).sum(axis=1)
        at = np.arange(len(count))
        low, high = ranked[at, np.maximum(count - 1, 0) // 2], ranked[at, np.minimum(count // 2, MEDIAN * MEDIAN - 1)]
        # An even count has two middle values; with none known the place is filled below.
        with np.errstate(invalid="ignore"):
            medians[rows[part], cols[part]] = np.where(count % 2 == 1, low, (low + high) / 2)
        medians[rows[part][count == 0], cols[part][count == 0]] = np.nan
    lost = np.isnan(medians)
    if lost.all():
        return np.zeros_like(values)
    if lost.any():
        nearest = distance_transform_edt(lost, return_distances=False, return_indices=True)
        medians = medians[tuple(nearest)]
    return medians
