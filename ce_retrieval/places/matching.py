"""Matches between the local features of two photos."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.places.local_features import LocalFeatures

Matrix = NDArray[np.float64]

RATIO = 0.8  # of the distances of the nearest and the second: Lowe 2004, section 7.1
ALIKE = 0.75  # least product of two descriptors that a guided match may have


class Matches(NamedTuple):
    """Pairs of keypoints: float64 (n, 2) each, (x, y) in px of the two photos."""

    mine: Matrix
    theirs: Matrix


def matches(mine: LocalFeatures, theirs: LocalFeatures) -> Matches:
    """Return the pairs whose descriptors are nearest to each other, and much nearer than the second nearest."""
    if len(mine.points) < 2 or len(theirs.points) < 2:
        return _pairs(mine, theirs, np.zeros(0, np.intp), np.zeros(0, np.intp))
    products = mine.descriptors @ theirs.descriptors.T
    rows = np.arange(len(products))
    nearest = products.argmax(axis=1)
    first = products[rows, nearest]
    products[rows, nearest] = -1.0
    second = products.max(axis=1)
    products[rows, nearest] = first
    # Squared distances of unit vectors are 2 - 2 times their product.
    clear = np.flatnonzero(1 - first < RATIO**2 * (1 - second))
    kept = _mutual(products, clear, nearest)
    return _pairs(mine, theirs, kept, nearest[kept])


def guided_matches(mine: LocalFeatures, theirs: LocalFeatures, homography: Matrix, reach: float) -> Matches:
    """Return further pairs where a homography is known: nearest to each other among those within `reach` px of it."""
    if not len(mine.points) or not len(theirs.points):
        return _pairs(mine, theirs, np.zeros(0, np.intp), np.zeros(0, np.intp))
    expected = transformed(homography, mine.points)
    expected = np.clip(expected, -1e5, 1e5).astype(np.float32)  # far outside of any photo, where squares stay finite
    around = ((theirs.points > expected.min(axis=0) - reach) & (theirs.points < expected.max(axis=0) + reach)).all(
        axis=1
    )
    near_them = np.flatnonzero(around)
    if not len(near_them):
        return _pairs(mine, theirs, near_them, near_them)
    points = theirs.points[near_them]
    squares = (expected**2).sum(axis=1)[:, None] + (points**2).sum(axis=1)
    near = squares - 2 * expected @ points.T <= reach * reach
    products = np.where(near, mine.descriptors @ theirs.descriptors[near_them].T, np.float32(-1))
    rows = np.arange(len(products))
    nearest = products.argmax(axis=1)
    kept = _mutual(products, np.flatnonzero(products[rows, nearest] >= ALIKE), nearest)
    return _pairs(mine, theirs, kept, near_them[nearest[kept]])


def _mutual(products: NDArray[np.float32], rows: NDArray[np.intp], nearest: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return those of some rows that are also the nearest of their nearest."""
    return rows[products[:, nearest[rows]].argmax(axis=0) == rows] if len(rows) else rows


def transformed(homography: Matrix, points: NDArray[np.floating]) -> Matrix:
    """Return points (n, 2) under a homography (3, 3), float64; infinite where they leave the plane."""
    homogeneous = np.column_stack([points, np.ones(len(points))]) @ np.asarray(homography, np.float64).T
    depth = homogeneous[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(depth > 0, homogeneous[:, :2] / depth, np.inf)


def _pairs(mine: LocalFeatures, theirs: LocalFeatures, rows: NDArray[np.intp], others: NDArray[np.intp]) -> Matches:
    return Matches(mine.points[rows].astype(np.float64), theirs.points[others].astype(np.float64))
