# /// script
# requires-python = ">=3.10"
# dependencies = ["numpy", "opencv-contrib-python-headless==4.10.0.84"]
# ///
"""Write the boxes that selective search proposes, for `ceret transfer detect`: selective_search.py VOCdevkit/VOC2007 OUT.npz.

It needs OpenCV's extra modules, which may not stand beside the OpenCV of ceret. So it runs in an environment of its own, without
ceret: `uv run examples/selective_search.py` and `pipx run examples/selective_search.py` make one from the lines above. The
settings are those of Fast R-CNN's published boxes (Uijlings et al. 2013, fast mode, photos 500 px wide). A run that was
stopped goes on.
"""

import os
import sys
from pathlib import Path

import cv2
import numpy as np

WIDTH = 500  # px
PARTS = ("trainval", "test")


def proposed(photo: np.ndarray) -> np.ndarray:
    """Return the boxes of a photo BGR uint8 (H, W, 3), float32 (N, 4)."""
    height, width = photo.shape[:2]
    scale = WIDTH / width
    search = cv2.ximgproc.segmentation.createSelectiveSearchSegmentation()
    search.setBaseImage(cv2.resize(photo, (WIDTH, max(1, round(scale * height)))))
    search.switchToSelectiveSearchFast()
    left, top, wide, high = search.process().T / scale
    ends = np.stack([np.floor(left) + 1, np.floor(top) + 1, np.ceil(left + wide), np.ceil(top + high)], axis=1)
    return np.unique(ends.clip(1, [width, height, width, height]).astype(np.float32), axis=0)


def main(root: str, out: str) -> None:
    """Write the boxes of the photos of `trainval` and `test`."""
    path = Path(out)
    boxes: dict[str, np.ndarray] = {}
    if path.exists():
        with np.load(path) as found:
            boxes = dict(found)
    names = [name for part in PARTS for name in (Path(root) / f"ImageSets/Main/{part}.txt").read_text().split()]
    left = [name for name in names if name not in boxes]
    for number, name in enumerate(left, start=1):
        photo = cv2.imread(str(Path(root) / f"JPEGImages/{name}.jpg"))
        if photo is None:
            sys.exit(f"Error: {root}/JPEGImages/{name}.jpg cannot be read: unpack the archive of VOC again")
        boxes[name] = proposed(photo)
        if number % 200 == 0 or number == len(left):
            new = path.with_suffix(".new.npz")
            np.savez_compressed(new, **boxes)
            os.replace(new, path)
            print(f"{len(boxes)} of {len(names)} photos", file=sys.stderr)


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
