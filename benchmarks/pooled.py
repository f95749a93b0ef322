"""Pooled codes beside the exact search and FAISS's own scan of the same codes, in one run.

    python benchmarks/pooled.py --work FOLDER [--count 50000] [--features encoder:fill] [--parts 2] [--photos FOLDER]
        [--queries FOLDER] [--out benchmarks/results/pooled.md]

The collection: descriptors of crops of the photos (70 to 100 % of the side, half of them mirrored), kept in the work folder
for the next run. The queries: 100 other photos with holes of each kind, under the descriptor's own focus. Recall is the share
of the exact ten nearest that is found; the exact search measures all grids in blocks, so that it needs no more memory for
more of them.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
from PIL import Image

from ce_retrieval.descriptors import Descriptor, cell_weights, make_descriptor
from ce_retrieval.holes.strategies import center_holes, holes_for
from ce_retrieval.retrieval import default_focus
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex
from indexes.pooled import PooledIndex, candidate_counts, training_ids
from indexes.pooling import Pooling
from indexes.row_files import RowFile, RowFiles

SIZE, BATCH, QUERIES, K, SINGLE = 128, 256, 100, 10, 20
EXACT_BLOCK = 100_000
SCENES = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes"
HEADER = 128  # bytes of the header of the work folder's .npy files


def crop(path: Path, seed: int) -> np.ndarray:
    """Return a crop of a photo, uint8 (SIZE, SIZE, 3), that depends on the seed."""
    rng = np.random.default_rng(seed)
    with Image.open(path) as opened:
        photo = opened.convert("RGB")
    width, height = (round(side * rng.uniform(0.7, 1)) for side in photo.size)
    left, top = rng.integers(photo.width - width + 1), rng.integers(photo.height - height + 1)
    small = photo.resize((SIZE, SIZE), Image.Resampling.BICUBIC, (left, top, left + width, top + height))
    return np.asarray(small)[:, :: rng.choice([-1, 1])]


def make_grids(descriptor: Descriptor, folder: Path, count: int, out: Path) -> None:
    """Write the grids of `count` crops, float16 (count, G, C), photo by photo in a random order."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    order = np.random.default_rng(0).permutation(len(paths))
    if not paths:
        sys.exit(f"{folder} holds no photo: name another folder by --photos")
    partial = out.with_suffix(".partial")
    shape = (count, descriptor.cells, descriptor.channels)
    grids = np.lib.format.open_memmap(partial, "w+", np.float16, shape)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, count, BATCH):
            numbers = range(start, min(start + BATCH, count))
            photos = pool.map(lambda n: crop(paths[order[n % len(paths)]], n), numbers)
            grids[start : numbers.stop] = descriptor.describe(np.ascontiguousarray(np.stack(list(photos))))
    grids.flush()
    partial.rename(out)


def squares(side: int) -> np.ndarray:
    """Return QUERIES square holes of this side anywhere: bool (QUERIES, SIZE, SIZE)."""
    rng = np.random.default_rng(side)
    holes = np.zeros((QUERIES, SIZE, SIZE), bool)
    for hole, (top, left) in zip(holes, rng.integers(SIZE - side + 1, size=(QUERIES, 2)), strict=True):
        hole[top : top + side, left : left + side] = True
    return holes


def hole_kinds() -> dict[str, np.ndarray]:
    half = np.zeros((QUERIES, SIZE, SIZE), bool)
    half[:, :, SIZE // 2 :] = True
    return {
        "centre": center_holes(QUERIES, SIZE),
        "blocks": holes_for("block", 0, [str(n) for n in range(QUERIES)], SIZE),
        "24 px": squares(24),
        "8 px": squares(8),
        "half": half,
    }


def queries_of(descriptor: Descriptor, folder: Path) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return the grids (QUERIES, G, C) and weights (QUERIES, G) of each kind of hole."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    chosen = np.random.default_rng(1).permutation(len(paths))[:QUERIES]
    photos = []
    for number in chosen:
        with Image.open(paths[number]) as photo:
            photos.append(np.asarray(photo.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
    focus, found = default_focus(descriptor), {}
    for kind, holes in hole_kinds().items():
        visible = np.where(holes[..., None], np.uint8(0), np.stack(photos))
        weights = np.stack([cell_weights(descriptor, hole, focus) for hole in holes])
        found[kind] = descriptor.describe(visible, holes), weights
    return found


def exact(grids: np.ndarray, queries: dict) -> tuple[dict, dict, dict]:
    """Return by kind the exact ids (QUERIES, K), and the seconds a query, one at a time and a hundred at once."""
    cells, channels = grids.shape[1:]
    best = {kind: (np.empty((QUERIES, 0), np.float32), np.empty((QUERIES, 0), np.int64)) for kind in queries}
    one, many = dict.fromkeys(queries, 0.0), dict.fromkeys(queries, 0.0)
    for start in range(0, len(grids), EXACT_BLOCK):
        index = MaskedIndex(FaissIndex(cells * channels + cells), cells, channels)
        for first in range(start, min(start + EXACT_BLOCK, len(grids)), 4096):
            index.add(grids[first : min(first + 4096, start + EXACT_BLOCK)])
        for kind, (asked, weights) in queries.items():
            for row in range(SINGLE):
                one[kind] += timed(index.search, asked[row : row + 1], weights[row : row + 1], K)[1] / SINGLE
            found, seconds = timed(index.search, asked, weights, K)
            many[kind] += seconds / QUERIES
            scores = np.concatenate([best[kind][0], found.scores], axis=1)
            ids = np.concatenate([best[kind][1], found.ids + start], axis=1)
            order = np.lexsort((ids, scores))[:, :K]
            best[kind] = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
    return {kind: ids for kind, (_, ids) in best.items()}, one, many


def timed(run: Callable, *arguments: object) -> tuple:
    """Return what a call returns, and its seconds."""
    start = time.perf_counter()
    found = run(*arguments)
    return found, time.perf_counter() - start


def build(grids: np.ndarray, path: Path, parts: int) -> PooledIndex:
    count, cells, channels = grids.shape
    index = PooledIndex(cells, channels, RowFiles([RowFile(path, HEADER, count)], cells, channels), parts)
    index.train(grids[training_ids(count)])
    index.add(grids)
    return index


def build_raw(grids: np.ndarray, pooling: Pooling) -> tuple[faiss.IndexPQFastScan, np.ndarray, float]:
    """Return FAISS's index of the same codes, the mean photo, and the seconds that FAISS alone took, vectors given."""
    ids = training_ids(len(grids))
    origin = grids[ids].mean(axis=0, dtype=np.float32)
    raw = faiss.IndexPQFastScan(pooling.dimension, pooling.groups * pooling.parts, 4, faiss.METRIC_INNER_PRODUCT)
    sample = pooling.photos(grids[ids], origin)
    seconds = timed(raw.train, sample)[1]
    for start in range(0, len(grids), 4096):
        vectors = pooling.photos(grids[start : start + 4096], origin)
        seconds += timed(raw.add, vectors)[1]
    return raw, origin, seconds


def table(grids: np.ndarray, path: Path, queries: dict, parts: int) -> list[str]:
    cells, channels = grids.shape[1:]
    index, seconds = timed(build, grids, path, parts)
    pooling = Pooling(cells, channels, parts)
    raw, origin, raw_seconds = build_raw(grids, pooling)
    truth, exact_one, exact_many = exact(grids, queries)
    lines = [
        f"Built in {seconds:.1f} s, raw FAISS with the vectors given {raw_seconds:.1f} s; {index.bytes_a_photo} bytes a photo "
        f"in memory (exact search: {4 * cells * (channels + 1)}), {2 * cells * channels} on disk.",
        "",
        "| hole | candidates | recall@10 | one query, ms | of a hundred, ms | raw scan, one, ms | raw, of a hundred, ms | "
        "exact, one, ms | exact, of a hundred, ms |",
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for kind, (asked, weights) in queries.items():
        needed = np.minimum(candidate_counts(pooling.weights(weights), K), len(grids))
        lifted = pooling.queries(asked, weights, origin)
        most = int(needed.max())
        index.search(asked[:1], weights[:1], K)
        one = raw_one = 0.0
        for row in range(QUERIES):
            one += timed(index.search, asked[row : row + 1], weights[row : row + 1], K)[1] / QUERIES
            raw_one += timed(raw.search, lifted[row : row + 1], int(needed[row]))[1] / QUERIES
        found, many = timed(index.search, asked, weights, K)
        raw_many = timed(raw.search, lifted, most)[1]
        recall = np.mean(
            [len(set(a) & set(b)) / K for a, b in zip(found.ids.tolist(), truth[kind].tolist(), strict=True)]
        )
        times = (one, many / QUERIES, raw_one, raw_many / QUERIES, exact_one[kind], exact_many[kind])
        columns = " | ".join(f"{1000 * value:.2f}" for value in times)
        lines.append(f"| {kind} | {np.median(needed):.0f} | {recall:.3f} | {columns} |")
        print(lines[-1], file=sys.stderr)
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--features", default="encoder:fill")
    parser.add_argument("--parts", type=int, default=2)
    parser.add_argument("--photos", type=Path, default=SCENES / "train")
    parser.add_argument("--queries", type=Path, default=SCENES / "val")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "pooled.md")
    arguments = parser.parse_args()
    descriptor = make_descriptor(arguments.features, SIZE)
    path = arguments.work / f"{arguments.features.replace(':', '-')}-{arguments.count}.npy"
    if not path.exists():
        arguments.work.mkdir(parents=True, exist_ok=True)
        make_grids(descriptor, arguments.photos, arguments.count, path)
    grids = np.load(path, mmap_mode="r")
    lines = [
        "# Pooled codes",
        "",
        f"`python benchmarks/pooled.py --work FOLDER --count {arguments.count} --features {arguments.features} --parts "
        f"{arguments.parts}`: crops of `{'/'.join(arguments.photos.parts[-2:])}`, {QUERIES} queries of "
        f"`{'/'.join(arguments.queries.parts[-2:])}` a hole; focus {default_focus(descriptor)} px; {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {platform.machine()}, FAISS {faiss.__version__}. Files are warm.",
        "",
        *table(grids, path, queries_of(descriptor, arguments.queries), arguments.parts),
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
