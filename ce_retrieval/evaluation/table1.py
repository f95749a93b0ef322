"""Table 1 of Pathak et al. 2016 on any photos: nearest neighbours by HOG and by learned features, and the network's own fill."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ce_retrieval.errors import counted
from ce_retrieval.evaluation.comparison import intervals_of
from ce_retrieval.evaluation.intervals import LEVEL, Bootstrap, Interval
from ce_retrieval.evaluation.measuring import MethodResult
from ce_retrieval.evaluation.place import TABLE1
from ce_retrieval.evaluation.report import notes, write_report
from ce_retrieval.evaluation.run import Evaluation
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.own_files import check_free, sealed_text
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.storage import replace_file, taken_back

HOG, NETWORK = "hog", "network"
LEARNED = "encoder:fill"  # where the index itself holds no learned features


class Row(NamedTuple):
    """A row of the paper's table: L1 and L2 in percent, PSNR in dB."""

    method: str
    l1: float
    l2: float
    psnr: float


#: In the order of the methods of `table1_settings`.
PAPER = (
    Row("NN-inpainting (HOG features)", 19.92, 6.92, 12.79),
    Row("NN-inpainting (our features)", 15.10, 4.30, 14.70),
    Row("Our Reconstruction (joint)", 9.37, 1.96, 18.58),
)
#: What stands under the table.
NOTE = (
    "The paper's figures are about other photos: 100 of Paris StreetView at 128x128 px, with neighbours from that set, on which "
    "its network was trained, too. A collection of other places has worse neighbours, most of all by HOG, which knows edges "
    "alone; and a network that has not seen the place has the harder task. So compare the rows with each other first. The "
    "network that ships with ceret is built differently (MODEL_CARD.md), and was trained without an adversary."
)


def table1_settings(
    index: PhotoIndex, *, seed: int = 0, limit: int | None = None, weights: str | None = None, keep_leaks: bool = False
) -> EvaluationSettings:
    """Return the settings of the paper's protocol: the central quarter is missing, and the nearest context is pasted.

    The learned features are those of the index if they are an encoder's, else `encoder:fill`. The arguments are those of
    `EvaluationSettings`.

    Raises
    ------
    SettingsError : a value is out of range.
    """
    methods = HOG, learned_features(index), NETWORK
    return EvaluationSettings(methods, seed=seed, limit=limit, weights=weights, keep_leaks=keep_leaks)


def learned_features(index: PhotoIndex) -> str:
    """Return the learned features that stand for the paper's."""
    features = index.manifest.descriptor
    return features if features.startswith("encoder") else LEARNED


def table1(evaluation: Evaluation) -> str:
    """Return the table in Markdown: each method's figures with their intervals, and the paper's beside them.

    evaluation : made with the settings of `table1_settings`.
    """
    bootstrap = Bootstrap(len(evaluation.names), evaluation.settings.seed)
    head = [
        "method",
        "in the paper",
        *(f"{name}{whose}" for name in ("L1 %", "L2 %", "PSNR dB") for whose in ("", ", paper")),
    ]
    lines = ["| " + " | ".join(head) + " |", "|---|---|" + "---:|" * (len(head) - 2)]
    for row, result in zip(PAPER, evaluation.results, strict=True):
        lines.append("| " + " | ".join(_cells(result, row, intervals_of(result, bootstrap))) + " |")
    about = (
        f"In brackets: {100 * LEVEL:g} % intervals, by bootstrap over the {counted(len(evaluation.names), 'photo')}. Means over "
        "the pixels of the central hole, of photos in [0, 1]; PSNR is the mean over photos."
    )
    return "\n".join([*lines, "", about, "", NOTE, "", *notes(evaluation)])


def _cells(result: MethodResult, paper: Row, intervals: Mapping[str, Interval]) -> list[str]:
    cells = [result.method.name, paper.method]
    for name, told in (("l1", paper.l1), ("l2", paper.l2), ("psnr", paper.psnr)):
        value, (_, low, high) = getattr(result.summary, name), intervals[name]
        cells += [f"{value:.2f} ({low:.2f} to {high:.2f})", f"{told:.2f}"]
    return cells


def paper_figures(evaluation: Evaluation) -> list[dict[str, Any]]:
    """Return the rows of the table as JSON types: the method, its figures, and the paper's."""
    return [
        {
            "method": result.method.name,
            **{name: getattr(result.summary, name) for name in ("l1", "l2", "psnr")},
            "paper": row._asdict(),
        }
        for row, result in zip(PAPER, evaluation.results, strict=True)
    ]


def check_table1(out: Path) -> None:
    """Raise StorageError where `out` holds a table1.md that ceret did not write."""
    check_free(out / TABLE1)


def write_table1(evaluation: Evaluation, out: str | Path) -> list[Path]:
    """Write table1.md and what `write_report` writes into `out`; return the paths. Errors as of `write_report`."""
    out = Path(out)
    check_table1(out)
    path = out / TABLE1
    with taken_back([path]):
        written = write_report(evaluation, out)
        replace_file(path, sealed_text(f"{table1(evaluation)}\n"))
    return [path, *written]
