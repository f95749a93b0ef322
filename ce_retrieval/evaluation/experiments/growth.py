"""How quality grows with the collection: the figures of each method over nested parts of one collection.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 1: 10,000 photos failed where two
million succeeded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ce_retrieval.errors import EvaluationError
from ce_retrieval.evaluation.comparison import MEASURES, Measure
from ce_retrieval.evaluation.intervals import Bootstrap, Difference, Interval
from ce_retrieval.evaluation.methods import Method
from ce_retrieval.evaluation.plots.drawing import COLOURS, MARKERS, drawn
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.pixels import Photo

GROWTH = "growth.png"
NAMES = ("l2", "kind@1", "perceptual")  # of the measures


@dataclass(frozen=True)
class Growth:
    """The figures of methods by the size of the collection, of the photos that were measured under all seeds and sizes.

    Attributes
    ----------
    sizes : numbers of photos, increasing.
    methods : in the order of the evaluations.
    figures : by (measure, method), the interval of each size; without the measures that a method lacks.
    gains : for the same, how much higher the figure is with the most photos than with the fewest, photo by photo.
    photos : how many were measured.
    """

    sizes: Sequence[int]
    methods: Sequence[Method]
    figures: Mapping[tuple[str, str], Sequence[Interval]]
    gains: Mapping[tuple[str, str], Difference]
    photos: int

    @property
    def measures(self) -> list[Measure]:
        """The measures that any method has."""
        there = {name for name, _ in self.figures}
        return [one for one in MEASURES if one.name in there]


def growth_of(evaluations: Mapping[int, Sequence[Evaluation]], seed: int) -> Growth:
    """Return what evaluations of the same photos and methods, by the size of the collection and one a seed, say together.

    Raises
    ------
    EvaluationError
        No photo was measured in all of them.
    """
    sizes = sorted(evaluations)
    every = [one for size in sizes for one in evaluations[size]]
    known = [set(one.names) for one in every]
    common = [name for name in every[0].names if all(name in names for names in known)]
    if not common:
        raise EvaluationError("no photo was measured with every `collection`: set `limit` to more photos")
    bootstrap = Bootstrap(len(common), seed)
    figures, gains = {}, {}
    for number, result in enumerate(every[0].results):
        for measure in (one for one in MEASURES if one.name in NAMES):
            values = [_values(evaluations[size], number, measure.name, common) for size in sizes]
            defined = {size: one for size, one in zip(sizes, values, strict=True) if one is not None}
            if len(defined) == len(sizes):
                key, of = (measure.name, result.method.name), measure.figure
                figures[key] = [bootstrap.interval(one, of) for one in defined.values()]
                ends = {"most": defined[sizes[-1]], "fewest": defined[sizes[0]]}
                gains[key] = bootstrap.difference(ends, "most", "fewest", of)
    return Growth(sizes, [result.method for result in every[0].results], figures, gains, len(common))


def growth_tables(growth: Growth) -> str:
    """Return a Markdown table each measure: a row a method, a column a size of the collection, with intervals."""
    tables = []
    for measure in growth.measures:
        head = [f"{measure.head} by photos of the collection", *map(str, growth.sizes)]
        head += [f"{growth.sizes[-1]} less {growth.sizes[0]}"] * (len(growth.sizes) > 1)
        lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
        for method in growth.methods:
            key = measure.name, method.name
            if found := growth.figures.get(key):
                cells = [method.name, *(_cell(one, f".{measure.digits}f") for one in found)]
                cells += [_gain(growth.gains[key], measure.digits)] * (len(growth.sizes) > 1)
                lines.append("| " + " | ".join(cells) + " |")
        tables.append("\n".join(lines))
    fixed = [method.name for method in growth.methods if not method.uses_collection]
    note = (
        f"Of {growth.photos} photos. Smaller collections are parts of the larger ones; queries and holes are the same. "
        "Differences are paired, photo by photo; one with * is clear."
    )
    if fixed:
        note += f" Without a collection, and so measured once: {', '.join(fixed)}."
    return "\n\n".join([*tables, note])


def growth_plot(growths: Mapping[str, Growth]) -> Photo:
    """Return a plot uint8 (H, W, 3): a row of panels each kind of holes, a panel a measure, a line a method with its interval.

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    """
    columns = max(len(growth.measures) for growth in growths.values())

    def draw(panels: np.ndarray) -> None:
        for row, (holes, growth) in zip(panels, growths.items(), strict=True):
            for panel in row[len(growth.measures) :]:
                panel.set_axis_off()
            for panel, measure in zip(row[: len(growth.measures)], growth.measures, strict=True):
                _panel(panel, growth, measure)
                panel.set_title(f"{measure.head}, holes: {holes}")
        lines, names = panels[0, 0].get_legend_handles_labels()
        panels[0, 0].figure.legend(lines, names, loc="outside lower center", ncols=4)

    return drawn(len(growths), columns, 4.6, 3.4, draw)


def _panel(panel: Any, growth: Growth, measure: Measure) -> None:
    """Draw the lines of a measure; those of methods without a collection are dashed."""
    for number, method in enumerate(growth.methods):
        found = growth.figures.get((measure.name, method.name))
        if found is None:
            continue
        value, low, high = np.array(found).T
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        look = {"marker": marker} if method.uses_collection else {"linestyle": "--"}
        panel.plot(growth.sizes, value, color=colour, label=method.name, linewidth=1.4, markersize=4, **look)
        panel.fill_between(growth.sizes, low, high, color=colour, alpha=0.12, linewidth=0)
    panel.set_xscale("log")
    panel.set_xticks(growth.sizes, [f"{size:,}" for size in growth.sizes], rotation=30, ha="right")
    panel.minorticks_off()
    panel.set_xlabel("photos of the collection")


def _values(evaluations: Sequence[Evaluation], number: int, measure: str, names: Sequence[str]) -> np.ndarray | None:
    """Return the values of some photos, float64 (Q,), their means over the seeds; None where one lacks the measure."""
    each = []
    for one in evaluations:
        values = one.results[number].photos.get(measure)
        if values is None:
            return None
        place = {name: row for row, name in enumerate(one.names)}
        each.append(values[[place[name] for name in names]])
    return np.asarray(np.mean(each, axis=0))


def _gain(gain: Difference, digits: int) -> str:
    return _cell(gain.interval, f"+.{digits}f") + "*" * gain.is_clear


def _cell(found: Interval, form: str) -> str:
    value, low, high = found
    return "–" if np.isnan(value) else f"{value:{form}} ({low:{form}} to {high:{form}})"
