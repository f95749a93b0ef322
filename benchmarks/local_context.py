"""How fast scenes are placed around a hole, beside OpenCV's masked matchTemplate, and whether the places agree.

    python benchmarks/local_context.py PHOTOS [--out benchmarks/results/local_context.md]

PHOTOS holds, for each case, NAME.jpg, NAME_mask.jpg (dark = hole) and a folder NAME with its scenes. OpenCV gets the same
features (L*a*b* and texture, four channels), prepared outside its timing, and searches exhaustively; its errors are then
weighted by the offset as ours are. Ours are timed from the decoded scenes, so colour, texture and resizing included.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from ce_retrieval.completion.scenes.placement import OFFSET_WEIGHT, SCALES, TEXTURE_WEIGHT, LocalContext, Placement
from ce_retrieval.completion.scenes.placement_features import texture_of
from ce_retrieval.completion.scenes.region import Region, region_of
from ce_retrieval.completion.working_size import Working
from ce_retrieval.pixels import crop, resize_area, to_lab

WORKERS = 2


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def features(photo: np.ndarray, hole: np.ndarray | None = None) -> np.ndarray:
    """float32 (H, W, 4): L*a*b* and the weighted texture."""
    lab = to_lab(photo)
    texture = texture_of(np.ascontiguousarray(lab[..., 0]), hole)
    return np.dstack([lab, texture * np.float32(TEXTURE_WEIGHT**0.5)])


def exhaustive(region: Region, scene: np.ndarray, scales: list[float]):
    """The best (score, scale, place), and OpenCV's CPU seconds for each scale."""
    photo, hole, _ = region.working
    y0, x0, _, _ = region.box
    template = features(np.where(hole[..., None], np.uint8(0), photo), hole)[crop(region.box)]
    template = np.ascontiguousarray(template)
    mask = np.repeat(region.context[..., None], 4, axis=2).astype(np.float32)
    best, seconds = (np.inf, 0.0, (0, 0)), []
    for scale in scales:
        height, width = (
            max(round(n * scale), need) for n, need in zip(scene.shape[:2], template.shape[:2], strict=True)
        )
        image = features(resize_area(scene, (height, width)))
        start = time.process_time()
        errors = cv2.matchTemplate(image, template, cv2.TM_SQDIFF, mask=mask)
        seconds.append(time.process_time() - start)
        down = (y0 - np.arange(errors.shape[0]) + (height - hole.shape[0]) / 2)[:, None]
        across = x0 - np.arange(errors.shape[1]) + (width - hole.shape[1]) / 2
        scores = errors / region.context.sum() * (1 + OFFSET_WEIGHT * np.hypot(down, across) / max(hole.shape))
        place = divmod(int(scores.argmin()), scores.shape[1])
        best = min(best, (float(scores.min()), scale, place))
    return best, seconds


def measured(photos: Path, name: str, rounds: int) -> str:
    """One row of the table."""
    photo, hole = read(photos / f"{name}.jpg"), read(photos / f"{name}_mask.jpg")[..., 0] < 128
    scenes = [read(path) for path in sorted((photos / name).glob("*.jpg"))]
    ready, ours, busy = [], [], []
    for _ in range(rounds):
        start = time.perf_counter()
        region = region_of(Working(photo, hole, (1.0, 1.0)))
        context = LocalContext(region)
        ready.append(time.perf_counter() - start)
        used = time.process_time()
        places = context.place(scenes, WORKERS)
        busy.append(time.process_time() - used)
        ours.append(time.perf_counter() - start - ready[-1])
    same, worst, theirs = 0, 0.0, []
    placed = [(scene, place) for scene, place in zip(scenes, places, strict=True) if isinstance(place, Placement)]
    for scene, place in placed:
        tried = [place.scale] if place.scale not in SCALES else [s for s in SCALES if fits(region, scene, s)]
        best, seconds = exhaustive(region, scene, tried)
        theirs += seconds
        same += (place.scale, place.box[:2]) == best[1:]
        worst = max(worst, place.score / best[0] - 1)
    return (
        f"| {name} | {photo.shape[1]}x{photo.shape[0]} | {hole.sum()} | {len(placed)} of {len(scenes)} | {len(theirs)} "
        f"| {min(ready):.2f} | {min(ours):.2f} | {min(busy):.2f} | {1000 * min(busy) / len(theirs):.0f} "
        f"| {1000 * np.median(theirs):.0f} | {same} of {len(placed)} | {100 * worst:.4f} % |"
    )


def fits(region: Region, scene: np.ndarray, scale: float) -> bool:
    return all(round(n * scale) >= need for n, need in zip(scene.shape, region.size, strict=False))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "local_context.md")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    names = [path.stem.removesuffix("_mask") for path in sorted(arguments.photos.glob("*_mask.jpg"))]
    rows = [measured(arguments.photos, name, arguments.rounds) for name in names]
    lines = [
        "# Local context: placing scenes around a hole",
        "",
        f"`python benchmarks/local_context.py PHOTOS`: all valid translations and scales of each scene; {WORKERS} workers, "
        f"best of {arguments.rounds} round(s); OpenCV {cv2.__version__} with one thread, the median of its searches, "
        "features not included. "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}, Python {platform.python_version()}, {platform.machine()}. "
        "With a load above the number of cores, the clock's seconds say little. "
        "Same: scale and place are those of the exhaustive search; excess: the most by which a score is above its.",
        "",
        "| photo | size | hole, px | scenes placed | searches | prepare, s | all scenes, s | CPU s | CPU ms a search "
        "| OpenCV, CPU ms a search | same | excess |",
        "|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|",
        *rows,
        "",
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
