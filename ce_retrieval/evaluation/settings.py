"""What an evaluation measures; the defaults are also those of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.settings import DEFAULT_K
from ce_retrieval.settings import COUNT, SEED, Checked, setting

Progress = Callable[[str, int, int], None]  # what is under way, done, in all

#: A measure of fills: (truth, fill, both uint8 (B, S, S, 3), hole bool (B, S, S)) -> float64 (B,), NaN where undefined.
Metric = Callable[[NDArray[Any], NDArray[Any], NDArray[np.bool_]], NDArray[np.float64]]


@dataclass(frozen=True)
class EvaluationSettings(Checked):
    """What is measured.

    Attributes
    ----------
    methods : names as `parse_methods` reads them.
    seed : decides holes, `limit`, the photos on the sheets, and the draws of the intervals.
    holes_seed : decides the holes in its place; None: `seed`.
    masks : a strategy of `holes.strategies.STRATEGIES`, or a folder of mask files.
    shapes : folder of object shapes for the region strategy, None for smooth blobs.
    keep_leaks : measure queries with near-duplicates in the collection too.
    limit : number of queries, drawn by the seed; None: all.
    collection : photos of the collection that methods may fill from, drawn by the seed, so that the fewer are among the more;
        None: all. The leak guard compares with all.
    k : blends that `+mean` averages, or all of a smaller collection.
    candidates : nearest contexts that every method with an index considers; None: each method's own number.
    aligned : scenes that methods place; None: each method's own number.
    weights : file for guided re-ranks and networks, None for the weights of the package.
    perceptual : a network and its layers as `Perceptual` reads them; None: that distance is not measured.
    """

    methods: tuple[str, ...]
    seed: int = setting(0, SEED)
    holes_seed: int | None = setting(None, SEED)
    masks: str = setting("center")
    shapes: str | None = setting(None)
    keep_leaks: bool = setting(False)
    limit: int | None = setting(None, COUNT)
    collection: int | None = setting(None, COUNT)
    k: int = setting(DEFAULT_K, COUNT)
    candidates: int | None = setting(None, COUNT)
    aligned: int | None = setting(None, COUNT)
    weights: str | None = setting(None)
    perceptual: str | None = setting(None)


class LeftOut(NamedTuple):
    """A query that was not measured, and why."""

    name: str
    reason: str
