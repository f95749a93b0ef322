"""The canvas that patches are copied from, at every scale: the photo and its scenes, one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.pixels import Bools, Photo, distance_from, resize_area, to_grey

PATCH = 7  # side of a patch, px
CHANNELS = 4  # of the canvas: red, green, blue, texture
FEWEST = 64  # patches to copy from that a coarser scale must still have
TEXTURE_WINDOW = 15  # px, odd: side of the window over which gradients are averaged
TEXTURE_GAIN = 4.0  # brings the mean gradients, small numbers, to the range of a byte


class Level(NamedTuple):
    """One scale of the canvas, and the window of the photo that holds the hole. The photo is the canvas' top left.

    Attributes
    ----------
    canvas : uint8 (CH, CW, 4)
        Red, green, blue, texture.
    usable : bool (CH, CW)
        Pixels that may be copied.
    valid : bool (CH, CW)
        Pixels at which a patch of usable pixels begins.
    top, left : int
        First pixel of the window.
    hole : bool (h, w)
        The hole in the window.
    """

    canvas: NDArray[np.uint8]
    usable: Bools
    valid: Bools
    top: int
    left: int
    hole: Bools

    @property
    def window(self) -> tuple[slice, slice]:
        """The window in the canvas, and in the photo at this scale."""
        height, width = self.hole.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def pyramid(photo: Photo, hole: Bools, sources: Sequence[Photo], start: float) -> list[Level]:
    """Return the scales from the photo's own to the coarsest, each half the size of the one before.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W), True = missing, neither empty nor full
    sources : uint8 (h, w, 3) each
    start : float
        The coarsest scale is the last at which the hole is still this many patches across (twice the distance of its innermost
        pixel from the known ones), the window holds a patch and a known pixel, and FEWEST patches can be copied.
    """
    across = 2.0 * float(distance_from(~hole).max())
    depth = int(np.log2(max(across / (start * PATCH), 1.0)))
    levels = [_finest(photo, hole, sources, 2**depth)]
    for _ in range(depth):
        level = _coarser(levels[-1])
        if min(level.hole.shape) < PATCH or level.hole.all() or level.valid.sum() < FEWEST:
            break
        levels.append(level)
    return levels


def _finest(photo: Photo, hole: Bools, sources: Sequence[Photo], unit: int) -> Level:
    """The canvas at the photo's own size. Its parts and the window begin at multiples of `unit`, to match at all scales."""
    parts = [(photo, ~hole), *((source, np.ones(source.shape[:2], bool)) for source in sources)]
    # After each part follows a unit that is partly empty, so that at no scale a usable patch lies in two parts.
    heights = [(part.shape[0] // unit + 1) * unit for part, _ in parts]
    width = (max(part.shape[1] for part, _ in parts) // unit + 1) * unit
    canvas = np.zeros((sum(heights), width, CHANNELS), np.uint8)
    usable = np.zeros(canvas.shape[:2], bool)
    first = 0
    for (part, known), height in zip(parts, heights, strict=True):
        place = (slice(first, first + part.shape[0]), slice(part.shape[1]))
        canvas[place][..., :3] = part
        canvas[place][..., 3] = _texture(part, known)
        usable[place] = known
        first += height
    rows, cols = _span(np.asarray(hole.any(axis=1)), unit), _span(np.asarray(hole.any(axis=0)), unit)
    return Level(canvas, usable, patch_begins(usable), rows.start, cols.start, hole[rows, cols])


def _span(missing: Bools, unit: int) -> slice:
    """From the first to the last missing pixel of an axis, with room for whole patches around them at every scale."""
    at = np.flatnonzero(missing)
    margin = 2 * PATCH * unit
    first = max(int(at[0]) - margin, 0) // unit * unit
    return slice(first, min(-(-(int(at[-1]) + 1 + margin) // unit) * unit, len(missing)))


def _coarser(level: Level) -> Level:
    """Half the size, by means over 2x2 px. A pixel is usable if all four are, and missing if one of them is."""
    usable = np.logical_and.reduce(_quarters(level.usable))
    hole = np.logical_or.reduce(_quarters(level.hole))
    return Level(halved(level.canvas), usable, patch_begins(usable), level.top // 2, level.left // 2, hole)


def _quarters(mask: Bools) -> list[Bools]:
    """The four pixels of each 2x2 px of a mask."""
    even = mask[: mask.shape[0] // 2 * 2, : mask.shape[1] // 2 * 2]
    return [even[row::2, col::2] for row in (0, 1) for col in (0, 1)]


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return uint8 (h, w, C) at half the size, uint8 (h // 2, w // 2, C): rounded means over 2x2 px."""
    height, width = pixels.shape[0] // 2, pixels.shape[1] // 2
    return resize_area(pixels[: 2 * height, : 2 * width], (height, width))


def patch_begins(usable: Bools) -> Bools:
    """Return where patches of usable pixels begin (at their top left pixel): bool (h, w), False in the last 6 of an axis."""
    import cv2

    patch = np.ones((PATCH, PATCH), np.uint8)
    begins = cv2.erode(usable.view(np.uint8), patch, anchor=(0, 0), borderType=cv2.BORDER_CONSTANT, borderValue=0)
    return begins.astype(bool)


def _texture(photo: Photo, known: Bools) -> NDArray[np.uint8]:
    """The texture channel uint8 (h, w): mean absolute difference of neighbouring known pixels over a window."""
    import cv2

    grey = to_grey(photo).astype(np.float32)
    size = np.zeros_like(grey)
    pairs = np.zeros_like(grey)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = known[here] & known[there]
        size[here] += np.abs(grey[there] - grey[here]) * both
        pairs[here] += both
    window = (TEXTURE_WINDOW, TEXTURE_WINDOW)
    total = cv2.boxFilter(size, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(pairs, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    # The filter's running sums leave rounding errors where nothing is known: a count below 0.5 is 0.
    mean = np.where(count > 0.5, total / np.maximum(count, 1), 0) * np.float32(TEXTURE_GAIN)
    return np.rint(np.clip(mean, 0, 255)).astype(np.uint8)
