"""Exact search by FAISS on all cores."""

import os

import numpy as np

from indexes.base import EngineError, SearchResult, VectorIndex, check_k, check_vectors
from indexes.cards import CardIndex
from indexes.faiss_door import cards_of, load_faiss
from indexes.threads import Threads


class FaissIndex:
    """Exact maximum inner product search; a `VectorIndex`.

    FAISS scans a flat index with one thread per query, so a single query would leave the other cores idle. The vectors
    are therefore dealt out to several flat indexes, each searched by its own thread: vector i is row i // shards of
    index i % shards. Of equal scores the smaller id comes first; if they do not all fit into k, any of them may be left out.

    Parameters
    ----------
    dimension : int
    shards : int or None
        Number of flat indexes; None: one per core.

    Raises
    ------
    EngineError
        FAISS is not installed, or `shards` is less than 1.

    Notes
    -----
    M. Douze et al., "The Faiss library" (2024).
    """

    def __init__(self, dimension: int, shards: int | None = None) -> None:
        if shards is not None and shards < 1:
            raise EngineError(f"shards is {shards}: expected 1 or more")
        self.dimension = dimension
        self._parts = [load_faiss().IndexFlatIP(dimension) for _ in range(shards or os.cpu_count() or 1)]
        self._pool = Threads(len(self._parts))

    def __len__(self) -> int:
        return sum(part.ntotal for part in self._parts)

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
        vectors = check_vectors(vectors, self.dimension)
        first = len(self)
        for number, part in enumerate(self._parts):
            start = (number - first) % len(self._parts)
            part.add(np.ascontiguousarray(vectors[start :: len(self._parts)]))

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Find the k largest inner products of each query; see `VectorIndex.search`."""
        queries = check_vectors(queries, self.dimension)
        check_k(k, len(self), allowed)

        def search(number: int) -> tuple[np.ndarray, np.ndarray]:
            return self._search_part(number, queries, k, allowed)

        found = self._pool.map(search, range(len(self._parts)))
        scores, ids = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
        order = np.lexsort((ids, -scores))[:, :k]
        return SearchResult(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1))

    def _search_part(
        self, number: int, queries: np.ndarray, k: int, allowed: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and ids (B, n) of the best of one part, n <= k."""
        faiss = load_faiss()
        part, parameters, count = self._parts[number], None, self._parts[number].ntotal
        if allowed is not None:
            mine = allowed[number :: len(self._parts)]
            count = int(np.count_nonzero(mine))
            parameters = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(np.packbits(mine, bitorder="little")))
        if not count:
            return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
        scores, rows = part.search(queries, min(k, count), params=parameters)
        return scores, rows * len(self._parts) + number

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored vectors float32 (n, D) of int64 ids (n,)."""
        ids = np.asarray(ids, np.int64)
        vectors = np.empty((len(ids), self.dimension), np.float32)
        for number, part in enumerate(self._parts):
            mine = ids % len(self._parts) == number
            if mine.any():
                vectors[mine] = part.reconstruct_batch(ids[mine] // len(self._parts))
        return vectors


def vector_index(dimension: int, device: str = "cpu") -> VectorIndex:
    """Return an empty index for exact search on a device: a `FaissIndex`, or on GPUs a `CardIndex`.

    Parameters
    ----------
    dimension : int
    device : str
        "cpu", "cuda" (all GPUs), "cuda:N", or "auto": all GPUs, or the CPU where FAISS can use none.

    Raises
    ------
    EngineError
        FAISS is not installed, or cannot use the device.
    """
    return CardIndex(dimension, device) if cards_of(device) else FaissIndex(dimension)
