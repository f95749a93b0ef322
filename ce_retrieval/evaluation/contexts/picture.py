"""The picture of Figure 8 of Context Encoders: photos with holes, and their nearest contexts by each descriptor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from ce_retrieval.errors import EvaluationError, PhotoError, shown, some
from ce_retrieval.evaluation.contexts.search import ContextSearch
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.figures import context_sheet, show_hole
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.pixels import Photo

SAME_KIND, NEAR_DUPLICATE = (0, 158, 115), (213, 94, 0)  # frames; colours that the colour-blind tell apart
LEGEND = (("same kind", SAME_KIND), ("near-duplicate", NEAR_DUPLICATE))


@dataclass(frozen=True)
class Shown:
    """A neighbour in the picture.

    Attributes
    ----------
    name, label : of the photo; "" for no label.
    photo : uint8 (S, S, 3)
    same_kind : it has the query's label.
    near_duplicate : it shows the query's very view.
    """

    name: str
    label: str
    photo: Photo
    same_kind: bool
    near_duplicate: bool


@dataclass(frozen=True)
class PictureRow:
    """A photo in the picture.

    Attributes
    ----------
    name, label : of the photo.
    photo : uint8 (S, S, 3)
        Its hole is painted.
    neighbours : by features, nearest first.
    """

    name: str
    label: str
    photo: Photo
    neighbours: Mapping[str, Sequence[Shown]]


def check_shown(names: Sequence[str], queries: Queries) -> np.ndarray:
    """Return the rows int64 (n,) of photos, each named by its key or its file name; EvaluationError unless that is one photo."""
    rows = []
    for name in names:
        found = [row for row, key in enumerate(queries.names) if key == name]
        found = found or [row for row, key in enumerate(queries.names) if PurePosixPath(key).name == name]
        if len(found) != 1:
            what = "is not among the photos that were read" if not found else f"names {len(found)} photos"
            near = some([queries.names[row] for row in found] or queries.names)
            raise EvaluationError(f"{shown(name)} {what}: choose one of {near}")
        rows += found
    return np.array(rows, np.int64)


def picture_rows(queries: Queries, searches: Sequence[ContextSearch], k: int) -> list[PictureRow]:
    """Return the rows of the picture: the k nearest contexts of each query by every hole-aware search.

    Neighbours that cannot be read any more are not shown.

    Raises
    ------
    CeretError
        A search cannot serve a query.
    """
    searches = [one for one in searches if not one.blind]
    for one in searches:
        for refused in one.refused(queries).values():
            raise EvaluationError(f"{refused.name} cannot be shown: {refused.reason}")
    nearest = {one.features: one.nearest(queries, k) for one in searches}
    rows = []
    for row, (name, label, photo) in enumerate(zip(queries.names, queries.labels, queries.photos, strict=True)):
        neighbours = {one.features: _shown(one, nearest[one.features][row], photo, label) for one in searches}
        rows.append(PictureRow(name, label, show_hole(photo, queries.holes[row]), neighbours))
    return rows


def _shown(search: ContextSearch, ids: np.ndarray, photo: Photo, label: str) -> list[Shown]:
    index, found = search.index, []
    for record in index.records(ids):
        try:
            other = index.read_photo(record, index.manifest.size).pixels
        except PhotoError:
            continue
        copied = bool(near_duplicates(photo, np.zeros(photo.shape[:2], bool), other[None])[0])
        found.append(Shown(record.key, record.label, other, bool(label) and label == record.label, copied))
    return found


def draw_picture(rows: Sequence[PictureRow]) -> Photo:
    """Return the picture, uint8 (H, W, 3): a photo a row, a block of neighbours each descriptor."""
    blocks = {features: [row.neighbours[features] for row in rows] for features in rows[0].neighbours}
    frames = [[[_frame(one) for one in cells] for cells in block] for block in blocks.values()]
    pictures = [[[one.photo for one in cells] for cells in block] for block in blocks.values()]
    return context_sheet([row.photo for row in rows], pictures, frames, titles=list(blocks), legend=LEGEND)


def _frame(one: Shown) -> tuple[int, int, int] | None:
    return NEAR_DUPLICATE if one.near_duplicate else SAME_KIND if one.same_kind else None
