"""Fill the hole of one photo from a folder of other photos.

    python examples/fill_a_hole.py PHOTO MASK FOLDER OUT

MASK has the photo's size, white where the photo is missing. Indexes FOLDER (once: OUT/photos.ceret is used again), fills
the hole from the nearest context and writes OUT/STEM.png, and beside it as JSON where every filled pixel came from.
"""

import sys
from pathlib import Path

from ce_retrieval import (
    CeretError,
    Completer,
    CompletionSettings,
    IndexSettings,
    PhotoIndex,
    build_index,
    load_photo,
    read_mask,
)


def main(photo_path: str, mask_path: str, folder: str, out: str) -> None:
    """Fill one hole and print what it was filled from."""
    photo = load_photo(photo_path).pixels  # uint8 (H, W, 3), RGB
    hole = read_mask(mask_path, photo.shape[:2])  # bool (H, W), True = missing

    build_index([folder], Path(out) / "photos.ceret", IndexSettings())
    index = PhotoIndex.open(Path(out) / "photos.ceret")

    result = Completer(index, CompletionSettings(k=min(20, len(index)))).complete(photo, hole)

    written = result.save(out, Path(photo_path).stem)
    print(f"{written}: {hole.sum()} missing pixels of {hole.size}, filled from {result.candidates[0].photo}")
    for candidate in result.candidates[:5]:
        print(
            f"{candidate.rank}  rim {candidate.rim_distance:.4f}  context {candidate.context_rank}  {candidate.photo}"
        )


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
