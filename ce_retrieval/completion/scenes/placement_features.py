"""What a hole's surroundings are compared by: colour in CIE L*a*b* and texture.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 4: "a 5x5 median filter of image
gradient magnitude at each pixel".
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MEDIAN = 5  # px, side of the median's window


def resized(scene: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """A scene at another size: means over areas (INTER_AREA) when it shrinks, cubic when it grows.

    Args:
        scene: uint8 (h, w, 3).
        size: (h, w) wanted.

    Returns:
        uint8 (*size, 3); the scene itself when it has that size.
    """
    import cv2

    if scene.shape[:2] == tuple(size):
        return scene
    shrinks = size[0] * size[1] < scene.shape[0] * scene.shape[1]
    return cv2.resize(scene, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def lab_of(photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """A photo in CIE L*a*b*.

    Args:
        photo: uint8 (H, W, 3), sRGB.

    Returns:
        float32 (H, W, 3): L in [0, 100], a and b about -127 to 127, for the white point D65 (OpenCV's tables: within 0.5 of
        the definition).
    """
    import cv2

    return cv2.cvtColor(np.multiply(photo, np.float32(1 / 255), dtype=np.float32), cv2.COLOR_RGB2Lab)


def texture_of(lightness: NDArray[np.float32], hole: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
    """5x5 median of the gradient's magnitude.

    Central differences over 2 px; the photo's border repeats its outermost pixels. The paper does not say what a pixel
    beside the hole has: here the median of those gradients of its window that no missing pixel enters, and where there
    are none, the value of the nearest pixel that has some.

    Args:
        lightness: float32 (H, W), L of L*a*b*.
        hole: bool (H, W), True = missing; None for a whole photo.

    Returns:
        float32 (H, W), L per px, not negative; no value depends on a missing pixel. All 0 where no gradient is known.
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


def _median_of_known(values: NDArray[np.float32], unknown: NDArray[np.bool_]) -> NDArray[np.float32]:
    """As `cv2.medianBlur`, over the known values of each window alone; float32 (H, W)."""
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
