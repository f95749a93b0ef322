"""The report of an evaluation: a Markdown table with its notes, `results.json`, and contact sheets."""

import json
import math
import statistics
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import counted
from ce_retrieval.evaluation.comparison import (
    Measure,
    area_table,
    differences_of,
    interval_note,
    interval_table,
    intervals_of,
    measures_of,
)
from ce_retrieval.evaluation.intervals import Bootstrap, figure_of
from ce_retrieval.evaluation.measuring import KIND, PRECISION_K, MethodResult
from ce_retrieval.evaluation.methods import KEPT
from ce_retrieval.evaluation.place import ROWS_A_SHEET, TABLE, TABLE1, check_place, sheet_name
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.evaluation.seen import MARK, seen_notes
from ce_retrieval.evaluation.watch import BUSY, Cost
from ce_retrieval.figures import contact_sheet
from ce_retrieval.metrics import PHOTO_METRICS
from ce_retrieval.own_files import RESULTS, is_own, sealed_json, sealed_text
from ce_retrieval.photos.files import save_result
from ce_retrieval.storage import make_folder, replace_file, storage_errors, taken_back


def markdown_table(evaluation: Evaluation) -> str:
    """Return the table of Pathak et al. 2016, Table 1, with more columns; one row a method, "–" where undefined.

    Columns of the kind, of the network that judges and of own metrics are there if any method has a figure in them.
    """
    measures = {one.name: one for one in measures_of(evaluation.results)}
    kinds = [measures.pop(name) for name in KIND if name in measures]
    head = [one.head for one in measures.values()]
    place = head.index("PSNR dB") + 1
    head.insert(place, "PSNR of mean L2")
    head += [f"P@{PRECISION_K}", *(one.head for one in kinds), "s/photo", "peak MB"]
    lines = ["| " + " | ".join(head := ["method", *head]) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in evaluation.results:
        cells = [_cell(result, one) for one in measures.values()]
        cells.insert(place, _shown(result.summary.psnr_of_mean_l2, 2))
        cells.append("" if result.precision is None else f"{result.precision:.3f}")
        cells += [f"{result.kind[one.name]:.3f}" if one.name in result.kind else "" for one in kinds]
        cells += [_seconds(result.cost), _shown(result.cost.memory, 0)]
        mark = f" {MARK}" if result.method.name in evaluation.about["seen"]["methods"] else ""
        lines.append("| " + " | ".join([result.method.name + mark, *cells]) + " |")
    return "\n".join(lines)


def tables(evaluation: Evaluation) -> str:
    """Return the table, that of the intervals, of irregular holes that by their area, and the notes, in Markdown."""
    intervals = interval_table(evaluation.results, _bootstrap(evaluation))
    areas = [area_table(evaluation.results, evaluation.areas), ""] if evaluation.settings.masks == "irregular" else []
    return "\n".join([markdown_table(evaluation), "", intervals, "", *areas, *notes(evaluation)])


def notes(evaluation: Evaluation) -> list[str]:
    """Return the lines under the table: what was measured and how, and what was left out."""
    about, settings = evaluation.about, evaluation.settings
    collection = about["collection"]
    part = f", of which methods fill from {settings.collection}" if settings.collection else ""
    lines = [
        f"{counted(len(evaluation.names), 'photo')} at {about['size']}x{about['size']}, holes: {settings.masks}, "
        f"seed {settings.seed}; collection of {counted(collection['photos'], 'photo')}{part}, indexed with hole "
        f"{collection['hole']}.",
        f"Region: {about['region']}. Range: {about['range']}. Averaging: {about['averaging']}.",
        f"s/photo: {about['seconds']}.",
        f"peak MB: {about['memory']}.",
        *_busy_notes(evaluation),
        *seen_notes(about["seen"], len(evaluation.names)),
        interval_note(len(evaluation.names)),
    ]
    lines += _kind_notes(evaluation)
    if judge := about["perceptual"]:
        lines.append(
            f"perceptual: mean over the layers {', '.join(judge['layers'])} of {judge['path']}, and over photos: squared "
            "difference of unit-length features under the hole, 0 is the truth. KID: kernel distance between the features of all "
            f"fills and all truths, whole photos, by {judge['layers'][-1]}; 0 is as near as other photos of the same sort."
        )
    if any(result.summary.identical for result in evaluation.results):
        each = [f"{r.method.name} {r.summary.identical}" for r in evaluation.results if r.summary.identical]
        lines.append(f"Fills identical to the truth (infinite PSNR, not in its mean): {', '.join(each)}.")
    if flat := evaluation.results[0].summary.flat:
        what = counted(flat, "photo", "is", "are")
        lines.append(f"{what} flat inside the hole: sharpness is undefined there, and not in the median.")
    if evaluation.leaks:
        what = "kept" if settings.keep_leaks else "left out"
        names = ", ".join(leak.query for leak in evaluation.leaks[:5]) + ", ..." * (len(evaluation.leaks) > 5)
        queries = "1 query" if len(evaluation.leaks) == 1 else f"{len(evaluation.leaks)} queries"
        lines.append(f"{queries} with near-duplicates in the collection, {what}: {names}.")
    if evaluation.unserved:
        lines.append(f"{counted(len(evaluation.unserved), 'photo')} that a method could not fill, left out for all.")
    if evaluation.unreadable:
        lines.append(f"{counted(len(evaluation.unreadable), 'query file')} could not be read.")
    return lines


def _busy_notes(evaluation: Evaluation) -> list[str]:
    """Return a line that says whose times are upper bounds."""
    busy = [f"{one.method.name} {one.cost.others:.0%}" for one in evaluation.results if one.cost.others > BUSY]
    if not busy:
        return []
    return [f"≤: an upper bound, as other work took more than {BUSY:.0%} of the cores meanwhile: {', '.join(busy)}."]


def _kind_notes(evaluation: Evaluation) -> list[str]:
    """Return what kind@k counts, and how many photos of a method it is about, where these are not all."""
    found = [result for result in evaluation.results if result.kind]
    if not found:
        return []
    lines = [
        "kind@1: share of photos whose best scene has the photo's label. "
        f"kind@{KEPT}: share of a photo's scenes with its label, of at most {KEPT} that the method kept, mean over photos."
    ]
    counts = {result.method.name: int(np.count_nonzero(~np.isnan(result.photos[KIND[0]]))) for result in found}
    if partly := [f"{name} {count}" for name, count in counts.items() if count < len(evaluation.names)]:
        lines.append(f"Photos with a label, and filled from a scene, that this counts: {', '.join(partly)}.")
    return lines


def write_report(evaluation: Evaluation, out: str | Path) -> list[Path]:
    """Write table.md, sheet-NN.png and results.json into `out`; return the paths.

    results.json comes last: where it stands, everything is written. What else is left of an earlier evaluation is removed:
    further sheets, and Table 1.
    Where a file cannot be written, no new one is left.

    Raises
    ------
    StorageError : a file cannot be written, or would replace one that ceret did not write.
    """
    out = Path(out)
    check_place(out)
    earlier = [one for one in (*out.glob("sheet-[0-9][0-9].png"), out / TABLE1) if one.exists() and is_own(one)]
    starts = range(0, len(evaluation.drawn), ROWS_A_SHEET)
    sheets = [out / sheet_name(number) for number, _ in enumerate(starts, start=1)]
    written = [out / TABLE, *sheets, out / RESULTS]
    with taken_back([*written, out]):
        make_folder(out)
        replace_file(out / TABLE, sealed_text(f"{tables(evaluation)}\n\n"))
        columns = ["photo", *(result.method.name for result in evaluation.results), "truth"]
        for path, start in zip(sheets, starts, strict=True):
            part = evaluation.drawn[start : start + ROWS_A_SHEET]
            rows, labels = [evaluation.pictures(row) for row in part], [evaluation.names[row] for row in part]
            save_result(path, contact_sheet(rows, row_labels=labels, column_labels=columns))
        text = json.dumps(_results(evaluation), indent=1, ensure_ascii=False, allow_nan=False)
        replace_file(out / RESULTS, sealed_json(f"{text}\n"))
    for stale in set(earlier) - set(sheets):
        with storage_errors(stale):
            stale.unlink()
    return written


def mean_distance(result: MethodResult) -> float:
    """Return the perceptual distance of a method, the mean over its layers."""
    return statistics.fmean(result.perceptual.values())


def _cell(result: MethodResult, measure: Measure) -> str:
    """Return a figure over all photos as the table shows it."""
    if measure.name not in result.photos:
        return ""
    if measure.name in PHOTO_METRICS:
        return _shown(getattr(result.summary, measure.name), measure.digits)
    return _shown(figure_of(result.photos[measure.name], measure.figure), measure.digits)


def _seconds(cost: Cost) -> str:
    return f"{'≤' if cost.others > BUSY else ''}{cost.seconds:.4f}"


def _shown(value: float, digits: int) -> str:
    return "–" if math.isnan(value) else f"{value:.{digits}f}"


def _results(evaluation: Evaluation) -> dict[str, Any]:
    """Return the whole evaluation as JSON types; undefined (NaN) and infinite numbers become null."""
    bootstrap = _bootstrap(evaluation)
    return {
        "about": evaluation.about,
        "settings": asdict(evaluation.settings),
        "methods": [
            {
                "name": result.method.name,
                **{key: _plain(value) for key, value in asdict(result.summary).items()},
                "precision": result.precision,
                **{name: result.kind.get(name) for name in KIND},
                "perceptual": {"mean": mean_distance(result), "layers": result.perceptual}
                if result.perceptual
                else None,
                "intervals": {
                    name: [_plain(one.low), _plain(one.high)] for name, one in intervals_of(result, bootstrap).items()
                },
                **{name: _plain(value) for name, value in result.cost._asdict().items()},
                "photos": {name: [_plain(value) for value in values] for name, values in result.photos.items()},
            }
            for result in evaluation.results
        ],
        "differences": [
            {
                "method": one.method,
                "other": one.other,
                "l2": _plain(one.interval.value),
                "interval": [_plain(one.interval.low), _plain(one.interval.high)],
            }
            for one in differences_of(evaluation.results, bootstrap)
        ],
        "photos": list(evaluation.names),
        "areas": evaluation.areas.tolist(),
        "leaks": [asdict(leak) for leak in evaluation.leaks],
        "unreadable": [left_out._asdict() for left_out in evaluation.unreadable],
        "unserved": [left_out._asdict() for left_out in evaluation.unserved],
    }


def _bootstrap(evaluation: Evaluation) -> Bootstrap:
    return Bootstrap(len(evaluation.names), evaluation.settings.seed)


def _plain(value: Any) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None
