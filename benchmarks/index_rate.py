"""The rate of `ceret index` beside the rate of decoding and resizing the same photos with Pillow alone, in one run.

    python benchmarks/index_rate.py [--photos FOLDER] [--rounds N] [--out benchmarks/results/index_rate.md]

Pillow's row opens, converts to RGB and resizes (bicubic) every photo, on all cores, once with threads and once with
processes, in blocks of 32; the faster one counts. `ceret index` is the whole command: start, reading, hashing, describing,
writing, syncing to the disk. Rounds alternate over all rows; the best of each counts, and the median stands beside it. The
CPU time of a photo (user and system, all processes) depends less on what else the machine does. Where other processes took
more than 5 % of the machine during a run (Linux: /proc/stat), that run is repeated, for --patience seconds at most.

The default also describes the kind of each photo by a network, whose rate alone, on decoded photos and all cores, bounds it:
it stands in a row of its own, of fewer photos (--kinds), and both rows run once.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.photos import load_photo

SIZE, BLOCK = 128, 32
REACH = {"--features thumbnail --kind none": "0.7", "--features hog --kind none": "0.5", "--kind none": "0.7"}
DEFAULT, NETWORK = "`ceret index`", "the network of kinds alone"
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes" / "train"


def decode(paths: list[Path]) -> None:
    for path in paths:
        with Image.open(path) as photo:
            photo.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def pillow(paths: list[Path], pool: type) -> float:
    blocks = [paths[start : start + BLOCK] for start in range(0, len(paths), BLOCK)]
    start = time.perf_counter()
    with pool(os.cpu_count()) as workers:
        list(workers.map(decode, blocks))
    return time.perf_counter() - start


def index(photos: Path, options: str) -> float:
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-c", "from cli.main import main; main()", "index", str(photos)]
    # An installed package has its bytecode.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    subprocess.run(
        [*command, "--out", str(folder / "i.ceret"), *options.split()],
        check=True,
        capture_output=True,
        env=environment,
    )
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds


def kinds(paths: list[Path]) -> Callable[[], float]:
    """Return what measures the seconds that the network of kinds takes for decoded photos, on all cores."""
    from ce_retrieval.descriptors.one_vector import make_one_vector

    kind = make_one_vector("kind", SIZE)
    photos = np.stack([load_photo(path, size=SIZE).pixels for path in paths])
    blocks = [photos[start : start + BLOCK] for start in range(0, len(photos), BLOCK)]
    kind.describe(blocks[0])

    def run() -> float:
        start = time.perf_counter()
        with ThreadPoolExecutor(os.cpu_count()) as workers:
            list(workers.map(kind.describe, blocks))
        return time.perf_counter() - start

    return run


def busy_seconds() -> float:
    """CPU time that all processes of the machine have taken so far."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split()[1:9]]
    return (sum(fields) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


def undisturbed(run: Callable[[], float], until: float) -> tuple[float, float, float]:
    """Repeat until nothing else runs, or it is late: seconds, CPU seconds, share of the machine that others took."""
    while True:
        all_before, own_before = busy_seconds(), sum(os.times()[:4])
        seconds = run()
        own = sum(os.times()[:4]) - own_before
        others = max(busy_seconds() - all_before - own, 0) / seconds / (os.cpu_count() or 1)
        if others < 0.05 or time.monotonic() > until:
            return seconds, own, others
        time.sleep(3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--patience", type=float, default=300)
    parser.add_argument("--kinds", type=int, default=2048)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "index_rate.md")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    decode(paths)  # into the page cache
    few = paths[: arguments.kinds]
    rows = {
        "Pillow alone, threads": lambda: pillow(paths, ThreadPoolExecutor),
        "Pillow alone, processes": lambda: pillow(paths, ProcessPoolExecutor),
        **{f"`ceret index {options}`": lambda options=options: index(arguments.photos, options) for options in REACH},
        DEFAULT: lambda: index(arguments.photos, ""),
    }
    counts = {**dict.fromkeys(rows, len(paths)), NETWORK: len(few)}
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in rows}
    until = time.monotonic() + arguments.patience
    for number in range(arguments.rounds):
        for name, run in rows.items():
            if number and name == DEFAULT:
                continue
            measured[name].append(undisturbed(run, until))
            taken, _, others = measured[name][-1]
            print(f"{number + 1}: {name}: {counts[name] / taken:.0f} photos/s, others {others:.0%}", file=sys.stderr)
    measured[NETWORK] = [undisturbed(kinds(few), until)]  # last: torch's threads do not survive the fork of a pool
    write(arguments, measured, counts)


def write(
    arguments: argparse.Namespace, measured: dict[str, list[tuple[float, float, float]]], counts: dict[str, int]
) -> None:
    """Write the table of (seconds, CPU seconds, share of the machine that others took) of each run."""
    best = {name: counts[name] / min(run[0] for run in runs) for name, runs in measured.items()}
    middle = {name: counts[name] / statistics.median(run[0] for run in runs) for name, runs in measured.items()}
    work = {name: 1000 * min(run[1] for run in runs) / counts[name] for name, runs in measured.items()}
    base = max((name for name in measured if name.startswith("Pillow")), key=lambda name: middle[name])
    others = statistics.median(run[2] for runs in measured.values() for run in runs)
    most = max(run[2] for runs in measured.values() for run in runs)
    lines = [
        "# How fast photos are indexed",
        "",
        f"`python benchmarks/index_rate.py`: {max(counts.values())} photos of `{'/'.join(arguments.photos.parts[-2:])}`, "
        f"resized to {SIZE}x{SIZE}; {arguments.rounds} alternating rounds; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {platform.machine()}. Ratios are to the faster of the two pools. Other "
        f"processes took {others:.0%} of the machine (median), up to {most:.0%}.",
        "",
        "| what | photos/s, best | median | ratio, best | median | to reach | CPU ms a photo | ratio |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for name in measured:
        reach = next((ratio for options, ratio in REACH.items() if name == f"`ceret index {options}`"), "")
        lines.append(
            f"| {name} | {best[name]:.0f} | {middle[name]:.0f} | {best[name] / best[base]:.2f} | "
            f"{middle[name] / middle[base]:.2f} | {reach} | {work[name]:.2f} | {work[base] / work[name]:.2f} |"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
