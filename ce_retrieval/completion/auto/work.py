"""A photo under way through method `auto`, and the completion that is made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ce_retrieval.completion.auto.part import FilledPart
from ce_retrieval.completion.places.finder import Place
from ce_retrieval.completion.places.placed import Placed
from ce_retrieval.completion.result import Completion
from ce_retrieval.pixels import Bools, Photo


@dataclass
class Work:
    """A photo under way: as it is filled so far, and what is known of it.

    Attributes
    ----------
    picture : uint8 (H, W, 3)
    seam : uint8 (H, W), as `Completion.seam`
    filled : the parts that have a fill, by number.
    scenes : what scenes made of the widest part that they were tried for.
    place : what is known of other photos of the place, and what they made of the photo.
    notes : lines for the user.
    """

    picture: Photo
    seam: np.ndarray
    filled: dict[int, FilledPart] = field(default_factory=dict)
    scenes: Completion | None = None
    place: Place | None = None
    placed: Placed | None = None
    notes: list[str] = field(default_factory=list)

    def completion(self, hole: Bools, settings: Any, method: str) -> Completion:
        """Return the completion of a hole bool (H, W): other photos of the place first, then scenes."""
        scenes, placed, found = self.scenes, self.placed, self.place.found if self.place else None
        candidates = [*(placed.candidates if placed else ()), *(scenes.candidates if scenes else ())]
        return Completion(
            best=self.picture,
            hole=hole,
            settings=settings,
            method=method,
            candidates=[replace(one, rank=number) for number, one in enumerate(candidates, start=1)],
            neighbors=[*(placed.neighbors if placed else ()), *(scenes.neighbors if scenes else ())],
            thumbnails=[*(placed.thumbnails if placed else ()), *(scenes.thumbnails if scenes else ())],
            seam=self.seam if self.seam.any() and settings.seam else None,
            dropped=_united(found.lost if found else (), scenes.dropped if scenes else ()),
            lost=_united(found.lost if found else (), scenes.lost if scenes else ()),
            copies=_united(found.copies if found else (), scenes.copies if scenes else ()),
            grey=scenes.grey if scenes else placed is not None and self.place is not None and self.place.grey,
            expected=scenes.expected if scenes else None,
            parts=[*(placed.parts if placed else ()), *(self.filled[number] for number in sorted(self.filled))],
            notes=tuple(dict.fromkeys(self.notes)),
        )


def _united(first: Sequence[str], second: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*first, *second)))
