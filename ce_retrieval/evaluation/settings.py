"""What an evaluation measures; the defaults are also those of the command line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ce_retrieval.completion.settings import DEFAULT_K, SceneSettings, SearchSettings
from ce_retrieval.settings import COUNT, SEED, Checked, setting

Progress = Callable[[str, int, int], None]  # what is under way, done, in all


@dataclass(frozen=True)
class EvaluationSettings(Checked):
    """What is measured.

    Attributes
    ----------
    methods : names as `parse_methods` reads them.
    seed : decides holes, `limit` and the photos on the sheets.
    masks : a strategy of `holes.strategies.STRATEGIES`, or a folder of mask files.
    shapes : folder of object masks for the region strategy, None for smooth blobs.
    keep_leaks : measure queries with near-duplicates in the collection too.
    limit : number of queries, drawn by the seed; None: all.
    k : blends that `+mean` averages, or all of a smaller collection.
    candidates : nearest contexts that every method by features considers.
    aligned : scenes that `+scenes` and `+patchmatch` place.
    weights : file for guided re-ranks and networks, None for the weights of the package.
    """

    methods: tuple[str, ...]
    seed: int = setting(0, SEED)
    masks: str = setting("center")
    shapes: str | None = setting(None)
    keep_leaks: bool = setting(False)
    limit: int | None = setting(None, COUNT)
    k: int = setting(DEFAULT_K, COUNT)
    candidates: int = setting(SearchSettings.candidates, COUNT)
    aligned: int = setting(SceneSettings.aligned, COUNT)
    weights: str | None = setting(None)


class LeftOut(NamedTuple):
    """A query that was not measured, and why."""

    name: str
    reason: str
