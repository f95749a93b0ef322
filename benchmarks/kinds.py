"""How often a fill is of the right kind: scenes of the photo's kind against the nearest contexts, photos in folders by kind.

    python benchmarks/kinds.py scenes/val --index train.ceret [--count 120] [--out benchmarks/results/kinds.md]

The index: of scenes/train, by `ceret index`, with its kind features. Equally many photos of each folder; central hole, no
seam. kind@1: share of photos whose best scene has their own label; kind@20: mean share among the 20 best; made@1: buildings
or street for buildings or street, nature for nature. L2 and sharpness over the pixels of the hole.
"""

import argparse
import time
from pathlib import Path

import numpy as np

from ce_retrieval import make_completer, metrics
from ce_retrieval.errors import CeretError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.training import open_photos

MADE = ("buildings", "street")


def measured(index, kind, photos, labels, hole):
    completer = make_completer("scenes", index, settings={"seam": 0, "kind": kind})
    started = time.perf_counter()
    results = list(completer.complete_many(photos, [hole] * len(photos)))
    seconds = (time.perf_counter() - started) / len(photos)
    if bad := [result for result in results if isinstance(result, CeretError)]:
        raise bad[0]
    found = [[candidate.label for candidate in result.candidates] for result in results]
    first = np.array([of[0] for of in found])
    kinds = first == labels
    among = np.mean([np.mean(np.array(of) == label) for of, label in zip(found, labels, strict=True)])
    made = np.isin(first, MADE) == np.isin(labels, MADE)
    each = " | ".join(f"{kinds[labels == kind].mean():.2f}" for kind in sorted(set(labels)))
    truth, fills = np.stack(photos), np.stack([result.best for result in results])
    error, sharp = (metric(truth, fills, hole) for metric in (metrics.l2, metrics.sharpness))
    figures = f"{kinds.mean():.2f} | {among:.2f} | {made.mean():.2f} | {each}"
    return f"{figures} | {error.mean():.2f} | {np.nanmedian(sharp):.2f} | {seconds:.2f}"


def balanced(labels, count):
    """Return the rows of the first `count` photos in a random order, equally many of each label."""
    order = np.random.default_rng(0).permutation(len(labels))
    each = max(1, count // len(set(labels)))
    return np.concatenate([order[labels[order] == label][:each] for label in sorted(set(labels))])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photos", type=Path)
    parser.add_argument("--index", required=True, type=Path)
    parser.add_argument("--count", type=int, default=120)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    packed, _ = open_photos([options.photos], 128)
    chosen = balanced(np.array(packed.labels), options.count)
    photos, labels = [packed.pixels[row] for row in chosen], np.array(packed.labels)[chosen]
    index = PhotoIndex.open(options.index)
    columns = ["scenes", "kind@1", "kind@20", "made@1", *sorted(set(labels)), "L2 %", "sharpness", "seconds a photo"]
    lines = ["| " + " | ".join(columns) + " |", "|---" + "|---:" * (len(columns) - 1) + "|"]
    for kind, name in (("none", "the nearest contexts, `--kind none`"), ("auto", "of the photo's kind, the default")):
        lines.append(f"| {name} | {measured(index, kind, photos, labels, center_holes(1, 128)[0])} |")
        print(lines[-1], flush=True)
    if options.out:
        text = "\n".join(lines)
        options.out.write_text(f"# Fills of the right kind\n\n{len(photos)} photos, central hole.\n\n{text}\n")


if __name__ == "__main__":
    main()
