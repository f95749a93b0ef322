"""What first weights are worth to classification: every initialisation, by labels a class, over several seeds.

    python benchmarks/transfer.py --data scenes/train --val scenes/val --encoder runs/region/best.safetensors \\
        --autoencoder runs/autoencoder/best.safetensors --out runs/transfer

Writes transfer.md into --out, row by row. What is done there is not done again, so a run that was stopped goes on; two processes
may share the work by --only.
"""

import argparse
from pathlib import Path

import torch

from ce_retrieval.transfer.classify import classify
from ce_retrieval.transfer.results import ResultFiles, SeedResult, figures
from ce_retrieval.transfer.runs import CHECKPOINT
from ce_retrieval.transfer.settings import ClassificationSettings, FineTuning

# Photos of 150 px are seen at about the size at which the weights were trained.
SIZE = 131
STEPS = {10: 60, 100: 200}  # of training all layers, by labels a class
RATE = 3e-3


def main() -> None:
    """Measure what is not there yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("data", "val", "encoder", "autoencoder", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument(
        "--seeds", type=int, default=3, choices=range(2, 101), metavar="2-100", help="an interval needs two"
    )
    parser.add_argument("--only", choices=("probe", "fine-tuning"), help="one half of the work")
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    starts = ("random", f"autoencoder:{options.autoencoder}", f"encoder:{options.encoder}")
    columns = [("probe", 10), ("probe", 100), ("probe", None), ("fine-tuning", 10), ("fine-tuning", 100)]
    for way, labels in columns:
        for init in starts:
            for rescale in (False, True):
                # Without rescaling, Gaussian fc6 and fc7 take thousands of steps to begin to learn.
                if options.only in (None, way) and (rescale or way == "probe"):
                    one(options, init, rescale, way, labels)
                    write_table(options.out, starts, columns)


def folder(out: Path, init: str, rescale: bool, way: str, labels: int | None) -> Path:
    """Return where the results of a cell of the table are."""
    return out / f"{init.partition(':')[0]}{'-rescaled' if rescale else ''}-{way}-{labels or 'all'}"


def one(options: argparse.Namespace, init: str, rescale: bool, way: str, labels: int | None) -> None:
    """Measure a cell of the table, if it is not there."""
    out = folder(options.out, init, rescale, way, labels)
    if finished(out):
        return
    tuning = None if way == "probe" else FineTuning(steps=STEPS[labels or 0], batch=32, rate=RATE, checkpoint_every=50)
    settings = ClassificationSettings(
        init=init, rescale=rescale, seeds=options.seeds, labels=labels, size=SIZE, crops=1, fine_tuning=tuning
    )
    resume = (out / "results.json").exists() or (out / CHECKPOINT).exists()
    classify(options.data, out, settings, val=options.val, device=torch.device("cpu"), resume=resume)
    print(out.name, figures(finished(out))["accuracy"], flush=True)


def finished(out: Path) -> list[SeedResult]:
    """Return the results of a folder, none where a seed is missing."""
    files = ResultFiles(out, {})
    stored = files.stored()
    return [SeedResult(**seed) for seed in stored["seeds"]] if stored.get("complete") else []


def write_table(out: Path, starts: tuple[str, ...], columns: list[tuple[str, int | None]]) -> None:
    """Write transfer.md: a row for each initialisation, the accuracy and its interval in each column."""
    heads = [f"{way}, {labels or 'all'} labels" for way, labels in columns]
    lines = ["| initialisation | " + " | ".join(heads) + " |", "|---|" + "---:|" * len(heads)]
    for init in starts:
        for rescale in (False, True):
            cells = []
            for way, labels in columns:
                seeds = finished(folder(out, init, rescale, way, labels))
                found = figures(seeds)["accuracy"] if seeds else None
                cells.append("" if found is None else f"{found.mean:.1f} ({found.low:.1f} to {found.high:.1f})")
            name = init.partition(":")[0] + (" + rescale" if rescale else "")
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
    (out / "transfer.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
