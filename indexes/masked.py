"""Hole-aware distance as inner-product search: index once, query with any hole.

A descriptor is a grid of G cells with C channels. A query weights its cells by w_g in [0, 1] (0 = hidden by its hole):

    d^2(q, x) = sum_g w_g |q_g - x_g|^2 / sum_g w_g.

With n_g = |x_g|^2 this is an inner product: store [x ; n], query with [2 w_g q_g ; -w_g], and
d^2 = (sum_g w_g |q_g|^2 - IP) / sum_g w_g. Only the query contains the weights, so one index of whole photos answers any
hole, and any engine for inner products can search it.
"""

import numpy as np

from indexes.base import EngineError, SearchResult, VectorIndex, check_grids, check_k, check_weights


def lift(grids: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return the float32 vectors (N, G*C + G) to store for grids (N, G, C) of any float type, less `origin` (G, C)."""
    count, cells, channels = grids.shape
    vectors = np.empty((count, cells * channels + cells), np.float32)
    body = vectors[:, : cells * channels].reshape(count, cells, channels)
    np.subtract(grids, np.float32(origin), out=body)
    np.einsum("ngc,ngc->ng", body, body, out=vectors[:, cells * channels :])
    return vectors


def lift_queries(grids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the float32 vectors (B, G*C + G) to search with for query grids (B, G, C) and cell weights (B, G)."""
    count, cells, channels = grids.shape
    vectors = np.empty((count, cells * channels + cells), np.float32)
    vectors[:, : cells * channels] = (2 * weights[:, :, None] * grids).reshape(count, -1)
    vectors[:, cells * channels :] = -weights
    return vectors


def masked_distances(grid: np.ndarray, weights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the squared distances float32 (N,) of a query grid (G, C) with weights (G,) to grids (N, G, C).

    Differences are squared, not expanded, so no digits cancel: the relative error is float32's (1e-6).
    """
    cells, channels = grid.shape
    difference = others.reshape(len(others), cells * channels) - grid.reshape(-1)
    difference *= np.repeat(np.sqrt(weights), channels)
    return np.einsum("nd,nd->n", difference, difference) / weights.sum()


class MaskedIndex:
    """Exact hole-aware nearest neighbours of grids (G, C), all in memory; a `GridIndex`.

    An origin is subtracted from all grids. This changes no distance but makes norms small, which saves digits of float32
    inner products.

    Parameters
    ----------
    engine : VectorIndex
        Empty, of dimension G*C + G.
    cells, channels : int
        G and C.
    origin : float32 (G, C) or None
        None: the mean of the first grids added.

    Raises
    ------
    EngineError
        The engine has another dimension, or holds vectors.
    """

    def __init__(self, engine: VectorIndex, cells: int, channels: int, origin: np.ndarray | None = None) -> None:
        if engine.dimension != cells * channels + cells:
            raise EngineError(
                f"an engine of dimension {engine.dimension} cannot hold {cells} cells of {channels} channels: "
                f"expected {cells * channels + cells}"
            )
        if len(engine):
            raise EngineError(f"the engine holds {len(engine)} vectors: give an empty one")
        self.engine, self.cells, self.channels = engine, cells, channels
        self._origin = origin

    def __len__(self) -> int:
        return len(self.engine)

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C); EngineError for another shape."""
        check_grids(grids, self.cells, self.channels)
        if not len(grids):
            return
        if self._origin is None:
            self._origin = grids.mean(axis=0, dtype=np.float32)
        self.engine.add(lift(grids, self._origin))

    def search(self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the k smallest squared distances of each query, nearest first, ties by id.

        The engine's float32 inner products lose digits where a distance is small against the norms. So a few more than k
        candidates are taken, and `masked_distances` measures them again on the stored vectors. Arguments and errors are
        those of `GridIndex.search`.
        """
        check_grids(grids, self.cells, self.channels)
        count = check_k(k, len(self), allowed)
        check_weights(weights, grids.shape[:2])
        assert self._origin is not None, "there are grids, so there is an origin"
        centred = (grids - self._origin).astype(np.float32)
        found = self.engine.search(lift_queries(centred, weights), min(count, k + 8 + k // 8), allowed)
        distances = np.empty((len(grids), k), np.float32)
        ids = np.empty((len(grids), k), np.int64)
        for row in range(len(grids)):
            exact = masked_distances(centred[row], weights[row], self._centred(found.ids[row]))
            order = np.lexsort((found.ids[row], exact))[:k]
            distances[row], ids[row] = exact[order], found.ids[row][order]
        return SearchResult(distances, ids)

    def _centred(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored grids, less the origin, float32 (n, G, C) of the ids (n,)."""
        body = self.engine.reconstruct(ids)[:, : self.cells * self.channels]
        return body.reshape(len(ids), self.cells, self.channels)
