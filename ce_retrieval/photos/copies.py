"""Copies of a photo: the same picture resized, recompressed, brightened, mirrored, cropped or framed, also under the hole.

A copy shows the visible part of the photo (`visible_part`). That tells it from other photos, those of the same place too. Two
photos from a tripod look like copies wherever the hole lets them be seen. So what both show under the hole decides
(`hole_content`): the photo's own pixels there hold what is to be removed, unless they were edited. They are read for this
alone. Where they tell nothing, the other photo is a copy.
"""

from __future__ import annotations

from enum import IntEnum
from functools import cached_property

import numpy as np

from ce_retrieval.photos.hole_content import Content, Grain, content
from ce_retrieval.photos.visible_part import MIDDLE, Copied, VisiblePart, grey_square, thumbnail
from ce_retrieval.pixels import Bools, Floats, Photo

LEAST, LEAST_SMALL = 4, 12  # px of another photo that the hole must measure, so that its content decides


class Verdict(IntEnum):
    """What another photo is to a photo with a hole."""

    OTHER = 0  # its visible part shows something else
    COPY = 1
    DIFFERS = 2  # a copy but for something else under the hole
    TOO_SMALL = 3  # a copy, or one but for what is under the hole, which has too few px to tell


class Copies:
    """Finds copies of a photo with a hole.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W), True = missing
    square, square_hole : uint8 (S, S, 3) and bool (S, S)
        The same at the size of an index; not read under the hole.
    edited : bool (H, W) or None
        Pixels that are known to be no longer the camera's, as those that a completion filled.
    """

    def __init__(
        self, photo: Photo, hole: Bools, square: Photo, square_hole: Bools, edited: Bools | None = None
    ) -> None:
        self._photo, self._hole, self._square, self._square_hole = photo, hole, square, square_hole
        self._grain = Grain(photo, hole, edited)

    def among(self, photos: Photo) -> Bools:
        """Return which photos uint8 (n, h, w, 3), shown whole and of any one size, are copies: bool (n,).

        Where the hole is too small in them to tell, they are.
        """
        return np.isin(self.verdicts(photos), (Verdict.COPY, Verdict.TOO_SMALL))

    def verdicts(self, photos: Photo, *, small: bool = False) -> list[Verdict]:
        """Return what each of the photos uint8 (n, h, w, 3) is.

        small : there are larger ones of the same, which will be looked at where these are TOO_SMALL.
        """
        if not len(photos):
            return []
        small_ones = np.stack([thumbnail(photo) for photo in photos])
        found = [Verdict.OTHER] * len(photos)
        for flip in (1, -1):
            near, layouts = self._visible.layouts(small_ones[:, :, ::flip])
            for row in np.flatnonzero(near):
                if found[row] is not Verdict.COPY:
                    picture = np.ascontiguousarray(grey_square(photos[row])[:, ::flip])
                    copied = self._visible.copied(picture, int(layouts[row])) or self._copied_whole(picture)
                    if copied:
                        found[row] = self._verdict(photos[row][:, ::flip], copied, LEAST_SMALL if small else LEAST)
        return found

    @cached_property
    def _visible(self) -> VisiblePart:
        return VisiblePart(self._square, ~self._square_hole)

    @cached_property
    def _whole(self) -> VisiblePart | None:
        """The photo with what is under its hole, where all else is plain: of a bird in a clear sky only the bird has detail."""
        return None if self._visible.has_detail else VisiblePart(self._photo, np.ones_like(self._hole))

    def _copied_whole(self, picture: Floats) -> Copied | None:
        return self._whole.copied(picture, MIDDLE) if self._whole else None

    def _verdict(self, other: Photo, copied: Copied, least: int) -> Verdict:
        shown = content(self._photo, self._hole, self._grain, other, copied.placed, least)
        return {Content.SAME: Verdict.COPY, Content.OTHER: Verdict.DIFFERS, Content.TOO_SMALL: Verdict.TOO_SMALL}[shown]
