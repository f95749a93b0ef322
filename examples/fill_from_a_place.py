"""Fill the hole of one photo from other photos of the same place: what it hides is in them.

    python examples/fill_from_a_place.py PHOTO MASK OTHERS OUT

MASK has the photo's size and is white where the photo is missing. OTHERS is a folder of photos of the place, from any viewpoint
and hour; it is not indexed. What they show of the hole comes from them, and the photo's own patches fill the rest. Writes
OUT/STEM.png and OUT/STEM.json, which says where every filled pixel came from.
"""

import sys
from pathlib import Path

from ce_retrieval import CeretError, complete, load_photo, read_mask


def main(photo_path: str, mask_path: str, others: str, out: str) -> None:
    """Fill one hole, and print what each part of it was filled from."""
    photo = load_photo(photo_path)  # .pixels: uint8 (H, W, 3), sRGB
    hole = read_mask(mask_path, photo.pixels.shape[:2])  # bool (H, W), True = missing

    result = complete(photo.pixels, hole, others=others, origin=photo_path)

    written = result.save(Path(out) / f"{Path(photo_path).stem}.png", like=photo)
    print(f"{written}: {hole.sum()} missing pixels of {hole.size}")
    for part in result.parts:
        if part.method == "places":
            used = ", ".join(Path(one.photo).name for one in (part.scene, *part.more))
            print(f"{part.pixels} px from {used}: agreement {part.evidence['agreement']:.2f}")
        else:
            print(f"{part.pixels} px by {part.method}: no other photo shows them")
    for note in result.notes:
        print(f"note: {note}")


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
