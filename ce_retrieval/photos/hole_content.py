"""Whether a copy of the visible part of a photo shows something else under the hole, so that it may fill it.

The next photo from a tripod does: the person has gone. But a photo also differs from its own copy where somebody has
painted, erased, blurred or filled the hole before. So the photo's own pixels must be those of a camera where the two differ.
Where in doubt they are not: the copy is refused, since what was removed would come back.

`Grain` measures this by neighbouring pixels. Paint, squares of a mosaic and inpainting have hardly any second differences;
noise and hatching have more than first ones. Smooth natural parts, such as a clear sky, are refused with them.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import numpy as np

from ce_retrieval.photos.near_duplicates import BAND, LOCAL, NO_DETAIL, area, blurred
from ce_retrieval.pixels import Bools, Box, Floats, Photo, crop, hole_box, to_grey

SIDE, BOX = 64, 128  # px: least (of detail) and most of a side of the hole with its surroundings, as it is compared
LEVELS, RING_LEVELS = 12.0, 1.5  # differences count above so many grey levels, and the ring's largest by this factor
RING_SHARE = 95  # percentile of the ring's differences that counts as the largest
BORDER = 0.035  # of a side: it is not compared, since a frame may cover it
MIN_SHARE, MIN_PIXELS = (
    0.1,
    6,
)  # of the hole and px of the box: less differs by a watermark or border, and the rest comes back
FAINT, GAIN = 4.0, 2.0  # grey levels: less contrast of the ring tells no gain; the most gain
SAME_DETAIL = 0.6  # least correlation of detail of the same thing under the hole
RING = 12  # px around a part with which its grain is compared
MIN_GRAIN = 40  # neighbourhoods: fewer decide nothing
FLAT, ALL_FLAT = (
    0.1,
    0.6,
)  # most of a part that is flat; where the ring is not, this much of the other's part is painted
FLAT_SIDE, FLAT_LEVELS = 5, 2  # px and grey levels: within these a place is flat
SMOOTH, SMOOTHER = 0.48, 0.3  # most of them are smooth, and more of them than in the ring
ROUGH = 1.68  # second differences over first ones: 1.73 in white noise
LINES = 6  # of a grid that a part must hold, so that it shows
MOSAIC = 0.25  # share of the steps that lie on a grid, 0 without one, 1 in a mosaic


class Content(IntEnum):
    """What a copy of the visible part shows under the hole."""

    SAME = 0  # what the photo shows there, or nothing tells
    TOO_SMALL = 1  # the hole has too few px in it
    OTHER = 2


def content(photo: Photo, hole: Bools, evidence: Grain, other: Photo, placed: Any, least: int) -> Content:
    """Compare what two photos show under a hole.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W).
    evidence : of the photo.
    other : uint8 (h, w, 3)
    placed : float64 (2, 3)
        from places in the photo to places in the other, (x, y) in [0, 1].
    least : px of the other that the hole must measure.
    """
    height, width = hole.shape
    y0, x0, y1, x1 = hole_box(hole)
    down, across = other.shape[0] / height * placed[1, 1], other.shape[1] / width * placed[0, 0]
    if min((y1 - y0) * down, (x1 - x0) * across) < least:
        return Content.TOO_SMALL
    rows, cols = (y1 - y0) // 2 + 1, (x1 - x0) // 2 + 1
    box = max(0, y0 - rows), max(0, x0 - cols), min(height, y1 + rows), min(width, x1 + cols)
    side = int(max(2, min(BOX, (box[2] - box[0]) * min(1, down), (box[3] - box[1]) * min(1, across))))
    shares = area(hole[crop(box)].astype(np.float32), side)
    mine = to_grey(area(photo[crop(box)], side).astype(np.float32))
    theirs, shown = _part(other, placed, box, (height, width), side)
    inside, ring = shown & (shares > 0.999), shown & (shares < 0.001)
    if np.count_nonzero(inside) < max(1, np.count_nonzero(shares > 0.999) / 2):
        return Content.SAME
    mine = _moved(
        mine, theirs, ring
    )  # a photo from the hand lies a few px aside, which the place at FINE does not tell
    difference = _difference(mine, theirs, ring)
    limit = max(LEVELS, RING_LEVELS * float(np.percentile(difference[ring], RING_SHARE)) if ring.any() else LEVELS)
    differs = _cleaned(inside & (difference > limit))
    if np.count_nonzero(differs) < max(MIN_PIXELS, MIN_SHARE * np.count_nonzero(inside)):
        return Content.SAME
    if _detail_correlation(mine, theirs, differs) >= SAME_DETAIL:
        return Content.SAME
    if _flat(theirs, differs) > ALL_FLAT and _flat(theirs, ring) < FLAT:
        return Content.SAME
    return Content.OTHER if evidence.natural(box, differs) else Content.SAME


class Grain:
    """Tells parts of a photo under its hole that a camera took from those that were painted or filled in.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W).
    unseen : bool (H, W) or None
        Pixels that are known not to be the camera's.
    """

    def __init__(self, photo: Photo, hole: Bools, unseen: Bools | None = None) -> None:
        self._photo, self._hole, self._unseen = photo, hole, unseen

    def natural(self, box: Box, differs: Bools) -> bool:
        """Return whether the part `differs` bool (n, n) of a box, all within the hole, looks as a camera shows things."""
        import cv2

        y0, x0, y1, x1 = box
        part = np.zeros(self._hole.shape, bool)
        part[crop(box)] = cv2.resize(differs.astype(np.uint8), (x1 - x0, y1 - y0), interpolation=cv2.INTER_NEAREST) > 0
        part &= self._hole
        if not part.any() or (self._unseen is not None and (self._unseen & part).any()):
            return False
        near = crop(hole_box(part, RING + 2))
        part, grey = part[near], to_grey(self._photo[near]).astype(np.int16)
        around = cv2.dilate(part.astype(np.uint8), np.ones((2 * RING + 1, 2 * RING + 1), np.uint8)) > 0
        smooth, rough, count = _grain(grey, part)
        if count < MIN_GRAIN or smooth > SMOOTH or rough > ROUGH or _flat(grey, part) > FLAT:
            return False
        smooth_around, _, count = _grain(grey, around & ~self._hole[near])
        if count >= MIN_GRAIN and smooth > smooth_around + SMOOTHER:
            return False
        return _on_grid(grey, part) < MOSAIC


def _flat(grey: Any, part: Bools) -> float:
    """Return the share of a part whose surroundings all have about the same grey level."""
    import cv2

    square = np.ones((FLAT_SIDE, FLAT_SIDE), np.uint8)
    levels = cv2.dilate(grey, square) - cv2.erode(grey, square)
    return float((levels[part] <= FLAT_LEVELS).mean()) if part.any() else 0.0


def _grain(grey: Any, part: Bools) -> tuple[float, float, int]:
    """Return the share of smooth neighbourhoods, the ratio of second differences to first ones, and their number."""
    first: list[Any] = []
    second: list[Any] = []
    for values, inside in ((grey, part), (grey.T, part.T)):
        steps = np.diff(values, axis=1)
        pairs = inside[:, 1:] & inside[:, :-1]
        first.append(np.abs(steps[pairs]))
        second.append(np.abs(np.diff(steps, axis=1)[pairs[:, 1:] & pairs[:, :-1]]))
    slopes, bends = np.concatenate(first), np.concatenate(second)
    if not len(bends):
        return 1.0, 0.0, 0
    return float((bends <= 1).mean()), float(bends.mean()) / max(float(slopes.mean()), 0.1), len(bends)


def _on_grid(grey: Any, part: Bools) -> float:
    """Return how much of the steps between neighbours, both across and down, lies on lines of one distance: 0 to 1.

    Distances of 3 to 7 and 9 to 12 px: JPEG has lines of 8.
    """
    shares = []
    for values, inside in ((grey, part), (grey.T, part.T)):
        pairs = inside[:, 1:] & inside[:, :-1]
        steps, counts = np.where(pairs, np.abs(np.diff(values, axis=1)), 0).sum(axis=0), pairs.sum(axis=0)
        longest, most = np.count_nonzero(counts) // LINES, 0.0
        for period in (n for n in (*range(3, 8), *range(9, 13)) if n <= longest):
            phases = np.arange(len(steps)) % period
            sums, numbers = (np.bincount(phases, weights=each, minlength=period) for each in (steps, counts))
            means = sums / np.maximum(numbers, 1)
            if means.sum() > 0:
                most = max(most, float(means.max() / means.mean() - 1) / (period - 1))
        shares.append(most)
    return min(shares)


def _part(other: Photo, placed: Any, box: Box, size: tuple[int, int], side: int) -> tuple[Floats, Bools]:
    """Return the part of another photo that shows a box of the photo, in grey (side, side), and where it lies well within it."""
    import cv2

    height, width = other.shape[:2]
    y0, x0, y1, x1 = box
    corners = np.array([[x, y, 1] for y in (y0 / size[0], y1 / size[0]) for x in (x0 / size[1], x1 / size[1])])
    places = (corners @ placed.T) * (width, height)
    left, top = np.clip(np.floor(places.min(axis=0)).astype(int) - 1, 0, (width - 1, height - 1))
    right, bottom = np.clip(np.ceil(places.max(axis=0)).astype(int) + 1, (left + 1, top + 1), (width, height))
    grey = to_grey(other[top:bottom, left:right].astype(np.float32))
    # Shrunk by means over areas first, as the photo is.
    small = tuple(
        max(1, min(n, round(n * side / max(extent, 1))))
        for n, extent in zip(grey.shape, np.ptp(places, axis=0)[::-1], strict=True)
    )
    factor = np.array([small[1] / grey.shape[1], small[0] / grey.shape[0]])
    grey = cv2.resize(grey, small[::-1], interpolation=cv2.INTER_AREA)
    # Of px of the box at `side` to px of the small part.
    unit = np.array([[(x1 - x0) / size[1] / side, 0, x0 / size[1]], [0, (y1 - y0) / size[0] / side, y0 / size[0]]])
    turn = placed[:, :2] @ unit[:, :2]
    moved = placed[:, :2] @ unit[:, 2] + placed[:, 2]
    scale = np.array([width, height]) * factor
    turn, moved = turn * scale[:, None], (moved * (width, height) - (left, top)) * factor
    warp = np.column_stack([turn, moved + turn.sum(axis=1) / 2 - 0.5])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    found = cv2.warpAffine(grey, warp, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    ys, xs = np.mgrid[:side, :side] + 0.5
    across = (x0 + xs / side * (x1 - x0)) / size[1]
    down = (y0 + ys / side * (y1 - y0)) / size[0]
    u, v = (row[0] * across + row[1] * down + row[2] for row in placed)
    return found, np.minimum(np.minimum(u, 1 - u), np.minimum(v, 1 - v)) > BORDER


def _moved(mine: Floats, theirs: Floats, ring: Bools) -> Floats:
    """Return the photo's part aligned with the other's by what both show around the hole, if that makes them more alike."""
    import cv2

    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-3)
    try:
        start = np.eye(2, 3, dtype=np.float32)
        warp = cv2.findTransformECC(theirs, mine, start, cv2.MOTION_AFFINE, criteria, ring.astype(np.uint8), 3)[1]
    except cv2.error:  # no convergence
        return mine
    if np.abs(warp - np.eye(2, 3)).max() > 3:
        return mine
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    moved = cv2.warpAffine(mine, warp, mine.shape[::-1], flags=flags, borderMode=cv2.BORDER_REPLICATE)
    before, after = (float(_difference(part, theirs, ring)[ring].mean()) for part in (mine, moved))
    return moved if after < before else mine


def _difference(mine: Floats, theirs: Floats, ring: Bools) -> Floats:
    """Return the differences in grey levels, once the ring's brightness and contrast are the same."""
    if np.count_nonzero(ring) < MIN_PIXELS:
        return np.abs(mine - theirs)
    x, y = (values[ring] - values[ring].mean() for values in (mine, theirs))
    slope = float(x @ y) / float(x @ x) if float(x @ x) > FAINT**2 * x.size else 1.0
    slope = min(max(slope, 1 / GAIN), GAIN)
    return np.abs(slope * (mine - mine[ring].mean()) + theirs[ring].mean() - theirs)


def _cleaned(differs: Bools) -> Bools:
    """Return the pixels without specks and lines thinner than 2 px."""
    import cv2

    return cv2.morphologyEx(differs.astype(np.uint8), cv2.MORPH_OPEN, np.ones((2, 2), np.uint8)) > 0


def _detail_correlation(mine: Floats, theirs: Floats, part: Bools) -> float:
    import cv2

    side = max(len(mine), SIDE)  # small pictures enlarged, so that little of what lies around the hole counts
    mine, theirs = (cv2.resize(grey, (side, side), interpolation=cv2.INTER_LINEAR) for grey in (mine, theirs))
    part = cv2.resize(part.astype(np.uint8), (side, side), interpolation=cv2.INTER_NEAREST) > 0
    part = cv2.dilate(part.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    values = []
    for grey in (mine, theirs):
        band = blurred(grey, BAND[0], None) - blurred(grey, BAND[1], None)
        detail = (band / np.sqrt(blurred(band * band, LOCAL, None) + NO_DETAIL**2))[part]
        values.append(detail - detail.mean())
    norms = [float(np.linalg.norm(detail)) for detail in values]
    return float(values[0] @ values[1]) / max(norms[0] * norms[1], 1e-6)
