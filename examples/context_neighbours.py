"""Find the photos whose surroundings of a hole are most alike, and see what the focus does.

    python examples/context_neighbours.py PHOTO FOLDER OUT

Drops the centre of PHOTO, indexes FOLDER, and finds the five nearest contexts twice in the same index: by everything that
is visible, and with a focus, which gives more weight to what is near the hole. Draws both sheets into OUT.
"""

import sys
from pathlib import Path

import numpy as np

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, build_index, find_neighbors, load_photo, save_photo
from ce_retrieval.figures import neighbour_sheet


def main(photo_path: str, folder: str, out: str) -> None:
    """Search twice, print and draw the neighbours."""
    photo = load_photo(photo_path).pixels
    height, width = photo.shape[:2]
    hole = np.zeros((height, width), bool)
    hole[height // 4 : 3 * height // 4, width // 4 : 3 * width // 4] = True

    build_index([folder], Path(out) / "photos.ceret", IndexSettings(features="thumbnail"))
    index = PhotoIndex.open(Path(out) / "photos.ceret")

    for name, focus in (("all", None), ("focus", 8.0)):
        neighbors = find_neighbors(index, photo, hole, k=min(5, len(index)), focus=focus)
        print(f"focus: {focus or 'none'}")
        for neighbor in neighbors:
            print(f"{neighbor.rank}  {neighbor.distance:.4f}  {neighbor.name}")
        pictures = [index.read_photo(neighbor.record).pixels for neighbor in neighbors]
        captions = [f"{neighbor.rank}  {neighbor.distance:.4f}" for neighbor in neighbors]
        sheet = Path(out) / f"neighbours-{name}.png"
        save_photo(sheet, neighbour_sheet(photo, hole, pictures, captions))
        print(f"picture: {sheet}")


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
