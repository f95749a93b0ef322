"""Hole-aware search in little memory: pooled grids name candidates, whose stored grids are then measured exactly.

The first pass (`first_pass`) ranks by the pooled grids (`pooling`): by default it scans 4-bit codes (`codebook`), 64 bytes a
photo for 16 x 16 cells of 4 channels. The second measures the best K' of them by `masked_distances`, so the distances returned
are exact, and a neighbour is missed only if the first pass ranks it behind K'.
"""

import os
from collections.abc import Callable

import numpy as np

from indexes.base import EngineError, SearchResult, check_grids, check_k, check_weights
from indexes.codebook import Codebook
from indexes.first_pass import CodeScan, FirstPass
from indexes.halves import widen
from indexes.masked import masked_distances
from indexes.pooling import Pooling
from indexes.threads import Threads

BLOCK = 1024  # rows that are read and measured at a time, by one thread
# The fewer groups a query sees, the less the codes tell, and the more candidates must be measured.
CANDIDATES, FEWEST, MOST = 20000, 500, 6000
A_NEIGHBOUR = 4  # candidates for each neighbour asked for, at least
# Groups seen below which codes tell photos apart too poorly: one group has 256 combinations of codes.
LEAST_SEEN = 1.5

ReadRows = Callable[[np.ndarray], np.ndarray]


class PooledIndex:
    """Hole-aware nearest neighbours by pooled grids in memory and exact ones from elsewhere; a `GridIndex`.

    Parameters
    ----------
    first : FirstPass
        Keeps the pooled grids, less `origin`, and ranks by them.
    pooling : Pooling
    origin : float32 (G, C)
        Subtracted from all grids. This changes no distance, but what is pooled then tells photos apart.
    rows : int64 (n,) ascending -> float16 (n, G, C)
        Reads the grids of ids, finite and just as they were added. Threads call it at the same time.
    effort : float
        Factor on the candidates that are measured, above 0: more find more of the nearest, and take longer.

    Raises
    ------
    EngineError
        `effort` is not above 0.
    """

    def __init__(
        self, first: FirstPass, pooling: Pooling, origin: np.ndarray, rows: ReadRows, effort: float = 1.0
    ) -> None:
        if not effort > 0:
            raise EngineError(f"effort is {effort}: expected a number above 0")
        self.first, self.pooling, self.effort = first, pooling, effort
        self.cells, self.channels = pooling.cells, pooling.channels
        self._origin, self._rows = origin, rows
        self._pool = Threads(os.cpu_count() or 1)

    @classmethod
    def by_codes(cls, codebook: Codebook, rows: ReadRows, effort: float = 1.0) -> "PooledIndex":
        """Return an index that scans the codes of a codebook."""
        return cls(CodeScan(codebook), codebook.pooling, codebook.origin, rows, effort)

    def __len__(self) -> int:
        return len(self.first)

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C); EngineError for another shape."""
        check_grids(grids, self.cells, self.channels)
        for start in range(0, len(grids), 4 * BLOCK):
            self.first.add(self.pooling.photos(grids[start : start + 4 * BLOCK], self._origin))

    def search(self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the nearest found, nearest first, ties by id; see `GridIndex.search`.

        The distances are exact. Nearer grids may be missed, unless the collection is small, few are allowed, or the query
        sees little more than one group of cells: then all are measured.
        """
        check_grids(grids, self.cells, self.channels)
        count = check_k(k, len(self), allowed)
        check_weights(weights, grids.shape[:2])
        distances, ids = np.empty((len(grids), k), np.float32), np.empty((len(grids), k), np.int64)
        passing = None if allowed is None else np.flatnonzero(allowed)
        for row, wanted in enumerate(self._candidates(grids, weights, k, count, allowed)):
            if wanted is None:
                wanted = np.arange(len(self)) if passing is None else passing
            distances[row], ids[row] = self._nearest(grids[row], weights[row], wanted, k)
        return SearchResult(distances, ids)

    def _candidates(
        self, grids: np.ndarray, weights: np.ndarray, k: int, count: int, allowed: np.ndarray | None
    ) -> list[np.ndarray | None]:
        """Return the ascending ids to measure for each query; None where they are all of the `count` that may be found."""
        needed = candidate_counts(self.pooling.weights(weights), k, self.effort)
        scanned = np.flatnonzero(needed < (count if allowed is None else count // 4))
        found: list[np.ndarray | None] = [None] * len(grids)
        if len(scanned):
            lifted = self.pooling.queries(grids[scanned], weights[scanned], self._origin)
            for row, ids in zip(scanned, self.first.best(lifted, needed[scanned], allowed), strict=True):
                found[row] = ids
        return found

    def _nearest(self, grid: np.ndarray, weights: np.ndarray, ids: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the exact distances float32 (k,) and the ids (k,) of the nearest among ascending ids."""
        query, weights = grid.astype(np.float32), weights.astype(np.float32)

        def measure(block: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            exact = masked_distances(query, weights, widen(self._rows(block)))
            best = np.argsort(exact, kind="stable")[:k]  # ascending ids, so ties keep their order
            return exact[best], block[best]

        blocks = [ids[start : start + BLOCK] for start in range(0, len(ids), BLOCK)]
        found = [measure(blocks[0])] if len(blocks) == 1 else list(self._pool.map(measure, blocks))
        exact, kept = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        best = np.argsort(exact, kind="stable")[:k]
        return exact[best], kept[best]


def candidate_counts(weights: np.ndarray, k: int, effort: float = 1.0) -> np.ndarray:
    """Return how many candidates each query needs int64 (B,) for k neighbours, given its groups' weights (B, groups).

    The groups that count are (sum w)^2 / sum w^2. Where they are about one, all grids are candidates.
    """
    wide = weights.astype(np.float64)
    seen = wide.sum(axis=1) ** 2 / (wide**2).sum(axis=1)
    needed = np.maximum(effort * np.clip(CANDIDATES / seen, FEWEST, MOST), A_NEIGHBOUR * k).astype(np.int64)
    needed[seen < LEAST_SEEN] = np.iinfo(np.int64).max
    return needed
