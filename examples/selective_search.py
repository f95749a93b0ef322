# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "opencv-contrib-python-headless==4.10.0.84"]
# ///
"""Write the boxes that selective search proposes, for `ceret transfer detect`: selective_search.py VOCdevkit/VOC2007 OUT.npz.

It needs OpenCV's extra modules, which may not stand beside the OpenCV of ceret. So it runs in an environment of its own, without
ceret: `uv run examples/selective_search.py` and `pipx run examples/selective_search.py` make one from the lines above. The
settings are those of Fast R-CNN's published boxes (Uijlings et al. 2013, fast mode, photos 500 px wide, no box narrower or lower
than 20 of these px); the boxes differ a little, as OpenCV's program is another one. A run that was stopped goes on.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH = 500  # px
LEAST_SIDE = 20  # px, of a box
SIZES = (50, 50)  # of the first segments: the least, and the step to the next (OpenCV's own fast mode: 150, 150)
PARTS = ("trainval", "test")


def proposed(photo: np.ndarray) -> np.ndarray:
    """Return the boxes of a photo BGR uint8 (H, W, 3), float32 (N, 4)."""
    height, width = photo.shape[:2]
    scale = WIDTH / width
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.resize(photo, (WIDTH, max(1, round(scale * height)))))
    search.switchToSelectiveSearchFast(*SIZES)
    found = search.process()
    left, top, wide, high = found[(found[:, 2:] >= LEAST_SIDE).all(axis=1)].T / scale
    ends = np.stack([np.floor(left) + 1, np.floor(top) + 1, np.ceil(left + wide), np.ceil(top + high)], axis=1)
    if not len(ends):  # every photo needs a box: the whole of it
        ends = np.array([[1, 1, width, height]])
    return np.unique(ends.clip(1, [width, height, width, height]).astype(np.float32), axis=0)


def photo_names(root: Path) -> list[str]:
    """Return the names of the photos of `trainval` and `test`."""
    paths = [root / f"ImageSets/Main/{part}.txt" for part in PARTS]
    if missing := [path for path in paths if not path.is_file()]:
        sys.exit(f"Error: {missing[0]}: no such file: give a folder of PASCAL VOC, as VOCdevkit/VOC2007")
    return [name for path in paths for name in path.read_text().split()]


def main(root: Path, out: Path) -> None:
    """Write the boxes of the photos of `trainval` and `test`."""
    if out.suffix != ".npz":
        sys.exit(f"Error: {out}: expected a name that ends in .npz: use {out}.npz")
    names = photo_names(root)
    boxes: dict[str, np.ndarray] = {}
    if out.exists():
        with np.load(out) as found:
            boxes = dict(found)
    if not boxes.keys() <= set(names):
        sys.exit(f"Error: {out} is there already, and holds something else: choose another name")
    left = [name for name in names if name not in boxes]
    for number, name in enumerate(left, start=1):
        path = root / f"JPEGImages/{name}.jpg"
        photo = cv2.imread(str(path))
        if photo is None:
            sys.exit(f"Error: {path} cannot be read: unpack the archive of VOC again")
        boxes[name] = proposed(photo)
        if number % 200 == 0 or number == len(left):
            new = out.with_suffix(".new.npz")
            np.savez_compressed(new, **boxes)
            os.replace(new, out)
            print(f"{len(boxes)} of {len(names)} photos", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]))
