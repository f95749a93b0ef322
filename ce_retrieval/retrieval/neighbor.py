"""A photo that a search found, and its picture for display."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import PhotoIndex, PhotoRecord


@dataclass(frozen=True)
class Neighbor:
    """A photo of an index near a query.

    Attributes
    ----------
    rank : int
        From 1, the nearest.
    id : int
        Position in the index.
    distance : float
        Mean squared difference of descriptor cells, weighted by visibility and focus (`indexes.masked`); by kind, the
        squared distance of two vectors of norm 1, which is 2 less twice their cosine; by places, 1 / (1 + votes).
    name : str
        Path, or container::key.
    record : PhotoRecord
    kind : float or None
        Similarity in kind to the query, in [-1, 1]; None where the search did not look at it.
    """

    rank: int
    id: int
    distance: float
    name: str
    record: PhotoRecord
    kind: float | None = None


def neighbors_of(
    index: PhotoIndex,
    ids: Sequence[int] | np.ndarray,
    distances: np.ndarray,
    similarity: np.ndarray | None = None,
) -> list[Neighbor]:
    """Return the neighbours with these ids and distances, ranked in the given order; similarity: in kind, of all photos."""
    kinds = [None] * len(ids) if similarity is None else similarity[ids].tolist()
    rows = enumerate(zip(ids, distances, index.records(ids), kinds, strict=True), start=1)
    return [
        Neighbor(rank, int(i), float(d), index.name_of(record), record, kind) for rank, (i, d, record, kind) in rows
    ]


def neighbor_photos(
    index: PhotoIndex, neighbors: Sequence[Neighbor], side: int
) -> tuple[list[tuple[Neighbor, np.ndarray]], list[str]]:
    """Read neighbours for display: uint8 (h, w, 3) of their own shape, shrunk to at most `side` px a side.

    Returns
    -------
    opened : list of (neighbour, photo)
        Those that could be read.
    dropped : list of str
        One line for each photo that vanished or changed since it was indexed.
    """
    opened, dropped = [], []
    for neighbor in neighbors:
        try:
            image = Image.fromarray(index.read_photo(neighbor.record).pixels)
        except PhotoError as error:
            dropped.append(str(error))
            continue
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
        opened.append((neighbor, np.asarray(image)))
    return opened, dropped
