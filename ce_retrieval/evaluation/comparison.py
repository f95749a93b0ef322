"""How sure the figures of an evaluation are, and which methods are better than which: tables of `intervals`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.evaluation.intervals import LEVEL, Bootstrap, Difference, Interval
from ce_retrieval.evaluation.measuring import KIND, MethodResult
from ce_retrieval.holes.irregular import area_range


class Measure(NamedTuple):
    """A column of the tables.

    Attributes
    ----------
    name : str
        Key of `MethodResult.photos`.
    head : str
    figure : str
        Of the photos' values, a key of `intervals.FIGURES`.
    digits : int
        After the point.
    """

    name: str
    head: str
    figure: str
    digits: int


MEASURES = (
    Measure("l1", "L1 %", "mean", 2),
    Measure("l2", "L2 %", "mean", 2),
    Measure("psnr", "PSNR dB", "mean", 2),
    Measure("ssim", "SSIM", "mean", 3),
    Measure("sharpness", "sharpness", "median", 2),
    Measure("perceptual", "perceptual", "mean", 3),
    Measure("kid", "KID x1000", "mean", 1),
    *(Measure(name, name, "mean", 3) for name in KIND),
)
RANKED = MEASURES[1]  # by which methods are compared


def check_names(metrics: Iterable[str]) -> None:
    """Raise SettingsError for a name of a user's metric that is taken."""
    for name in metrics:
        if name in {one.name for one in MEASURES} or not name.strip():
            raise SettingsError(f"the metric {shown(name)} needs a name of its own: rename it")


def measures_of(results: Sequence[MethodResult]) -> list[Measure]:
    """Return the measures that any method has: those of MEASURES, then the user's own."""
    found = dict.fromkeys(name for result in results for name in result.photos)
    known = {one.name: one for one in MEASURES}
    own = [Measure(name, name, "mean", 3) for name in found if name not in known]
    return [*(one for one in MEASURES if one.name in found), *own]


def intervals_of(result: MethodResult, bootstrap: Bootstrap) -> dict[str, Interval]:
    """Return the interval of each measure that a method has, by name."""
    return {one.name: bootstrap.interval(result.photos[one.name], one.figure) for one in measures_of([result])}


def differences_of(results: Sequence[MethodResult], bootstrap: Bootstrap) -> list[Difference]:
    """Return how much higher the L2 of each method is than the best one's, the best left out, in the order of the methods.

    The best has the lowest L2 among those that do not know the truth; where all do, among all.
    """
    values = {result.method.name: result.photos[RANKED.name] for result in results}
    fair = [result for result in results if result.method.base != "oracle"] or results
    best = min(fair, key=lambda result: result.summary.l2).method.name
    return [bootstrap.difference(values, name, best) for name in values if name != best]


def interval_table(results: Sequence[MethodResult], bootstrap: Bootstrap) -> str:
    """Return a Markdown table of the intervals, a row a method, and the paired difference in L2 to the best one."""
    columns = measures_of(results)
    away = {one.method: one for one in differences_of(results, bootstrap)}
    head = ["method", *(one.head for one in columns), "L2 % above the best"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in results:
        found = intervals_of(result, bootstrap)
        cells = [_bounds(found.get(one.name), one.digits) for one in columns]
        difference = away.get(result.method.name)
        cells.append("best" if difference is None else _difference(difference))
        lines.append("| " + " | ".join([result.method.name, *cells]) + " |")
    return "\n".join(lines)


class AreaRange(NamedTuple):
    """The holes of a range of area.

    Attributes
    ----------
    low, high : float
        Shares of a photo's pixels.
    photos : int
        How many have such a hole.
    figures : sequence of float
        The mean L2 of each method over these photos.
    """

    low: float
    high: float
    photos: int
    figures: Sequence[float]


def by_area(results: Sequence[MethodResult], areas: np.ndarray) -> list[AreaRange]:
    """Return the mean L2 of each method by the area of the hole, in the ranges of irregular holes.

    areas : float64 (Q,)
        Shares of the photos' pixels.
    """
    of = [area_range(share) for share in areas.tolist()]
    found = []
    for low, high in sorted(set(of)):
        row = np.array([one == (low, high) for one in of])
        figures = [float(result.photos[RANKED.name][row].mean()) for result in results]
        found.append(AreaRange(low, high, int(np.count_nonzero(row)), figures))
    return found


def area_table(results: Sequence[MethodResult], areas: np.ndarray) -> str:
    """Return `by_area` as a Markdown table, a row a method."""
    ranges = by_area(results, areas)
    head = [f"{one.low:g} to {one.high:g} ({one.photos})" for one in ranges]
    lines = ["| L2 % by the share that is missing (photos) | " + " | ".join(head) + " |", "|---|" + "---:|" * len(head)]
    for number, result in enumerate(results):
        cells = [f"{one.figures[number]:.{RANKED.digits}f}" for one in ranges]
        lines.append("| " + " | ".join([result.method.name, *cells]) + " |")
    return "\n".join(lines)


def interval_note(photos: int) -> str:
    """Return the line that says what the intervals are."""
    return (
        f"Intervals: {100 * LEVEL:g} %, by bootstrap over the {photos} photos; differences are paired, photo by photo. One with "
        "* is clear: its interval holds no 0. They are about further photos of this sort, not about other sorts."
    )


def _bounds(found: Interval | None, digits: int) -> str:
    if found is None or found.low != found.low:
        return "–"
    return f"{found.low:.{digits}f} to {found.high:.{digits}f}"


def _difference(one: Difference) -> str:
    value, low, high = one.interval
    return f"{value:+.2f} ({low:+.2f} to {high:+.2f}){'*' if one.is_clear else ''}"
