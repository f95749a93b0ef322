"""Kinds of holes of an evaluation of context searches, and the photos that all searches serve under one of them."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import replace

import numpy as np

from ce_retrieval.errors import EvaluationError
from ce_retrieval.evaluation.contexts.altered import Altered
from ce_retrieval.evaluation.contexts.search import ContextSearch
from ce_retrieval.evaluation.contexts.settings import SQUARE, ContextSettings
from ce_retrieval.evaluation.queries import Queries, draw_holes
from ce_retrieval.evaluation.settings import LeftOut
from ce_retrieval.pixels import Bools

Draw = Callable[[Sequence[str]], Bools]  # names -> the holes of these photos


def drawing_of(hole: str, settings: ContextSettings, size: int) -> Draw:
    """Return what draws the holes of a kind."""
    if not hole.startswith(f"{SQUARE} "):
        return lambda names: draw_holes(names, size, settings.drawing(hole))
    side = max(1, int(float(hole.removeprefix(SQUARE)) * size))
    start = (size - side) // 2
    square = np.zeros((size, size), bool)
    square[start : start + side, start : start + side] = True
    return lambda names: np.repeat(square[None], len(names), axis=0)


def with_holes(queries: Queries, draw: Draw) -> Queries:
    """Return the same photos with the holes that `draw` gives them."""
    return replace(queries, holes=draw(queries.names))


class Served:
    """What all searches serve under one kind of holes.

    Attributes
    ----------
    hole : str
        Name of the kind.
    draw : Draw
    searches : list of ContextSearch
        Those that serve any photo.
    queries : Queries
    altered : Altered
    left_out : list of LeftOut
        Queries that one of the searches cannot serve.

    Raises
    ------
    EvaluationError
        No query is left.
    """

    def __init__(
        self, hole: str, draw: Draw, queries: Queries, altered: Altered, searches: Sequence[ContextSearch]
    ) -> None:
        self.hole, self.draw = hole, draw
        queries, copies = with_holes(queries, draw), with_holes(altered.queries, draw)
        refused = {one: one.refused(queries) for one in searches}
        self.searches = [one for one in searches if len(refused[one]) < len(queries)]
        rows = {row: why for one in self.searches for row, why in refused[one].items()}
        kept = _others(queries, rows)
        if not (self.searches and len(kept)):
            first = next(iter((rows or refused[searches[0]]).values()))
            raise EvaluationError(f"no photo can be searched for with holes {hole}; {first.name}: {first.reason}")
        self.left_out = [LeftOut(rows[row].name, f"{hole}: {rows[row].reason}") for row in sorted(rows)]
        served = _others(copies, {row for one in self.searches for row in one.refused(copies)})
        self.queries, self.altered = queries.only(kept), Altered(copies.only(served), altered.ids[served])


def _others(queries: Queries, rows: Container[int]) -> np.ndarray:
    """Return the rows of queries that are not among these."""
    return np.array([row for row in range(len(queries)) if row not in rows], np.int64)
