"""How fast completion is: from a cold start, and over a folder, each beside a reference in the same run.

    python benchmarks/complete.py [--data FOLDER] [--index NAME.ceret] [--rounds N] [--out benchmarks/results/complete.md]

The data folder holds scenes/train (the collection) and scenes/val (photos to complete). Without --index the collection is
indexed first, into a temporary folder. Every figure is the wall time of a whole process. The rounds of all rows alternate,
so that a busy moment of the machine does not affect one row alone.
"""

import argparse
import importlib.util
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CERET = (sys.executable, "-c", "from cli.main import main; main()")
RIM = ("--method", "retrieval", "--rerank", "rim")
SIZE = 128


def seconds(*command: object) -> float:
    start = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def write_masks(photos: list[Path], home: Path, masks: Path) -> None:
    """A centre hole of half the height and width for every photo."""
    for photo in photos:
        width, height = Image.open(photo).size
        hole = np.zeros((height, width), np.uint8)
        hole[height // 4 : height // 4 + height // 2, width // 4 : width // 4 + width // 2] = 255
        target = (masks / photo.relative_to(home)).with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(hole).save(target)


def reference(photos: list[Path], out: Path) -> float:
    """Decode, resize and write as PNG, on all cores: the least that any program for photos does."""
    out.mkdir()

    def one(number: int) -> None:
        with Image.open(photos[number]) as image:
            image.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)
            image.save(out / f"{number}.png", compress_level=3)

    start = time.perf_counter()
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(one, range(len(photos))))
    return time.perf_counter() - start


def cold_rows(photo: Path, mask: Path, index: Path, scratch: Path, rounds: int) -> list[str]:
    complete = (*CERET, "complete", photo)
    use = ("--mask", mask, "--index", index)
    network = ("--method", "network", "--mask", mask)
    commands = {
        "`python -c pass`": lambda n: (sys.executable, "-c", "pass"),
        "`import numpy, faiss, h5py, pyarrow`": lambda n: (sys.executable, "-c", "import numpy, faiss, h5py, pyarrow"),
        "`import torch`": lambda n: (sys.executable, "-c", "import torch"),
        "`ceret --help`": lambda n: (*CERET, "--help"),
        "`ceret query`, one photo": lambda n: (*CERET, "query", photo, *use),
        "`ceret complete --method scenes`": lambda n: (
            *(*complete, *use, "--method", "scenes"),
            *("--out", scratch / f"scenes{n}"),
        ),
        "`ceret complete --method retrieval --rerank rim`": lambda n: (
            *(*complete, *use, *RIM),
            *("--out", scratch / f"cold{n}"),
        ),
        "`ceret complete --method retrieval`": lambda n: (
            *(*complete, *use, "--method", "retrieval"),
            *("--out", scratch / f"guided{n}"),
        ),
        "`ceret complete --method network`": lambda n: (*complete, *network, "--out", scratch / f"net{n}"),
    }
    if importlib.util.find_spec("torch") is None:
        del commands["`import torch`"]
    times: dict[str, list[float]] = {name: [] for name in commands}
    for number in range(rounds):
        for name, command in commands.items():
            times[name].append(seconds(*command(number)))
    return [f"| {name} | {min(taken):.2f} | {statistics.median(taken):.2f} |" for name, taken in times.items()]


def folder_rows(photos: list[Path], home: Path, masks: Path, index: Path, scratch: Path, rounds: int) -> list[str]:
    names = {
        "reference": "Pillow alone: decode, resize, write PNG",
        "blend": "`ceret complete --method retrieval --rerank rim`, blend",
        "again": "the same again: all done before",
        "mean": "the same with `--fill mean`, 20 blends a photo",
        "scenes": "`ceret complete --method scenes --rerank rim`, 200 scenes placed, 20 blended a photo; every tenth photo",
    }
    tenth = scratch / "tenth"
    for photo in photos[::10]:
        (tenth / photo.relative_to(home)).parent.mkdir(parents=True, exist_ok=True)
        (tenth / photo.relative_to(home)).symlink_to(photo.resolve())
    times: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        run = (*CERET, "complete", home, "--mask", masks, "--index", index, *RIM, "--out")
        times["reference"].append(reference(photos, scratch / f"reference{number}"))
        times["blend"].append(seconds(*run, scratch / f"blend{number}"))
        times["again"].append(seconds(*run, scratch / f"blend{number}"))
        times["mean"].append(seconds(*run, scratch / f"mean{number}", "--fill", "mean"))
        scenes = (*CERET, "complete", tenth, "--mask", masks, "--index", index, "--method", "scenes", "--rerank", "rim")
        times["scenes"].append(seconds(*scenes, "--out", scratch / f"scenes-{number}"))
    count = dict.fromkeys(names, len(photos)) | {"scenes": len(photos[::10])}
    rates = {name: count[name] / min(taken) for name, taken in times.items()}
    return [
        f"| {text} | {min(times[name]):.1f} | {rates[name]:.1f} | {rates[name] / rates['reference']:.3f} |"
        for name, text in names.items()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--index", type=Path, help="an index of the collection by thumbnails")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "complete.md")
    arguments = parser.parse_args()
    home = arguments.data / "scenes" / "val"
    photos = sorted(home.rglob("*.jpg"))
    collection = sum(1 for _ in (arguments.data / "scenes" / "train").rglob("*.jpg"))
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        index = arguments.index
        if index is None:
            index = scratch / "train.ceret"
            seconds(*CERET, "index", arguments.data / "scenes" / "train", "--features", "thumbnail", "--out", index)
        write_masks(photos, home, scratch / "masks")
        mask = (scratch / "masks" / photos[0].relative_to(home)).with_suffix(".png")
        cold = cold_rows(photos[0], mask, index, scratch, 2 * arguments.rounds + 1)
        rate = folder_rows(photos, home, scratch / "masks", index, scratch, arguments.rounds)
    lines = [
        "# Completion: time of a cold start, rate over a folder",
        "",
        f"`python benchmarks/complete.py`: collection `scenes/train` ({collection:,} photos) by thumbnails, centre hole; "
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}; load average "
        f"at the end {os.getloadavg()[0]:.1f} (two of it its own). Wall time of whole processes.",
        "",
        "| cold start | best, s | median, s |",
        "|---|---:|---:|",
        *cold,
        "",
        f"| the {len(photos)} photos of `scenes/val` | best of {arguments.rounds}, s | photos/s | rate over Pillow alone |",
        "|---|---:|---:|---:|",
        *rate,
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
