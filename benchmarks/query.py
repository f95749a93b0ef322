"""A warm hole-aware query beside FAISS's own flat search over a matrix of the same shape, in one run.

    python benchmarks/query.py [--photos FOLDER] [--rounds N] [--out benchmarks/results/query.md]

Raw: `IndexFlatIP.search` of one query for the k nearest, with FAISS's default threads. Ours: `PhotoIndex.search` of one
described query with its weights, including the exact distances and their order; and `find_neighbors`, from the photo and its
hole to records. Rounds alternate; median and best of each.
"""

import argparse
import os
import platform
import statistics
import sys
import tempfile
import time
from pathlib import Path

import faiss
import numpy as np

from ce_retrieval.descriptors import cell_weights
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.retrieval.search import find_neighbors

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes" / "train"


def measure(runs: dict, rounds: int) -> dict:
    seconds = {name: [] for name in runs}
    for run in runs.values():
        run(0)
    for number in range(rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run(number)
            seconds[name].append(time.perf_counter() - start)
    return seconds


def rows_of(path: Path, rounds: int) -> list[str]:
    index = PhotoIndex.open(path)
    size = index.manifest.size
    dimension = index.manifest.cells * (index.manifest.channels + 1)
    hole = center_holes(1, size)[0]
    photos = [index.read_photo(record, size).pixels for record in index.records(range(0, len(index), len(index) // 16))]
    weights = cell_weights(index.descriptor, hole)[None]
    grids = [index.descriptor.describe(photo[None], hole[None]) for photo in photos]
    rng = np.random.default_rng(0)
    raw = faiss.IndexFlatIP(dimension)
    for _ in range(0, len(index), 1000):
        raw.add(rng.standard_normal((min(1000, len(index) - raw.ntotal), dimension), np.float32))
    queries = rng.standard_normal((16, 1, dimension), np.float32)
    lines = []
    for k in (20, 200):
        runs = {
            "raw": lambda n, k=k: raw.search(queries[n % 16], k),
            "search": lambda n, k=k: index.search(grids[n % 16], weights, k),
            "whole": lambda n, k=k: find_neighbors(index, photos[n % 16], hole, k),
        }
        seconds = measure(runs, rounds)
        raw_ms, ours_ms, whole_ms = (1000 * statistics.median(seconds[name]) for name in runs)
        best = min(seconds["search"]) / min(seconds["raw"])
        lines.append(
            f"| `{index.manifest.descriptor}` | {len(index)} x {dimension} | {k} | {raw_ms:.1f} | {ours_ms:.1f} | "
            f"{ours_ms / raw_ms:.2f} | {best:.2f} | {whole_ms:.1f} |"
        )
        print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "query.md")
    arguments = parser.parse_args()
    lines = [
        "# A warm hole-aware query",
        "",
        f"`python benchmarks/query.py`: one query, centre hole, over `{'/'.join(arguments.photos.parts[-2:])}`; "
        f"{arguments.rounds} alternating rounds, medians; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.machine()}, FAISS {faiss.__version__}. To reach: ratio 1.10.",
        "",
        "| features | matrix | k | raw FAISS, ms | search, ms | ratio | ratio of the best | photo to records, ms |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for features in ("thumbnail", "hog"):
        with tempfile.TemporaryDirectory() as temporary:
            path = Path(temporary) / "index.ceret"
            build_index([arguments.photos], path, IndexSettings(features=features, kind="none"))
            lines += rows_of(path, arguments.rounds)
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
