"""A photo that was searched, and the order of its scenes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.rerank.own_photo import OwnPhoto
from ce_retrieval.photo_index import Origin
from ce_retrieval.pixels import grey_as_rgb
from ce_retrieval.retrieval.neighbor import Neighbor
from ce_retrieval.retrieval.query import square_query


@dataclass(frozen=True)
class Query:
    """A photo with a hole that was searched.

    Attributes
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), at the photo's own size.
    square, square_hole : uint8 (S, S, 3) and bool (S, S), the same at the index's size.
    expected : float32 (S, S, 3), the network's fill for a guided re-rank, else None.
    neighbors : the nearest contexts, nearest first.
    grey : whether all known pixels of the photo are grey, so that scenes are compared, and fill, in grey.
    own : tells copies of the photo among the scenes; None: these may fill it.
    origin : the photo's file, None if it has none.
    """

    photo: np.ndarray
    hole: np.ndarray
    square: np.ndarray
    square_hole: np.ndarray
    expected: np.ndarray | None
    neighbors: Sequence[Neighbor]
    grey: bool
    own: OwnPhoto | None = None
    origin: Origin | None = None

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels (..., 3) of scenes as they are compared with this photo: in grey where it is grey."""
        return grey_as_rgb(pixels) if self.grey and len(pixels) else pixels

    def for_part(self, photo: np.ndarray, part: np.ndarray) -> Query:
        """Return the query for one part bool (H, W) of the hole alone; photo: uint8 (H, W, 3) with the other parts filled."""
        square, square_hole = square_query(photo, part, len(self.square))
        return replace(self, photo=photo, hole=part, square=square, square_hole=square_hole)


@dataclass(frozen=True)
class Ranked:
    """A neighbour, and the distances by which the re-rank has placed it."""

    neighbor: Neighbor
    scores: dict[str, float] = field(default_factory=dict)


class Ranking(NamedTuple):
    """Neighbours, the best first.

    Attributes
    ----------
    order : those that can be read and are not copies of the photo.
    dropped : a line for each that cannot be read.
    copies : names of the copies of the photo.
    """

    order: Sequence[Ranked]
    dropped: tuple[str, ...]
    copies: tuple[str, ...]
