"""The rate of `ceret index` beside the rate of decoding and resizing the same photos with Pillow alone, in one run.

    python benchmarks/index_rate.py [--photos FOLDER] [--rounds N] [--out benchmarks/results/index_rate.md]

Pillow's row opens, converts to RGB and resizes (bicubic) every photo, on all cores, once with threads and once with
processes, in blocks of 32; the faster one counts. `ceret index` is the whole command: start, reading, hashing, describing,
writing, syncing to the disk. Rounds alternate over all rows; the best of each counts, and the median stands beside it. The
CPU time of a photo (user and system, all processes) depends less on what else the machine does. Where other processes took
more than 5 % of the machine during a run (Linux: /proc/stat), that run is repeated, for --patience seconds at most.
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

from PIL import Image

SIZE, BLOCK = 128, 32
REACH = {"thumbnail": 0.7, "hog": 0.5}
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


def index(photos: Path, features: str) -> float:
    folder = Path(tempfile.mkdtemp())
    command = [sys.executable, "-c", "from cli.main import main; main()", "index", str(photos)]
    start = time.perf_counter()
    subprocess.run(
        [*command, "--out", str(folder / "i.ceret"), "--features", features, "--kind", "none"],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - start
    shutil.rmtree(folder)
    return seconds


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
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "index_rate.md")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    decode(paths)  # into the page cache
    rows = {
        "Pillow alone, threads": lambda: pillow(paths, ThreadPoolExecutor),
        "Pillow alone, processes": lambda: pillow(paths, ProcessPoolExecutor),
        **{f"`ceret index --features {name}`": lambda name=name: index(arguments.photos, name) for name in REACH},
    }
    seconds: dict[str, list[float]] = {name: [] for name in rows}
    work: dict[str, list[float]] = {name: [] for name in rows}
    disturbed, until = 0.0, time.monotonic() + arguments.patience
    for number in range(arguments.rounds):
        for name, run in rows.items():
            taken, own, others = undisturbed(run, until)
            seconds[name].append(taken)
            work[name].append(own)
            disturbed = max(disturbed, others)
            print(f"{number + 1}: {name}: {len(paths) / taken:.0f} photos/s, others {others:.0%}", file=sys.stderr)
    base = max(len(paths) / min(taken) for name, taken in seconds.items() if name.startswith("Pillow"))
    middle = max(len(paths) / statistics.median(taken) for name, taken in seconds.items() if name.startswith("Pillow"))
    lines = [
        "# How fast photos are indexed",
        "",
        f"`python benchmarks/index_rate.py`: {len(paths)} photos of `{'/'.join(arguments.photos.parts[-2:])}`, resized to "
        f"{SIZE}x{SIZE}; {arguments.rounds} alternating rounds; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {platform.machine()}. Ratios are to the faster of the two pools. Other "
        f"processes took up to {disturbed:.0%} of the machine.",
        "",
        "| what | photos/s, best | median | ratio, best | median | to reach | CPU ms a photo |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, taken in seconds.items():
        best, median = len(paths) / min(taken), len(paths) / statistics.median(taken)
        reach = next((f"{ratio}" for features, ratio in REACH.items() if name.endswith(f"{features}`")), "")
        ratios = f"{best / base:.2f} | {median / middle:.2f} | {reach} | {1000 * min(work[name]) / len(paths):.2f}"
        lines.append(f"| {name} | {best:.0f} | {median:.0f} | {ratios} |")
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
