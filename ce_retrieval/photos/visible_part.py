"""Whether another photo shows the visible part of a photo with a hole, and where: resized, cropped, turned by a degree, framed.

Three steps, each for the few that pass the one before:

1. Thumbnails of GRID x GRID px are correlated with thumbnails of the visible part, cropped or set into a larger frame by
   the STEPS on each side. Unrelated photos with the same layout pass, too.
2. The band-passed pictures are correlated at FINE px, as they lie and after aligning by an affine map (`near_duplicates`).
   Aligning compares detail, not brightness, so that a frame or a watermark does not pull it away.
3. They are correlated once more at SIDE px. That tells a copy from another view of the place, whose parallax no affine map
   undoes.
"""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.photos.near_duplicates import BAND, LOCAL, NO_DETAIL, area, blurred
from ce_retrieval.photos.sameness import COPY
from ce_retrieval.pixels import Bools, Floats, Photo, to_grey

GRID = 16  # side of the thumbnails, px
STEPS = (-0.08, -0.04, 0.0, 0.04, 0.08)  # of a side: what a crop takes away, negative: what a frame adds
SIDES = [(before, after) for before in STEPS for after in STEPS]
MIDDLE = len(SIDES) ** 2 // 2  # the number of the layout as it lies
MIN_CELLS = 24  # visible ones: fewer decide nothing
ALIKE, ALIKE_MOVED = 0.78, 0.85  # least correlation of the thumbnails, as they lie and cropped
FINE, SIDE = 64, 128  # sides of the pictures whose detail is compared, px
EDGE = 0.1  # of a side: the border is left out where enough is left, since a frame or a watermark may cover it
FEW_CELLS, ALIKE_FEW = 110, 0.88  # so few cells correlate by chance
RELATED, ALIGNED = (0.3, 0.42), 0.8  # less correlation at FINE, roughly and before aligning, and aligned: another photo
AS_IT_LIES = 0.93  # least correlation of two copies at FINE as they lie
SHIFT, GAIN = 0.5, 0.6  # moved by more px of FINE than SHIFT, another view fits better: by GAIN of what it lacks
MAX_SHIFT = 10.0  # px of FINE: most that a corner moves
PLAIN = 0.15  # root mean square of the detail of plain areas, at most
MIN_SEEN = 150  # visible px: fewer decide nothing
LEVELS, SAME_LEVELS, SAME = (
    8.0,
    3.0,
    0.97,
)  # where detail tells nothing: contrast, mean difference, correlation of levels


class Copied(NamedTuple):
    """Where a copy shows the photo.

    Attributes
    ----------
    placed : float64 (2, 3)
        affine map from places in the photo to places in the other, both (x, y) in [0, 1].
    """

    placed: Any


class _Picture(NamedTuple):
    """A grey picture float32 (n, n) with its visible pixels, bool (n, n) or None: all, and its detail."""

    grey: Floats
    seen: Bools | None
    detail: Floats


class VisiblePart:
    """The visible part of a photo, prepared for comparisons with many others.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
        not read under the hole.
    visible : bool (H, W)
    """

    def __init__(self, photo: Photo, visible: Bools) -> None:
        self._photo, self._visible = photo, visible

    @cached_property
    def _fine(self) -> _Picture:
        return _visible_picture(self._photo, self._visible, FINE)

    @property
    def has_detail(self) -> bool:
        """Whether there is anything but plain areas, noise and rounding."""
        detail = self._fine.detail[self._fine.seen]
        return detail.size > 0 and float(np.sqrt(np.mean(detail**2))) > PLAIN

    @cached_property
    def _large(self) -> _Picture:
        return _visible_picture(self._photo, self._visible, SIDE)

    @cached_property
    def _layouts(self) -> tuple[Floats, Floats, Floats, Floats]:
        """Thumbnails of the visible part in every crop and frame: which cells are visible, (V, GRID^2), and their values."""
        maps = _crops()[0]
        count, rows = len(maps), maps.reshape(-1, FINE)

        def cropped(picture: Floats) -> Floats:
            cells: Any = (rows @ picture @ rows.T).reshape(count, GRID, count, GRID)
            return cells.transpose(0, 2, 1, 3).reshape(count * count, GRID * GRID)

        assert self._fine.seen is not None
        seen = self._fine.seen.astype(np.float32)
        shares, values = cropped(seen), cropped(self._fine.grey * seen)
        cells = (shares > 0.99).astype(np.float32)
        counts = cells.sum(axis=1)
        values /= np.maximum(shares, 1e-6)
        values -= ((values * cells).sum(axis=1) / np.maximum(counts, 1))[:, None]
        values *= cells
        return cells, values, counts, (values * values).sum(axis=1)

    def layouts(self, thumbnails: Floats) -> tuple[Bools, Any]:
        """Return which photos have the visible part's layout, bool (n,), and the crop in which they have it, (n,).

        thumbnails : float32 (n, GRID, GRID), grey.
        """
        cells, values, counts, own = self._layouts
        others = thumbnails.reshape(len(thumbnails), -1)
        others = others - others.mean(axis=1, keepdims=True)
        sums = others @ cells.T
        variance = (others * others) @ cells.T - sums * sums / np.maximum(counts, 1)
        alike = others @ values.T / np.sqrt(np.maximum(variance, 1) * np.maximum(own, 1))
        alike[:, counts < MIN_CELLS] = -1
        best, middle = alike.argmax(axis=1), MIDDLE
        few = counts[middle] < FEW_CELLS
        as_it_lies = alike[:, middle] >= (ALIKE_FEW if few else ALIKE)
        # A plain photo has no layout; so little is visible that none can be told.
        plain = (own[middle] < counts[middle]) & (variance[:, middle] < counts[middle]) | (counts[middle] < MIN_CELLS)
        best[plain] = middle
        return as_it_lies | (alike.max(axis=1) >= (ALIKE_FEW if few else ALIKE_MOVED)) | plain, best

    def copied(self, other: Floats, layout: int) -> Copied | None:
        """Return where another photo, grey float32 (SIDE, SIDE), shows the visible part; None if it does not.

        layout : the crop to begin with, from `layouts`.
        """
        fine = _whole_picture(area(other, FINE))
        start = _crops()[1](layout)
        still = np.eye(2, 3, dtype=np.float32)
        seen = self._fine.seen
        if seen is None or np.count_nonzero(seen) >= MIN_SEEN:
            starts = [still] if layout == MIDDLE else [still, start]
            if max(_correlation(self._fine, fine, warp, rough=True) for warp in starts) >= RELATED[0]:
                found = self._copied_with_detail(other, fine, starts)
                if found is not None:
                    return found
            if self.has_detail:
                return None
        return Copied(_placed(still, FINE)) if self._same_levels(other) else None

    def _copied_with_detail(self, other: Floats, fine: _Picture, starts: list[Any]) -> Copied | None:
        """Align the detail; starts: as it lies, and as the layouts suggest."""
        still = starts[0]
        as_it_lies, *others = (_correlation(self._fine, fine, warp) for warp in starts)
        best, warp = max(zip((as_it_lies, *others), starts, strict=True), key=_value)
        if best < RELATED[1]:
            return None
        aligned = _aligned(self._fine, fine, warp)
        if aligned is not None and _shift(aligned, warp) <= MAX_SHIFT:
            best, warp = max((best, warp), (_correlation(self._fine, fine, aligned), aligned), key=_value)
        moved = _shift(warp, still) > SHIFT and 1 - best < GAIN * (1 - as_it_lies)
        if as_it_lies >= AS_IT_LIES and not moved:
            return Copied(_placed(still, FINE))
        return self._copied_at_side(other, warp) if best >= ALIGNED else None

    def _copied_at_side(self, other: Floats, warp: Any) -> Copied | None:
        large = _whole_picture(other)
        warp = _enlarged(warp)
        if _correlation(self._large, large, warp) >= COPY:
            return Copied(_placed(warp, SIDE))
        refined = _aligned(self._large, large, warp)
        if refined is None or _correlation(self._large, large, refined) < COPY:
            return None
        return Copied(_placed(refined, SIDE))

    def _same_levels(self, other: Floats) -> bool:
        """Compare the grey levels as they lie: all that a plain visible part, or one of a few pixels, offers."""
        seen = self._large.seen
        mine, theirs = (self._large.grey, other) if seen is None else (self._large.grey[seen], other[seen])
        if mine.size < MIN_CELLS:
            return False
        if float(np.abs(mine - theirs).mean()) <= SAME_LEVELS:
            return True
        mine, theirs = mine - mine.mean(), theirs - theirs.mean()
        own, norm = float(np.linalg.norm(mine)), float(np.linalg.norm(theirs))
        return own >= LEVELS * mine.size**0.5 and float((mine * theirs).sum()) >= SAME * own * norm


def thumbnail(photo: Photo) -> Floats:
    """Return the thumbnail float32 (GRID, GRID) of a photo uint8 (h, w, 3), in grey."""
    return to_grey(area(photo, GRID)).astype(np.float32)


def grey_square(photo: Photo) -> Floats:
    """Return a photo uint8 (h, w, 3) in grey, float32 (SIDE, SIDE)."""
    return to_grey(area(photo, SIDE)).astype(np.float32)


def _value(pair: tuple[float, Any]) -> float:
    return pair[0]


@cache
def _crops() -> tuple[Floats, Any]:
    """Return the maps float32 (m, GRID, FINE) that crop or frame one axis, and what gives the affine map of a layout."""
    maps = []
    for before, after in SIDES:
        edges = FINE * (before + np.arange(GRID + 1) / GRID * (1 - before - after))
        low, high = np.maximum(edges[:-1, None], np.arange(FINE)), np.minimum(edges[1:, None], np.arange(1, FINE + 1))
        maps.append(np.clip(high - low, 0, None) / (edges[1:] - edges[:-1])[:, None])

    def warp(number: int) -> Any:
        (top, bottom), (left, right) = SIDES[number // len(SIDES)], SIDES[number % len(SIDES)]
        across, down = 1 - left - right, 1 - top - bottom
        moved = FINE * left + (across - 1) / 2, FINE * top + (down - 1) / 2
        return np.array([[across, 0, moved[0]], [0, down, moved[1]]], np.float32)

    return np.array(maps, np.float32), warp


def _visible_picture(photo: Photo, visible: Bools, side: int) -> _Picture:
    """Return the visible pixels in grey, continued smoothly under the hole."""
    import cv2

    shares = area(visible.astype(np.float32), side)
    grey = to_grey(area(photo.astype(np.float32) * visible[:, :, None], side)) / np.maximum(shares, 1e-6)
    seen = shares > 0.999
    smooth = blurred(grey, BAND[1], seen)
    near = cv2.GaussianBlur(seen.astype(np.float32), (0, 0), BAND[1]) > 1e-3
    mean = grey[seen].mean() if seen.any() else 0
    grey = np.where(seen, grey, np.where(near, smooth, mean)).astype(np.float32)
    return _Picture(grey, seen, _detail(grey, seen))


def _whole_picture(grey: Floats) -> _Picture:
    return _Picture(grey, None, _detail(grey, None))


def _detail(grey: Floats, seen: Bools | None) -> Floats:
    """Return the band-passed picture divided by its local contrast, as `near_duplicates.detail` with the border."""
    low, high = (blurred(grey, sigma, seen) for sigma in BAND)
    band = low - high
    return band / np.sqrt(blurred(band * band, LOCAL, seen) + NO_DETAIL**2)


def _warped(picture: Floats, warp: Any) -> Floats:
    import cv2

    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(picture, warp, picture.shape[::-1], flags=flags, borderMode=cv2.BORDER_CONSTANT)


def _correlation(photo: _Picture, other: _Picture, warp: Any, *, rough: bool = False) -> float:
    """Return the correlation of the visible detail once the photo is laid on the other; -1 where they have too little of it.

    rough : next to the hole the other's detail is that of its whole picture, which takes a fifth of the time.
    """
    import cv2

    side = len(photo.grey)
    assert photo.seen is not None
    still = np.array_equal(warp, np.eye(2, 3))
    seen = photo.seen if still else _warped(photo.seen.astype(np.float32), warp) > 0.999
    if rough:
        mine, theirs = photo.detail if still else _warped(photo.detail, warp), other.detail
    else:
        mine = photo.detail if still else _detail(_warped(photo.grey, warp), seen)
        theirs = _detail(other.grey, seen)
    seen = cv2.erode(seen.astype(np.uint8), np.ones((3, 3), np.uint8), borderValue=1) > 0
    edge = round(EDGE * side)
    inner = np.zeros_like(seen)
    inner[edge:-edge, edge:-edge] = seen[edge:-edge, edge:-edge]
    if np.count_nonzero(inner) >= 2 * MIN_SEEN:
        seen = inner
    elif np.count_nonzero(seen) < MIN_SEEN:
        return -1.0
    mine, theirs = mine[seen] - mine[seen].mean(), theirs[seen] - theirs[seen].mean()
    own, norm = float(np.linalg.norm(mine)), float(np.linalg.norm(theirs))
    if min(own, norm) < 0.02 * mine.size**0.5:
        return -1.0
    return float((mine * theirs).sum()) / (own * norm)


def _aligned(photo: _Picture, other: _Picture, start: Any) -> Any:
    """Return the affine map of px of the other to px of the photo that correlates their detail best, None if there is none."""
    import cv2

    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 20, 1e-3)
    mask = None if photo.seen is None else photo.seen.astype(np.uint8)
    try:
        return cv2.findTransformECC(other.detail, photo.detail, np.array(start), cv2.MOTION_AFFINE, criteria, mask, 1)[
            1
        ]
    except cv2.error:  # no convergence
        return None


def _shift(warp: Any, start: Any) -> float:
    """Return how far a corner moves between two maps, in px of FINE."""
    last = FINE - 1
    corners = np.array([[0, 0, 1], [0, last, 1], [last, 0, 1], [last, last, 1]]).T
    return float(np.abs((warp - start) @ corners).max())


def _enlarged(warp: Any) -> Any:
    """Return a map of px of FINE for px of SIDE."""
    factor = SIDE / FINE
    grown = warp.copy()
    grown[:, 2] = factor * warp[:, 2] + (factor - 1) / 2 * (warp[:, :2].sum(axis=1) - 1)
    return grown


def _placed(warp: Any, side: int) -> Any:
    """Return the inverse of a map of px, for places in [0, 1]."""
    turn = warp[:, :2].astype(np.float64)
    moved = (warp[:, 2] + 0.5 - turn.sum(axis=1) / 2) / side
    inverse = np.linalg.inv(turn)
    return np.column_stack([inverse, -inverse @ moved])
