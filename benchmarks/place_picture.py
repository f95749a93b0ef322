"""The README's picture: holes in one photo, filled from another photo of the place.

    python benchmarks/place_picture.py [--out docs/images/places.jpg]

Both are views of the stereo pair that scikit-image carries (Middlebury 2014, "Motorcycle"), whole, at their own size. All holes
are filled in one call. The second row is a part of the photos, enlarged; what was there is shown, and not used.
"""

import argparse
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

from ce_retrieval import complete
from ce_retrieval.figures import GAP, contact_sheet, show_hole

ROOT = Path(__file__).resolve().parents[1]
HOLES = {  # row and column of the centre, half the height and half the width, px
    "engine": (290, 330, 45, 55),
    "front wheel": (380, 580, 50, 55),
    "rear wheel": (330, 215, 50, 45),
    "tank": (190, 400, 40, 50),
    "shelf": (60, 620, 40, 50),
}
TOP, LEFT, HEIGHT, WIDTH = 135, 240, 216, 320  # of the part that is enlarged
CELL = 460  # px, width of a picture on the sheet


def holes(shape):
    """All ellipses as one hole bool (H, W)."""
    rows, columns = np.mgrid[: shape[0], : shape[1]] + 0.5
    hole = np.zeros(shape, bool)
    for row, column, high, wide in HOLES.values():
        hole |= ((rows - row) / high) ** 2 + ((columns - column) / wide) ** 2 < 1
    return hole


def fill(photo, hole, other):
    """Fill a photo from a folder that holds the other one."""
    with tempfile.TemporaryDirectory() as folder:
        Image.fromarray(other).save(Path(folder) / "right.png")
        done = complete(photo, hole, others=folder)
    for part in done.parts:
        print(f"box {part.box}: {part.method}, agreement {part.evidence.get('agreement', 0):.2f}")
    for name, (row, column, high, wide) in HOLES.items():
        box = slice(row - high, row + high), slice(column - wide, column + wide)
        errors = (done.best[box].astype(float) - photo[box])[hole[box]] / 255
        print(f"{name}: {-10 * np.log10(np.square(errors).mean()):.1f} dB")
    return done.best


def sheet(rows):
    """A row of pictures for each (titles, pictures); all-white lines of pixels are dropped but for GAP of each run."""
    whole = np.vstack([contact_sheet([pictures], column_labels=titles, cell=CELL) for titles, pictures in rows])
    white = (whole == 255).all(axis=(1, 2))
    run = np.arange(len(white)) - np.maximum.accumulate(np.where(white, -1, np.arange(len(white))))
    return whole[run <= GAP]


def part(picture):
    """The part that is enlarged."""
    return picture[TOP : TOP + HEIGHT, LEFT : LEFT + WIDTH]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "images" / "places.jpg")
    options = parser.parse_args()
    left, right, _ = data.stereo_motorcycle()
    hole = holes(left.shape[:2])
    filled = fill(left, hole, right)
    rows = [
        (("photo and mask", "another photo of the place", "filled"), (show_hole(left, hole), right, filled)),
        (("before the hole", "the other photo", "filled"), tuple(part(picture) for picture in (left, right, filled))),
    ]
    Image.fromarray(sheet(rows)).save(options.out, quality=88)


if __name__ == "__main__":
    main()
