"""Measure fills by a metric of your own beside the built-in ones: here, how far the hole's mean colour is from the truth's.

    python examples/own_metric.py PHOTOS INDEX OUT

A metric gets truths and fills, uint8 (B, S, S, 3), and holes, bool (B, S, S); it returns a number for each photo, NaN where it
is undefined. It becomes a column of the table, with its 95 % interval over the photos.
"""

import sys

import numpy as np

from ce_retrieval import CeretError, PhotoIndex
from ce_retrieval.evaluation import EvaluationSettings, evaluate, tables, write_report


def colour(truth: np.ndarray, fill: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return how far the mean colour under the hole is from the truth's, in grey levels: float64 (B,)."""
    far = []
    for one, other, where in zip(truth, fill, hole, strict=True):
        far.append(np.linalg.norm(one[where].mean(axis=0) - other[where].mean(axis=0)))
    return np.array(far)


def main(photos: str, index_path: str, out: str) -> None:
    """Measure the nearest context, pasted and blended, a classical fill, and the limit."""
    index = PhotoIndex.open(index_path)
    features = index.manifest.descriptor
    settings = EvaluationSettings((features, f"{features}+rim+blend", "smooth", "oracle"))
    evaluation = evaluate([photos], index, out, settings, metrics={"colour": colour})
    write_report(evaluation, out)
    print(tables(evaluation))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    try:
        main(*sys.argv[1:])
    except CeretError as error:
        sys.exit(f"Error: {error}")
