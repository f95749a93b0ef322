"""Remove an object from a photo: what is behind it comes from other photos.

    python examples/remove_object.py PHOTO TOP,LEFT,BOTTOM,RIGHT FOLDER OUT

The box around the object is given in pixels of PHOTO. Indexes FOLDER (once: the next run uses OUT/photos.ceret again), fills
the box by scene completion, never from PHOTO's own folder or from near-duplicates of it, and writes OUT/STEM.png, its record
OUT/STEM.json, and all candidates on one sheet, OUT/STEM.candidates/sheet.png. `pick=3` would write the third candidate.
"""

import sys
from pathlib import Path

import numpy as np

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, build_index, complete, load_photo

MARGIN = 3  # px around the box, so that none of the object's edge is left


def main(photo_path: str, box: str, folder: str, out: str) -> None:
    """Fill the box, and print where the fill came from."""
    photo = load_photo(photo_path)  # .pixels: uint8 (H, W, 3), sRGB
    top, left, bottom, right = (int(number) for number in box.split(","))
    hole = np.zeros(photo.pixels.shape[:2], bool)  # True = missing
    hole[max(0, top - MARGIN) : bottom + MARGIN, max(0, left - MARGIN) : right + MARGIN] = True

    build_index([folder], Path(out) / "photos.ceret", IndexSettings(features="thumbnail"))
    index = PhotoIndex.open(Path(out) / "photos.ceret")

    result = complete(photo.pixels, hole, index, method="scenes", pick=1, origin=photo_path, exclude_same_source=True)

    written = result.save(Path(out) / f"{Path(photo_path).stem}.png", like=photo)
    changed = result.provenance()["changed_outside_hole"]
    print(f"{written}: {hole.sum()} pixels removed, and {changed} beside them changed by the seam")
    for candidate in result.candidates[:5]:
        # A photo of the same place goes before all scenes, and has no total of ranking terms.
        score = "same place" if candidate.total is None else f"{candidate.total:.3f}"
        print(f"{candidate.rank}  {score}  {candidate.photo}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
