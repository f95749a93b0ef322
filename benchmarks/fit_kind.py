"""Fit the map of the descriptor `kind` to a collection, and measure it on other photos in folders by kind.

    python benchmarks/fit_kind.py --photos scenes/train --val scenes/val --out ce_retrieval/weights/kind.safetensors

Fitting uses no labels. The figures are under the centre hole: share of the nearest ten of a photo's own kind, share of
photos whose kind has the most of the nearest 50, and man-made (buildings, street) for man-made among the nearest ten.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from ce_retrieval.descriptors.kind import SIZE, Kind, fit_kind, load_kind, save_kind
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.training import open_photos

MADE = ("buildings", "street")


def described(descriptor, photos, hole=None):
    found = []
    for start in range(0, len(photos), 64):
        part = np.ascontiguousarray(photos[start : start + 64])
        holes = None if hole is None else np.broadcast_to(hole, part.shape[:3])
        found.append(descriptor.describe(part, holes)[:, 0])
    return np.concatenate(found)


def figures(nearest, labels, own):
    of = np.array(labels)[nearest]
    made = np.isin(of[:, :10], MADE) == np.isin(own, MADE)[:, None]
    votes = [Counter(row).most_common(1)[0][0] for row in of.tolist()]
    return (of[:, :10] == np.array(own)[:, None]).mean(), np.mean(np.array(votes) == own), made.mean()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--val", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    photos, _ = open_photos([options.photos], SIZE)
    kind_map, features = fit_kind(photos.pixels)
    save_kind(options.out, kind_map, features.network_sha256, {"photos": len(photos)})
    print(f"{options.out}: {options.out.stat().st_size / 1e6:.1f} MB, from {len(photos)} photos")
    if not options.val:
        return
    descriptor: Kind = load_kind(options.out)
    val, _ = open_photos([options.val], SIZE)
    gallery = described(descriptor, photos.pixels)
    holes = {"centre": center_holes(1, SIZE)[0]}
    for name, columns in (("left half", np.s_[:, : SIZE // 2]), ("lower half", np.s_[SIZE // 2 :])):
        holes[name] = np.zeros((SIZE, SIZE), bool)
        holes[name][columns] = True
    print("| hole | P@10 | vote of 50 | man-made@10 |\n|---|---|---|---|")
    for name, hole in holes.items():
        nearest = np.argsort(-(described(descriptor, val.pixels, hole) @ gallery.T), axis=1)[:, :50]
        print(
            f"| {name} | " + " | ".join(f"{value:.3f}" for value in figures(nearest, photos.labels, val.labels)) + " |"
        )


if __name__ == "__main__":
    main()
