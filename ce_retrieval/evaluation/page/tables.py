"""The tables of the report: figures with their intervals, which method is better, and figures by area."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ce_retrieval.evaluation.comparison import RANKED, Measure, by_area, differences_of, intervals_of, measures_of
from ce_retrieval.evaluation.intervals import Bootstrap, Interval
from ce_retrieval.evaluation.measuring import PRECISION_K, MethodResult
from ce_retrieval.evaluation.methods import KEPT
from ce_retrieval.evaluation.page.charts import whisker
from ce_retrieval.evaluation.page.markup import breaking, element, escaped
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.evaluation.seen import MARK
from ce_retrieval.evaluation.watch import BUSY

ORACLE = "oracle"
# What a column is, and how far a value is from the best one; None: which way is better is not known.
LOWER, HIGHER, LIKE_TRUTH = (lambda value: value), (lambda value: -value), (lambda value: abs(value - 1))
_ABOUT: dict[str, tuple[str, Callable[[float], float] | None]] = {
    "l1": ("mean absolute difference from the truth under the hole, percent of the range; lower is better", LOWER),
    "l2": ("mean squared difference from the truth under the hole, percent; lower is better, and rewards blur", LOWER),
    "psnr": ("mean of the photos' peak signal-to-noise ratios, dB; higher is better", HIGHER),
    "ssim": ("structural similarity under the hole, 1 is the truth; higher is better", HIGHER),
    "sharpness": ("detail, median over photos: 1 is as detailed as the truth, 0 is flat; near 1 is better", LIKE_TRUTH),
    "perceptual": ("distance by a network's features, 0 is the truth; lower is better", LOWER),
    "kid": ("whether the fills look like photos as a whole; lower is better", LOWER),
    "kind@1": ("share of photos whose best scene has the photo's label; higher is better", HIGHER),
    f"kind@{KEPT}": (f"share of a photo's scenes, at most {KEPT}, that have its label; higher is better", HIGHER),
}
_OWN = "a measure of the user's own, mean over photos"


class Column(NamedTuple):
    """A column of figures; `away` tells how far a value is from the best one."""

    head: str
    title: str
    digits: int
    away: Callable[[float], float] | None
    cells: Sequence[tuple[float | None, str, str]]  # of each method: value, what stands before it, interval


def figure_table(evaluation: Evaluation, name: str) -> str:
    """Return the table of all figures, a row a method; the best of each column is bold, `oracle` aside."""
    results, columns = evaluation.results, _columns(evaluation)
    fair = [n for n, one in enumerate(results) if one.method.base != ORACLE] or list(range(len(results)))
    best = [_best(column, fair) for column in columns]
    head = [_head("method", "a way to fill; methods are in the order of the experiment", first="ascending")]
    head += [_head(one.head, one.title, first=_first(one)) for one in columns]
    rows = []
    for number, result in enumerate(results):
        cells = [_method(result, evaluation)]
        for column, chosen in zip(columns, best, strict=True):
            cells.append(_cell(column, number, number in chosen))
        rows.append(element("tr", *cells))
    return _table(head, rows, f"Figures, {name}")


def difference_table(evaluation: Evaluation, name: str) -> str:
    """Return how much higher the L2 of each method is than the best one's; "" for a single method."""
    found = differences_of(evaluation.results, Bootstrap(len(evaluation.names), evaluation.settings.seed))
    if not found:
        return ""
    farthest = max((abs(bound) for one in found for bound in one.interval if math.isfinite(bound)), default=0) or 1
    head = [
        _head("method", "compared with the best", first="ascending"),
        _head(
            f"{RANKED.head} above {found[0].other}", "difference of the means over the same photos", first="ascending"
        ),
        _head("interval", "95 % interval of the difference, photo by photo", first=None),
        _head("clear", "clear where the interval holds no 0", first=None),
        _head("chart", "the difference and its interval; the line is 0", first=None),
    ]
    rows = []
    for one in found:
        value, low, high = (f"{each:+.2f}".replace("-", "−") for each in one.interval)
        cells = [
            element("th", breaking(one.method), scope="row", data_value=one.method),
            element("td", value, class_="number", data_value=_sorted_by(one.interval.value)),
            element("td", f"{low} to {high}", class_="number"),
            element("td", "yes" if one.is_clear else "no"),
            element("td", whisker(one, farthest)),
        ]
        rows.append(element("tr", *cells))
    return _table(head, rows, f"Differences, {name}")


def by_area_table(evaluation: Evaluation, name: str) -> str:
    """Return the mean L2 by the area of the hole."""
    ranges = by_area(evaluation.results, evaluation.areas)
    head = [_head("method", "a way to fill", first="ascending")]
    for one in ranges:
        photos = f"{one.photos} photos whose hole takes this share of their pixels"
        head.append(_head(f"{one.low:g} to {one.high:g}", f"mean {RANKED.head} of {photos}", first="ascending"))
    rows = []
    for number, result in enumerate(evaluation.results):
        cells = [
            element("td", f"{one.figures[number]:.{RANKED.digits}f}", class_="number", data_value=one.figures[number])
            for one in ranges
        ]
        rows.append(element("tr", _method(result, evaluation), *cells))
    return _table(head, rows, f"{RANKED.head} by the share that is missing, {name}")


def _columns(evaluation: Evaluation) -> list[Column]:
    """Return the columns of Markdown's table, but with the intervals in them."""
    results = evaluation.results
    bootstrap = Bootstrap(len(evaluation.names), evaluation.settings.seed)
    intervals = [intervals_of(result, bootstrap) for result in results]
    columns = []
    for measure in measures_of(results):
        title, away = _ABOUT.get(measure.name, (_OWN, None))
        cells = [_with_interval(found.get(measure.name), measure) for found in intervals]
        columns.append(Column(measure.head, title, measure.digits, away, cells))
    of_mean = [(result.summary.psnr_of_mean_l2, "", "") for result in results]
    title = "peak signal-to-noise ratio of the mean L2, dB: never above the former; higher is better"
    place = next((n for n, column in enumerate(columns) if column.head == "PSNR dB"), len(columns) - 1) + 1
    columns.insert(place, Column("PSNR of mean L2", title, 2, HIGHER, of_mean))
    if any(result.precision is not None for result in results):
        title = f"share of the {PRECISION_K} nearest contexts that have the photo's label; higher is better"
        columns.append(Column(f"P@{PRECISION_K}", title, 3, HIGHER, [(one.precision, "", "") for one in results]))
    seconds = [(one.cost.seconds, "≤" if one.cost.others > BUSY else "", "") for one in results]
    title = "seconds a photo on all cores; ≤ is an upper bound, since other work kept the machine busy"
    columns.append(Column("s/photo", title, 4, None, seconds))
    memory = [(one.cost.memory, "", "") for one in results]
    columns.append(Column("peak MB", "most resident memory of the whole process meanwhile", 0, None, memory))
    return columns


def _with_interval(found: Interval | None, measure: Measure) -> tuple[float | None, str, str]:
    if found is None:
        return None, "", ""
    low, high = (f"{each:.{measure.digits}f}" for each in found[1:])
    return found.value, "", "" if math.isnan(found.low) else f"{low} to {high}"


def _best(column: Column, rows: Sequence[int]) -> set[int]:
    """Return the rows whose figure is the best as it is shown."""
    away = {n: value for n in rows if (value := column.cells[n][0]) is not None and math.isfinite(value)}
    if column.away is None or not away:
        return set()
    rounded = {n: column.away(round(value, column.digits)) for n, value in away.items()}
    least = min(rounded.values())
    return {n for n, value in rounded.items() if math.isclose(value, least, abs_tol=1e-12)}


def _first(column: Column) -> str:
    """Return the order of the first click on a column's head: the best first."""
    return "descending" if column.away is HIGHER else "ascending"


def _cell(column: Column, number: int, is_best: bool) -> str:
    value, before, interval = column.cells[number]
    if value is None:
        return element("td", class_="number")
    if not math.isfinite(value):
        return element("td", "∞" if value == math.inf else "–", class_="number")
    shown = f"{before}{value:.{column.digits}f}"
    content = element("b", shown) if is_best else shown
    if interval:
        content += element("small", escaped(interval))
    away = column.away(value) if column.away is LIKE_TRUTH else value
    return element("td", content, class_="number", data_value=_sorted_by(away))


def _method(result: MethodResult, evaluation: Evaluation) -> str:
    """Return the head of a method's row, marked where its network has seen the photos."""
    name = result.method.name
    mark = ""
    if name in evaluation.about["seen"]["methods"]:
        title = "its network was trained on some of these photos"
        mark = " " + element("abbr", MARK, title=title)
    return element("th", breaking(name), mark, scope="row", data_value=name)


def _head(text: str, title: str, *, first: str | None) -> str:
    """Return a column's head; first: how the first click orders it, None for a column that does not order."""
    if first is None:
        return element("th", escaped(text), scope="col", title=title)
    button = element("button", escaped(text), type="button", title=title, data_first=first)
    return element("th", button, scope="col", aria_sort="none")


def _table(head: Sequence[str], rows: Sequence[str], name: str) -> str:
    table = element("table", element("thead", element("tr", *head)), element("tbody", *rows), class_="sortable")
    return element("div", table, class_="scroller", tabindex="0", role="region", aria_label=name)


def _sorted_by(value: float) -> str | None:
    return repr(value) if math.isfinite(value) else None
