"""Copies of a photo: the same picture resized, recompressed, brightened or mirrored, with the same under the hole.

A copy lies pixel upon pixel on the photo. That tells it from another photo of the same place, which fits better when it is
moved. Of 25 photos, copies correlate by 0.95 at least with the photo as they lie; parts of the two views of a stereo pair by
0.91 at most. Two photos from a tripod look like copies wherever the hole lets them be seen. So the photo's own pixels under
the hole decide: they hold what is to be removed, and a photo that shows something else there is not a copy. They are read
for this alone. Where they are blank, they tell nothing.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from ce_retrieval.photos.near_duplicates import (
    COARSE,
    EDGE,
    FINE,
    aligned_correlation,
    area,
    correlation,
    detail,
    fine,
    visible_fine,
)
from ce_retrieval.pixels import Bools, Box, Floats, Photo, crop, hole_box, to_grey

COPY = 0.93  # least correlation of the detail of two copies
SHIFT, GAIN = 0.5, 0.6  # moved by more px of FINE than SHIFT, a photo fits better: by GAIN of what it lacks
MIN_COARSE, MIN_SAMPLES = 0.95, 0.8  # least correlation of their thumbnails, and of samples of their pixels
MIN_CELLS = 24  # visible ones: fewer decide nothing
FAINT = 1.0  # grey levels: less contrast is none
SAME_HOLE, LEVELS = 0.6, 12.0  # least correlation, and most difference in grey levels, of the same thing under the hole
BLANK, BLANK_SHARE = 8, 0.97  # a blank hole has this share of its pixels within so many levels of their median
SAMPLES = 100_000  # pixels that are looked at for that


class Copies:
    """Finds copies of a photo with a hole.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W), True = missing
    square, square_hole : uint8 (S, S, 3) and bool (S, S)
        The same at the size of an index; not read under the hole.
    """

    def __init__(self, photo: Photo, hole: Bools, square: Photo, square_hole: Bools) -> None:
        self._photo, self._hole, self._square, self._square_hole = photo, hole, square, square_hole

    def among(self, photos: Photo) -> Bools:
        """Return which photos uint8 (n, h, w, 3), shown whole and of any one size, are copies: bool (n,)."""
        found = np.zeros(len(photos), bool)
        near = self._near(photos)
        for row, mirrored in np.argwhere(near):
            found[row] = found[row] or self._is_copy(photos[row], bool(mirrored))
        return found

    def _near(self, photos: Photo) -> Bools:
        """Return, for each photo, whether it and whether its mirror image could be a copy: bool (n, 2)."""
        near = np.ones((len(photos), 2), bool)
        if photos.shape[1:3] == self._square.shape[:2]:
            near = self._by_samples(photos)
        rows = np.flatnonzero(near.any(axis=1))
        if len(rows):
            near[rows] &= self._by_thumbnails(photos[rows])
        return near

    def _by_samples(self, photos: Photo) -> Bools:
        """Compare single pixels of photos of the square's size, which takes a tenth of the time of thumbnails."""
        step = max(1, self._square.shape[0] // COARSE)
        grid = np.s_[step // 2 :: step, step // 2 :: step]
        others = photos[:, *grid].mean(axis=3, dtype=np.float32)
        near = np.ones((len(photos), 2), bool)
        for side, flip in enumerate((1, -1)):
            seen = ~self._square_hole[:, ::flip][grid]
            mine = self._square[:, ::flip][grid].mean(axis=2, dtype=np.float32)
            near[:, side] = _alike(mine[seen], others[:, seen], MIN_SAMPLES)
        return near

    def _by_thumbnails(self, photos: Photo) -> Bools:
        seen = area((~self._square_hole).astype(np.float32), COARSE) > 0.999
        grey = np.stack([area(photo, COARSE) for photo in (self._square, *photos)]).mean(axis=3, dtype=np.float32)
        sides = (grey[1:], grey[1:, :, ::-1])
        return np.stack([_alike(grey[0, seen], others[:, seen], MIN_COARSE) for others in sides], axis=1)

    @cached_property
    def _visible(self) -> tuple[Floats, Bools | None]:
        return visible_fine(self._square, ~self._square_hole)

    @cached_property
    def _is_blank(self) -> bool:
        """Whether nothing is to be seen under the hole: it was painted over, or is transparent."""
        values = self._photo[self._hole]
        values = values[:: max(1, len(values) // SAMPLES)].astype(np.int16)
        return bool(np.mean((np.abs(values - np.median(values, axis=0)) <= BLANK).all(axis=1)) >= BLANK_SHARE)

    def _is_copy(self, other: Photo, mirrored: bool) -> bool:
        other = other[:, ::-1] if mirrored else other
        picture = fine(other)
        grey, seen = self._visible
        alike = correlation(picture, grey, seen)
        if alike < COPY and not self._is_blank:  # of a bird in a clear sky only the bird has detail
            grey, seen = fine(self._photo), None
            alike = correlation(picture, grey, seen)
        if alike < COPY:
            return False
        aligned, shift = aligned_correlation(picture, grey, seen)
        if shift > SHIFT and 1 - aligned < GAIN * (1 - alike):
            return False
        return self._is_blank or not self._differs_in_hole(other)

    def _differs_in_hole(self, other: Photo) -> bool:
        """Return whether another photo, whose visible part is the same, shows something else under the hole."""
        height, width = self._hole.shape
        y0, x0, y1, x1 = hole_box(self._hole)
        rows, cols = (y1 - y0) // 2 + 1, (x1 - x0) // 2 + 1
        box = max(0, y0 - rows), max(0, x0 - cols), min(height, y1 + rows), min(width, x1 + cols)
        down, across = other.shape[0] / height, other.shape[1] / width
        theirs = round(box[0] * down), round(box[1] * across), round(box[2] * down), round(box[3] * across)
        side = max(2, min(FINE, theirs[2] - theirs[0], theirs[3] - theirs[1]))
        inside = area(area(self._hole[crop(box)].astype(np.float32), side), FINE) > 0.999
        if not inside[EDGE:-EDGE, EDGE:-EDGE].any() or inside.all():
            return False
        mine, shown = _grey_part(self._photo, box, side), _grey_part(other, theirs, side)
        around = ~inside
        x, y = (values[around] - values[around].mean() for values in (mine, shown))
        slope = float(x @ y) / max(float(x @ x), FINE)  # the gain in brightness
        difference = (slope * (mine - mine[around].mean()) + shown[around].mean() - shown)[inside]
        if np.sqrt(np.mean(difference**2)) <= LEVELS:
            return False
        part = inside[EDGE:-EDGE, EDGE:-EDGE]
        x, y = (values[part] - values[part].mean() for values in (detail(mine, None), detail(shown, None)))
        return float(x @ y) < SAME_HOLE * float(np.linalg.norm(x) * np.linalg.norm(y))


def _alike(mine: Floats, others: Floats, least: float) -> Bools:
    """Return which rows (n, m) correlate with values (m,) by `least`; those also that are as faint, or too few to tell."""
    if mine.size < MIN_CELLS:
        return np.ones(len(others), bool)
    mine, others = mine - mine.mean(), others - others.mean(axis=1, keepdims=True)
    own, norms = float(np.linalg.norm(mine)), np.linalg.norm(others, axis=1)
    faint = FAINT * mine.size**0.5
    return ((norms < faint) & (own < faint)) | (others @ mine >= least * np.maximum(norms * own, 1e-6))


def _grey_part(photo: Photo, box: Box, side: int) -> Floats:
    """Return a part of a photo in grey, float32 (FINE, FINE), with no more detail than `side` x `side` px hold."""
    height, width = photo.shape[:2]
    y0, x0 = min(box[0], height - 1), min(box[1], width - 1)
    part = photo[y0 : max(box[2], y0 + 1), x0 : max(box[3], x0 + 1)]
    return to_grey(area(area(part, side).astype(np.float32), FINE))
