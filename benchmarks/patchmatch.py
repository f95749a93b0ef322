"""How fast patches complete a photo, and what the fills look like.

    python benchmarks/patchmatch.py [--data FOLDER] [--rounds N] [--scenes N] [--pictures FOLDER]
                                    [--out benchmarks/results/patchmatch.md]

The data folder holds photos/hays_efros (photos with drawn holes, and scenes) and scenes/val. Every fill is made in this one
process, warm: one unmeasured run loads the machine code. The fill to begin with is the smooth one; its time is not counted.
Given a folder, --pictures writes the fills there as PNG.
"""

import argparse
import os
import platform
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.completion.patches.completer import SMOOTH_START
from ce_retrieval.completion.patches.patchmatch import FINAL_ROUNDS, PASSES, ROUNDS, complete_by_patches
from ce_retrieval.evaluation.classical import smooth

DARK = 128  # the drawn masks are dark where a pixel is missing
SMALL = 128
SOURCES_WIDE = 800  # scenes are brought to the photos' width

# What an eye sees in the pictures of the default settings and seed; look again when either changes.
SEEN = """Seen in the pictures:

- input1, photo alone: convincing water at first sight. The jetty is repeated once at the bottom; where its shallow brown
  water meets the lake there is a clear colour edge along the hole's border.
- input2, photo alone: dense grass, sharp; faint arcs of repeated blurred grass at the top left, one bush seen twice.
- input3, photo alone: poor. The land is replaced by sky: cloud banks with cut edges along the hole's upper border and
  upright seams near the photo's bottom, where nothing known holds the fill.
- With three scenes and the smooth fill: worse than the photo alone in all three. Patches of another photo's colours lie
  in flat islands with visible outlines. Scenes need their colours fitted, or their blend as the fill to begin with.
"""


def pixels_of(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def cases(data: Path, scenes: int) -> list[tuple[str, np.ndarray, np.ndarray, list[np.ndarray]]]:
    """Name, photo, hole, sources."""
    home = data / "photos" / "hays_efros"
    made = []
    for photo_path in sorted(home.glob("input?.jpg")):
        photo = pixels_of(photo_path)
        hole = np.asarray(Image.open(home / f"{photo_path.stem}_mask.jpg").convert("L")) < DARK
        found = sorted((home / photo_path.stem).glob("*.jpg"))[:scenes]
        sources = []
        for path in found:
            image = Image.open(path).convert("RGB")
            image.thumbnail((SOURCES_WIDE, SOURCES_WIDE))
            sources.append(np.asarray(image))
        made.append((f"{photo_path.stem}, photo alone", photo, hole, []))
        made.append((f"{photo_path.stem}, photo and {len(sources)} scenes", photo, hole, sources))
    small = sorted((data / "scenes" / "val").rglob("*.jpg"))[0]
    photo = np.asarray(Image.open(small).convert("RGB").resize((SMALL, SMALL), Image.Resampling.BICUBIC))
    hole = np.zeros((SMALL, SMALL), bool)
    hole[32:96, 32:96] = True
    made.append(("a photo of scenes/val, centre hole", photo, hole, []))
    return made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path(__file__).resolve().parents[2] / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--scenes", type=int, default=3)
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "patchmatch.md")
    arguments = parser.parse_args()

    rows = []
    photo, hole = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool)
    hole[20:40, 20:40] = True
    complete_by_patches(photo, hole, photo, rng=np.random.default_rng(0), start=SMOOTH_START)
    for name, photo, hole, sources in cases(arguments.data, arguments.scenes):
        initial = smooth(photo[None], hole)[0]
        walls, cpus = [], []
        for _ in range(arguments.rounds):
            wall, cpu = time.perf_counter(), time.process_time()
            rng = np.random.default_rng(0)
            filled = complete_by_patches(photo, hole, initial, sources=sources, rng=rng, start=SMOOTH_START)
            walls.append(time.perf_counter() - wall)
            cpus.append(time.process_time() - cpu)
        assert (filled[~hole] == photo[~hole]).all()
        height, width = hole.shape
        rows.append(f"| {name} | {width}x{height} | {hole.sum():,} | {min(walls):.2f} | {min(cpus):.2f} |")
        print(rows[-1], flush=True)
        if arguments.pictures:
            arguments.pictures.mkdir(parents=True, exist_ok=True)
            Image.fromarray(filled).save(
                arguments.pictures / f"{name.replace(', ', '_').replace(' ', '-').replace('/', '-')}.png"
            )
    lines = [
        "# Completion by patches: time of a fill",
        "",
        f"`python benchmarks/patchmatch.py`: default settings ({SMOOTH_START} patches across at the coarsest scale, "
        f"{ROUNDS} to {FINAL_ROUNDS} rounds of {PASSES} passes), smooth fill to begin with, "
        f"warm, best of {arguments.rounds}; {os.cpu_count()} cores, Python {platform.python_version()}, "
        f"{platform.machine()}; load average at the end {os.getloadavg()[0]:.1f} (one or two of it its own).",
        "",
        "| what | size | missing px | wall, s | CPU, s |",
        "|---|---|---:|---:|---:|",
        *rows,
        "",
        SEEN,
    ]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text("\n".join(lines))


if __name__ == "__main__":
    main()
