"""Draw Figure 8 of Context Encoders for your photos: python examples/figure8.py QUERIES COLLECTION OUT hog gist thumbnail.

Each photo of QUERIES loses its centre. Beside it stand the five nearest contexts in COLLECTION by each of the features. A green
frame marks those of the query's kind: QUERIES and COLLECTION have a subfolder for each kind, with the same names in both.
"""

import sys
from pathlib import Path

import numpy as np

from ce_retrieval import CeretError, IndexSettings, PhotoIndex, build_index, find_neighbors, load_photo, save_photo
from ce_retrieval.figures import context_sheet, show_hole
from ce_retrieval.photos import open_source

GREEN = (0, 158, 115)


def main(queries: str, collection: str, out: str, *features: str) -> None:
    """Index the collection by each of the features, search for each photo, draw them all."""
    photos = [
        (item.label, load_photo(Path(queries, item.key), size=128).pixels) for item in open_source(queries).items()
    ]
    hole = np.zeros((128, 128), bool)
    hole[32:96, 32:96] = True
    blocks, frames = [], []
    for name in features:
        path = Path(out) / f"{name.replace(':', '-')}.ceret"
        build_index([collection], path, IndexSettings(features=name, kind="none"))
        index = PhotoIndex.open(path)
        found = [find_neighbors(index, photo, hole, k=min(5, len(index))) for _, photo in photos]
        blocks.append([[index.read_photo(one.record, size=128).pixels for one in row] for row in found])
        right = [
            [one.record.label == label != "" for one in row] for row, (label, _) in zip(found, photos, strict=True)
        ]
        frames.append([[GREEN if same else None for same in row] for row in right])
        print(f"{name}: {np.mean(right):.2f} of the neighbours are of the photo's kind")
    shown = [show_hole(photo, hole) for _, photo in photos]
    save_photo(Path(out) / "figure8.png", context_sheet(shown, blocks, frames, titles=features))
    print(f"picture: {Path(out) / 'figure8.png'}")


if __name__ == "__main__":
    if len(sys.argv) < 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
