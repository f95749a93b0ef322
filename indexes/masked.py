"""Hole-aware distance as inner-product search: index once, query with any hole.

A descriptor is a grid of G cells with C channels. A query weighs its cells by w_g in [0, 1] (0 = hidden by its hole):

    d^2(q, x) = sum_g w_g |q_g - x_g|^2 / sum_g w_g.

With n_g = |x_g|^2 this is an inner product: store [x ; n], query with [2 w_g q_g ; -w_g], and
d^2 = (sum_g w_g |q_g|^2 - IP) / sum_g w_g. The weights live in the query alone, so an index of whole photos answers
any hole, and any engine for inner products does the work.
"""

import numpy as np

from indexes.base import EngineError, SearchResult, VectorIndex, check_k


def lift(grids: np.ndarray, origin: np.ndarray | float = 0) -> np.ndarray:
    """Turn grids (N, G, C) of any float type, less `origin` (G, C), into the float32 vectors (N, G*C + G) to store."""
    count, cells, channels = grids.shape
    vectors = np.empty((count, cells * channels + cells), np.float32)
    body = vectors[:, : cells * channels].reshape(count, cells, channels)
    np.subtract(grids, np.float32(origin), out=body)
    np.einsum("ngc,ngc->ng", body, body, out=vectors[:, cells * channels :])
    return vectors


def lift_queries(grids: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Turn query grids (B, G, C) and cell weights (B, G) into the float32 vectors (B, G*C + G) to search with."""
    count, cells, channels = grids.shape
    vectors = np.empty((count, cells * channels + cells), np.float32)
    vectors[:, : cells * channels] = (2 * weights[:, :, None] * grids).reshape(count, -1)
    vectors[:, cells * channels :] = -weights
    return vectors


def masked_distances(grid: np.ndarray, weights: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Squared distances float32 (N,) of a query grid (G, C) with weights (G,) to grids (N, G, C), as defined above.

    Differences are taken before they are squared, so nothing cancels: the relative error is that of float32 (1e-6).
    """
    difference = others - grid
    difference *= np.sqrt(weights)[:, None]
    flat = difference.reshape(len(others), -1)
    return np.einsum("nd,nd->n", flat, flat) / weights.sum()


class MaskedIndex:
    """Hole-aware nearest neighbours of grids (G, C) over any VectorIndex of dimension G*C + G.

    Grids are stored less the mean of the first that were added: distances do not change, but norms get small, and the
    inner products of float32 keep the digits that what all grids have in common would take. An engine that holds vectors
    already is taken to hold them as they are.
    """

    def __init__(self, engine: VectorIndex, cells: int, channels: int) -> None:
        if engine.dimension != cells * channels + cells:
            raise EngineError(
                f"an engine of dimension {engine.dimension} cannot hold {cells} cells of {channels} channels: "
                f"expected {cells * channels + cells}"
            )
        self.engine, self.cells, self.channels = engine, cells, channels
        self._origin: np.ndarray | None = np.zeros((cells, channels), np.float32) if len(engine) else None

    def __len__(self) -> int:
        return len(self.engine)

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C); EngineError for another shape."""
        self._check(grids)
        if self._origin is None and len(grids):
            self._origin = grids.mean(axis=0, dtype=np.float32)
        self.engine.add(lift(grids, 0 if self._origin is None else self._origin))

    def search(self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the k smallest squared distances, nearest first, ties by id.

        grids: (B, G, C); weights: (B, G) in [0, 1], each row with a positive sum; allowed: bool (N,), the grids that may
        be found, None for all. The engine's float32 inner products
        lose digits where the distance is small against the norms, so a few more than k are taken and measured again by
        `masked_distances` on the stored vectors. EngineError: a row of weights that is all zero or not in [0, 1], k out
        of range, another shape.
        """
        self._check(grids)
        count = check_k(k, len(self), allowed)
        if weights.shape != grids.shape[:2] or not ((weights >= 0) & (weights <= 1)).all():
            raise EngineError(f"weights of shape {weights.shape}: expected {grids.shape[:2]}, all in [0, 1]")
        if not (weights.sum(axis=1) > 0).all():
            raise EngineError("a query with no visible cell cannot be searched: every weight is 0")
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
        """Return the stored grids float32 (n, G, C) of the ids (n,)."""
        body = self.engine.reconstruct(ids)[:, : self.cells * self.channels]
        return body.reshape(len(ids), self.cells, self.channels)

    def _check(self, grids: np.ndarray) -> None:
        if grids.ndim != 3 or grids.shape[1:] != (self.cells, self.channels):
            raise EngineError(f"grids of shape {grids.shape}: expected (N, {self.cells}, {self.channels})")
