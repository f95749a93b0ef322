"""The rate of indexing with a context encoder, beside a plain loop over the same network, the network and decoding alone.

    python benchmarks/encoder_rate.py [--photos FOLDER] [--weights FILE] [--limit N] [--rounds N] [--out FILE]

Rows, alternating in every round, the best of each counts:
  plain loop       decode (Pillow), float32 in contiguous layout, batches of 32 through the same layer, eager, torch's threads;
  decode alone     `decode_photo` on threads, all cores;
  network alone    `describe` of the descriptor on photos already in memory, all cores;
  ceret            `build_index` of the same photos: read, hash, decode, describe, write, sync to the disk.
Targets: 5 times the plain loop, and 0.6 of the slower of decode and network.
"""

import argparse
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.shipped import load_weights
from ce_retrieval.photo_index import IndexSettings, build_index
from ce_retrieval.photos import decode_photo

SIZE, BATCH = 128, 32
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "scenes" / "train"
# What is indexed, and the hole protocol that it is indexed under.
ROWS = (("encoder:fill", "none"), ("encoder:fill", "center"), ("encoder:cells", "none"), ("encoder:context", "center"))


def plain_loop(paths: list[Path], weights: str | None, layer: str, hole: str) -> None:
    network = load_weights(weights).network.to(memory_format=torch.contiguous_format)
    missing = torch.from_numpy(center_holes(BATCH, SIZE)) if hole == "center" else torch.zeros(BATCH, SIZE, SIZE).bool()
    with torch.no_grad():
        for start in range(0, len(paths), BATCH):
            photos = []
            for path in paths[start : start + BATCH]:
                with Image.open(path) as photo:
                    photos.append(np.asarray(photo.convert("RGB").resize((SIZE, SIZE), Image.Resampling.BICUBIC)))
            batch = torch.from_numpy(np.stack(photos)).permute(0, 3, 1, 2).contiguous().float() / 127.5 - 1
            if layer == "fill":
                network(batch, missing[: len(batch)])
            else:
                network.encode(batch, missing[: len(batch)], layer)
    network.to(memory_format=torch.channels_last)


def decode_alone(datas: list[bytes]) -> None:
    def block(part: list[bytes]) -> None:
        for data in part:
            decode_photo(data, name="", size=SIZE)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(block, [datas[start : start + BATCH] for start in range(0, len(datas), BATCH)]))


def network_alone(photos: np.ndarray, spec: str, hole: str) -> None:
    descriptor = make_descriptor(spec, SIZE)
    descriptor.describe(photos, center_holes(len(photos), SIZE) if hole == "center" else None)


def ceret(folder: Path, spec: str, hole: str) -> None:
    target = Path(tempfile.mkdtemp())
    build_index([folder], target / "i.ceret", IndexSettings(features=spec, hole=hole, size=SIZE, kind="none"))
    shutil.rmtree(target)


def seconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def measured(paths: list[Path], folder: Path, weights: str | None, rounds: int) -> dict[tuple[str, str], list[float]]:
    """Photos per second, by (features and protocol, row), the best of all rounds."""
    datas = [path.read_bytes() for path in paths]
    photos = np.stack([decode_photo(data, name="", size=SIZE).pixels for data in datas])
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(rounds):
        for base, hole in ROWS:
            spec = base if weights is None else f"{base}:{weights}"
            layer = base.partition(":")[2]
            rows = {
                "plain loop": lambda layer=layer, hole=hole: plain_loop(paths, weights, layer, hole),
                "decode alone": lambda: decode_alone(datas),
                "network alone": lambda spec=spec, hole=hole: network_alone(photos, spec, hole),
                "ceret": lambda spec=spec, hole=hole: ceret(folder, spec, hole),
            }
            for name, run in rows.items():
                rate = len(paths) / seconds(run)
                found.setdefault((f"`{base}`, `--hole {hole}`", name), []).append(rate)
                print(f"{number + 1}: {base} {hole}: {name}: {rate:.0f} photos/s", file=sys.stderr)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, default=SHARED)
    parser.add_argument("--weights")
    parser.add_argument("--limit", type=int, default=2048)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "encoder_rate.md")
    arguments = parser.parse_args()
    paths = sorted(path for path in arguments.photos.rglob("*") if path.suffix.lower() in {".jpg", ".jpeg", ".png"})
    paths = [paths[i] for i in np.linspace(0, len(paths) - 1, min(arguments.limit, len(paths))).astype(int)]
    folder = Path(tempfile.mkdtemp())
    for number, path in enumerate(paths):
        (folder / f"{number:05d}{path.suffix}").symlink_to(path.resolve())
    found = measured(paths, folder, arguments.weights, arguments.rounds)
    shutil.rmtree(folder)
    lines = [
        "# How fast photos are indexed by a context encoder",
        "",
        f"`python benchmarks/encoder_rate.py`: {len(paths)} photos of `{'/'.join(arguments.photos.parts[-2:])}` at {SIZE} px, "
        f"{arguments.rounds} alternating rounds, the best of each; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, torch {torch.__version__}. To reach: 5 times the plain loop (eager float32), and 0.6 of "
        "the slower of decoding and network.",
        "",
        "| features | plain loop, photos/s | decode alone | network alone | ceret | to the loop | to the slower alone | median |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for row in dict.fromkeys(key for key, _ in found):
        plain, decode, network, ours = (
            max(found[row, name]) for name in ("plain loop", "decode alone", "network alone", "ceret")
        )
        middle = statistics.median(found[row, "ceret"]) / statistics.median(found[row, "plain loop"])
        lines.append(
            f"| {row} | {plain:.0f} | {decode:.0f} | {network:.0f} | {ours:.0f} | {ours / plain:.2f} | "
            f"{ours / min(decode, network):.2f} | {middle:.2f} |"
        )
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join([*lines, ""]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
