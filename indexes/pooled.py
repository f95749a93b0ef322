"""Hole-aware search in little memory: pooled codes name candidates, whose stored grids are then measured exactly.

The first pass (`first_pass`) ranks by the pooled grids (`pooling`): by default it scans 4-bit codes, 64 bytes a photo for
16 x 16 cells of 4 channels. The second measures the best K' of them by `masked_distances`, so the distances returned are
exact, and a neighbour is missed only if the first pass ranks it behind K'.
"""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from indexes.base import EngineError, SearchResult, check_grids, check_k, check_weights
from indexes.faiss_door import cards_of
from indexes.first_pass import FirstPass, first_pass
from indexes.halves import widen
from indexes.masked import masked_distances
from indexes.pooling import Pooling

TRAINING = 3000  # grids that train a quantiser: more of them gain nothing
BLOCK = 1024  # rows that are read and measured at a time, by one thread
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
    cells, channels : int
        G, a square number of at least 4; C.
    rows : int64 (n,) ascending -> float16 (n, G, C)
        Reads the grids of ids, finite and just as they were added. Threads call it at the same time.
    parts : int or None
        Codes for each group of cells; more are more precise, and take more memory. None: two, and one where `device` keeps
        vectors, for which a group needs no parts.
    device : str
        "cpu", where 4-bit codes are scanned; or, as of `vector_index`, GPUs that keep the pooled grids in float16.
    codes : FirstPass or None
        What else keeps the pooled grids and ranks by them; None: what belongs to `device`.
    origin : float32 (G, C) or None
        What is subtracted from all grids, where `codes` are trained already; None: `train` finds it.

    Raises
    ------
    EngineError
        FAISS is not installed or cannot use the device, the grid is not square, or its channels cannot be cut into these parts.

    Notes
    -----
    F. André et al., "Cache locality is not enough: high-performance nearest neighbor search with product quantization fast
    scan" (2015), as built in FAISS.
    """

    def __init__(
        self,
        cells: int,
        channels: int,
        rows: ReadRows,
        parts: int | None = None,
        device: str = "cpu",
        codes: FirstPass | None = None,
        origin: np.ndarray | None = None,
    ) -> None:
        self.cells, self.channels = cells, channels
        self._rows = rows
        if parts is None:
            parts = 1 if cards_of(device) else min(2, channels)
        self._pooling = Pooling(cells, channels, parts)
        self._codes = first_pass(self._pooling, device) if codes is None else codes
        self._origin = origin
        self._pool = ThreadPoolExecutor(os.cpu_count())

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def bytes_a_photo(self) -> int:
        """Memory of a photo's codes in bytes."""
        return self._codes.bytes_a_vector

    def train(self, grids: np.ndarray) -> None:
        """Learn the codes from a sample of the collection (n, G, C), of which `training_ids` are enough.

        The sample's mean is subtracted from all grids. This changes no distance, but codes then tell photos apart.

        Raises
        ------
        EngineError
            The sample is empty or of another shape, or the index has been trained.
        """
        check_grids(grids, self.cells, self.channels)
        if self._origin is not None:
            raise EngineError("the pooled codes are trained already: make a new index to train it on other grids")
        if not len(grids):
            raise EngineError("no grids to train pooled codes on: give 1 or more")
        origin = grids.mean(axis=0, dtype=np.float32)
        self._codes.train(self._pooling.photos(grids, origin))
        self._origin = origin

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C); EngineError for another shape, or before `train`."""
        check_grids(grids, self.cells, self.channels)
        origin = self._trained()
        for start in range(0, len(grids), 4 * BLOCK):
            self._codes.add(self._pooling.photos(grids[start : start + 4 * BLOCK], origin))

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
        needed = candidate_counts(self._pooling.weights(weights), k)
        scanned = np.flatnonzero(needed < (count if allowed is None else count // 4))
        found: list[np.ndarray | None] = [None] * len(grids)
        if len(scanned):
            lifted = self._pooling.queries(grids[scanned], weights[scanned], self._trained())
            for row, ids in zip(scanned, self._codes.best(lifted, needed[scanned], allowed), strict=True):
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

    def _trained(self) -> np.ndarray:
        """Return the origin; EngineError before `train`."""
        if self._origin is None:
            raise EngineError("the pooled codes are not trained: call train with a sample of the grids first")
        return self._origin


def training_ids(count: int, seed: int = 0) -> np.ndarray:
    """Return the ids int64 (n,) ascending, n at most TRAINING, of a random sample of `count` grids to train on."""
    if count <= TRAINING:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, TRAINING, replace=False))


def candidate_counts(weights: np.ndarray, k: int) -> np.ndarray:
    """Return how many candidates each query needs int64 (B,) for k neighbours, given its groups' weights (B, groups).

    The groups that count are (sum w)^2 / sum w^2. Where they are about one, all grids are candidates.
    """
    wide = weights.astype(np.float64)
    seen = wide.sum(axis=1) ** 2 / (wide**2).sum(axis=1)
    needed = np.maximum(np.clip(CANDIDATES / seen, FEWEST, MOST), A_NEIGHBOUR * k).astype(np.int64)
    needed[seen < LEAST_SEEN] = np.iinfo(np.int64).max
    return needed
