"""Write a set in the form of PASCAL VOC whose boxes and masks are known: shapes pasted into photos.

    python benchmarks/shapes_voc.py --shapes shapes --train scenes/train --test scenes/val --out VOCshapes

Each photo gets one or two shapes of five classes, filled with a part of another photo that is tinted with the colour of the
class. The sets `trainval` and `train` are of photos of --train and of four fifths of the shapes, `test` and `val` of the others.
Windows of several sizes at all places are the proposals (`proposals.npz`): they know nothing of the shapes.
"""

import argparse
import colorsys
import itertools
from pathlib import Path

import numpy as np
from PIL import Image

from ce_retrieval.transfer.sets.voc import VOID
from ce_retrieval.transfer.sets.voc_objects import CLASSES

SIDE = 150  # px
NAMES = ("aeroplane", "bird", "car", "cat", "person")
TINT = 0.4
LEAST, MOST = 70, 130  # px, the longer side of a shape
SIZES, RATIOS = (50, 70, 98, 130), (0.5, 1.0, 2.0)  # of the windows: roots of their areas, px, and width by height


def main() -> None:
    """Write the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("shapes", "train", "test", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--count", type=int, nargs=2, default=(1000, 300), help="photos to train on, and to measure")
    options = parser.parse_args()
    rng = np.random.default_rng(0)
    root: Path = options.out
    if root.exists():
        parser.error(f"{root} is there already: remove it, or choose another --out")
    for folder in ("ImageSets/Main", "ImageSets/Segmentation", "JPEGImages", "Annotations", "SegmentationClass"):
        (root / folder).mkdir(parents=True)
    shapes = sorted(options.shapes.rglob("*.png"))
    held_out = len(shapes) // 5
    windows, numbers = window_boxes(), itertools.count(1)
    proposals: dict[str, np.ndarray] = {}
    for parts, photos, masks, count in (
        (("trainval", "train"), options.train, shapes[held_out:], options.count[0]),
        (("test", "val"), options.test, shapes[:held_out], options.count[1]),
    ):
        files = sorted(path for path in photos.rglob("*") if path.suffix.lower() in (".jpg", ".png", ".webp"))
        cut: dict[str, list[np.ndarray]] = {name: [] for name in NAMES}
        for path in masks:
            if (shape := cut_shape(path)) is not None:
                cut[shape[0]].append(shape[1])
        names = [f"{next(numbers):06d}" for _ in range(count)]
        for name in names:
            write_photo(root, name, files, cut, rng)
            proposals[name] = windows
        for task, part in zip(("Main", "Segmentation"), parts, strict=True):
            (root / "ImageSets" / task / f"{part}.txt").write_text("\n".join(names) + "\n")
    np.savez_compressed(root / "proposals.npz", **proposals)


def window_boxes() -> np.ndarray:
    """Return the windows: float32 (N, 4), a third of a side apart."""
    boxes = []
    for size, ratio in itertools.product(SIZES, RATIOS):
        width, height = (min(SIDE, round(size * factor)) for factor in (ratio**0.5, ratio**-0.5))
        lefts, tops = (np.linspace(1, SIDE - side + 1, 1 + round(3 * (SIDE - side) / side)) for side in (width, height))
        boxes += [(left, top, left + width - 1, top + height - 1) for left in lefts.round() for top in tops.round()]
    return np.array(boxes, np.float32)


def cut_shape(path: Path) -> tuple[str, np.ndarray] | None:
    """Return the class that covers most of a mask, and its part of it: 1 inside, VOID at the border; None for other classes."""
    mask = np.array(Image.open(path))
    counts = np.bincount(mask.ravel(), minlength=256)[1 : 1 + len(CLASSES)]
    name = CLASSES[int(counts.argmax())]
    inside = mask == 1 + CLASSES.index(name)
    if name not in NAMES or inside.sum() < 500:
        return None
    rows, columns = (np.flatnonzero(inside.any(axis)) for axis in (1, 0))
    box = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return name, np.where(inside, 1, np.where(mask == VOID, VOID, 0)).astype(np.uint8)[box]


def read_photo(path: Path) -> np.ndarray:
    return np.array(Image.open(path).convert("RGB").resize((SIDE, SIDE)))


def write_photo(
    root: Path, name: str, files: list[Path], shapes: dict[str, list[np.ndarray]], rng: np.random.Generator
) -> None:
    """Write a photo with shapes, its annotation, and its mask."""
    photo, classes = read_photo(files[rng.integers(len(files))]), np.zeros((SIDE, SIDE), np.uint8)
    objects = []
    for _ in range(rng.integers(1, 3)):
        kind = NAMES[rng.integers(len(NAMES))]
        shape = shapes[kind][rng.integers(len(shapes[kind]))]
        scale = rng.uniform(LEAST, MOST) / max(shape.shape)
        height, width = (max(2, round(scale * side)) for side in shape.shape)
        small = np.array(Image.fromarray(shape).resize((width, height), Image.Resampling.NEAREST))
        top, left = rng.integers(0, SIDE - height + 1), rng.integers(0, SIDE - width + 1)
        place = np.s_[top : top + height, left : left + width]
        if classes[place].any():
            continue  # it would hide the other one
        texture = read_photo(files[rng.integers(len(files))])[:height, :width]
        colour = np.multiply(255, colorsys.hsv_to_rgb(NAMES.index(kind) / len(NAMES), 0.8, 0.8))
        filled = ((1 - TINT) * texture + TINT * colour).astype(np.uint8)
        photo[place] = np.where((small == 1)[..., None], filled, photo[place])
        classes[place] = np.where(small == 1, 1 + CLASSES.index(kind), small)
        rows, columns = (np.flatnonzero((small == 1).any(axis)) for axis in (1, 0))
        ends = (left + columns[0] + 1, top + rows[0] + 1, left + columns[-1] + 1, top + rows[-1] + 1)
        box = "".join(
            f"<{end}>{value}</{end}>" for end, value in zip(("xmin", "ymin", "xmax", "ymax"), ends, strict=True)
        )
        objects.append(f"<object><name>{kind}</name><difficult>0</difficult><bndbox>{box}</bndbox></object>")
    size = f"<size><width>{SIDE}</width><height>{SIDE}</height><depth>3</depth></size>"
    (root / "Annotations" / f"{name}.xml").write_text(f"<annotation>{size}{''.join(objects)}</annotation>\n")
    Image.fromarray(photo).save(root / "JPEGImages" / f"{name}.jpg", quality=95)
    Image.fromarray(classes).save(root / "SegmentationClass" / f"{name}.png")


if __name__ == "__main__":
    main()
