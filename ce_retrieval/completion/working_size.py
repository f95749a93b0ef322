"""The size at which a photo is worked on, and the way back: known pixels of the photo itself are never resampled.

What a blend adds to a scene, or to the photo beside a seam, is smooth, so that it may be enlarged without loss; the scene
is sampled anew from its own pixels at the photo's size. So a fill of a large photo is as sharp as its scene.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ce_retrieval.errors import MaskError

Box = tuple[int, int, int, int]  # y0, x0, y1, x1, half-open
Floats = NDArray[np.float32]
Bools = NDArray[np.bool_]


class Working(NamedTuple):
    """A photo uint8 (h, w, 3) and its hole bool (h, w) at the working size; factor: (row, col), px of the photo for one."""

    photo: NDArray[np.uint8]
    hole: Bools
    factor: tuple[float, float]

    @property
    def whole(self) -> bool:
        """Whether that is the photo's own size."""
        return self.factor == (1.0, 1.0)


def working_photo(photo: NDArray[np.uint8], hole: Bools, side: float) -> Working:
    """Bring a photo uint8 (H, W, 3) and its hole bool (H, W) to a long side of `side` px, if theirs is longer.

    Means over areas. A pixel is in the small hole where any part of it was hidden, and is 0 there; so no hidden pixel has
    any influence. MaskError where that leaves nothing to see.
    """
    import cv2

    height, width = hole.shape
    share = side / max(height, width)
    if share >= 1:
        return Working(photo, hole, (1.0, 1.0))
    small = max(1, round(height * share)), max(1, round(width * share))
    known = np.where(hole[..., None], np.uint8(0), photo)
    shrunk = cv2.resize(known, (small[1], small[0]), interpolation=cv2.INTER_AREA)
    hidden = cv2.resize(hole.astype(np.float32), (small[1], small[0]), interpolation=cv2.INTER_AREA) > 0
    if hidden.all():
        raise MaskError(
            f"the hole leaves nothing of the photo visible at {small[1]}x{small[0]} px, which this photo of {width}x{height} is "
            "worked on at: raise that size (by larger scenes in the index, or the setting side), or mark a smaller hole"
        )
    shrunk[hidden] = 0
    return Working(shrunk, hidden, (height / small[0], width / small[1]))


def sampled(
    scene: NDArray[np.uint8], box: tuple[float, float, float, float], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """Part of a scene uint8 (h, w, 3) at another size, bicubic; means over areas where it shrinks (Pillow's reduction).

    box: (y0, x0, y1, x1) px of the scene, fractions allowed, clipped to it; size: (H, W). Returns uint8 (H, W, 3).
    """
    height, width = scene.shape[:2]
    y0, x0, y1, x1 = box
    part = (max(0.0, x0), max(0.0, y0), min(float(width), x1), min(float(height), y1))
    return np.asarray(Image.fromarray(scene).resize(size[::-1], Image.Resampling.BICUBIC, box=part))


def resize_values(
    values: Floats, shape: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Floats:
    """Return values float32 (h, w, 3), or their part `box` (y0, x0, y1, x1), at the size `shape` (H, W), bicubic.

    As they are where they have it already.
    """
    y0, x0, y1, x1 = box or (0, 0, *values.shape[:2])
    if (y1 - y0, x1 - x0) == shape:
        return values[round(y0) : round(y1), round(x0) : round(x1)]
    planes = [
        Image.fromarray(np.ascontiguousarray(values[:, :, channel])).resize(
            shape[::-1], Image.Resampling.BICUBIC, box=(x0, y0, x1, y1)
        )
        for channel in range(3)
    ]
    return np.stack([np.asarray(plane) for plane in planes], axis=2)


def enlarged_window(box: Box, factor: tuple[float, float], shape: tuple[int, int]) -> Box:
    """The pixels of the whole photo, (H, W) = shape, that lie wholly in a box of the working size."""
    y0, x0, y1, x1 = box
    rows, cols = factor
    nearly = 1e-6  # at the photo's border the products are whole numbers, but for rounding
    return (
        int(np.ceil(y0 * rows - nearly)),
        int(np.ceil(x0 * cols - nearly)),
        min(shape[0], int(np.floor(y1 * rows + nearly))),
        min(shape[1], int(np.floor(x1 * cols + nearly))),
    )


def enlarged_mask(mask: Bools, factor: tuple[float, float], window: Box) -> Bools:
    """The mask of the working size at each pixel of a window of the photo: that of the pixel in which its centre lies."""
    rows, cols = (
        np.minimum(((np.arange(window[axis], window[axis + 2]) + 0.5) / factor[axis]).astype(int), mask.shape[axis] - 1)
        for axis in (0, 1)
    )
    return mask[np.ix_(rows, cols)]


def enlarged_values(
    values: Floats, where: Bools, factor: tuple[float, float], window: Box, corner: tuple[float, float]
) -> Floats:
    """Values of the working size at each pixel of a window of the photo, linear, from those pixels alone that are `where`.

    values: float32 (h, w, 3); where: bool (h, w); corner: (row, col) px of the photo, where they begin. Returns float32
    (H, W, 3), 0 where no such pixel is next to.
    """
    import cv2

    y0, x0, y1, x1 = window
    # From the centre of a pixel of the photo to the place at the working size.
    down, across = 1 / factor[0], 1 / factor[1]
    matrix = np.array(
        [[across, 0, (x0 + 0.5 - corner[1]) * across - 0.5], [0, down, (y0 + 0.5 - corner[0]) * down - 0.5]],
        np.float64,
    )
    weighted = np.dstack([np.where(where[..., None], values, np.float32(0)), where.astype(np.float32)])
    spread = cv2.warpAffine(
        weighted,
        matrix,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return spread[..., :3] / np.maximum(spread[..., 3:], np.float32(1e-6))
