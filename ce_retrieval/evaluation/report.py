"""An evaluation on paper: a Markdown table, `results.json`, and contact sheets."""

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.evaluation.protocol import Evaluation
from ce_retrieval.figures import contact_sheet
from ce_retrieval.photos import save_photo
from ce_retrieval.storage import make_folder, replace_file

ROWS_A_SHEET = 8


def markdown_table(evaluation: Evaluation) -> str:
    """Return the table of Pathak et al. 2016, Table 1, with more columns; one row a method."""
    k = evaluation.settings.precision_k
    head = ["method", "L1 %", "L2 %", "PSNR dB", "PSNR of mean L2", "SSIM", "sharpness", f"P@{k}", "s/photo"]
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    for result in evaluation.results:
        s = result.summary
        precision = "" if result.precision is None else f"{result.precision:.3f}"
        cells = [result.method.name, f"{s.l1:.2f}", f"{s.l2:.2f}", f"{s.psnr:.2f}", f"{s.psnr_of_mean_l2:.2f}"]
        cells += [f"{s.ssim:.3f}", f"{s.sharpness:.2f}", precision, f"{result.seconds:.4f}"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def notes(evaluation: Evaluation) -> list[str]:
    """Return the lines that belong under the table: what was measured, and what was left out."""
    about, settings = evaluation.about, evaluation.settings
    collection = about["collection"]
    lines = [
        f"{len(evaluation.names)} photos at {about['size']}x{about['size']}, {settings.masks} holes, seed {settings.seed}; "
        f"collection of {collection['photos']} photos, --hole {collection['hole']}.",
        f"Region: {about['region']}. Range: {about['range']}. {about['averaging']}.",
    ]
    if evaluation.leaks:
        what = "kept" if settings.keep_leaks else "left out"
        lines.append(f"{len(evaluation.leaks)} queries have near-duplicates in the collection and were {what}.")
    if evaluation.skipped:
        lines.append(f"{len(evaluation.skipped)} query files could not be read.")
    return lines


def write_report(evaluation: Evaluation, out: str | Path) -> list[Path]:
    """Write results.json, table.md and sheet-NN.png into `out`; return the paths. StorageError where that fails."""
    out = Path(out)
    make_folder(out)
    written = [out / "results.json", out / "table.md"]
    replace_file(written[0], (json.dumps(_results(evaluation), indent=1, ensure_ascii=False) + "\n").encode())
    replace_file(written[1], ("\n".join([markdown_table(evaluation), "", *notes(evaluation)]) + "\n").encode())
    columns = ["photo", *(result.method.name for result in evaluation.results), "truth"]
    for number, start in enumerate(range(0, len(evaluation.sheet), ROWS_A_SHEET), start=1):
        part = slice(start, start + ROWS_A_SHEET)
        sheet = contact_sheet(evaluation.sheet[part], row_labels=evaluation.sheet_names[part], column_labels=columns)
        written.append(out / f"sheet-{number:02d}.png")
        save_photo(written[-1], sheet)
    return written


def _results(evaluation: Evaluation) -> dict[str, Any]:
    """Return the whole evaluation as JSON types; what is undefined (NaN) or infinite becomes null."""
    return {
        "about": evaluation.about,
        "settings": asdict(evaluation.settings),
        "methods": [
            {
                "name": result.method.name,
                **{key: _plain(value) for key, value in asdict(result.summary).items()},
                "precision": result.precision,
                "seconds": result.seconds,
                "photos": {name: [_plain(value) for value in values] for name, values in result.photos.items()},
            }
            for result in evaluation.results
        ],
        "photos": list(evaluation.names),
        "leaks": [asdict(leak) for leak in evaluation.leaks],
        "skipped": list(evaluation.skipped),
    }


def _plain(value: float | np.floating) -> float | int | None:
    if isinstance(value, int):
        return value
    return float(value) if math.isfinite(value) else None
