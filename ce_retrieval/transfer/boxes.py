"""Boxes of detection: corrections that a network predicts, and of several boxes of one object, the surest.

Boxes are float (N, 4): xmin, ymin, xmax, ymax in px, both ends within the box.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.transfer.voc_measures import Numbers, overlaps

SAME_OBJECT = 0.3  # overlap from which the less sure of two boxes of a class is dropped
# Of py-faster-rcnn: corrections are predicted in units of these deviations.
_DEVIATIONS = np.array([0.1, 0.1, 0.2, 0.2])
_MOST_GROWTH = math.log(1000 / 16)  # of a side, as a logarithm: a wild prediction stays finite


def overlap_table(boxes: Numbers, others: Numbers) -> Numbers:
    """Return the overlap of each box with each other one: float64 (N, M)."""
    return np.array([overlaps(box, others) for box in boxes]).reshape(len(boxes), len(others))


def corrections(boxes: Numbers, wanted: Numbers) -> Numbers:
    """Return what turns boxes (N, 4) into others: of the centre in shares of the sides, of the sides as logarithms."""
    (centres, sides), (wanted_centres, wanted_sides) = _centres_and_sides(boxes), _centres_and_sides(wanted)
    return np.concatenate([(wanted_centres - centres) / sides, np.log(wanted_sides / sides)], axis=1) / _DEVIATIONS


def corrected(boxes: Numbers, changes: Numbers, width: int, height: int) -> Numbers:
    """Return boxes after corrections, clipped to a photo whose first pixel is 1."""
    centres, sides = _centres_and_sides(boxes)
    moves = changes * _DEVIATIONS
    centres = centres + moves[:, :2] * sides
    sides = sides * np.exp(np.minimum(moves[:, 2:], _MOST_GROWTH))
    found = np.concatenate([centres - (sides - 1) / 2, centres + (sides - 1) / 2], axis=1)
    return np.clip(found, 1, [width, height, width, height])


def _centres_and_sides(boxes: Numbers) -> tuple[Numbers, Numbers]:
    return (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2] + 1


def surest(boxes: Numbers, scores: Numbers) -> NDArray[np.int64]:
    """Return the rows of the boxes of one class that are kept, the surest first: each drops what overlaps it by SAME_OBJECT."""
    left, kept = np.argsort(-scores, kind="stable"), []
    while len(left):
        first, rest = left[0], left[1:]
        kept.append(int(first))
        left = rest[overlaps(boxes[first], boxes[rest]) <= SAME_OBJECT]
    return np.array(kept, np.int64)
