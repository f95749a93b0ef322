"""How often a fill is of the right kind: `scenes` from several indexes of one collection, photos in folders by kind.

    python benchmarks/kinds.py scenes/val --index train.ceret kind.ceret [--count 60] [--out benchmarks/results/kinds.md]

The indexes: of scenes/train, by `ceret index` with the default features and with `--features kind`. Central hole, no seam.
kind@1: share of photos whose best scene has their own label; kind@20: mean share among the 20 best; made@1: buildings or
street for buildings or street, nature for nature. L2 and sharpness over the pixels of the hole.
"""

import argparse
from pathlib import Path

import numpy as np

from ce_retrieval import make_completer, metrics
from ce_retrieval.errors import CeretError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.training import open_photos

MADE = ("buildings", "street")


def measured(path, photos, labels, hole):
    completer = make_completer("scenes", PhotoIndex.open(path), settings={"seam": 0})
    results = list(completer.complete_many(photos, [hole] * len(photos)))
    if bad := [result for result in results if isinstance(result, CeretError)]:
        raise bad[0]
    found = [[candidate.label for candidate in result.candidates] for result in results]
    first = np.array([of[0] for of in found])
    kinds = first == labels
    among = np.mean([np.mean(np.array(of) == label) for of, label in zip(found, labels, strict=True)])
    made = np.isin(first, MADE) == np.isin(labels, MADE)
    each = "; ".join(f"{kinds[labels == kind].mean():.2f}" for kind in MADE)
    truth, fills = np.stack(photos), np.stack([result.best for result in results])
    error, sharp = (metric(truth, fills, hole) for metric in (metrics.l2, metrics.sharpness))
    return f"{kinds.mean():.2f} | {among:.2f} | {made.mean():.2f} | {each} | {error.mean():.2f} | {np.nanmedian(sharp):.2f}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--index", nargs="+", required=True, type=Path)
    parser.add_argument("--count", type=int, default=60)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    packed, _ = open_photos([options.photos], 128)
    chosen = np.random.default_rng(0).permutation(len(packed))[: options.count]
    photos, labels = [packed.pixels[row] for row in chosen], np.array(packed.labels)[chosen]
    lines = [
        "| index made with | kind@1 | kind@20 | made@1 | buildings; street | L2 % | sharpness |",
        "|---|---:|---:|---:|---|---:|---:|",
    ]
    for path in options.index:
        features = PhotoIndex.open(path).manifest.descriptor
        lines.append(f"| `{features}` | {measured(path, photos, labels, center_holes(1, 128)[0])} |")
        print(lines[-1], flush=True)
    if options.out:
        text = "\n".join(lines)
        options.out.write_text(f"# Fills of the right kind\n\n{len(photos)} photos, central hole.\n\n{text}\n")


if __name__ == "__main__":
    main()
