"""Charts as SVG inside the page: their colours are those of the page, light or dark, and their points tell their figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ce_retrieval.evaluation.comparison import Measure
from ce_retrieval.evaluation.experiments.growth import Growth
from ce_retrieval.evaluation.intervals import Difference, Interval
from ce_retrieval.evaluation.methods import Method
from ce_retrieval.evaluation.page.markup import element, escaped
from ce_retrieval.evaluation.plots.label_places import Box, place_labels
from ce_retrieval.evaluation.plots.overview import BETTER_ACROSS, BETTER_UP, END, TRUTH, Plane, Point

WIDTH, HEIGHT = 520, 400
LEFT, RIGHT, TOP, LOW = 56, 20, 12, 44  # px around the panel
LETTER, LINE = 6.6, 15  # px that a letter and a line of a label take, whatever the font
COLOURS = 7  # classes c0 ... c6 of the page's style
MARK = 4
TICKS = 6
WHISKER = 180  # px


class Axis(NamedTuple):
    """A scale from values to pixels."""

    start: float
    end: float
    first: float  # px
    last: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Return the pixel of a value."""
        start, end, value = (
            map(math.log, (self.start, self.end, value)) if self.is_log else (self.start, self.end, value)
        )
        return round(self.first + (value - start) / (end - start) * (self.last - self.first), 2)


def plane_chart(plane: Plane, name: str) -> str:
    """Return a plane of the overview; name: what it is of, for those who hear it."""
    widest = max([plane.truth[0], *(point.across.high for point in plane.points)])
    highest = max([plane.truth[1], *(point.up.high for point in plane.points)])
    across = Axis(0, widest * 1.12 or 1, LEFT, WIDTH - RIGHT)
    up = Axis(min([0.0, *(point.up.low for point in plane.points)]), highest * 1.12 or 1, HEIGHT - LOW, TOP)
    parts = _frame(across, up, ticks(across), ticks(up))
    parts += _titles(f"{plane.across.head} · {BETTER_ACROSS}", f"{plane.up.head} · {BETTER_UP[plane.up.name]}")
    x, y = across.at(plane.truth[0]), up.at(plane.truth[1])
    if plane.truth[1]:
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "level"))
    parts += [_point(point, number, plane, across, up) for number, point in enumerate(plane.points)]
    parts.append(element("path", d=_star(x, y), class_="truth"))
    return _svg([*parts, *_labels(plane, across, up)], f"{name}: {plane.up.head} against {plane.across.head}")


def growth_chart(growth: Growth, measure: Measure, name: str) -> str:
    """Return how a measure grows with the collection, a line a method with its interval."""
    lines: list[tuple[int, Method, list[tuple[int, Interval]]]] = []
    for number, method in enumerate(growth.methods):
        figures = growth.figures.get((measure.name, method.name))
        if figures is None:
            continue
        if found := [(size, one) for size, one in zip(growth.sizes, figures, strict=True) if np.isfinite(one).all()]:
            lines.append((number, method, found))
    if not lines:
        return ""
    low = min(one.low for _, _, found in lines for _, one in found)
    high = max(one.high for _, _, found in lines for _, one in found)
    space = (high - low) * 0.08 or 0.5
    first, last = growth.sizes[0], growth.sizes[-1]
    across = Axis(first, last if last > first else first * 2, LEFT, WIDTH - RIGHT, is_log=True)
    up = Axis(low - space, high + space, HEIGHT - LOW, TOP)
    parts = _frame(across, up, [(float(size), f"{size:,}") for size in growth.sizes], ticks(up))
    parts += _titles("photos of the collection", measure.head)
    for number, method, found in lines:
        parts += _growth_line(found, method, measure, f"c{number % COLOURS}", across, up)
    legend = [
        element("li", element("span", class_=f"key c{number % COLOURS}", aria_hidden="true"), escaped(method.name))
        for number, method, _ in lines
    ]
    name = f"{name}: {measure.head} by the size of the collection"
    return _svg(parts, name) + element("ul", *legend, class_="legend")


def _growth_line(
    found: Sequence[tuple[int, Interval]], method: Method, measure: Measure, colour: str, across: Axis, up: Axis
) -> list[str]:
    """Return a method's line with the band of its intervals; without a collection it has a single figure, and is dashed."""
    at = [across.at(size) for size, _ in found]
    line = [*zip(at, (up.at(one.value) for _, one in found), strict=True)]
    parts = []
    if method.uses_collection:
        band = [*zip(at, (up.at(one.high) for _, one in found), strict=True)]
        band += reversed([*zip(at, (up.at(one.low) for _, one in found), strict=True)])
        parts.append(element("polygon", points=_joined(band), class_=f"band {colour}"))
    parts.append(
        element("polyline", points=_joined(line), class_=colour if method.uses_collection else f"dashed {colour}")
    )
    told = [*zip(line, found, strict=True)]
    for (x, y), (size, one) in told if method.uses_collection else told[-1:]:
        text = f"{method.name}, {size:,} photos: {_told(one, measure)}"
        parts.append(element("circle", element("title", escaped(text)), cx=x, cy=y, r=MARK, class_=colour))
    return parts


def whisker(one: Difference, farthest: float) -> str:
    """Return a difference and its interval as a point and a bar; farthest: the largest bound of all, which the ends show."""
    axis = Axis(-farthest, farthest, 6, WHISKER - 6)
    value, low, high = (axis.at(each) for each in one.interval)
    clear = "clear" if one.is_clear else "unclear"
    return element(
        "svg",
        _line(axis.at(0), 1, axis.at(0), 19, "zero"),
        _line(low, 10, high, 10, clear),
        element("circle", cx=value, cy=10, r=4, class_=clear),
        class_="whisker",
        viewBox=f"0 0 {WHISKER} 20",
        width=WHISKER,
        height=20,
        aria_hidden="true",
    )


def ticks(axis: Axis) -> list[tuple[float, str]]:
    """Return round values on an axis, at most TICKS or so, and their texts."""
    step = 10 ** math.floor(math.log10((axis.end - axis.start) / TICKS))
    step = next(step * factor for factor in (1, 2, 5, 10) if (axis.end - axis.start) / (step * factor) <= TICKS)
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(axis.start / step - 1e-9), math.floor(axis.end / step + 1e-9)
    return [(number * step, f"{number * step:.{digits}f}") for number in range(first, last + 1)]


def _svg(parts: Sequence[str], name: str) -> str:
    drawn = element(
        "svg",
        *parts,
        class_="chart",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=name,
        width=WIDTH,
        height=HEIGHT,
    )
    return element("div", drawn, class_="scroller plot", tabindex="0", role="region", aria_label=name)


def _frame(
    across: Axis, up: Axis, below: Sequence[tuple[float, str]], beside: Sequence[tuple[float, str]]
) -> list[str]:
    """Return the grid, the axes and their ticks."""
    parts = []
    for value, text in below:
        x = across.at(value)
        parts.append(_line(x, TOP, x, HEIGHT - LOW, "grid"))
        parts.append(element("text", escaped(text), x=x, y=HEIGHT - LOW + 16, class_="tick middle"))
    for value, text in beside:
        y = up.at(value)
        parts.append(_line(LEFT, y, WIDTH - RIGHT, y, "grid"))
        parts.append(element("text", escaped(text), x=LEFT - 10, y=y + 4, class_="tick end"))
    parts.append(_line(LEFT, TOP, LEFT, HEIGHT - LOW, "axis"))
    parts.append(_line(LEFT, HEIGHT - LOW, WIDTH - RIGHT, HEIGHT - LOW, "axis"))
    return parts


def _titles(below: str, beside: str) -> list[str]:
    middle = (TOP + HEIGHT - LOW) / 2
    return [
        element("text", escaped(below), x=(LEFT + WIDTH - RIGHT) / 2, y=HEIGHT - 8, class_="middle"),
        element("text", escaped(beside), transform=f"translate(13 {middle}) rotate(-90)", class_="middle"),
    ]


def _point(point: Point, number: int, plane: Plane, across: Axis, up: Axis) -> str:
    x, y = across.at(point.across.value), up.at(point.up.value)
    figures = f"{plane.across.head} {_told(point.across, plane.across)}; {plane.up.head} {_told(point.up, plane.up)}"
    return element(
        "g",
        element("title", escaped(f"{point.method}: {figures}")),
        _line(across.at(point.across.low), y, across.at(point.across.high), y),
        _line(x, up.at(point.up.low), x, up.at(point.up.high)),
        element("circle", cx=x, cy=y, r=MARK),
        class_=f"c{number % COLOURS}",
    )


def _labels(plane: Plane, across: Axis, up: Axis) -> list[str]:
    """Return the names beside the points, and lines to those that stand apart."""
    names = [*(point.method for point in plane.points), TRUTH]
    at = [(across.at(p.across.value), up.at(p.up.value)) for p in plane.points]
    lines = list(zip(plane.points, at, strict=True))
    at.append((across.at(plane.truth[0]), up.at(plane.truth[1])))
    marks = [Box(x - MARK - 2, y - MARK - 2, x + MARK + 2, y + MARK + 2) for x, y in at]
    for point, (x, y) in lines:
        marks.append(Box(across.at(point.across.low) - END, y - 1, across.at(point.across.high) + END, y + 1))
        marks.append(Box(x - 1, up.at(point.up.high) - END, x + 1, up.at(point.up.low) + END))
    area = Box(LEFT + 2, TOP, WIDTH - RIGHT, HEIGHT - LOW - 2)
    parts = []
    places = place_labels(at, [(LETTER * len(name), LINE) for name in names], area, marks)
    for name, (x, y), place in zip(names, at, places, strict=True):
        if place.far:
            edge = max(place.x - LETTER * len(name) / 2, min(x, place.x + LETTER * len(name) / 2))
            parts.append(
                _line(x, y, round(edge, 2), round(place.y + math.copysign(LINE / 2, y - place.y), 2), "leader")
            )
        parts.append(
            element("text", escaped(name), x=round(place.x, 2), y=round(place.y + 4, 2), class_="label middle")
        )
    return parts


def _told(found: Interval, measure: Measure) -> str:
    value, low, high = (f"{each:.{measure.digits}f}" for each in found)
    return f"{value} ({low} to {high})"


def _line(x1: float, y1: float, x2: float, y2: float, class_: str | None = None) -> str:
    return element("line", x1=x1, y1=y1, x2=x2, y2=y2, class_=class_)


def _joined(points: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x},{y}" for x, y in points)


def _star(x: float, y: float) -> str:
    corners = []
    for number in range(10):
        reach, angle = (8 if number % 2 == 0 else 3.4), math.pi * (number / 5 - 0.5)
        corners.append(f"{x + reach * math.cos(angle):.2f} {y + reach * math.sin(angle):.2f}")
    return f"M{'L'.join(corners)}Z"
