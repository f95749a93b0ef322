"""Scene completion in full: time a photo, warm, and what it keeps of the known pixels.

    python benchmarks/scenes.py [--data FOLDER] [--rounds N] [--workers N] [--out benchmarks/results/scenes.md]

The data folder holds photos/hays_efros: photos with masks (dark = hole) and a folder of about 20 scenes for each. All scenes
are placed, cut and ranked, the best 20 blended, the best one written. For 200 scenes the 59 of all photos are joined by
mirrored and cropped ones. The index is open and has been searched once before; scenes are read from their files each time.
"""

import argparse
import os
import platform
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.search import find_neighbors

ROOT = Path(__file__).resolve().parents[1]
MANY = 200
# On the first photo other programs, which rank by the squared difference alone, put this flooded town first.
WRONG = "result_img001.jpg"


def index_of(folder: Path, out: Path) -> PhotoIndex:
    build_index([folder], out, IndexSettings(workers=2))
    return PhotoIndex.open(out)


def write_many(home: Path, folder: Path) -> None:
    """Write the scenes of all photos, mirrored ones and crops, MANY in all."""
    count = 0
    for crop in (1.0, 0.92, 0.85):
        for path in sorted(home.glob("input?/*.jpg")):
            picture = Image.open(path).convert("RGB")
            width, height = round(picture.width * crop), round(picture.height * crop)
            part = picture.crop((picture.width - width, 0, picture.width, height))
            for mirrored in (False, True):
                if count == MANY:
                    return
                shown = part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if mirrored else part
                shown.save(folder / f"{path.parent.name}-{path.stem}-{crop}-{mirrored}.jpg", quality=92)
                count += 1


def row(home: Path, name: str, index: PhotoIndex, rounds: int, workers: int) -> str:
    photo = load_photo(home / f"{name}.jpg").pixels
    hole = np.asarray(Image.open(home / f"{name}_mask.jpg").convert("L")) < 128
    find_neighbors(index, photo, hole, 1)
    seconds, cpu = [], []
    for _ in range(rounds):
        completer = SceneCompleter(index, SceneSettings(rerank="rim"), workers=workers)  # nothing is kept of the hole
        start, used = time.perf_counter(), time.process_time()
        done = completer.complete(photo, hole)
        seconds.append(time.perf_counter() - start)
        cpu.append(time.process_time() - used)
    changed = (done.best != photo).any(axis=2)
    outside = int((changed & (done.seam == 0)).sum())
    places = [c.rank for c in done.candidates if Path(c.photo).name == WRONG and name == "input1"]
    wrong = str(places[0]) if places else "not among the 20" if name == "input1" else ""
    return (
        f"| {name} | {photo.shape[1]}x{photo.shape[0]} | {hole.sum():,} | {len(index)} | {min(seconds):.1f} | {min(cpu):.1f} | "
        f"{int((changed & ~hole).sum()):,} | {outside} | {wrong} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "scenes.md")
    arguments = parser.parse_args()
    home = arguments.data / "photos" / "hays_efros"
    with tempfile.TemporaryDirectory() as scratch:
        rows = []
        for name in ("input1", "input2", "input3"):
            index = index_of(home / name, Path(scratch) / f"{name}.ceret")
            rows.append(row(home, name, index, arguments.rounds, arguments.workers))
        (Path(scratch) / "many").mkdir()
        write_many(home, Path(scratch) / "many")
        index = index_of(Path(scratch) / "many", Path(scratch) / "many.ceret")
        rows += [row(home, name, index, 1, arguments.workers) for name in ("input1", "input2", "input3")]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    lines = [
        "# Scene completion: time of a photo",
        "",
        f"`python benchmarks/scenes.py`: hand-drawn holes that touch the border; all scenes placed at three scales, cut and "
        f"ranked, the best 20 blended; {arguments.workers} threads, warm, best of {arguments.rounds} rounds (200 scenes: one). "
        f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, Python {platform.python_version()}, "
        f"{platform.machine()}; peak memory of the process {peak:.1f} GB, building the indexes included. Changed: known pixels "
        "that differ from the photo, within the 12 px that the seam may take (seam 0 changes none), and beyond them. "
        "Town: the place of the flooded town, which looks right by colour alone.",
        "",
        "| photo | size | hole, px | scenes | s | CPU s | changed, in the seam's reach | changed beyond | town |",
        "|---|---|---:|---:|---:|---:|---:|---:|---|",
        *rows,
        "",
    ]
    arguments.out.write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
