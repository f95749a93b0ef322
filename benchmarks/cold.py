"""What one cold call costs: a query and a completion of one small photo, each a process of its own.

    python benchmarks/cold.py --index NAME.ceret [--photos FOLDER] [--rounds N] [--out benchmarks/results/cold.md]

The index has the default features and kind features. A round takes each row once, with the same photo of the folder, resized to
128 px, under a hole of half its height and width; the next round takes the next photo. The first round is not counted. CPU time
(user and system) depends less on what else the machine does.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
CERET = (sys.executable, "-c", "from cli.main import main; main()")
LIBRARIES = "`import numpy, faiss, h5py, pyarrow`"
ROWS = {
    LIBRARIES: (None, ()),
    "`ceret query PHOTO --mask M --index I --out O.png`": ("1.2", ("query",)),
    "`ceret complete PHOTO --mask M --index I --method scenes`": ("2.5", ("complete", "--method", "scenes")),
    "`ceret complete PHOTO --mask M --index I`": (None, ("complete",)),
}
SIZE = 128


def run(arguments: tuple[str, ...], photo: Path, mask: Path, index: Path, out: Path) -> tuple[float, float, float]:
    """Return the seconds, the CPU seconds and the peak memory in MB of a command."""
    command: tuple[object, ...] = (sys.executable, "-c", "import numpy, faiss, h5py, pyarrow")
    if arguments:
        target = out.with_suffix(".png") if arguments[0] == "query" else out
        name, *options = arguments
        command = (*CERET, name, photo, "--mask", mask, "--index", index, "--out", target, *options)
    # An installed package has its bytecode.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    start = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command], cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(map(str, command))} ended with {process.returncode}")
    return time.perf_counter() - start, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--photos", type=Path, default=ROOT.parent / "shared" / "data" / "scenes" / "val")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "cold.md")
    arguments = parser.parse_args()
    photos = sorted(arguments.photos.rglob("*.jpg"))[:: max(1, 600 // (arguments.rounds + 1))]
    measured: dict[str, list[tuple[float, float, float]]] = {name: [] for name in ROWS}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        hole = np.zeros((SIZE, SIZE), np.uint8)
        hole[SIZE // 4 : -SIZE // 4, SIZE // 4 : -SIZE // 4] = 255
        Image.fromarray(hole).save(scratch / "mask.png")
        for number in range(arguments.rounds + 1):
            photo = scratch / f"{number}.png"
            Image.open(photos[number]).convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(photo)
            for place, (name, (_, command)) in enumerate(ROWS.items()):
                out = scratch / f"out{number}-{place}"
                taken = run(command, photo, scratch / "mask.png", arguments.index.absolute(), out)
                if number:
                    measured[name].append(taken)
    lines = [
        "# What one cold call costs",
        "",
        f"`python benchmarks/cold.py`: one photo of {SIZE} px, centre hole, an index of `scenes/train` (14,008 photos) by "
        f"the default features; {arguments.rounds} alternating rounds; {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {platform.machine()}; "
        f"load average at the end {os.getloadavg()[0]:.1f} (one to two of it its own).",
        "",
        "| process | best, s | median, s | to reach, s | CPU s, best | median | peak memory, MB |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, runs in measured.items():
        wall, work, memory = zip(*runs, strict=True)
        lines.append(
            f"| {name} | {min(wall):.2f} | {statistics.median(wall):.2f} | {ROWS[name][0] or ''} | {min(work):.2f} | "
            f"{statistics.median(work):.2f} | {max(memory):.0f} |"
        )
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
