"""Hole-aware search in little memory: pooled codes name candidates, whose stored grids are then measured exactly.

The first pass scans 4-bit codes of the pooled grids (`codebook`), 64 bytes a photo for 16 x 16 cells of 4 channels. The
second measures the best K' of them by `masked_distances`, so the distances returned are exact, and a neighbour is missed
only if the first pass ranks it behind K'.
"""

import functools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from indexes.base import EngineError, SearchResult, check_grids, check_k, check_weights
from indexes.codebook import Codebook
from indexes.faiss_index import load_faiss
from indexes.halves import widen
from indexes.masked import masked_distances

BLOCK = 1024  # rows that are read and measured at a time, by one thread
SHARD = 1 << 16  # photos that are worth a thread of their own in a scan
# The fewer groups a query sees, the less the codes tell, and the more candidates must be measured.
CANDIDATES, FEWEST, MOST = 20000, 500, 6000
A_NEIGHBOUR = 4  # candidates for each neighbour asked for, at least
# Groups seen below which codes tell photos apart too poorly: one group has 256 combinations of codes.
LEAST_SEEN = 1.5

ReadRows = Callable[[np.ndarray], np.ndarray]


class PooledIndex:
    """Hole-aware nearest neighbours by pooled codes in memory and exact grids from elsewhere; a `GridIndex`.

    Parameters
    ----------
    codebook : Codebook
    rows : int64 (n,) ascending -> float16 (n, G, C)
        Reads the grids of ids, finite and just as they were added. Threads call it at the same time.
    effort : float
        Factor on the candidates that are measured, above 0: more find more of the nearest, and take longer.

    Raises
    ------
    EngineError
        `effort` is not above 0.
    """

    def __init__(self, codebook: Codebook, rows: ReadRows, effort: float = 1.0) -> None:
        if not effort > 0:
            raise EngineError(f"effort is {effort}: expected a number above 0")
        self.codebook, self.effort = codebook, effort
        self.cells, self.channels = codebook.cells, codebook.channels
        self._rows = rows
        self._waiting: list[np.ndarray] = []
        self._scanners: list[Any] = []
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C); EngineError for another shape."""
        self.add_codes(self.codebook.encode(grids))

    def add_codes(self, codes: np.ndarray) -> None:
        """Append grids by their codes uint8 (N, bytes_a_photo); EngineError for another shape."""
        if codes.ndim != 2 or codes.shape[1] != self.codebook.bytes_a_photo or codes.dtype != np.uint8:
            raise EngineError(
                f"codes of {codes.dtype} {codes.shape}: expected uint8 (N, {self.codebook.bytes_a_photo})"
            )
        self._waiting.append(codes)
        self._count += len(codes)

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
        needed = candidate_counts(self.codebook.pooling.weights(weights), k, self.effort)
        scanned = np.flatnonzero(needed < (count if allowed is None else count // 4))
        found: list[np.ndarray | None] = [None] * len(grids)
        if len(scanned):
            lifted = self.codebook.queries(grids[scanned], weights[scanned])
            for row, ids in zip(scanned, self._scan(lifted, needed[scanned], allowed), strict=True):
                found[row] = ids
        return found

    def _scan(self, lifted: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ascending ids of the best codes of each query; None where too few of the best are allowed."""
        most = int(needed.max())
        if allowed is None:
            ids = self._best_codes(lifted, most)
            return [np.sort(row[:number]) for row, number in zip(ids, needed, strict=True)]
        # FastScan takes no selector: more are fetched, so that enough of them pass.
        fetched = min(2 * most * len(self) // int(np.count_nonzero(allowed)), len(self))
        ids = self._best_codes(lifted, fetched)
        passed = [row[(row >= 0) & allowed[row]] for row in ids]
        return [
            np.sort(row[:number]) if len(row) >= number else None for row, number in zip(passed, needed, strict=True)
        ]

    def _best_codes(self, lifted: np.ndarray, most: int) -> np.ndarray:
        """Return the ids int64 (B, n) of the `most` best codes of each query, best first; fewer where there are fewer."""
        scanners = self._shards()
        if len(scanners) == 1:
            return scanners[0].search(lifted, most)[1]
        starts = np.cumsum([0, *(scanner.ntotal for scanner in scanners)])

        def search(number: int) -> tuple[np.ndarray, np.ndarray]:
            scores, ids = scanners[number].search(lifted, min(most, scanners[number].ntotal))
            return scores, ids + starts[number]

        scores, ids = (
            np.concatenate(part, axis=1) for part in zip(*self._pool.map(search, range(len(scanners))), strict=True)
        )
        if ids.shape[1] > most:
            best = np.argpartition(-scores, most - 1, axis=1)[:, :most]
            scores, ids = np.take_along_axis(scores, best, 1), np.take_along_axis(ids, best, 1)
        return np.take_along_axis(ids, np.argsort(-scores, axis=1, kind="stable"), 1)

    def _shards(self) -> list[Any]:
        """Return FAISS's indexes, made of the codes that wait: several, since it scans with one thread for one query."""
        if self._waiting:
            codes = np.concatenate(self._waiting)
            number = max(1, min(os.cpu_count() or 1, len(codes) // SHARD))
            self._scanners += [self.codebook.scanner(part) for part in np.array_split(codes, number)]
            self._waiting = []
        return self._scanners

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

    @functools.cached_property
    def _pool(self) -> ThreadPoolExecutor:
        # One thread of FAISS in each of these: a team of its own for every one of them would be too many.
        return ThreadPoolExecutor(os.cpu_count(), initializer=lambda: load_faiss().omp_set_num_threads(1))


def candidate_counts(weights: np.ndarray, k: int, effort: float = 1.0) -> np.ndarray:
    """Return how many candidates each query needs int64 (B,) for k neighbours, given its groups' weights (B, groups).

    The groups that count are (sum w)^2 / sum w^2. Where they are about one, all grids are candidates.
    """
    wide = weights.astype(np.float64)
    seen = wide.sum(axis=1) ** 2 / (wide**2).sum(axis=1)
    needed = np.maximum(effort * np.clip(CANDIDATES / seen, FEWEST, MOST), A_NEIGHBOUR * k).astype(np.int64)
    needed[seen < LEAST_SEEN] = np.iinfo(np.int64).max
    return needed
