"""Fill holes in real photos, end to end, and say where the pictures are; `make demo` runs this.

By default the collection is the colour photos that scikit-image carries, cut into overlapping squares at several scales.
The left view of a stereo pair is held out as a whole, and its regions are the queries: the right view, taken from another
place, is in the collection, as when you have several photos of a scene. The last query is a region of the cat, and every
square that overlaps it is left out: the collection has only other parts of the cat, and it shows.

The network of the package describes the contexts, and scene completion fills the holes from the nearest ones, guided by what
the network expects there. Where squares of the right view certainly show the very place, they go before it: four holes are
filled from them, each square laid over the hole as a plane. The cat is left to scene completion. Then the network fills the same
holes alone, without the collection.

With --photos FOLDER, four of your photos are held out, a hole is cut into the middle of each, and the others fill it.
"""

import argparse
import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval import CeretError, load_photo, read_mask, save_photo
from ce_retrieval.figures import contact_sheet, show_hole
from ce_retrieval.photos import open_source
from cli.main import main as ceret

SIDE = 192  # px, of a query that is cut from a bundled photo
SCALES = (128, 160, 192, 240)  # px, sides of the collection's squares
FEATURES = "encoder"  # learned; `hog`, `gist` or `thumbnail` to see what others find
RERANK = "guided"
SHOWN = 3  # candidates in the summary
LARGEST = 1024  # px, to which the longer side of your own photos is reduced: a demo should be quick
QUERIES = (  # name, photo, row and column of its corner
    ("shelf", "motorcycle_left", 0, 540),
    ("fork", "motorcycle_left", 240, 432),
    ("bench", "motorcycle_left", 0, 108),
    ("wheel", "motorcycle_left", 300, 54),
    ("cat", "chelsea", 80, 80),
)


def main() -> None:
    """Prepare photos, run the commands that a user would run, and compose the pictures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, help="a folder of your own photos, at least 8")
    parser.add_argument("--out", type=Path, default=Path("demo"))
    args = parser.parse_args()
    out: Path = args.out
    start_afresh(out)
    try:
        truths = hold_out_own(args.photos, out) if args.photos else hold_out_bundled(out)
    except CeretError as error:
        sys.exit(f"Error: {error}")
    first = next(iter(truths))
    index = out / "photos.ceret"
    candidates = min(10, sum(1 for _ in open_source(out / "collection").items()))
    print(f"\n{len(truths)} photos with a hole are in {out}/queries, their masks in {out}/masks\n")
    run("index", out / "collection", "--features", FEATURES, "--out", index)
    query, mask = out / "queries" / f"{first}.png", out / "masks" / f"{first}.png"
    run("query", query, "--mask", mask, "--index", index, "-k", candidates, "--out", out / "neighbours.png")
    holes = ("complete", out / "queries", "--mask", out / "masks")
    found = ("--method", "scenes", "--index", index, "--rerank", RERANK, "--top", candidates, "--save-candidates")
    run(*holes, *found, "--out", out / "filled")
    run(*holes, "--method", "network", "--out", out / "predicted")
    compose(out, truths, first)
    print(f"""
{out}/summary.png     each photo before, its hole, its three best candidates, the photo as filled, and as the network predicts it
{out}/neighbours.png  the nearest contexts of {first}.png
{out}/candidates.png  {first}.png filled from each of its best candidates
{out}/filled/         the filled photos; the .json beside each says where every filled pixel came from
{out}/predicted/      the photos as the network alone fills them""")


def start_afresh(out: Path) -> None:
    """Empty the folder of an earlier demo; refuse to touch any other folder that is not empty."""
    marker = out / "made-by-ceret-demo"
    if out.exists() and any(out.iterdir()) and not marker.exists():
        sys.exit(f"Error: {out} holds other things: give an empty or new folder as --out")
    shutil.rmtree(out, ignore_errors=True)
    for name in ("collection", "queries", "masks", "truth"):
        (out / name).mkdir(parents=True)
    marker.touch()


def hold_out_bundled(out: Path) -> dict[str, np.ndarray]:
    """Cut the collection and the queries out of scikit-image's photos; return the queries' truths by name."""
    from skimage import data

    left, right, _ = data.stereo_motorcycle()
    photos = {name: getattr(data, name)() for name in ("astronaut", "chelsea", "coffee", "rocket")}
    for name, photo in {**photos, "motorcycle_right": right}.items():
        (out / "collection" / name).mkdir()
        held_out = [(row, column) for _, source, row, column in QUERIES if source == name]
        for side, y, x in squares(*photo.shape[:2]):
            if not any(-side < y - row < SIDE and -side < x - column < SIDE for row, column in held_out):
                square = Image.fromarray(photo[y : y + side, x : x + side])
                square.save(out / "collection" / name / f"{side}-{y}-{x}.jpg", quality=95)
    photos["motorcycle_left"] = left
    truths = {name: photos[source][y : y + SIDE, x : x + SIDE] for name, source, y, x in QUERIES}
    rows, columns = np.mgrid[:SIDE, :SIDE] - SIDE / 2
    for name, truth in truths.items():
        save_query(out, name, truth, rows**2 / 40**2 + columns**2 / 32**2 < 1)
    return truths


def squares(height: int, width: int) -> list[tuple[int, int, int]]:
    """List (side, row, column) of the squares of a photo: at every scale, each moved by a tenth of its side."""
    places = ((s, range(0, height - s + 1, s // 10), range(0, width - s + 1, s // 10)) for s in SCALES)
    return [(side, y, x) for side, rows, columns in places for y in rows for x in columns]


def hold_out_own(folder: Path, out: Path) -> dict[str, np.ndarray]:
    """Hold out four photos of a folder, link the others into the collection; return the truths by name."""
    source = open_source(folder)
    keys = [item.key for item in source.items()]
    if source.kind != "folder" or len(keys) < 8:
        sys.exit(f"Error: {folder} holds {len(keys)} photo files: give a folder of at least 8")
    truths: dict[str, np.ndarray] = {}
    held_out = set()
    for key in np.random.default_rng(0).permutation(keys):
        try:
            picture = Image.fromarray(load_photo(folder / str(key)).pixels)
        except CeretError as error:
            print(f"not held out: {error}")
            continue
        picture.thumbnail((LARGEST, LARGEST))
        truth = np.asarray(picture)
        height, width = truth.shape[:2]
        hole = np.zeros((height, width), bool)
        hole[3 * height // 8 : 5 * height // 8, 3 * width // 8 : 5 * width // 8] = True
        name = f"{len(truths) + 1}-{Path(str(key)).stem}"
        truths[name] = truth
        held_out.add(str(key))
        save_query(out, name, truth, hole)
        if len(truths) == 4:
            break
    for key in keys:
        if key not in held_out:
            link = out / "collection" / key
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to((folder / key).resolve())
    return truths


def save_query(out: Path, name: str, truth: np.ndarray, hole: np.ndarray) -> None:
    """Write the photo, the photo with its hole painted white (so that no method can look under it), and the mask."""
    save_photo(out / "truth" / f"{name}.png", truth)
    query = truth.copy()
    query[hole] = 255
    save_photo(out / "queries" / f"{name}.png", query)
    Image.fromarray(hole).save(out / "masks" / f"{name}.png")


def run(*arguments: object) -> None:
    """Print and run a `ceret` command: in this process, which spares it the start of Python and torch."""
    words = [str(argument) for argument in arguments]
    print(f"$ ceret {shlex.join(words)}", flush=True)
    try:
        ceret(words, prog_name="ceret")
    except SystemExit as end:
        if end.code:
            raise


def compose(out: Path, truths: dict[str, np.ndarray], first: str) -> None:
    """Draw the summary and the candidates' fills."""
    rows = []
    for name, truth in truths.items():
        hole = read_mask(out / "masks" / f"{name}.png", truth.shape[:2])
        candidates = json.loads((out / "filled" / f"{name}.json").read_text())["candidates"]
        scenes = [load_photo(candidate["photo"]).pixels for candidate in candidates[:SHOWN]]
        scenes += [np.full_like(truth, 255)] * (SHOWN - len(scenes))
        fills = [load_photo(out / folder / f"{name}.png").pixels for folder in ("filled", "predicted")]
        rows.append([truth, show_hole(truth, hole), *scenes, *fills])
    titles = ["before", "hole", *(f"candidate {n}" for n in range(1, SHOWN + 1)), "filled", "network alone"]
    save_photo(out / "summary.png", contact_sheet(rows, row_labels=list(truths), column_labels=titles, cell=192))
    fills = [load_photo(path).pixels for path in sorted((out / "filled" / f"{first}.candidates").glob("[0-9]*.png"))]
    save_photo(out / "candidates.png", contact_sheet([row for row in (fills[:5], fills[5:]) if row], cell=192))


if __name__ == "__main__":
    main()
