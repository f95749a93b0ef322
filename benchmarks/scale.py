"""Large indexes: building, opening, memory, time and recall of a search, with FAISS's own scan of the same codes in the same run.

    python benchmarks/scale.py --work FOLDER [--count 1000000] [--features encoder:fill] [--queries 100] [--recall 0.97]
        [--recipe pooled] [--photos FOLDER] [--asked FOLDER] [--out benchmarks/results/scale.md]

The collection: descriptors of crops of the photos (60 to 100 % of the side, half of them mirrored), written as an index whose
photos are no files; it stays in the work folder, and a stopped run goes on. The queries: other photos with holes of each kind,
under the descriptor's own focus. Recall is the share of the exact nearest that is found. Opening, memory and times are those
of a fresh process. A row is added to the table for each run; delete the file to begin a new one.
"""

import argparse
import dataclasses
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from ce_retrieval.descriptors import Descriptor, cell_weights, make_descriptor, weights_hash
from ce_retrieval.holes.strategies import center_holes, holes_for
from ce_retrieval.photo_index import Manifest, PhotoIndex, PhotoRecord, read_manifest
from ce_retrieval.photo_index.code_update import recipe_of, with_recipe, without_codes
from ce_retrieval.photo_index.manifest import write_manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.segments import clear_leftovers, write_segment
from ce_retrieval.photo_index.vectors import row_files
from ce_retrieval.retrieval import default_focus
from indexes.codebook import training_ids
from indexes.exhaustive import exhaustive_search
from indexes.faiss_door import load_faiss
from indexes.recipes import LISTS, POOLED

K, MANY_K, ROWS, BATCH = 10, 200, 2048, 256
SCENES = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes"
EFFORTS = 0.5, 1.0, 2.0, 4.0
HOLES = ("half", "centre", "blocks", "24 px", "8 px")


def pictures(folder: Path) -> list[Path]:
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".png"))
    return paths or sys.exit(f"{folder} holds no photo: name another folder")


def reduced(photo: np.ndarray, side: int) -> np.ndarray:
    """Return a photo whose longest side is at most `side`: crops of it for small features are then quick to make."""
    share = side / max(photo.shape[:2])
    return cv2.resize(photo, None, fx=share, fy=share, interpolation=cv2.INTER_AREA) if share < 1 else photo


def crops(photos: list[np.ndarray], first: int, count: int, size: int) -> np.ndarray:
    """Return crops uint8 (count, size, size, 3), which depend on the number of the first."""
    out = np.empty((count, size, size, 3), np.uint8)
    shares = np.random.default_rng(first).random((count, 5)).tolist()
    for place, (tall, wide, down, right, mirror) in enumerate(shares):
        photo = photos[(first + place) * 7919 % len(photos)]
        height, width = int(photo.shape[0] * (0.6 + 0.4 * tall)), int(photo.shape[1] * (0.6 + 0.4 * wide))
        top, left = int((photo.shape[0] - height + 1) * down), int((photo.shape[1] - width + 1) * right)
        crop = cv2.resize(photo[top : top + height, left : left + width], (size, size), interpolation=cv2.INTER_AREA)
        out[place] = crop if mirror < 0.5 else crop[:, ::-1]
    return out


def build(descriptor: Descriptor, folder: Path, count: int, path: Path) -> None:
    """Write an index of crops, segment by segment; go on where a stopped run was."""
    photos = [reduced(cv2.imread(str(file))[:, :, ::-1], 4 * descriptor.size) for file in pictures(folder)]
    (path / "segments").mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        descriptor.spec, descriptor.size, descriptor.cells, descriptor.channels, "none",
        (Source("folder", "/nowhere"),), weights_hash(descriptor), complete=True,
    )  # fmt: skip
    if (path / "manifest.json").exists():
        manifest = read_manifest(path)
    segments = list(manifest.segments)
    for start in range(manifest.count, count, ROWS):
        number = min(ROWS, count - start)
        parts = [min(BATCH, number - at) for at in range(0, number, BATCH)]
        grids = np.concatenate(
            [
                descriptor.describe(crops(photos, start + BATCH * at, part, descriptor.size))
                for at, part in enumerate(parts)
            ]
        ).astype(np.float16)
        names = [f"{one:09d}" for one in range(start, start + number)]
        records = [PhotoRecord(0, f"{one}.jpg", "crop", "", "", 128, 128, 64 * one[-1], -1, -1) for one in names]
        stamps = np.zeros((number, 2), np.int64)
        segments.append(
            write_segment(
                path,
                f"{len(segments) + 1:06d}",
                grids,
                records,
                stamps,
                items=number,
                keys_sha256="",
                skipped=[],
                more={},
            )
        )
        if len(segments) % 50 == 0 or start + number == count:
            write_manifest(path, dataclasses.replace(manifest, segments=tuple(segments)))
            print(f"{start + number} described", file=sys.stderr, flush=True)


def hole_kinds(count: int, size: int) -> dict[str, np.ndarray]:
    half = np.zeros((count, size, size), bool)
    half[:, :, size // 2 :] = True
    found = {
        "half": half,
        "centre": center_holes(count, size),
        "blocks": holes_for("block", 0, [*map(str, range(count))], size),
    }
    for side in (24, 8):
        rng, holes = np.random.default_rng(side), np.zeros((count, size, size), bool)
        side_here = max(1, side * size // 128)
        for hole, (top, left) in zip(holes, rng.integers(size - side_here + 1, size=(count, 2)), strict=True):
            hole[top : top + side_here, left : left + side_here] = True
        found[f"{side} px"] = holes
    return found


def make_queries(descriptor: Descriptor, folder: Path, count: int) -> dict[str, np.ndarray]:
    """Return the grids and weights of each kind of hole, as arrays by name."""
    paths = pictures(folder)
    chosen = np.random.default_rng(1).permutation(len(paths))[:count]
    size = descriptor.size
    photos = [
        cv2.resize(cv2.imread(str(paths[n]))[:, :, ::-1], (size, size), interpolation=cv2.INTER_AREA) for n in chosen
    ]
    found = {}
    for kind, holes in hole_kinds(len(photos), size).items():
        seen = np.where(holes[..., None], np.uint8(0), np.stack(photos))
        found[f"grids {kind}"] = descriptor.describe(seen, holes)
        found[f"weights {kind}"] = np.stack(
            [cell_weights(descriptor, hole, default_focus(descriptor)) for hole in holes]
        )
    return found


def timed(run: Callable, *arguments: object) -> tuple:
    start = time.perf_counter()
    found = run(*arguments)
    return found, time.perf_counter() - start


def sampled(path: Path, manifest: Manifest) -> np.ndarray:
    ids = training_ids(manifest.count)
    return row_files(path, manifest)(ids)


def code(path: Path, out: Path, recall: float, name: str) -> None:
    """In a fresh process: make the codes, and write the seconds and the memory."""
    manifest = without_codes(read_manifest(path))
    recipe, _ = recipe_of(manifest, manifest.count, recall, 64 << 30, name)
    manifest, seconds = timed(with_recipe, path, manifest, recipe)
    peak = peak_memory()
    write_manifest(path, manifest)
    clear_leftovers(path, manifest.segments)
    out.write_text(json.dumps({"ours": seconds, "raw": raw_build(path), "peak": peak}))


def raw_build(path: Path) -> float:
    """Return the seconds in which FAISS alone trains and codes, the pooled vectors given."""
    index = PhotoIndex(path, read_manifest(path))
    book = index.manifest.codes.made
    faiss, pooling = load_faiss(), book.pooling
    raw = faiss.IndexPQFastScan(pooling.dimension, pooling.groups * pooling.parts, 4, faiss.METRIC_INNER_PRODUCT)
    seconds = timed(raw.train, pooling.photos(sampled(path, index.manifest), book.origin))[1]
    for grids in index.grids():
        seconds += timed(raw.add, pooling.photos(grids, book.origin))[1]
    return seconds


def answer(path: Path, queries: Path, out: Path) -> None:
    """In a fresh process: open, answer, and write what was found, the seconds and the memory."""
    start = time.perf_counter()
    index = PhotoIndex.open(path)
    asked = np.load(queries)
    grids, weights = asked["grids centre"], asked["weights centre"]
    index.search(grids[:1], weights[:1], K)
    told: dict = {"first": time.perf_counter() - start}
    arrays = {}
    pooled = index.vectors
    for kind in HOLES:
        grids, weights = asked[f"grids {kind}"], asked[f"weights {kind}"]
        index.search(grids[:2], weights[:2], K)
        found = [timed(index.search, grids[n : n + 1], weights[n : n + 1], K) for n in range(len(grids))]
        arrays[f"ten {kind}"] = np.concatenate([one.ids for one, _ in found])
        told[kind] = {"one": float(np.median([seconds for _, seconds in found]))}
        told[kind]["many"] = timed(index.search, grids, weights, K)[1] / len(grids)
        arrays[f"many {kind}"] = index.search(grids[:20], weights[:20], MANY_K).ids
        lifted = pooled.pooling.queries(grids, weights, index.manifest.codes.made.origin)
        told[kind]["raw"] = float(
            np.median(
                [timed(pooled.first.best, lifted[n : n + 1], np.array([500]), None)[1] for n in range(len(grids))]
            )
        )
    told["rss"] = peak_memory()
    for pooled.effort in EFFORTS:
        for kind in HOLES:
            # One by one: together, all scan as many lists as the most demanding of them.
            single = zip(asked[f"grids {kind}"], asked[f"weights {kind}"], strict=True)
            found = [index.search(grid[None], weights[None], K).ids for grid, weights in single]
            arrays[f"effort {pooled.effort:g} {kind}"] = np.concatenate(found)
    np.savez(out, told=json.dumps(told), **arrays)


def truth(index: PhotoIndex, queries: dict[str, np.ndarray], place: Path) -> dict[str, np.ndarray]:
    if not place.exists():
        grids, weights = (
            np.concatenate([queries[f"{what} {kind}"] for kind in HOLES]) for what in ("grids", "weights")
        )
        ids = exhaustive_search(blocks(index.grids()), grids, weights, MANY_K).ids
        np.savez(place, **dict(zip(HOLES, np.split(ids, len(HOLES)), strict=True)))
    return dict(np.load(place))


def blocks(parts: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    """Join segments by eight: larger products are faster."""
    held: list[np.ndarray] = []
    for part in parts:
        held.append(part)
        if len(held) == 8:
            yield np.concatenate(held)
            held = []
    if held:
        yield np.concatenate(held)


def peak_memory() -> int:
    """Return the most memory that this process has had, in bytes; unlike `ru_maxrss`, not that of the process that began it."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(status.partition("VmHWM:")[2].split()[0])


def recall(found: np.ndarray, exact: np.ndarray, k: int) -> float:
    pairs = zip(found.tolist(), exact[: len(found), :k].tolist(), strict=True)
    return float(np.mean([len(set(a) & set(b)) / k for a, b in pairs]))


def bytes_of(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def table(arguments: argparse.Namespace) -> list[str]:
    work, count = arguments.work, arguments.count
    size = 128 if arguments.features.startswith("encoder") else 16
    descriptor = make_descriptor(arguments.features, size)
    name = f"{arguments.features.replace(':', '-')}-{count}"
    path = work / f"{name}.ceret"
    if not (path / "manifest.json").exists() or read_manifest(path).count < count:
        build(descriptor, arguments.photos, count, path)
    built = work / f"{name}-{arguments.recipe}.seconds"
    codes = read_manifest(path).codes
    if codes is None or bool(codes.heads) != (arguments.recipe == LISTS) or not built.exists():
        asked = (path, built, arguments.recall, arguments.recipe)
        subprocess.run([sys.executable, __file__, "--codes", *map(str, asked)], check=True)
    manifest = read_manifest(path)
    told = json.loads(built.read_text())
    queries = make_queries(descriptor, arguments.asked, arguments.queries)
    asked, answers = work / f"{name}-queries.npz", work / f"{name}-answers.npz"
    np.savez(asked, **queries)
    exact = truth(PhotoIndex(path, manifest), queries, work / f"{name}-{arguments.queries}-truth.npz")
    subprocess.run([sys.executable, __file__, "--answer", str(path), str(asked), str(answers)], check=True)
    found = np.load(answers)
    times = json.loads(str(found["told"]))
    size, lists = manifest.codes.made.bytes_a_photo, manifest.codes.lists
    lines = [
        f"## {count:,} photos, {arguments.features}{f', {lists:,} lists' if lists else ''}",
        "",
        f"Codes made in {told['ours']:.1f} s (read, pooled, trained, coded, written), by FAISS with the pooled vectors given in "
        f"{told['raw']:.1f} s, at a peak of {told['peak'] / 1e6:,.0f} MB; "
        f"{size} bytes of codes a photo, effort {manifest.codes.effort:g}; "
        f"{bytes_of(path) / 1e9:.2f} GB on disk. A fresh process opens the index and gives its first answer in "
        f"{times['first']:.2f} s, and takes {times['rss'] / 1e6:,.0f} MB in all at the end.",
        "",
        "| hole | recall@10 | recall@200 | one query, ms | of many at once, ms | scan of the codes alone, ms |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for kind in HOLES:
        shares = recall(found[f"ten {kind}"], exact[kind], K), recall(found[f"many {kind}"], exact[kind], MANY_K)
        ms = " | ".join(f"{1000 * times[kind][name]:.1f}" for name in ("one", "many", "raw"))
        lines.append(f"| {kind} | {shares[0]:.3f} | {shares[1]:.3f} | {ms} |")
    lines += ["", "| effort | recall@10, the least of these holes |", "|---:|---:|"]
    for effort in EFFORTS:
        least = min((recall(found[f"effort {effort:g} {kind}"], exact[kind], K), kind) for kind in HOLES)
        lines.append(f"| {effort:g} | {least[0]:.4f} ({least[1]}) |")
    return [*lines, ""]


def main() -> None:
    if sys.argv[1:2] == ["--answer"]:
        return answer(*map(Path, sys.argv[2:]))
    if sys.argv[1:2] == ["--codes"]:
        return code(*map(Path, sys.argv[2:4]), float(sys.argv[4]), sys.argv[5])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--features", default="encoder:fill")
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--recall", type=float, default=0.97, help="that the recipe is chosen for")
    parser.add_argument("--recipe", default=POOLED, choices=(POOLED, LISTS))
    parser.add_argument("--photos", type=Path, default=SCENES / "train")
    parser.add_argument("--asked", type=Path, default=SCENES / "val")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "scale.md")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    lines = table(arguments)
    if not arguments.out.exists():
        title = f"# Large indexes\n\n{os.cpu_count()} cores, Python {platform.python_version()}, {platform.machine()}, FAISS "
        arguments.out.write_text(
            f"{title}{load_faiss().__version__}. Files are warm. Made by `python benchmarks/scale.py`.\n\n"
        )
    with arguments.out.open("a") as file:
        file.write("\n".join([*lines, ""]))
    print("\n".join(lines))
    return None


if __name__ == "__main__":
    main()
