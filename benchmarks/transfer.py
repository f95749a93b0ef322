"""What first weights are worth to other tasks: every initialisation, over several seeds.

    python benchmarks/shapes_voc.py --shapes shapes --train scenes/train --test scenes/val --out VOCshapes
    python benchmarks/transfer.py --data scenes/train --val scenes/val --voc VOCshapes \\
        --encoder runs/region/best.safetensors --autoencoder runs/autoencoder/best.safetensors --out runs/transfer

Classification by labels a class; detection and segmentation of pasted shapes. Writes transfer.md into --out, cell by cell. What
is done there is not done again, so a run that was stopped goes on; two processes may share the work by --only.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from ce_retrieval.transfer.classify import classify
from ce_retrieval.transfer.detect import detect
from ce_retrieval.transfer.results import ResultFiles, SeedResult, figures
from ce_retrieval.transfer.runs import CHECKPOINT
from ce_retrieval.transfer.segment import segment
from ce_retrieval.transfer.settings import (
    LAYERS,
    ClassificationSettings,
    DetectionSettings,
    FineTuning,
    SegmentationSettings,
    TransferSettings,
)

# Photos of 150 px are seen at about the size at which the weights were trained.
CLASSES = ClassificationSettings(size=131, crops=1)
RATE = 3e-3  # of training all layers from rescaled weights; three times as much diverges
# Without rescaling, Gaussian fc6 and fc7 take thousands of steps to begin to learn.
DETECTION = DetectionSettings(units=512, shorter=200, fine_tuning=FineTuning(steps=1000, batch=2, rate=0.006))
# The finer scores learn whatever fc6 and fc7 do; batch norm bears a rate at which rescaled weights diverge.
SEGMENTATION = SegmentationSettings(units=512, fcn="8s", fine_tuning=FineTuning(steps=300, batch=4, rate=0.05))
CPU = torch.device("cpu")
BY_LAYER = 100  # labels a class


class Column(NamedTuple):
    """A column of the table.

    Attributes
    ----------
    name : its head.
    part : of the work, for --only.
    settings : the task, and how it is learned.
    rescaled : the rows that it has: weights that are rescaled, or not.
    most_seeds : where more would take hours.
    figure : that is shown.
    """

    name: str
    part: str
    settings: TransferSettings
    rescaled: tuple[bool, ...]
    most_seeds: int = 100
    figure: str = "accuracy"


COLUMNS = (
    *(
        Column(f"probe, {labels} labels", "probe", replace(CLASSES, labels=labels), (False, True))
        for labels in (10, 100)
    ),
    Column("probe, all labels", "probe", CLASSES, (False, True)),
    *(
        Column(
            f"all layers, {labels} labels",
            "fine-tuning",
            replace(CLASSES, labels=labels, fine_tuning=FineTuning(steps=steps, rate=RATE, checkpoint_every=50)),
            (True,),
        )
        for labels, steps in ((10, 60), (100, 300))
    ),
    Column(
        "all layers, all labels",
        "fine-tuning",
        replace(CLASSES, fine_tuning=FineTuning(steps=900, rate=RATE, checkpoint_every=50)),
        (True,),
        most_seeds=1,
    ),
    Column("detection, mAP %", "shapes", DETECTION, (True,), 1, "map_11"),
    Column("segmentation, mean IU %", "shapes", SEGMENTATION, (False,), figure="mean_iu"),
)
LAYER_COLUMNS = tuple(
    Column(layer, "layers", replace(CLASSES, labels=BY_LAYER, layer=layer), (False,))
    for layer in LAYERS
    if layer != CLASSES.layer
)


def main() -> None:
    """Measure what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "val", "voc", "encoder", "autoencoder", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3, choices=range(1, 101), metavar="1-100")
    parser.add_argument("--only", choices=("probe", "fine-tuning", "shapes", "layers"), help="a part of the work")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for column in (*COLUMNS, *LAYER_COLUMNS):
        for init, rescale in rows(options):
            if options.only in (None, column.part) and rescale in column.rescaled:
                one(options, column, init, rescale)
                write_table(options)


def rows(options: argparse.Namespace) -> list[tuple[str, bool]]:
    """Return the rows of the table: an initialisation, and whether it is rescaled."""
    starts = ("random", f"autoencoder:{options.autoencoder}", f"encoder:{options.encoder}")
    return [(init, rescale) for init in starts for rescale in (False, True)]


def folder(out: Path, column: Column, init: str, rescale: bool) -> Path:
    """Return where the results of a cell are."""
    row = init.partition(":")[0] + ("-rescaled" if rescale else "")
    return out / f"{column.name.partition(' %')[0].replace(', ', '-').replace(' ', '-')}-{row}"


def one(options: argparse.Namespace, column: Column, init: str, rescale: bool) -> None:
    """Measure a cell of the table, or the seeds of it that are not there."""
    out, seeds = folder(options.out, column, init, rescale), min(options.seeds, column.most_seeds)
    if len(finished(out)) >= seeds:
        return
    settings = replace(column.settings, init=init, rescale=rescale, seeds=seeds)
    resume = (out / "results.json").exists() or (out / CHECKPOINT).exists()
    match settings:
        case ClassificationSettings():
            classify(options.data, out, settings, val=options.val, device=CPU, resume=resume)
        case DetectionSettings():
            proposals = [options.voc / "proposals.npz"]
            detect(options.voc, out, settings, proposals=proposals, device=CPU, resume=resume)
        case SegmentationSettings():
            segment(options.voc, out, settings, device=CPU, resume=resume)
    print(out.name, figures(finished(out))[column.figure], flush=True)


def finished(out: Path) -> list[SeedResult]:
    """Return the results of a folder, none where a seed is missing."""
    files = ResultFiles(out, {})
    stored = files.stored()
    return [SeedResult(**seed) for seed in stored["seeds"]] if stored.get("complete") else []


def write_table(options: argparse.Namespace) -> None:
    """Write transfer.md: the figures and their intervals over the seeds."""
    shapes = tuple(column for column in COLUMNS if column.part == "shapes")
    lines = [
        "# What first weights are worth to other tasks",
        "",
        "Accuracy in percent:",
        "",
        *table(options, tuple(column for column in COLUMNS if column not in shapes)),
        "",
        "Pasted shapes:",
        "",
        *table(options, shapes),
        "",
        f"Accuracy by the layer of the probe, {BY_LAYER} labels:",
        "",
        *table(options, LAYER_COLUMNS),
    ]
    (options.out / "transfer.md").write_text("\n".join(lines) + "\n")


def table(options: argparse.Namespace, columns: tuple[Column, ...]) -> list[str]:
    """Return the lines of a table: a row for each initialisation that any column has."""
    lines = ["| first weights | " + " | ".join(one.name for one in columns) + " |", "|---|" + "---:|" * len(columns)]
    for init, rescale in rows(options):
        if not any(rescale in column.rescaled for column in columns):
            continue
        cells = []
        for column in columns:
            seeds = finished(folder(options.out, column, init, rescale))
            found = figures(seeds)[column.figure] if seeds else None
            cell = "" if found is None else f"{found.mean:.1f}"
            cells.append(f"{cell} ({found.low:.1f} to {found.high:.1f})" if found and found.low is not None else cell)
        name = init.partition(":")[0] + (" + rescale" if rescale else "")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return lines


if __name__ == "__main__":
    main()
