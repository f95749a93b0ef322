"""The overview of methods: the error of a fill against how near it looks, and against its detail.

A fill of low error may be a blur. So a method stands well that is near the truth in both directions (Y. Blau, T. Michaeli,
"The Perception-Distortion Tradeoff", CVPR 2018).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.evaluation.comparison import MEASURES, Measure
from ce_retrieval.evaluation.intervals import Bootstrap, Interval
from ce_retrieval.evaluation.plots.drawing import COLOURS, MARKERS, on_figure
from ce_retrieval.evaluation.plots.label_places import Box, place_labels
from ce_retrieval.evaluation.run import Evaluation

ACROSS = "l2"
UP = {"perceptual": 0.0, "sharpness": 1.0}  # measures, and what the truth has of each
BETTER_UP = {"perceptual": "↓ better", "sharpness": "1 is as detailed as the truth"}
BETTER_ACROSS = "← better"
TRUTH = "truth"
WIDTH, HEIGHT = 4.6, 3.9  # inches, of a panel
MANY, LARGER = 8, 1.3  # from more methods on panels are so much larger
END = 3  # points of print that labels keep from the ends of bars
MARK = 4  # points of print: half the side of the box around a point that labels keep free


class Point(NamedTuple):
    """A method's figures in both directions."""

    method: str
    across: Interval
    up: Interval


@dataclass(frozen=True)
class Plane:
    """A panel of the overview.

    Attributes
    ----------
    across, up : the measures.
    truth : what the truth has of them.
    points : a method each, in the order of the evaluation; those without a figure are left out.
    """

    across: Measure
    up: Measure
    truth: tuple[float, float]
    points: Sequence[Point]


def planes_of(evaluation: Evaluation) -> list[Plane]:
    """Return a plane for each measure of UP that any method has."""
    bootstrap = Bootstrap(len(evaluation.names), evaluation.settings.seed)
    known = {one.name: one for one in MEASURES}
    planes = []
    for name, truth in UP.items():
        across, up, points = known[ACROSS], known[name], []
        for result in evaluation.results:
            if name not in result.photos:
                continue
            found = [bootstrap.interval(result.photos[one.name], one.figure) for one in (across, up)]
            if all(np.isfinite(one).all() for one in found):
                points.append(Point(result.method.name, *found))
        if points:
            planes.append(Plane(across, up, (0.0, truth), points))
    return planes


def overview_figure(planes: Sequence[Plane], title: str) -> Any:
    """Return the planes side by side, as matplotlib's figure.

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    """

    def draw(figure: Any) -> None:
        figure.suptitle(title, fontsize=10)
        panels = figure.subplots(1, len(planes), squeeze=False)[0]
        for panel, plane in zip(panels, planes, strict=True):
            _draw(panel, plane)
        figure.draw_without_rendering()  # the layout is made, and does not change with the labels
        figure.set_layout_engine("none")
        for panel, plane in zip(panels, planes, strict=True):
            _label(figure, panel, plane)

    scale = LARGER if max((len(plane.points) for plane in planes), default=0) > MANY else 1
    return on_figure(len(planes) * WIDTH * scale, HEIGHT * scale, draw)


def _draw(panel: Any, plane: Plane) -> None:
    """Draw the points with their intervals, the truth, and which way is better."""
    for number, point in enumerate(plane.points):
        (x, *across), (y, *up) = point.across, point.up
        colour, marker = COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)]
        panel.plot(across, [y, y], color=colour, linewidth=1)
        panel.plot([x, x], up, color=colour, linewidth=1)
        panel.plot([x], [y], color=colour, marker=marker, markersize=5, markeredgecolor="white", markeredgewidth=0.5)
    panel.plot(*plane.truth, color="black", marker="*", markersize=10, clip_on=False, zorder=5)
    if plane.truth[1]:
        panel.axhline(plane.truth[1], color="#888888", linewidth=0.8, linestyle=":")
    panel.set_xlim(left=0)
    panel.set_ylim(bottom=0)
    panel.margins(0.12)
    panel.set_xlabel(f"{plane.across.head} · {BETTER_ACROSS}")
    panel.set_ylabel(f"{plane.up.head} · {BETTER_UP[plane.up.name]}")


def _label(figure: Any, panel: Any, plane: Plane) -> None:
    """Write the names beside the points; their places are found in points of print, whatever the resolution."""
    names = [*(point.method for point in plane.points), TRUTH]
    values = [*((point.across.value, point.up.value) for point in plane.points), plane.truth]
    unit, renderer = 72 / figure.dpi, figure.canvas.get_renderer()

    def at(across: float, up: float) -> np.ndarray:
        return np.asarray(panel.transData.transform((across, up)) * unit)

    texts = [panel.text(0, 0, name, fontsize=7) for name in names]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for text in texts:
        text.remove()
    points = [at(*value) for value in values]
    marks = [Box(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in points]
    for point in plane.points:
        (x, *across), (y, *up) = point.across, point.up
        (left, middle), (right, _) = at(across[0], y), at(across[1], y)
        (centre, low), (_, high) = at(x, up[0]), at(x, up[1])
        marks += [
            Box(left - END, middle - 1, right + END, middle + 1),
            Box(centre - 1, low - END, centre + 1, high + END),
        ]
    if plane.truth[1]:
        (left, level), right = at(0, plane.truth[1]), at(panel.get_xlim()[1], 0)[0]
        marks.append(Box(left, level - 1, right, level + 1))
    area = Box(*panel.get_window_extent(renderer).extents * unit)
    sizes = [(box.width * unit + 2, box.height * unit + 1) for box in boxes]
    places = place_labels([(x, y) for x, y in points], sizes, area, marks)
    for name, value, (x, y), place in zip(names, values, points, places, strict=True):
        panel.annotate(
            name,
            value,
            (place.x - x, place.y - y),
            textcoords="offset points",
            fontsize=7,
            ha="center",
            va="center",
            annotation_clip=False,
            arrowprops={"arrowstyle": "-", "color": "#999999", "linewidth": 0.5, "shrinkA": 0, "shrinkB": 2}
            if place.far
            else None,
        )
