"""Faults on purpose: kills while readers search, malformed input, flipped bits; a table of what ceret got wrong.

    python benchmarks/faults.py [--kills 200] [--photos 1000] [--containers 1000] [--indexes 200] [--bits 5] [--out FILE.md]

The short forms are tests (tests/faults), which also fill disks, write twice at once and take permissions away. Exits with 1, and
prints what was wrong, where anything was.
"""

import argparse
import itertools
import platform
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "tests" / "faults")]

import drivers  # noqa: E402
import whole_index  # noqa: E402

COMMANDS = ("index", "add", "remove", "compact", "merge", "tune")
MALFORMED = {
    "photos": "malformed photos (JPEG, PNG, WebP, TIFF, BMP, PPM)",
    "containers": "malformed tars and parquet files",
    "indexes": "malformed indexes, the checksums of half of them right, 14 commands each",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, count in (("kills", 200), ("photos", 1000), ("containers", 1000), ("indexes", 200), ("bits", 5)):
        parser.add_argument(f"--{name}", type=int, default=count)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    memory = Path("/dev/shm")
    lines, wrong = [], []
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        for name, cases in plan(options, Path(folder)):
            begun = time.perf_counter()
            tried, faults = cases()
            lines.append(f"| {name} | {tried} | {len(faults)} | {time.perf_counter() - begun:.0f} |")
            print(lines[-1], flush=True)
            wrong += faults
    print("\n".join(wrong))
    if options.out:
        write(options.out, lines, options.seed)
    sys.exit(bool(wrong))


def plan(options, folder):
    """Yield what is done: its name, and a function that returns how many cases it tried and what was wrong."""
    shares = [options.kills * number // len(COMMANDS) for number in range(len(COMMANDS) + 1)]
    for command, (start, end) in zip(COMMANDS, itertools.pairwise(shares), strict=True):
        place = folder / command
        place.mkdir()
        yield (
            f"`{command}` killed at a random moment, readers searching",
            lambda command=command, kills=end - start, place=place: drivers.kill(command, kills, options.seed, place),
        )
    for what, told in MALFORMED.items():
        place = folder / what
        place.mkdir()
        yield told, lambda what=what, place=place: drivers.fuzz(what, 0, getattr(options, what), place)
    yield "a flipped bit in a file of an index, 14 commands each", lambda: flipped(options, folder / "flips")


def flipped(options, folder):
    """Flip some bits of every file of an index."""
    import fake_kind
    from flips import Flips

    from ce_retrieval.photo_index import builder

    whole_index.small_segments()
    fake_kind.install()
    builder.missing_packages = list
    folder.mkdir()
    whole, rng = whole_index.make_collection(folder), random.Random(options.seed)
    flips, tried, faults = Flips(folder), 0, []
    for file in whole_index.files_of(whole):
        for _ in range(options.bits):
            tried += 1
            faults += [f"{file.relative_to(whole)}: {one}" for one in flips.faults(file, rng)[0]]
    return tried, faults


def write(out, lines, seed):
    head = [
        "# Faults on purpose",
        "",
        f"`python benchmarks/faults.py --seed {seed}`, Python {platform.python_version()}, {platform.machine()}. The index has "
        "codes, kind features, local features, a removed photo and a duplicate. Wrong would be: an index that does not open or "
        "answers otherwise than brute force, a reader that is disturbed, a next run that ends with other bytes than an "
        "undisturbed one; a traceback, an error of several lines, a hang, 1 GiB of memory; a bit that is not found, or written "
        "on with a checksum that is right.",
        "",
        "| what | cases | wrong | seconds |",
        "|---|---:|---:|---:|",
    ]
    out.write_text("\n".join([*head, *lines, ""]))


if __name__ == "__main__":
    main()
