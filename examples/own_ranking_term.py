"""Rank scenes by your own term beside the built-in ones: here, how much warmer or colder their light is.

    python examples/own_ranking_term.py PHOTO MASK FOLDER OUT

A term gets a scene where it was placed, the photo and the hole, all of one size, and returns a distance: lower is better.
Terms are normalised over the candidates and summed by their weights. Other photos of the same place need no ranking: they are
not looked for here. Indexes FOLDER (once: the next run uses OUT/photos.ceret again), fills the hole with and without the term,
and prints the old and new ranks of the best.
"""

import sys
from pathlib import Path

import numpy as np

from ce_retrieval import (
    CeretError,
    IndexSettings,
    PhotoIndex,
    SceneCompleter,
    SceneSettings,
    build_index,
    load_photo,
    read_mask,
)


def warmth(scene: np.ndarray, photo: np.ndarray, hole: np.ndarray) -> float:
    """Return the difference of (mean red - mean blue), in grey levels; photos are uint8 (h, w, 3), the hole bool (h, w)."""
    fill, seen = scene[hole].mean(axis=0), photo[~hole].mean(axis=0)
    return abs(float((fill[0] - fill[2]) - (seen[0] - seen[2])))


def main(photo_path: str, mask_path: str, folder: str, out: str) -> None:
    """Complete twice and compare."""
    photo = load_photo(photo_path)
    hole = read_mask(mask_path, photo.pixels.shape[:2])
    build_index([folder], Path(out) / "photos.ceret", IndexSettings(features="thumbnail"))
    index = PhotoIndex.open(Path(out) / "photos.ceret")

    plain = SceneCompleter(index, SceneSettings(rerank="rim", places="none")).complete(photo.pixels, hole)
    settings = SceneSettings(rerank="rim", places="none", terms={"warmth": 8.0, "texture": 0.5})  # weights
    warm = SceneCompleter(index, settings, terms={"warmth": warmth}).complete(photo.pixels, hole)

    before = {candidate.photo: candidate.rank for candidate in plain.candidates}
    for candidate in warm.candidates[:5]:
        was = before.get(candidate.photo, "not among the best")
        print(f"{candidate.rank}  was {was}  warmth {candidate.scores['warmth']:.1f}  {candidate.photo}")
    print(warm.save(Path(out) / f"{Path(photo_path).stem}.png", like=photo))


if __name__ == "__main__":
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
