"""The fill from other photos of a place, once more, after a scene was taken in its place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_retrieval.completion.result import Completion, refilled
from ce_retrieval.pixels import Box, Photo, crop, hole_box

if TYPE_CHECKING:
    from ce_retrieval.completion.auto.part import FilledPart
    from ce_retrieval.completion.places.placed import Placed
    from ce_retrieval.completion.scenes.taking import SceneTaking


class PlaceTaking(NamedTuple):
    """What is kept for `Completion.take` where a place is the first candidate, and scenes are the others.

    Attributes
    ----------
    photo : uint8 (H, W, 3), the one that was given, and no copy of it.
    box : px of the photo, what the fill from the place changes.
    picture, seam : the fill and its seam in the box; seam: None where none was asked for.
    share : of the first candidate.
    parts, notes : of a completion from the place.
    more_notes : of all completions of the photo.
    scenes : None where no scene fits.
    """

    photo: Photo
    box: Box
    picture: Photo
    seam: np.ndarray | None
    share: float
    parts: Sequence[FilledPart]
    notes: tuple[str, ...]
    more_notes: tuple[str, ...]
    scenes: SceneTaking | None

    def __call__(self, done: Completion, pick: int) -> Completion:
        """Return a completion of this photo, filled from another candidate; errors as `SceneTaking.filled`."""
        if pick > 1:
            assert self.scenes is not None, "scenes are the further candidates"
            return refilled(done, pick, *self.scenes.filled(pick - 1), parts=(), notes=self.more_notes)
        filled, seam = self.photo.copy(), None
        filled[crop(self.box)] = self.picture
        if self.seam is not None:
            seam = np.zeros(filled.shape[:2], np.uint8)
            seam[crop(self.box)] = self.seam
        notes = (*self.notes, *self.more_notes)
        return refilled(done, 1, filled, seam, share=self.share, parts=self.parts, notes=notes)


def place_taking(
    photo: Photo, placed: Placed, done: Completion, *, seam: bool, scenes: SceneTaking | None
) -> PlaceTaking:
    """Return what fills a photo from a place, or from one of the scenes of the completion `done`."""
    box = hole_box((placed.picture != photo).any(axis=2) | (placed.seam > 0) | done.hole)
    inner = placed.seam[crop(box)].copy() if seam else None
    return PlaceTaking(
        photo=photo,
        box=box,
        picture=placed.picture[crop(box)].copy(),
        seam=inner,
        share=placed.candidates[0].share,
        parts=placed.parts,
        notes=(placed.note,),
        more_notes=done.notes,
        scenes=scenes,
    )
