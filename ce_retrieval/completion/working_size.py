"""The size at which a photo is completed, and the way back to its own size: known pixels are never resampled.

A blend adds smooth values to a scene, and to the photo beside a seam. These are enlarged, while the scene is resampled from its
own pixels at the photo's size. So the fill of a large photo is as sharp as its scene.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError
from ce_retrieval.pixels import Bools, Box, Floats, Photo, resize, resize_area


class Working(NamedTuple):
    """A photo and its hole at the working size.

    Attributes
    ----------
    photo : uint8 (h, w, 3)
    hole : bool (h, w)
    factor : (float, float)
        Rows and columns of the photo for one of the working size.
    """

    photo: Photo
    hole: Bools
    factor: tuple[float, float]

    @property
    def whole(self) -> bool:
        """Whether the working size is the photo's own."""
        return self.factor == (1.0, 1.0)


def working_photo(photo: Photo, hole: Bools, side: float) -> Working:
    """Reduce a photo to a long side of `side` px, by means over areas; a smaller one stays as it is.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W), True = missing
    side : float, px

    Returns
    -------
    Working, whose hole holds every pixel that covers any part of the given hole. These pixels are 0, so no missing pixel has any
    influence.

    Raises
    ------
    MaskError
        At the working size the hole covers the whole photo.
    """
    height, width = hole.shape
    share = side / max(height, width)
    if share >= 1:
        return Working(photo, hole, (1.0, 1.0))
    small = max(1, round(height * share)), max(1, round(width * share))
    shrunk = resize_area(np.where(hole[..., None], np.uint8(0), photo), small)
    hidden = resize_area(hole.astype(np.float32), small) > 0
    if hidden.all():
        raise MaskError(
            f"the hole leaves nothing of the photo visible at {small[1]}x{small[0]} px, the size at which this photo of "
            f"{width}x{height} is completed: raise that size (by larger scenes in the index, or `side`), or mark a "
            "smaller hole"
        )
    shrunk[hidden] = 0
    return Working(shrunk, hidden, (height / small[0], width / small[1]))


def sampled(scene: Photo, box: tuple[float, float, float, float], size: tuple[int, int]) -> Photo:
    """Return a copy of the part of a scene uint8 (h, w, 3) in `box` at another size, as `pixels.resize`.

    Parameters
    ----------
    box : (y0, x0, y1, x1)
        px of the scene; fractions are allowed. Clipped to the scene.
    size : (H, W)
    """
    height, width = scene.shape[:2]
    y0, x0, y1, x1 = box
    inside = max(0.0, y0), max(0.0, x0), min(float(height), y1), min(float(width), x1)
    # A copy, because a view would keep the whole scene in memory.
    return resize(scene, size, inside).copy()


def enlarged_window(box: Box, factor: tuple[float, float], shape: tuple[int, int]) -> Box:
    """Return the pixels of the photo, of (H, W) = shape, that lie wholly in a box of the working size."""
    y0, x0, y1, x1 = box
    rows, cols = factor
    nearly = 1e-6  # at the photo's border the products are whole numbers, except for rounding
    return (
        int(np.ceil(y0 * rows - nearly)),
        int(np.ceil(x0 * cols - nearly)),
        min(shape[0], int(np.floor(y1 * rows + nearly))),
        min(shape[1], int(np.floor(x1 * cols + nearly))),
    )


def enlarged_mask(mask: NDArray[Any], factor: tuple[float, float], window: Box) -> NDArray[Any]:
    """Return a mask, or labels, of the working size over a window of the photo, by nearest neighbour."""
    rows, cols = (
        np.minimum(((np.arange(window[axis], window[axis + 2]) + 0.5) / factor[axis]).astype(int), mask.shape[axis] - 1)
        for axis in (0, 1)
    )
    return mask[np.ix_(rows, cols)]


def enlarged_values(
    values: Floats, where: Bools, factor: tuple[float, float], window: Box, corner: tuple[float, float]
) -> Floats:
    """Interpolate values of the working size over a window of the photo, linearly and from the pixels `where` alone.

    Parameters
    ----------
    values : float32 (h, w, 3)
    where : bool (h, w)
    factor : (float, float), as in `Working`
    window : (y0, x0, y1, x1), px of the photo
    corner : (row, col)
        px of the photo at which the values begin.

    Returns
    -------
    float32 (H, W, 3) of the window; 0 where none of the pixels to interpolate from is `where`.
    """
    import cv2

    y0, x0, y1, x1 = window
    # From the centre of a pixel of the photo to its place at the working size.
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
