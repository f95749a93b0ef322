"""What an evaluation measures, and its defaults, which are those of the command line."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from ce_retrieval.completion.settings import CompletionSettings, GuidedSettings, SceneSettings

Progress = Callable[[str, int, int], None]  # what is under way, done, in all


@dataclass(frozen=True)
class EvaluationSettings:
    """What is measured.

    methods: names as in `parse_methods`; masks: a strategy of `masks.STRATEGIES` or a folder of mask files; shapes: a
    folder of object masks for the region strategy; keep_leaks: measure queries with near-duplicates in the collection
    too; limit: at most so many queries, drawn by the seed (None: all); k: blends averaged by +mean (the whole collection
    where that is smaller); candidates, rim, guided: of the re-rank, as in CompletionSettings; weights: a file for guided
    re-ranks and decoders, None for those of the package; scenes: of +scenes, where candidates, rim, guided and weights are
    those above, and no seam changes known pixels; ring: width in pixels of the flat
    ring that the `rim` search compares; precision_k: neighbours that P@k looks at; sheet_rows: photos on the contact
    sheets, drawn by the seed.
    """

    methods: tuple[str, ...]
    seed: int = 0
    masks: str = "center"
    shapes: str | None = None
    keep_leaks: bool = False
    limit: int | None = None
    k: int = CompletionSettings.k
    candidates: int = CompletionSettings.candidates
    rim: int = CompletionSettings.rim
    guided: GuidedSettings = field(default_factory=GuidedSettings)
    weights: str | None = None
    scenes: SceneSettings = field(default_factory=SceneSettings)
    ring: int = 8
    precision_k: int = 10
    sheet_rows: int = 16


class LeftOut(NamedTuple):
    """A query that was not measured, and why."""

    name: str
    reason: str
