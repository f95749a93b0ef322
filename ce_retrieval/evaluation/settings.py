"""What an evaluation measures; the defaults are also those of the command line."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ce_retrieval.completion.settings import DEFAULT_K, SceneSettings, SearchSettings
from ce_retrieval.errors import SettingsError

Progress = Callable[[str, int, int], None]  # what is under way, done, in all


@dataclass(frozen=True)
class EvaluationSettings:
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
    seed: int = 0
    masks: str = "center"
    shapes: str | None = None
    keep_leaks: bool = False
    limit: int | None = None
    k: int = DEFAULT_K
    candidates: int = SearchSettings.candidates
    aligned: int = SceneSettings.aligned
    weights: str | None = None

    def __post_init__(self) -> None:
        for name, low in {"seed": 0, "limit": 1, "k": 1, "candidates": 1, "aligned": 1}.items():
            value = getattr(self, name)
            if value is not None and value < low:
                raise SettingsError(f"{name} is {value}: expected {low} or more")


class LeftOut(NamedTuple):
    """A query that was not measured, and why."""

    name: str
    reason: str
