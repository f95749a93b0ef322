"""The report of an evaluation of context searches: Markdown tables, contexts.json, and the picture of Figure 8."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import counted, some
from ce_retrieval.evaluation.contexts.picture import draw_picture
from ce_retrieval.evaluation.contexts.place import CONTEXTS, CONTEXTS_JSON, FIGURE8, check_context_place
from ce_retrieval.evaluation.contexts.run import ContextEvaluation, ContextResult
from ce_retrieval.evaluation.contexts.search import AWARE, BLIND, TIMED_K
from ce_retrieval.evaluation.intervals import LEVEL, Bootstrap, Difference, Interval
from ce_retrieval.metrics import Floats
from ce_retrieval.own_files import sealed_json, sealed_text
from ce_retrieval.photos.files import save_result
from ce_retrieval.storage import make_folder, replace_file, taken_back

COMPARED = ("P@10", "first")  # measures of which hole-aware and hole-blind searches are compared
KIND = "Neighbours of the photo's kind"
COPIES = "Rank of the original of an altered copy"


def context_tables(evaluation: ContextEvaluation) -> str:
    """Return the tables and the notes, in Markdown."""
    parts = []
    if any(one.kind for one in evaluation.results):
        parts += [f"### {KIND}", _table(evaluation, "kind"), _interval_table(evaluation, "kind")]
    if any(one.copies for one in evaluation.results):
        parts += [f"### {COPIES}", _table(evaluation, "copies"), _interval_table(evaluation, "copies")]
    if compared := _differences(evaluation):
        parts += ["### Worth of leaving the hole out", _difference_table(compared)]
    return "\n\n".join([*parts, "\n".join(context_notes(evaluation))])


def context_notes(evaluation: ContextEvaluation) -> list[str]:
    """Return the lines under the tables: what was measured and how, and what was left out."""
    about, settings = evaluation.about, evaluation.settings
    kinds = ", ".join(f"{hole} {len(names)}" for hole, names in evaluation.names.items())
    lines = [
        f"{about['photos']} at {about['size']}x{about['size']}, seed {settings.seed}; collection of "
        f"{counted(about['collection']['photos'], 'photo')}. Photos by hole: {kinds}. `square S` is the central square of S "
        "of the side.",
        f"s/query: wall clock of description and search for {TIMED_K} neighbours on all cores, in batches.",
        f"Intervals: {100 * LEVEL:g} %, by bootstrap over the photos; differences are paired. One with * is clear: its "
        "interval holds no 0.",
    ]
    lines += [f"By chance {name} would be {value:.3f}." for name, value in evaluation.chance.items()]
    if not any(one.kind for one in evaluation.results):
        lines.append("Photos and collection have no label in common: the kind of neighbours is not measured.")
    if any(one.way == BLIND for one in evaluation.results):
        lines.append(
            f"{BLIND}: the hole is filled with the photo's mean colour, and the photo compared as whole, without a focus."
        )
    lines.append(f"{FIGURE8}: the nearest contexts under holes {evaluation.picture_hole}.")
    if missing := _missing(evaluation):
        lines.append(f"Not measured, since these searches serve no such hole: {'; '.join(missing)}.")
    if evaluation.leaks:
        what = "kept" if settings.keep_leaks else "left out"
        names = some([leak.query for leak in evaluation.leaks], 5)
        lines.append(f"Queries with near-duplicates in the collection, {what}: {names}.")
    if evaluation.unserved:
        lines.append(f"{counted(len(evaluation.unserved), 'photo')} that a search could not serve, left out for all.")
    if evaluation.unreadable:
        lines.append(f"{counted(len(evaluation.unreadable), 'query file')} could not be read.")
    return lines


def write_contexts(evaluation: ContextEvaluation, out: str | Path) -> list[Path]:
    """Write contexts.md, figure8.png and contexts.json into `out`; return the paths.

    contexts.json comes last: where it stands, everything is written. Where a file cannot be written, no new one is left.

    Raises
    ------
    StorageError : a file cannot be written, or would replace one that ceret did not write.
    """
    out = Path(out)
    check_context_place(out)
    written = [out / CONTEXTS, out / FIGURE8, out / CONTEXTS_JSON]
    with taken_back([*written, out]):
        make_folder(out)
        replace_file(out / CONTEXTS, sealed_text(f"{context_tables(evaluation)}\n\n"))
        save_result(out / FIGURE8, draw_picture(evaluation.picture))
        text = json.dumps(_results(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        replace_file(out / CONTEXTS_JSON, sealed_json(f"{text}\n"))
    return written


def _bootstrap(evaluation: ContextEvaluation, hole: str, about: str) -> Bootstrap:
    """Return the draws of the queries under a hole, or of the copies."""
    names = evaluation.names if about == "kind" else evaluation.copied
    return Bootstrap(len(names[hole]), evaluation.settings.seed)


def _intervals(evaluation: ContextEvaluation, one: ContextResult, about: str) -> dict[str, Interval]:
    values: Mapping[str, Floats] = getattr(one, about)
    if not values:
        return {}
    bootstrap = _bootstrap(evaluation, one.hole, about)
    return {name: bootstrap.interval(each) for name, each in values.items()}


def _table(evaluation: ContextEvaluation, about: str) -> str:
    """Return the figures: of the "kind" of neighbours with the seconds, or of the "copies"."""
    measured = [one for one in evaluation.results if getattr(one, about)]
    names, timed = list(getattr(measured[0], about)), about == "kind"
    head = ["hole", "features", "search", *names, *["s/query"] * timed]
    rows = []
    for one in measured:
        figures = [
            f"{np.nanmean(values):.3f}" if not np.isnan(values).all() else "–"
            for values in getattr(one, about).values()
        ]
        rows.append([one.hole, one.features, one.way, *figures, *[f"{one.seconds:.4f}"] * timed])
    return _markdown(head, rows, text_columns=3)


def _interval_table(evaluation: ContextEvaluation, about: str) -> str:
    measured = [one for one in evaluation.results if getattr(one, about)]
    rows = []
    for one in measured:
        found = _intervals(evaluation, one, about).values()
        rows.append([one.hole, one.features, one.way, *(_bounds(each.low, each.high) for each in found)])
    return _markdown(["hole", "features", "search", *getattr(measured[0], about)], rows, text_columns=3)


def _differences(evaluation: ContextEvaluation) -> list[tuple[str, str, str, Difference]]:
    """Return (hole, features, measure, how much higher it is of the hole-aware search than of the hole-blind one)."""
    found = []
    pairs = {(one.hole, one.features, one.way): one for one in evaluation.results}
    for (hole, features, way), blind in pairs.items():
        aware = pairs.get((hole, features, AWARE))
        if way != BLIND or aware is None:
            continue
        for about in ("kind", "copies"):
            for name in set(COMPARED) & set(getattr(blind, about)):
                values = {AWARE: getattr(aware, about)[name], BLIND: getattr(blind, about)[name]}
                difference = _bootstrap(evaluation, hole, about).difference(values, AWARE, BLIND)
                found.append((hole, features, name, difference))
    return found


def _difference_table(found: Sequence[tuple[str, str, str, Difference]]) -> str:
    names = [name for name in COMPARED if any(one[2] == name for one in found)]
    cells = {(hole, features, name): difference for hole, features, name, difference in found}
    rows = []
    for hole, features in dict.fromkeys((hole, features) for hole, features, _, _ in found):
        row = [hole, features]
        for name in names:
            difference = cells[hole, features, name]
            value, low, high = difference.interval
            row.append(f"{value:+.3f} ({low:+.3f} to {high:+.3f}){'*' if difference.is_clear else ''}")
        rows.append(row)
    return _markdown(["hole", "features", *(f"{name}, {AWARE} less {BLIND}" for name in names)], rows, text_columns=2)


def _missing(evaluation: ContextEvaluation) -> list[str]:
    there = {(one.hole, one.features) for one in evaluation.results}
    return [
        f"{features} ({hole})"
        for hole in evaluation.names
        for features in evaluation.about["indexes"]
        if (hole, features) not in there
    ]


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int) -> str:
    rule = "|---" * text_columns + "|---:" * (len(head) - text_columns) + "|"
    return "\n".join(["| " + " | ".join(head) + " |", rule, *("| " + " | ".join(row) + " |" for row in rows)])


def _bounds(low: float, high: float) -> str:
    return "–" if math.isnan(low) else f"{low:.3f} to {high:.3f}"


def _results(evaluation: ContextEvaluation) -> dict[str, Any]:
    """Return the whole evaluation as JSON types; undefined numbers become null."""
    return {
        "about": evaluation.about,
        "settings": asdict(evaluation.settings),
        "chance": evaluation.chance,
        "results": [
            {
                "hole": one.hole,
                "features": one.features,
                "search": one.way,
                "seconds": one.seconds,
                "kind": _measures(evaluation, one, "kind"),
                "copies": _measures(evaluation, one, "copies"),
            }
            for one in evaluation.results
        ],
        "photos": {hole: list(names) for hole, names in evaluation.names.items()},
        "copies": {hole: list(names) for hole, names in evaluation.copied.items()},
        "picture": {
            "hole": evaluation.picture_hole,
            "rows": [
                {
                    "photo": row.name,
                    "label": row.label,
                    "neighbours": {
                        features: [
                            {"photo": one.name, "label": one.label, "near_duplicate": one.near_duplicate}
                            for one in found
                        ]
                        for features, found in row.neighbours.items()
                    },
                }
                for row in evaluation.picture
            ],
        },
        "leaks": [asdict(leak) for leak in evaluation.leaks],
        "unreadable": [one._asdict() for one in evaluation.unreadable],
        "unserved": [one._asdict() for one in evaluation.unserved],
    }


def _measures(evaluation: ContextEvaluation, one: ContextResult, about: str) -> dict[str, Any]:
    """Return each measure of a result: its value, its interval, and that of each photo."""
    intervals = _intervals(evaluation, one, about)
    return {
        name: {
            "value": _plain(intervals[name].value),
            "interval": [_plain(intervals[name].low), _plain(intervals[name].high)],
            "photos": [_plain(value) for value in values.tolist()],
        }
        for name, values in getattr(one, about).items()
    }


def _plain(value: float) -> float | None:
    return value if math.isfinite(value) else None
