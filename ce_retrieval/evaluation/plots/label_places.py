"""Places of labels beside the points of a plot, so that none covers another: the same for the same points."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# From the point, in the order of preference: where a reader looks first.
_WAYS = ((1, 0), (1, 1), (1, -1), (-1, 0), (-1, 1), (-1, -1), (0, 1), (0, -1))
_REACHES = (7, 12, 18, 26, 36, 48, 64, 84, 110, 140, 180)  # px between point and label
_SWEEPS = 4  # through all labels, each placed anew beside the others
_COVERS_LABEL, _COVERS_MARK, _OUTSIDE = 40.0, 6.0, 80.0  # costs of a square pixel, beside those of a pixel of distance
_CROSSES = 60.0  # cost of a place on a line that a label lies on
_ALONG = np.linspace(0.0, 1.0, 24)  # places on a line, from the point to the middle of its label
_LINE_FROM = 10  # px: labels farther away, where another point may be nearer, are tied to their point by a line


class Box(NamedTuple):
    """A box of pixels."""

    left: float
    low: float
    right: float
    high: float


class Place(NamedTuple):
    """Where a label stands.

    Attributes
    ----------
    x, y : float
        Its centre.
    far : bool
        Whether a line should lead to it.
    """

    x: float
    y: float
    far: bool


def place_labels(
    points: Sequence[tuple[float, float]],
    sizes: Sequence[tuple[float, float]],
    area: Box,
    marks: Sequence[Box],
) -> list[Place]:
    """Return a place for the label of each point.

    Parameters
    ----------
    points : (x, y) each, px.
    sizes : (width, height) of each label, px.
    area : where labels may stand.
    marks : what labels should not cover: points and bars.

    Notes
    -----
    Labels are placed one after the other where they cover least, those with the most neighbours first, and then again
    beside all others, as in J. Christensen et al., "An empirical study of algorithms for point-feature label placement",
    ACM Transactions on Graphics 1995: gradient descent over discrete places.
    """
    options = [_options(point, size) for point, size in zip(points, sizes, strict=True)]
    lines = [_lines(point, boxes) for point, (boxes, _) in zip(points, options, strict=True)]
    fixed = [_covered(each, marks) * _COVERS_MARK + _outside(each, area) + cost for each, cost in options]
    chosen: dict[int, Box] = {}
    drawn: dict[int, np.ndarray] = {}
    for _ in range(_SWEEPS):
        for number in _crowded_first(points):
            boxes, _ = options[number]
            others = [box for other, box in chosen.items() if other != number]
            crossed = _crossed(lines[number], np.array(others).reshape(-1, 1, 4)).sum(axis=0)
            for other, line in drawn.items():
                if other != number:
                    crossed = crossed + _crossed(line[None], boxes[:, None])[:, 0]
            cost = fixed[number] + _COVERS_LABEL * _covered(boxes, others) + _CROSSES * crossed
            best = int(np.argmin(cost))
            chosen[number], drawn[number] = Box(*boxes[best].tolist()), lines[number][best]
    return [_place(point, chosen[number]) for number, point in enumerate(points)]


def _crowded_first(points: Sequence[tuple[float, float]]) -> list[int]:
    near = [sum(math.dist(one, other) < 60 for other in points) for one in points]
    return sorted(range(len(points)), key=lambda number: -near[number])


def _options(point: tuple[float, float], size: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """Return the boxes that a label may have, float64 (P, 4), and what each costs for its distance."""
    boxes, costs = [], []
    for reach in _REACHES:
        for rank, (across, up) in enumerate(_WAYS):
            step = reach / math.hypot(across, up)
            x, y = point[0] + across * (step + size[0] / 2), point[1] + up * (step + size[1] / 2)
            boxes.append((x - size[0] / 2, y - size[1] / 2, x + size[0] / 2, y + size[1] / 2))
            costs.append(reach + rank)
    return np.array(boxes), np.array(costs, float)


def _lines(point: tuple[float, float], boxes: np.ndarray) -> np.ndarray:
    """Return places on the line to each box, float64 (P, K, 2); NaN inside of the box, and where no line is drawn."""
    middles = np.stack([boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]], axis=1) / 2
    start = np.array(point)
    places = start + _ALONG[:, None] * (middles - start)[:, None]
    far = np.array([_place(point, Box(*box)).far for box in boxes.tolist()])
    places[~far] = np.nan
    own = np.stack([_inside(line, box) for line, box in zip(places, boxes, strict=True)])
    places[own] = np.nan
    return places


def _inside(places: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return which places (..., 2) are inside of boxes (..., 4)."""
    x, y = places[..., 0], places[..., 1]
    return np.asarray((x > boxes[..., 0]) & (x < boxes[..., 2]) & (y > boxes[..., 1]) & (y < boxes[..., 3]))


def _crossed(lines: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """Return how many places of lines (L, K, 2) are inside of boxes (B, 1, 4): (B, L)."""
    return _inside(lines[None], boxes[:, None]).sum(axis=2)


def _covered(boxes: np.ndarray, others: Sequence[Box]) -> np.ndarray:
    """Return how much of other boxes each box covers, float64 (P,)."""
    if not others:
        return np.zeros(len(boxes))
    second = np.array(others)[None]
    first = boxes[:, None]
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    return np.asarray((width.clip(0) * height.clip(0)).sum(axis=1))


def _outside(boxes: np.ndarray, area: Box) -> np.ndarray:
    beyond = (area.left - boxes[:, 0], area.low - boxes[:, 1], boxes[:, 2] - area.right, boxes[:, 3] - area.high)
    return _OUTSIDE * np.asarray(sum(one.clip(0) for one in beyond))


def _place(point: tuple[float, float], box: Box) -> Place:
    across = max(box.left - point[0], point[0] - box.right, 0)
    up = max(box.low - point[1], point[1] - box.high, 0)
    return Place((box.left + box.right) / 2, (box.low + box.high) / 2, math.hypot(across, up) > _LINE_FROM)
