"""The measures of the PASCAL VOC development kits: average precision of classes and of detections, and mean IU.

Notes
-----
They follow the kits' programs: VOCevalcls and VOCevaldet of 2007 (11 points) and of 2010 and later (area), and VOCevalseg.
Deviations: a figure that the kits divide by 0 for (a class without an example) is NaN, and the mean IU leaves such a class out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ce_retrieval.errors import EvaluationError
from ce_retrieval.transfer.sets.voc import VOID

Numbers = NDArray[np.float64]

MIN_OVERLAP = 0.5
# Matlab's 0:0.1:1, which counts from both ends: 0.3 is 3 * 0.1, a little above the nearest number to 3 / 10.
RECALLS = (*(0.1 * step for step in range(6)), *(1 - 0.1 * step for step in range(4, -1, -1)))


class Curve(NamedTuple):
    """Recall and precision after each answer, the surest first: float64 (N,) each."""

    recall: Numbers
    precision: Numbers

    def eleven_points(self) -> float:
        """Return the average precision of VOC 2007: the mean, over 11 recalls, of the best precision at that recall or more."""
        if np.isnan(self.recall).any():
            return float("nan")
        best = [self.precision[self.recall >= recall].max(initial=0.0) for recall in RECALLS]
        return float(np.mean(best))

    def area(self) -> float:
        """Return the average precision of VOC 2010 and later: the area under the curve, made to fall monotonically."""
        if np.isnan(self.recall).any():
            return float("nan")
        recall = np.concatenate([[0.0], self.recall, [1.0]])
        precision = np.concatenate([[0.0], self.precision, [0.0]])
        falling = np.maximum.accumulate(precision[::-1])[::-1]
        return float((np.diff(recall) * falling[1:]).sum())


def _curve(right: NDArray[np.bool_], wrong: NDArray[np.bool_], positives: int) -> Curve:
    """Return the curve of answers in their order; NaN where there is nothing to find. What is neither does not count."""
    hits, misses = np.cumsum(right, dtype=np.float64), np.cumsum(wrong, dtype=np.float64)
    answered = hits + misses
    precision = np.divide(hits, answered, out=np.zeros_like(hits), where=answered > 0)
    recall = hits / positives if positives else np.full_like(hits, np.nan)
    if not positives and not len(hits):
        recall, precision = np.array([np.nan]), np.array([0.0])
    return Curve(recall, precision)


def check_numbers(scores: ArrayLike, what: str) -> None:
    """Raise EvaluationError where a score of `what` is not a number."""
    if np.isnan(scores).any():
        raise EvaluationError(
            f"a score of {what} is not a number: the network has diverged; train it with a lower `rate`"
        )


def _surest_first(scores: Numbers, what: str) -> NDArray[np.int64]:
    """Return the order of the scores; equal ones stay in the order in which they were given, as in the kits."""
    check_numbers(scores, what)
    return np.argsort(-scores, kind="stable")


def classification_curve(scores: ArrayLike, truth: ArrayLike) -> Curve:
    """Return the curve of a class.

    Parameters
    ----------
    scores : float (N,), how sure it is that a photo shows the class.
    truth : (N,) of 1 shown, -1 not shown, 0 only by difficult objects: such a photo is neither right nor wrong.

    Raises
    ------
    EvaluationError : a score is not a number.
    """
    scores, truth = np.asarray(scores, np.float64), np.asarray(truth)
    if scores.shape != truth.shape or scores.ndim != 1:
        raise ValueError(f"scores {scores.shape} and truth {truth.shape}: expected (N,) both")
    ranked = truth[_surest_first(scores, "a photo")]
    return _curve(ranked > 0, ranked < 0, int((truth > 0).sum()))


class TrueBoxes(NamedTuple):
    """The objects of one class in one photo: float64 (M, 4) as `VocObject.box`, and which are difficult, bool (M,)."""

    boxes: Numbers
    difficult: NDArray[np.bool_]


def detection_curve(photos: ArrayLike, scores: ArrayLike, boxes: ArrayLike, truth: Sequence[TrueBoxes]) -> Curve:
    """Return the curve of the detections of a class.

    Parameters
    ----------
    photos : int (D,), the number in `truth` of each detection's photo.
    scores : float (D,)
    boxes : float (D, 4), xmin, ymin, xmax, ymax in px, both ends within the box.
    truth : the objects of each photo.

    Notes
    -----
    The surest detection goes first. It belongs to the object that it overlaps most; from an overlap of MIN_OVERLAP on it is
    right the first time that this object is found, wrong again later, and neither for a difficult object.

    Raises
    ------
    EvaluationError : a score is not a number.
    """
    numbers, scores = np.asarray(photos, np.int64), np.asarray(scores, np.float64)
    found_boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    if not len(numbers) == len(scores) == len(found_boxes):
        raise ValueError(
            f"{len(numbers)} photos, {len(scores)} scores, {len(found_boxes)} boxes: expected as many of each"
        )
    taken = [np.zeros(len(one.boxes), bool) for one in truth]
    right, wrong = np.zeros(len(scores), bool), np.zeros(len(scores), bool)
    for place, row in enumerate(_surest_first(scores, "a detection")):
        photo = int(numbers[row])
        objects = truth[photo]
        shared = overlaps(found_boxes[row], objects.boxes)
        best = int(shared.argmax()) if len(shared) else -1
        if best < 0 or shared[best] < MIN_OVERLAP:
            wrong[place] = True
        elif not objects.difficult[best]:
            right[place] = not taken[photo][best]
            wrong[place] = taken[photo][best]
            taken[photo][best] = True
    return _curve(right, wrong, sum(int((~one.difficult).sum()) for one in truth))


def overlaps(box: Numbers, others: Numbers) -> Numbers:
    """Return the overlap of a box (4,) with each of others (M, 4), intersection over union: both ends are within a box."""
    others = others.reshape(-1, 4)
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    sides = np.maximum(high - low + 1, 0)
    shared = sides.prod(axis=1)
    union = (box[2:] - box[:2] + 1).prod() + (others[:, 2:] - others[:, :2] + 1).prod(axis=1) - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=shared > 0))


class ConfusionMatrix:
    """Pixels of a segmentation by their true and their predicted class; those that are VOID in truth do not count.

    Attributes
    ----------
    counts : int64 (classes, classes), true x predicted.
    """

    def __init__(self, classes: int) -> None:
        self.counts = np.zeros((classes, classes), np.int64)

    def add(self, truth: NDArray[np.uint8], predicted: NDArray[np.integer]) -> None:
        """Count the pixels of a photo: truth uint8 (H, W), and its prediction of the same shape."""
        classes = len(self.counts)
        if truth.shape != predicted.shape:
            raise ValueError(f"truth {truth.shape} and prediction {predicted.shape}: expected the same shape")
        seen = truth != VOID
        pairs = truth[seen].astype(np.int64), predicted[seen].astype(np.int64)
        if any(((one < 0) | (one >= classes)).any() for one in pairs):
            raise ValueError(f"a pixel is of no class: expected 0 to {classes - 1}, or {VOID} in the truth")
        self.counts += np.bincount(pairs[0] * classes + pairs[1], minlength=classes**2).reshape(classes, classes)

    def intersection_over_union(self) -> Numbers:
        """Return the IU of each class: float64 (classes,), NaN where neither truth nor prediction has it."""
        shared = np.diag(self.counts).astype(np.float64)
        union = self.counts.sum(axis=0) + self.counts.sum(axis=1) - shared
        return np.divide(shared, union, out=np.full_like(shared, np.nan), where=union > 0)

    def mean_iu(self) -> float:
        """Return the mean IU over the classes that have one; NaN where none has."""
        values = self.intersection_over_union()
        defined = values[~np.isnan(values)]
        return float(defined.mean()) if defined.size else float("nan")
