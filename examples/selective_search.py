# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "opencv-contrib-python-headless==4.10.0.84"]
# ///
"""Write the boxes that selective search proposes, for `ceret transfer detect`: selective_search.py VOCdevkit/VOC2007 OUT.npz.

It needs OpenCV's extra modules, which may not stand beside the OpenCV of ceret, so it runs in an environment of its own: with
`uv run examples/selective_search.py` or `pipx run examples/selective_search.py`, which read its needs from the lines above, or by
`python` in a virtual environment with these two packages. It imports nothing of ceret.

Settings are those of Fast R-CNN's published boxes: selective search's fast mode (Uijlings et al. 2013), photos resized to a width
of 500 px. OUT.npz has, under the name of each photo, float32 (N, 4): xmin, ymin, xmax, ymax, the first pixel 1, both ends within
the box. Photos that OUT.npz already has are kept, so a run that was stopped goes on.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH = 500  # px
PARTS = ("trainval", "test")
SAVE_EVERY = 200  # photos


def proposed(photo: np.ndarray) -> np.ndarray:
    """Return the boxes of a photo BGR uint8 (H, W, 3), the likeliest first: float32 (N, 4)."""
    height, width = photo.shape[:2]
    scale = WIDTH / width
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.resize(photo, (WIDTH, max(1, round(scale * height)))))
    search.switchToSelectiveSearchFast()
    left, top, wide, high = (search.process() / scale).T
    ends = np.stack([left, top, left + wide - 1, top + high - 1], axis=1).round() + 1
    return np.unique(ends.clip(1, [width, height, width, height]).astype(np.float32), axis=0)


def save(path: Path, boxes: dict[str, np.ndarray]) -> None:
    """Write the file, whole or not at all."""
    new = path.with_name(f".{path.name}.new.npz")
    np.savez_compressed(new, **boxes)
    os.replace(new, path)


def main(root: str, out: str) -> None:
    """Write the boxes of the photos of `trainval` and `test`."""
    path = Path(out)
    boxes: dict[str, np.ndarray] = {}
    if path.exists():
        with np.load(path) as found:
            boxes = dict(found)
    names = [name for part in PARTS for name in (Path(root) / f"ImageSets/Main/{part}.txt").read_text().split()]
    for number, name in enumerate(names, start=1):
        if name in boxes:
            continue
        photo = cv2.imread(str(Path(root) / f"JPEGImages/{name}.jpg"))
        if photo is None:
            sys.exit(f"Error: {root}/JPEGImages/{name}.jpg cannot be read: unpack the archive of VOC again")
        boxes[name] = proposed(photo)
        if number % SAVE_EVERY == 0:
            save(path, boxes)
            print(f"{number} of {len(names)} photos", file=sys.stderr)
    save(path, boxes)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
