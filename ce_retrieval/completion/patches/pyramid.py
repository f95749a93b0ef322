"""What `patchmatch` copies from, at every scale: one canvas that holds the photo and its scenes one below the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

PATCH = 7  # side of a patch, px
CHANNELS = 4  # of the canvas: red, green, blue, texture
FEWEST = 64  # patches to copy from that a coarser scale must still have
TEXTURE_WINDOW = 15  # px of the photo over which the sizes of gradients are averaged (odd)
TEXTURE_GAIN = 4.0  # mean sizes of gradients are small numbers: enlarged to use the byte that holds them


class Level(NamedTuple):
    """One scale of the canvas, and the window of the photo in which the hole lies. The photo is the canvas' top left.

    canvas: uint8 (CH, CW, 4), red, green, blue, texture; usable: bool (CH, CW), pixels that may be copied; valid: bool
    (CH, CW), where a patch of usable pixels begins; top, left: the window's first pixel; hole: bool (h, w), of the window.
    """

    canvas: NDArray[np.uint8]
    usable: NDArray[np.bool_]
    valid: NDArray[np.bool_]
    top: int
    left: int
    hole: NDArray[np.bool_]

    @property
    def window(self) -> tuple[slice, slice]:
        """Where the window lies in the canvas, and in the photo at this scale."""
        height, width = self.hole.shape
        return slice(self.top, self.top + height), slice(self.left, self.left + width)


def pyramid(
    photo: NDArray[np.uint8], hole: NDArray[np.bool_], sources: Sequence[NDArray[np.uint8]], start: float
) -> list[Level]:
    """The scales from the photo's own to the coarsest, each half the size of the one before.

    photo: uint8 (H, W, 3); hole: bool (H, W), some True and some False; sources: uint8 (h, w, 3) each. The coarsest scale
    is the last at which the hole is still `start` patches across (twice the distance of its inmost pixel from the known
    ones), the window holds a patch and a known pixel, and at least 64 patches can be copied.
    """
    import cv2

    across = 2.0 * float(cv2.distanceTransform(hole.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE).max())
    depth = int(np.log2(max(across / (start * PATCH), 1.0)))
    levels = [_finest(photo, hole, sources, 2**depth)]
    for _ in range(depth):
        level = _coarser(levels[-1])
        if min(level.hole.shape) < PATCH or level.hole.all() or level.valid.sum() < FEWEST:
            break
        levels.append(level)
    return levels


def _finest(
    photo: NDArray[np.uint8], hole: NDArray[np.bool_], sources: Sequence[NDArray[np.uint8]], unit: int
) -> Level:
    """The canvas at the photo's own size. Its parts and the window begin at multiples of `unit`: all scales agree on them."""
    parts = [(photo, ~hole), *((source, np.ones(source.shape[:2], bool)) for source in sources)]
    # A unit that is not wholly of its part follows each part: at no scale does a usable patch lie in two of them.
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


def _span(missing: NDArray[np.bool_], unit: int) -> slice:
    """From the first to the last missing pixel of an axis, with room for whole patches around them at every scale."""
    at = np.flatnonzero(missing)
    margin = 2 * PATCH * unit
    first = max(int(at[0]) - margin, 0) // unit * unit
    return slice(first, min(-(-(int(at[-1]) + 1 + margin) // unit) * unit, len(missing)))


def _coarser(level: Level) -> Level:
    """Half the size, by means over 2x2 px. A pixel is usable when all four are, and missing when one of them is."""
    quarters = [np.s_[0::2, 0::2], np.s_[1::2, 0::2], np.s_[0::2, 1::2], np.s_[1::2, 1::2]]
    usable = np.logical_and.reduce([level.usable[quarter] for quarter in quarters])
    height, width = level.hole.shape
    even = level.hole[: height // 2 * 2, : width // 2 * 2]
    hole = np.logical_or.reduce([even[quarter] for quarter in quarters])
    return Level(halved(level.canvas), usable, patch_begins(usable), level.top // 2, level.left // 2, hole)


def halved(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 (h, w, C) -> uint8 (h // 2, w // 2, C), rounded means over 2x2 px."""
    even = pixels[: pixels.shape[0] // 2 * 2, : pixels.shape[1] // 2 * 2]
    total = even[0::2, 0::2].astype(np.uint16)
    for part in (even[1::2, 0::2], even[0::2, 1::2], even[1::2, 1::2]):
        total += part
    return ((total + 2) // 4).astype(np.uint8)


def patch_begins(usable: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Where patches may begin, bool (h, w): all of the 7x7 px that begin there are usable. Never at the last 6 of an axis."""
    height, width = usable.shape
    begins = np.zeros_like(usable)
    if height < PATCH or width < PATCH:
        return begins
    inner_height, inner_width = height - PATCH + 1, width - PATCH + 1
    rows = np.logical_and.reduce([usable[:, k : k + inner_width] for k in range(PATCH)])
    begins[:inner_height, :inner_width] = np.logical_and.reduce([rows[k : k + inner_height] for k in range(PATCH)])
    return begins


def _texture(photo: NDArray[np.uint8], known: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Mean size of the grey photo's differences over 15x15 px, those between known pixels alone, times 4: uint8 (h, w)."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(photo), cv2.COLOR_RGB2GRAY).astype(np.float32)
    size = np.zeros_like(grey)
    pairs = np.zeros_like(grey)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        both = known[here] & known[there]
        size[here] += np.abs(grey[there] - grey[here]) * both
        pairs[here] += both
    window = (TEXTURE_WINDOW, TEXTURE_WINDOW)
    total = cv2.boxFilter(size, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    count = cv2.boxFilter(pairs, -1, window, normalize=False, borderType=cv2.BORDER_CONSTANT)
    # The running sums of the filter leave rounding errors where nothing is known: below one pair there is none.
    mean = np.where(count > 0.5, total / np.maximum(count, 1), 0) * np.float32(TEXTURE_GAIN)
    return np.rint(np.clip(mean, 0, 255)).astype(np.uint8)
