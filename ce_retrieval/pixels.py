"""Arrays of pixels: the checks, conversions and measures that every room needs, each of them once.

A photo is RGB uint8 (H, W, 3) at the edges and float32 in [0, 1] in the mathematics; a hole is bool (H, W), True = missing.
A box is (y0, x0, y1, x1) in pixels, half-open.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError

Photo = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]


# -- holes -------------------------------------------------------------------------------------------------------------


def check_hole(hole: Any, shape: tuple[int, ...] | None = None) -> None:
    """Raise MaskError unless `hole` is bool (H, W) with both missing and known pixels.

    Parameters
    ----------
    hole : bool (H, W)
        True = missing.
    shape : (H, W) or None
        the size that the hole must have; None accepts any.
    """
    if not isinstance(hole, np.ndarray) or hole.ndim != 2 or hole.dtype != np.bool_:
        found = f"{hole.dtype} {hole.shape}" if isinstance(hole, np.ndarray) else type(hole).__name__
        raise MaskError(f"the hole is {found}: expected bool (H, W), True = missing")
    if shape is not None and hole.shape != tuple(shape):
        raise MaskError(
            f"the hole is {hole.shape[1]}x{hole.shape[0]}, the photo {shape[1]}x{shape[0]}: make them the same size"
        )
    if not hole.any():
        raise MaskError("the hole is empty: mark at least one pixel as missing")
    if hole.all():
        raise MaskError("the hole covers the whole photo: leave at least one pixel known")


def hole_box(hole: Bools, margin: int = 0) -> Box:
    """Return the box around the missing pixels of `hole` bool (H, W), grown by `margin` px and cut at the border."""
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    height, width = hole.shape
    return (
        max(0, int(rows[0]) - margin),
        max(0, int(cols[0]) - margin),
        min(height, int(rows[-1]) + 1 + margin),
        min(width, int(cols[-1]) + 1 + margin),
    )


def crop(box: Box) -> tuple[slice, slice]:
    """Return the slices of a box: `photo[crop(box)]` is its part of the photo."""
    y0, x0, y1, x1 = box
    return slice(y0, y1), slice(x0, x1)


def distance_from(places: Bools) -> Floats:
    """Return the Euclidean distance in px of every pixel from the nearest True one, float32 (H, W); 0 at those.

    OpenCV's exact transform (P. Felzenszwalb, D. Huttenlocher, "Distance transforms of sampled functions", 2012).
    """
    import cv2

    return cv2.distanceTransform((~places).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)


# -- values ------------------------------------------------------------------------------------------------------------


def to_unit(pixels: Photo) -> Floats:
    """Return uint8 values of any shape as float32 in [0, 1]."""
    return pixels.astype(np.float32) / np.float32(255)


def to_bytes(values: NDArray[np.floating[Any]]) -> Photo:
    """Return floats in [0, 1] of any shape as uint8: clipped, rounded to the nearest of 0..255."""
    return np.clip(np.rint(values * values.dtype.type(255)), 0, 255).astype(np.uint8)


# -- size --------------------------------------------------------------------------------------------------------------


def resize(
    pixels: NDArray[Any], size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> NDArray[Any]:
    """Return pixels, or their part in `box`, at another size: Pillow's antialiased bicubic filter.

    Parameters
    ----------
    pixels : uint8 (h, w, 3), uint8 or float32 (h, w), or float32 (h, w, C)
        float channels are resized apart.
    size : (H, W)
    box : (y0, x0, y1, x1) or None
        px of `pixels`; fractions are allowed.

    Returns
    -------
    Pixels of the same type, (H, W, ...); `pixels` itself, or a view of it, where it has that size already.
    """
    from PIL import Image

    height, width = pixels.shape[:2]
    y0, x0, y1, x1 = box or (0, 0, height, width)
    if (y1 - y0, x1 - x0) == tuple(size) and all(float(edge).is_integer() for edge in (y0, x0)):
        return pixels[round(y0) : round(y1), round(x0) : round(x1)]
    if pixels.ndim == 3 and pixels.dtype != np.uint8:
        planes = [resize(np.ascontiguousarray(pixels[..., c]), size, box) for c in range(pixels.shape[2])]
        return np.stack(planes, axis=2)
    part = (x0, y0, x1, y1)
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC, box=part))


def resize_area(pixels: NDArray[Any], size: tuple[int, int]) -> NDArray[Any]:
    """Return pixels (h, w, ...) at the size (H, W): means over areas where they shrink, cubic where they grow (OpenCV).

    Grain and JPEG noise average out, so this is the resize for comparing photos. `pixels` itself at its own size.
    """
    import cv2

    if pixels.shape[:2] == tuple(size):
        return pixels
    shrinks = size[0] * size[1] < pixels.shape[0] * pixels.shape[1]
    return cv2.resize(pixels, (size[1], size[0]), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


# -- colour ------------------------------------------------------------------------------------------------------------


def to_lab(photo: Photo) -> Floats:
    """Return a photo uint8 (H, W, 3), sRGB, in CIE L*a*b*: float32 (H, W, 3), L in [0, 100], a and b about -127 to 127.

    White point D65; OpenCV's tables, within 0.5 of the definition.
    """
    import cv2

    return cv2.cvtColor(np.multiply(photo, np.float32(1 / 255), dtype=np.float32), cv2.COLOR_RGB2Lab)


def to_grey(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels uint8, or float32 in [0, 1], (..., 3) as their luma (...) (ITU-R BT.601)."""
    import cv2

    flat = np.ascontiguousarray(pixels).reshape(-1, 1, 3)
    return cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).reshape(pixels.shape[:-1])


def grey_as_rgb(pixels: NDArray[Any]) -> NDArray[Any]:
    """Return pixels uint8, or float32 in [0, 1], (..., 3) in grey: each of the three channels is their luma."""
    return np.repeat(to_grey(pixels)[..., None], 3, axis=-1)


def is_grey(photo: Photo, hole: Bools) -> bool:
    """Return whether all known pixels of a photo have red = green = blue; those of the hole are never read."""
    colour = (photo[..., 0] != photo[..., 1]) | (photo[..., 1] != photo[..., 2])
    return not (colour & ~hole).any()
