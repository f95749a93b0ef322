"""A scene that can fill a hole, and what a result says of it."""

from dataclasses import dataclass
from typing import Any

from ce_retrieval.retrieval.neighbor import Neighbor


@dataclass(frozen=True)
class Candidate:
    """A scene that can fill the hole, with its place in the ranking.

    Attributes
    ----------
    rank : place in the ranking, from 1.
    photo, sha256, label, caption, licence : the scene's name and what the index knows of it.
    context_rank, context_distance : from the search; None where contexts were not searched.
    scores : distances that the ranking uses, by term, before they are normalised.
    total : weighted sum of the normalised scores, by which scenes are ordered; None for the method `retrieval`.
    share : of every filled pixel's value that is this scene's.
    offset : (row, col) px in the photo of the scene's upper left corner; None where a homography says more.
    scale : (row, col) px of the photo for one of the scene; None likewise.
    homography : 3 rows of 3, from (x, y, 1) in px of the photo to px of the scene; None for a scene that was only moved and
        scaled. Corners of pixels have whole numbers.
    """

    rank: int
    photo: str
    sha256: str
    label: str
    caption: str
    licence: str
    context_rank: int | None
    context_distance: float | None
    scores: dict[str, float]
    total: float | None
    share: float
    offset: tuple[float, float] | None
    scale: tuple[float, float] | None
    homography: list[list[float]] | None = None

    @classmethod
    def of(cls, neighbor: Neighbor, **placed: Any) -> "Candidate":
        """Return the candidate of a neighbour; placed: all fields that the neighbour does not know, or others in their place."""
        record = neighbor.record
        known = {"context_rank": neighbor.rank, "context_distance": neighbor.distance}
        return cls(
            photo=neighbor.name,
            sha256=record.sha256,
            label=record.label,
            caption=record.caption,
            licence=record.licence,
            **{**known, **placed},
        )


def copy_line(name: str) -> str:
    """Return the line on a scene that is a copy of the photo."""
    return f"{name}: the photo itself, or a copy of it"
