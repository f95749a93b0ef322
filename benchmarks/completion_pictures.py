"""The pictures of docs/completion.md, from photos that scikit-image carries; with --data also sheets of the Hays & Efros photos.

    python benchmarks/completion_pictures.py
    python benchmarks/completion_pictures.py --data ../shared/data --sheets out    # photos that are not redistributed

steps.jpg: one photo through the steps of scene completion. methods.jpg: five holes, each filled by every method, from the
queries and the collection of `make demo`; scenes without other photos of the same place, by which `auto` fills. Sheets show a
photo with its hole and filled from each of its best five scenes.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "examples")]

from demo import hold_out_bundled, start_afresh  # noqa: E402

from ce_retrieval import (  # noqa: E402
    IndexSettings,
    PhotoIndex,
    SceneCompleter,
    SceneSettings,
    build_index,
    complete,
    load_photo,
    read_mask,
)
from ce_retrieval.figures import contact_sheet, show_hole  # noqa: E402

STEPS = "wheel"


def indexed(folder: Path, out: Path) -> PhotoIndex:
    build_index([folder], out, IndexSettings(features="encoder"))
    return PhotoIndex.open(out)


def placed(done, shape: tuple[int, ...]) -> np.ndarray:
    """The best scene where it was placed, over the photo's frame; white where it has nothing."""
    best = done.candidates[0]
    scene = Image.fromarray(load_photo(best.photo).pixels)
    size = (round(scene.width * best.scale[1]), round(scene.height * best.scale[0]))
    frame = Image.new("RGB", (shape[1], shape[0]), "white")
    frame.paste(scene.resize(size, Image.Resampling.BICUBIC), (round(best.offset[1]), round(best.offset[0])))
    return np.asarray(frame)


def steps(index: PhotoIndex, photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Hole, scene, placed scene, cut along the seam, blended, and corrected towards the expected content."""
    # The right view of the pair would lead as a photo of the same place, which is neither placed nor ranked.
    plain, done = (
        SceneCompleter(index, SceneSettings(trust=trust, places="none")).complete(photo, hole)
        for trust in (0.0, SceneSettings.trust)
    )
    scene = placed(done, photo.shape)
    cut = np.where((done.seam == 255)[..., None], scene, photo)
    pictures = [show_hole(photo, hole), load_photo(done.candidates[0].photo).pixels, scene, cut, plain.best, done.best]
    names = ["hole", "best scene", "placed", "cut along the seam", "blended", "and the expected"]
    return contact_sheet([pictures], column_labels=names, cell=224)


def methods(index: PhotoIndex, queries: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    ways = {
        "auto": {"method": "auto"},
        "scenes": {"method": "scenes", "places": "none"},
        "scenes, seam 0": {"method": "scenes", "places": "none", "seam": 0.0},
        "scenes, rim": {"method": "scenes", "places": "none", "rerank": "rim"},
        "retrieval": {"method": "retrieval"},
        "patchmatch": {"method": "patchmatch"},
        "network": {"method": "network"},
    }
    rows = []
    for photo, hole in queries.values():
        fills = [complete(photo, hole, None if name == "network" else index, **way).best for name, way in ways.items()]
        rows.append([show_hole(photo, hole), *fills])
    return contact_sheet(rows, row_labels=list(queries), column_labels=["hole", *ways], cell=192)


def sheet(home: Path, name: str, scratch: Path) -> np.ndarray:
    index = indexed(home / name, scratch / f"{name}.ceret")
    photo = load_photo(home / f"{name}.jpg").pixels
    hole = read_mask(home / f"{name}_mask.jpg", photo.shape[:2], invert=True)
    done = SceneCompleter(index, SceneSettings(top=5, places="none")).complete(photo, hole, candidate_fills=True)
    pictures = [show_hole(photo, hole), *done.fills]
    return contact_sheet([pictures[:3], pictures[3:]], cell=640)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--sheets", type=Path, default=Path("sheets"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        demo = Path(scratch) / "demo"
        start_afresh(demo)
        truths = hold_out_bundled(demo)
        index = indexed(demo / "collection", Path(scratch) / "demo.ceret")
        queries = {}
        for name in truths:
            photo = load_photo(demo / "queries" / f"{name}.png").pixels
            queries[name] = photo, read_mask(demo / "masks" / f"{name}.png", photo.shape[:2])
        for name, picture in (("steps", steps(index, *queries[STEPS])), ("methods", methods(index, queries))):
            Image.fromarray(picture).save(arguments.out / f"{name}.jpg", quality=90)
        if arguments.data:
            arguments.sheets.mkdir(parents=True, exist_ok=True)
            home = arguments.data / "photos" / "hays_efros"
            for name in ("input1", "input2", "input3"):
                Image.fromarray(sheet(home, name, Path(scratch))).save(arguments.sheets / f"{name}.png")


if __name__ == "__main__":
    main()
