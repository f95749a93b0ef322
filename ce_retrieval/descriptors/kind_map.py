"""The linear map behind the descriptor `kind`: what the two sides of a photo have in common."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError, DescriptorError
from ce_retrieval.pixels import Bools, Floats

GRID = 4  # cells a side
COMPONENTS = 64
FACTORS = 128
RIDGE = 0.3  # added to the diagonal of a side's covariance, in units of its mean
MOST = 8.0  # standard deviations that a feature may lie from its mean
LEFT, RIGHT = (np.arange(GRID) * GRID, np.arange(GRID) * GRID + GRID - 1)  # cells of the outermost columns


@dataclass(frozen=True, eq=False)
class KindMap:
    """From features of 4 x 4 cells to what kind of place a photo shows, whatever of it is visible.

    Attributes
    ----------
    mean : float32 (16, D)
        Of the features of a collection, by cell.
    scale : float32 (D,)
        Root mean square deviation of each feature.
    directions : float32 (16, D, K)
        Canonical directions of the two outermost columns, weighted by their correlations; 0 for the other cells.
    factors : float32 (16, D, R)
        Principal components of all cells together, of the length of their standard deviation.
    noise : float
        Mean variance of a feature that the factors leave.

    Notes
    -----
    H. Hotelling, "Relations between two sets of variates" (1936). The features of one outermost column are one set, those of
    the other the second: what two separate parts of a photo have in common is what kind of place it is. A photo's place is
    the sum of its two columns' projections. Where cells are hidden, their expectation given the visible ones takes their
    place, by a factor model (M. Tipping, C. Bishop, "Probabilistic principal component analysis", 1999).
    """

    mean: Floats
    scale: Floats
    directions: Floats
    factors: Floats
    noise: float

    def __post_init__(self) -> None:
        """Refuse parts that do not fit each other."""
        cells, features = self.mean.shape
        if (
            cells != GRID * GRID
            or self.scale.shape != (features,)
            or self.directions.shape[:2] != (cells, features)
            or self.factors.shape[:2] != (cells, features)
        ):
            raise CheckpointError("the parts of its map do not fit each other; fit it again")

    @property
    def components(self) -> int:
        """Number K of components."""
        return int(self.directions.shape[2])

    def apply(self, features: Floats, visible: Bools) -> Floats:
        """Return float32 (B, K), each of norm 1, of features (B, 16, D) whose cells bool (16,) are visible.

        DescriptorError where no cell is.
        """
        if not visible.any():
            raise DescriptorError("the hole leaves too little of the photo to tell its kind: make the hole smaller")
        values = np.clip((features - self.mean) / self.scale, -MOST, MOST)[:, visible].reshape(len(features), -1)
        places = values @ _projection(self, tuple(visible.tolist()))
        return places / np.maximum(np.linalg.norm(places, axis=1, keepdims=True), 1e-6)

    def projection(self, visible: tuple[bool, ...]) -> Floats:
        """Return the matrix (v D, K) from the v visible cells to the components: their own, and what they say of hidden ones."""
        seen = np.array(visible)
        own = self.directions[seen].reshape(-1, self.components)
        hidden = ~seen & self.directions.any(axis=(1, 2))
        if not hidden.any():
            return own
        shown = self.factors[seen].reshape(len(own), -1)
        precision = shown.T @ shown / self.noise + np.eye(shown.shape[1], dtype=np.float32)
        expected = np.linalg.solve(precision, shown.T / self.noise).T  # of the factors, given the visible cells
        count = shown.shape[1]
        across = self.factors[hidden].reshape(-1, count).T @ self.directions[hidden].reshape(-1, self.components)
        return (own + expected @ across).astype(np.float32)


@lru_cache(maxsize=32)
def _projection(of: KindMap, visible: tuple[bool, ...]) -> Floats:
    return of.projection(visible)


def fit_kind_map(features: Floats) -> KindMap:
    """Fit a map to the features float32 (N, 16, D) of whole photos, a thousand or more.

    Raises
    ------
    DescriptorError
        The photos are too few, or their features do not differ.
    """
    count, cells, width = features.shape
    if count < 2 * COMPONENTS:
        raise DescriptorError(f"{count} photos are too few to learn kinds from: use {2 * COMPONENTS} or more")
    mean = features.mean(axis=0)
    scale = np.sqrt(np.mean((features - mean) ** 2, axis=(0, 1), dtype=np.float64)).astype(np.float32)
    if not (scale > 0).any():
        raise DescriptorError("the photos are all alike: no kinds can be learned from them")
    scale = np.where(scale > 0, scale, 1).astype(np.float32)
    values = np.clip((features - mean) / scale, -MOST, MOST)
    left, right = (values[:, columns].reshape(count, -1) for columns in (LEFT, RIGHT))
    ways = _canonical(left, right)
    directions = np.zeros((cells, width, COMPONENTS), np.float32)
    for columns, way in zip((LEFT, RIGHT), ways, strict=True):
        directions[columns] = way.reshape(GRID, width, COMPONENTS)
    factors, noise = _factors(values.reshape(count, -1))
    return KindMap(mean, scale, directions, factors.reshape(cells, width, -1), noise)


def _canonical(left: Floats, right: Floats) -> tuple[Floats, Floats]:
    """Return the canonical directions of two sets of variates of mean 0, each times its correlation."""
    whitened = [_inverse_root(side.T @ side / len(side)) for side in (left, right)]
    across = whitened[0] @ (left.T @ right / len(left)) @ whitened[1]
    u, correlations, v = np.linalg.svd(across)
    return (
        whitened[0] @ u[:, :COMPONENTS] * correlations[:COMPONENTS],
        whitened[1] @ v[:COMPONENTS].T * correlations[:COMPONENTS],
    )


def _inverse_root(covariance: NDArray[Any]) -> NDArray[Any]:
    """Return the inverse square root of a covariance with the ridge."""
    size = len(covariance)
    values, vectors = np.linalg.eigh(covariance + RIDGE * np.trace(covariance) / size * np.eye(size))
    return (vectors * values**-0.5) @ vectors.T


def _factors(values: Floats) -> tuple[Floats, float]:
    """Return the factors (16 D, R) of values (N, 16 D) of mean 0, and the variance that they leave to each."""
    from scipy.linalg import eigh

    covariance = values.T @ values / len(values)
    size, kept = len(covariance), min(FACTORS, len(covariance) - 1)
    found, vectors = eigh(covariance, subset_by_index=[size - kept, size - 1])
    noise = float((np.trace(covariance) - found.sum()) / (size - kept))
    noise = max(noise, 1e-6)
    return (vectors * np.sqrt(np.maximum(found - noise, 0))).astype(np.float32), noise
