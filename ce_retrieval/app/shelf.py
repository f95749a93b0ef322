"""The last results of all users in memory, so that another candidate of one is taken without searching and placing again."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Sequence
from typing import NamedTuple

from ce_retrieval.completion.result import Completion
from ce_retrieval.photos import DecodedPhoto

MOST_BYTES = 512 << 20  # of all results together


class Made(NamedTuple):
    """A result, the photo that it was made of, and the lines that hold of all results of the completer."""

    result: Completion
    photo: DecodedPhoto
    notes: Sequence[str]

    @property
    def size(self) -> int:
        """The bytes of its large pictures."""
        done, photo = self.result, self.photo
        of_photo = photo.pixels, photo.encoding.stored, photo.encoding.alpha
        pictures = (*of_photo, done.best, done.hole, done.seam, *done.thumbnails)
        return sum(one.nbytes for one in pictures if one is not None)


class Place:
    """A result on the shelf.

    Attributes
    ----------
    made : None where it had to go.
    """

    def __init__(self, made: Made | None) -> None:
        self.made = made


class Shelf:
    """Keeps results whose places somebody holds, up to a number of bytes; the oldest goes first. Threads may share it."""

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._places: list[weakref.ref[Place]] = []
        self._lock = threading.Lock()

    def put(self, made: Made) -> Place:
        """Keep a result for as long as its place is held, and there is room; not one that has no other candidates to take."""
        if made.result.taking is None or made.size > self._most:
            return Place(None)
        place = Place(made)
        left = self._most - made.size
        with self._lock:
            kept = [weakref.ref(place)]
            for one in reversed(self._places):
                other = one()
                if other is None or other.made is None:
                    continue
                left -= other.made.size
                if left >= 0:
                    kept.insert(0, one)
                else:
                    other.made = None
            self._places = kept
        return place
