"""The figures of an experiment for publication: PNG and PDF for each kind of holes, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ce_retrieval.evaluation.plots.drawing import pdf_of, pixels_of
from ce_retrieval.evaluation.plots.method_sheet import LARGE_PHOTOS, LARGEST, chosen_methods, method_sheet, spread
from ce_retrieval.evaluation.plots.overview import overview_figure, planes_of
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.own_files import check_picture, sealed_pdf
from ce_retrieval.photos.files import save_result
from ce_retrieval.storage import replace_file

FIGURES = ("figure6", "figure5", "overview")
FORMS = (".png", ".pdf")


def check_figures(out: Path, kinds: Sequence[str]) -> None:
    """Raise StorageError where a figure would replace a file that ceret did not write; kinds: names of kinds of holes."""
    for path in (out / f"{figure}-{kind}{form}" for figure in FIGURES for kind in kinds for form in FORMS):
        check_picture(path)


def write_figures(out: Path, evaluations: Mapping[str, tuple[Evaluation, Evaluation]]) -> list[Path]:
    """Write the figures of each kind of holes, FIGURE-KIND.png and .pdf; return the paths.

    Parameters
    ----------
    evaluations : by the kind of holes, the figures over all seeds, and the evaluation whose pictures are shown.

    Raises
    ------
    InstallationError
        matplotlib is not installed.
    StorageError
        A file cannot be written.
    """
    written = []
    for kind, (pooled, evaluation) in evaluations.items():
        made: dict[str, Any] = {"figure6": method_sheet(evaluation)}
        if two := chosen_methods(evaluation):
            made["figure5"] = method_sheet(evaluation, two, spread(evaluation.drawn, LARGE_PHOTOS), LARGEST)
        if planes := planes_of(pooled):
            made["overview"] = overview_figure(planes, f"holes: {kind}")
        for name, figure in made.items():
            png, pdf = (out / f"{name}-{kind}{form}" for form in FORMS)
            save_result(png, pixels_of(figure))
            replace_file(pdf, sealed_pdf(pdf_of(figure)))
            written += [png, pdf]
    return written
