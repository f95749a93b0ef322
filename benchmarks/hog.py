"""How fast the descriptors are, with HOG beside a loop over scikit-image's HOG, in one run.

    python benchmarks/hog.py [--photos FOLDER] [--out benchmarks/results/hog.md]

Without a folder the photos are crops of photos that scikit-image carries. Each figure is the best of several rounds. The
rounds of all rows alternate, so that a busy moment of the machine does not affect one row alone.
"""

import argparse
import os
import platform
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data
from skimage.feature import hog

from ce_retrieval.descriptors import make_descriptor

SIZE, COUNT, BATCH, ROUNDS = 128, 512, 32, 5


def real_photos(folder: Path | None) -> np.ndarray:
    """uint8 (COUNT, SIZE, SIZE, 3)."""
    if folder is not None:
        files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in {".jpg", ".jpeg", ".png"})
        picked = [files[i] for i in np.linspace(0, len(files) - 1, COUNT).astype(int)]
        return np.stack([np.asarray(Image.open(p).convert("RGB").resize((SIZE, SIZE), 3)) for p in picked])
    rng = np.random.default_rng(0)
    sources = [data.astronaut(), data.chelsea(), data.coffee(), data.rocket()]
    crops = []
    for i in range(COUNT):
        photo = sources[i % len(sources)]
        y, x = (rng.integers(0, n - SIZE + 1) for n in photo.shape[:2])
        crops.append(photo[y : y + SIZE, x : x + SIZE])
    return np.stack(crops)


def reference(photo: np.ndarray) -> np.ndarray:
    return hog(photo, 9, (8, 8), (2, 2), block_norm="L2-Hys", channel_axis=-1)


def loop_of_reference(photos: np.ndarray) -> None:
    for photo in photos[: COUNT // 8]:
        reference(photo)


def described(spec: str, threads: int, holes: bool = False):
    descriptor = make_descriptor(spec, SIZE)
    hole = np.zeros((BATCH, SIZE, SIZE), bool)
    hole[:, SIZE // 4 : 3 * SIZE // 4, SIZE // 4 : 3 * SIZE // 4] = True

    def run(photos: np.ndarray) -> None:
        batches = [photos[i : i + BATCH] for i in range(0, len(photos), BATCH)]
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(lambda batch: descriptor.describe(batch, hole if holes else None), batches))

    return run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "hog.md")
    arguments = parser.parse_args()
    photos = real_photos(arguments.photos)
    rows = {"`skimage.feature.hog`, in a loop, 1 thread": (loop_of_reference, COUNT // 8)}
    for threads in (1, 2):
        rows[f"`hog`, {threads} thread{'s' * (threads > 1)}"] = (described("hog", threads), COUNT)
    rows["`hog`, 2 threads, centre hole"] = (described("hog", 2, holes=True), COUNT)
    for spec in ("hog:cells", "gist", "thumbnail", "thumbnail:16"):
        rows[f"`{spec}`, 1 thread"] = (described(spec, 1), COUNT)
    best = dict.fromkeys(rows, np.inf)
    for _ in range(ROUNDS):
        for name, (run, count) in rows.items():
            start = time.perf_counter()
            run(photos)
            best[name] = min(best[name], (time.perf_counter() - start) / count)
    difference = np.abs(
        make_descriptor("hog", SIZE).describe(photos).reshape(COUNT, -1) - np.stack([reference(p) for p in photos])
    )
    base = next(iter(best.values()))
    lines = [
        "# Descriptors: time per photo",
        "",
        f"`python benchmarks/hog.py`: {COUNT} colour photos of {SIZE}x{SIZE} ("
        + ("crops of scikit-image's photos" if arguments.photos is None else "a folder of photos")
        + f"), batches of {BATCH}, best of {ROUNDS} alternating rounds; {os.cpu_count()} cores, Python "
        f"{platform.python_version()}, {platform.machine()}.",
        "",
        "| what | ms per photo | rate over the loop |",
        "|---|---:|---:|",
        *(f"| {name} | {1000 * t:.3f} | {base / t:.1f}x |" for name, t in best.items()),
        "",
        f"HOG beside the reference on the same photos: largest difference {difference.max():.1e}, "
        f"{100 * (difference > 1e-5).mean():.4f} % of values differ by more than 1e-5.",
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
