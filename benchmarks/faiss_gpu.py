"""Search on the GPUs of a machine beside its CPU: whether both find the same, and how long each takes.

    python benchmarks/faiss_gpu.py [--counts 10000,100000,1000000] [--device cuda] [--out benchmarks/results/faiss_gpu.md]

Exact search by hole-aware distance, and pooled grids with an exact second pass, over grids of 16 x 16 cells of 4 channels: smooth
random fields in clusters, as descriptors of photos are. Queries are like them, under holes of three kinds. The table says
how many of the ten nearest agree; two answers may differ only where distances are equal to 1e-5. Needs faiss-gpu and a GPU.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from indexes.base import EngineError, GridIndex, SearchResult  # noqa: E402
from indexes.codebook import Codebook, training_ids  # noqa: E402
from indexes.faiss_door import cards_of, load_faiss  # noqa: E402
from indexes.faiss_index import vector_index  # noqa: E402
from indexes.first_pass import CardVectors  # noqa: E402
from indexes.masked import MaskedIndex  # noqa: E402
from indexes.pooled import PooledIndex  # noqa: E402
from indexes.pooling import Pooling  # noqa: E402

SIDE, CHANNELS, K, ASKED, BATCH = 16, 4, 10, 50, 100
CELLS = SIDE * SIDE
BLOCK = 20_000


def fields(rng: np.random.Generator, count: int, side: int) -> np.ndarray:
    """Return random fields float32 (count, SIDE, SIDE, CHANNELS) that are constant in blocks of SIDE / side cells."""
    coarse = rng.standard_normal((count, side, side, CHANNELS), np.float32)
    return coarse.repeat(SIDE // side, axis=1).repeat(SIDE // side, axis=2)


def collection(count: int, seed: int) -> np.ndarray:
    """Return grids float16 (count, CELLS, CHANNELS) around 200 centres that are the same for every seed."""
    centres = fields(np.random.default_rng(100), 200, 4)
    out, rng = np.empty((count, CELLS, CHANNELS), np.float16), np.random.default_rng(seed)
    for start in range(0, count, BLOCK):
        some = min(BLOCK, count - start)
        grids = centres[rng.integers(200, size=some)] + 0.5 * fields(rng, some, 8) + 0.2 * fields(rng, some, 16)
        out[start : start + some] = grids.reshape(some, CELLS, CHANNELS)
    return out


def hole_weights() -> dict[str, np.ndarray]:
    """Return weights float32 (CELLS,) of each kind of hole, falling with the distance from it."""
    y, x = np.mgrid[:SIDE, :SIDE]
    found = {}
    for name, low, high in (("centre", 4, 12), ("small", 7, 9)):
        outside = np.maximum(np.maximum(low - y, y - high + 1), np.maximum(low - x, x - high + 1))
        found[name] = np.where(outside > 0, np.exp(-outside / 2), 0)
    found["half"] = (x < SIDE // 2).astype(float)
    return {name: weights.reshape(-1).astype(np.float32) for name, weights in found.items()}


def timed(run: Callable, *arguments: object) -> tuple:
    start = time.perf_counter()
    found = run(*arguments)
    return found, time.perf_counter() - start


def exact(grids: np.ndarray, device: str) -> GridIndex:
    index = MaskedIndex(vector_index(CELLS * (CHANNELS + 1), device), CELLS, CHANNELS)
    for start in range(0, len(grids), BLOCK):
        index.add(grids[start : start + BLOCK])
    return index


def pooled(grids: np.ndarray, device: str) -> GridIndex:
    book = Codebook.train(grids[training_ids(len(grids))], 2)
    if cards_of(device):
        pooling = Pooling(CELLS, CHANNELS, 1)
        index = PooledIndex(CardVectors(pooling.dimension, device), pooling, book.origin, grids.__getitem__)
    else:
        index = PooledIndex.by_codes(book, grids.__getitem__)
    index.add(grids)
    return index


def agreement(found: SearchResult, expected: SearchResult) -> float:
    """Return the share of `found` that is as near as what was expected, rank by rank."""
    return float(np.mean(np.isclose(found.scores, expected.scores, rtol=1e-5, atol=1e-6)))


def measure(index: GridIndex, queries: np.ndarray, weights: np.ndarray, allowed: np.ndarray | None) -> tuple:
    """Return what was found, and the seconds a query one at a time and of a batch."""
    index.search(queries[:1], weights[:1], K, allowed)  # the first search on a card compiles its kernels
    one = sum(timed(index.search, queries[i : i + 1], weights[i : i + 1], K, allowed)[1] for i in range(ASKED)) / ASKED
    found, many = timed(index.search, queries, weights, K, allowed)
    return found, one, many / len(queries)


def rows(count: int, device: str) -> list[str]:
    grids, queries, lines = collection(count, 0), collection(BATCH, 1).astype(np.float32), []
    half = np.random.default_rng(2).random(count) < 0.5
    truth: dict[tuple[str, bool], SearchResult] = {}
    for make, place in ((exact, "cpu"), (exact, device), (pooled, "cpu"), (pooled, device)):
        index, built = timed(make, grids, place)
        for hole, cells in hole_weights().items():
            for allowed in (None, half):
                weights = np.broadcast_to(cells, (BATCH, CELLS))
                found, one, many = measure(index, queries, weights, allowed)
                expected = truth.setdefault((hole, allowed is None), found)
                lines.append(
                    f"| {count:,} | {make.__name__} | {place} | {hole}{'' if allowed is None else ', filter of half'} | "
                    f"{built:.1f} | {1000 * one:.2f} | {1000 * many:.2f} | {agreement(found, expected):.4f} |"
                )
                print(lines[-1], file=sys.stderr)
        del index
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", default="10000,100000,1000000")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "faiss_gpu.md")
    options = parser.parse_args()
    try:
        cards = cards_of(options.device)
    except EngineError as error:
        sys.exit(f"faiss_gpu.py: error: {error}")
    lines = [
        "# Search on GPUs",
        "",
        f"`python benchmarks/faiss_gpu.py --counts {options.counts} --device {options.device}`: {len(cards)} GPU(s), "
        f"{os.cpu_count()} cores, {platform.machine()}, FAISS {load_faiss().__version__}. The share found is of the exact "
        "search on the CPU, rank by rank.",
        "",
        "| photos | search | device | hole | built, s | one query, ms | of a hundred, ms | found |",
        "|---:|---|---|---|---:|---:|---:|---:|",
    ]
    for count in map(int, options.counts.split(",")):
        lines += rows(count, options.device)
    options.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
