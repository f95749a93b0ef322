"""What an evaluation of context searches measures; the defaults are also those of the command line."""

from __future__ import annotations

from dataclasses import dataclass

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.evaluation.queries import check_masks
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.settings import COUNT, MOST, SEED, Checked, Range, check_list, setting

SHARE = Range(low=0.05, high=0.95)  # of the side
SQUARE = "square"


@dataclass(frozen=True)
class ContextSettings(Checked):
    """What is measured.

    Attributes
    ----------
    features : further descriptors, beside those of the indexes.
    holes : sides of central squares, as shares of the photo's side.
    masks : further kinds of holes, each as in `EvaluationSettings`.
    shapes : of the masks "region".
    blind : also search with the hole painted over.
    altered : photos of the collection whose altered copies are searched for; 0: none.
    seed : decides holes, `limit`, the altered copies, the photos in the picture, and the draws of the intervals.
    limit : number of queries, drawn by the seed; None: all.
    keep_leaks : measure queries with near-duplicates in the collection too.
    k : neighbours in the picture.
    rows : photos in the picture, drawn by the seed.
    shown : names of photos in the picture, in the place of those that are drawn.
    """

    features: tuple[str, ...] = ()
    holes: tuple[float, ...] = (0.25, 0.5, 0.75)
    masks: tuple[str, ...] = ()
    shapes: str | None = setting(None)
    blind: bool = setting(False)
    altered: int = setting(200, low=0, high=MOST)
    seed: int = setting(0, SEED)
    limit: int | None = setting(None, COUNT)
    keep_leaks: bool = setting(False)
    k: int = setting(5, low=1, high=20)
    rows: int = setting(8, low=1, high=100)
    shown: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("features", "holes", "masks", "shown"):
            values = getattr(self, name)
            check_list(f"`{name}`", values)
            if len(set(values)) < len(values):
                raise SettingsError(f"`{name}` names {shown(max(values, key=list(values).count))} twice: name it once")
        for share in self.holes:
            SHARE.check("`holes`", share)
        if not (self.holes or self.masks):
            raise SettingsError("`holes` and `masks` name none: give at least one, for example 0.5 or block")
        if self.shapes is not None and "region" not in self.masks:
            raise SettingsError("`shapes` belong to `masks` region: leave `shapes` out, or name region")
        for masks in self.masks:
            check_masks(self.drawing(masks))

    def kinds(self) -> list[str]:
        """Return the names of the kinds of holes: square 0.5, block, ..."""
        return [*(f"{SQUARE} {share:g}" for share in self.holes), *self.masks]

    def drawing(self, masks: str) -> EvaluationSettings:
        """Return the settings by which photos are read, and their holes drawn."""
        shapes = self.shapes if masks == "region" else None
        return EvaluationSettings((), seed=self.seed, limit=self.limit, masks=masks, shapes=shapes)
