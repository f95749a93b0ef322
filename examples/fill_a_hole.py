"""Fill the hole of one photo from a folder of other photos.

    python examples/fill_a_hole.py PHOTO MASK FOLDER OUT

MASK has the photo's size and is white where the photo is missing. Indexes FOLDER (once: the next run uses OUT/photos.ceret
again), lays the best of the nearest contexts over the hole, and writes OUT/STEM.png and OUT/STEM.json, which says where every
filled pixel came from.
"""

import sys
from pathlib import Path

from ce_retrieval import (
    CeretError,
    IndexSettings,
    PhotoIndex,
    RetrievalCompleter,
    build_index,
    load_photo,
    read_mask,
)


def main(photo_path: str, mask_path: str, folder: str, out: str) -> None:
    """Fill one hole and print what it was filled from."""
    photo = load_photo(photo_path)  # .pixels: uint8 (H, W, 3), sRGB
    hole = read_mask(mask_path, photo.pixels.shape[:2])  # bool (H, W), True = missing

    build_index([folder], Path(out) / "photos.ceret", IndexSettings())
    index = PhotoIndex.open(Path(out) / "photos.ceret")

    result = RetrievalCompleter(index).complete(photo.pixels, hole)

    written = result.save(out, Path(photo_path).stem, like=photo)
    print(f"{written}: {hole.sum()} missing pixels of {hole.size}, filled from {result.candidates[0].photo}")
    for candidate in result.candidates[:5]:
        scores = "  ".join(f"{name} {score:.4f}" for name, score in candidate.scores.items())
        print(f"{candidate.rank}  {scores}  {candidate.photo}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
