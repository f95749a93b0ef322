"""FAISS behind the common contract, from a factory string ("Flat", "IVF256,SQ8", "PQ32", ...)."""

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from indexes.base import EngineError, SearchResult, check_k, check_vectors


def _faiss() -> Any:
    try:
        import faiss
    except ImportError as error:
        raise EngineError("FAISS is not installed: run `pip install faiss-cpu`") from error
    return faiss


class FaissIndex:
    """Maximum inner product search by FAISS (Douze et al. 2024, "The Faiss library").

    FAISS scans a flat index with one thread a query, so one query leaves all cores but one idle. A "Flat" factory is
    therefore split over `shards` sub-indexes, each scanned by a thread of its own; other factories keep one.

    An index that was loaded from a file refuses `add`: segments on disk are immutable, and adding to a memory-mapped
    FAISS index aborts the process.
    """

    def __init__(self, dimension: int, factory: str = "Flat", shards: int | None = None) -> None:
        faiss = _faiss()
        if shards is not None and shards < 1:
            raise EngineError(f"shards is {shards}: expected 1 or more")
        self.dimension = dimension
        self.factory = factory
        count = (shards or os.cpu_count() or 1) if factory == "Flat" else 1
        try:
            self._parts = [faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT) for _ in range(count)]
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise EngineError(
                f"FAISS does not know the factory string {factory!r} for {dimension} values: {reason}"
            ) from error
        self._enable_reconstruct()
        self._frozen = False
        self._part_of = np.empty(0, np.int32)
        self._row_of = np.empty(0, np.int64)
        # FAISS keeps bare pointers, so whatever stands behind the front is held here as well.
        self._mapped = [faiss.IndexIDMap(part) for part in self._parts] if count > 1 else []
        self._front = faiss.IndexShards(dimension, True, False) if count > 1 else self._parts[0]
        for mapped in self._mapped:
            self._front.add_shard(mapped)

    def __len__(self) -> int:
        return len(self._part_of)

    def train(self, vectors: np.ndarray) -> None:
        """Train the quantisers on float32 (N, D); EngineError when there are too few vectors for them."""
        vectors = check_vectors(vectors, self.dimension)
        for part in self._parts:
            if not part.is_trained:
                try:
                    part.train(vectors)
                except RuntimeError as error:
                    raise EngineError(
                        f"{len(vectors)} vectors cannot train {self.factory!r}: give more, or choose a smaller factory string"
                    ) from error

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D), spread evenly over the shards."""
        vectors = check_vectors(vectors, self.dimension)
        if self._frozen:
            raise EngineError("an index loaded from a file is immutable: build a new one and add to that")
        if not all(part.is_trained for part in self._parts):
            raise EngineError(f"{self.factory!r} must be trained before vectors are added")
        first = len(self)
        for number, block in enumerate(np.array_split(vectors, len(self._parts))):
            part = self._parts[number]
            self._row_of = np.concatenate([self._row_of, np.arange(part.ntotal, part.ntotal + len(block))])
            self._part_of = np.concatenate([self._part_of, np.full(len(block), number, np.int32)])
            if self._mapped:
                self._mapped[number].add_with_ids(block, np.arange(first, first + len(block)))
                first += len(block)
            else:
                part.add(block)
        if self._mapped:
            self._front.syncWithSubIndexes()

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the k largest inner products of each of float32 (B, D), or as near as a compressed engine comes.

        allowed: bool (N,), the vectors that may be found; None: all. EngineError also where the engine finds fewer than k,
        which inverted lists do not (all are searched if few have k), and where it has no search of a part.
        """
        queries = check_vectors(queries, self.dimension)
        check_k(k, len(self), allowed)
        if allowed is not None:
            return self._search_allowed(queries, k, allowed)
        # A shard with fewer than k pads its answer; the merge of the shards drops the padding.
        scores, ids = self._front.search(queries, k)
        short = (ids < 0).any(axis=1)
        if short.any():
            scores[short], ids[short] = self._search_all_lists(queries[short], k)
        return SearchResult(scores, ids)

    def _search_allowed(self, queries: np.ndarray, k: int, allowed: np.ndarray) -> SearchResult:
        """Search every part for the allowed vectors alone, and merge: shards take no selector in FAISS."""

        def search(number: int) -> tuple[np.ndarray, np.ndarray]:
            ids = np.flatnonzero(self._part_of == number)  # in the order of the part's rows
            mine = allowed[ids]
            wanted = min(k, int(np.count_nonzero(mine)))
            if not wanted:
                return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
            scores, rows = self._search_part(self._parts[number], queries, wanted, mine)
            return scores, ids[rows]

        with ThreadPoolExecutor(len(self._parts)) as pool:
            found = list(pool.map(search, range(len(self._parts))))
        scores, ids = (np.concatenate(arrays, axis=1) for arrays in zip(*found, strict=True))
        order = np.lexsort((ids, -scores))[:, :k]
        return SearchResult(np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1))

    def _search_part(
        self, part: Any, queries: np.ndarray, k: int, allowed: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return scores and rows (B, k) of the best of a part's rows that are allowed, bool (n,), at least k of them."""
        faiss = _faiss()
        selector = faiss.IDSelectorBitmap(np.packbits(allowed, bitorder="little"))
        ivf = faiss.try_extract_index_ivf(part)
        try:
            scores, rows = part.search(queries, k, params=self._parameters(sel=selector))
            short = (rows < 0).any(axis=1)
            if short.any() and ivf is not None:
                every = self._parameters(sel=selector, nprobe=ivf.nlist)
                scores[short], rows[short] = part.search(queries[short], k, params=every)
        except RuntimeError as error:
            raise EngineError(f"{self.factory!r} cannot search a part of its vectors: use another factory") from error
        if (rows < 0).any():
            raise EngineError(f"{self.factory!r} found fewer than {k} neighbours: ask for fewer")
        return scores, rows

    def _parameters(self, **values: Any) -> Any:
        """Return FAISS's parameters of one search, of the kind that the engine takes."""
        faiss = _faiss()
        part = self._parts[0]
        ivf = faiss.try_extract_index_ivf(part)
        if ivf is None:
            parameters = faiss.SearchParameters(**values)
        else:
            parameters = faiss.SearchParametersIVF(**{"nprobe": ivf.nprobe, **values})
        if isinstance(part, faiss.IndexPreTransform):
            parameters = faiss.SearchParametersPreTransform(index_params=parameters)
        return parameters

    def _search_all_lists(self, queries: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
        ivf = _faiss().try_extract_index_ivf(self._front)
        if ivf is None:
            raise EngineError(f"{self.factory!r} found fewer than {k} neighbours: ask for fewer")
        return self._front.search(queries, k, params=self._parameters(nprobe=ivf.nlist))

    def _enable_reconstruct(self) -> None:
        """Make inverted lists remember where each vector lies; other engines know it."""
        faiss = _faiss()
        for part in self._parts:
            ivf = faiss.try_extract_index_ivf(part)
            if ivf is not None:
                ivf.make_direct_map()

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored (or, from a compressed engine, the approximated) vectors float32 (n, D)."""
        ids = np.asarray(ids, np.int64)
        vectors = np.empty((len(ids), self.dimension), np.float32)
        for number, part in enumerate(self._parts):
            mine = self._part_of[ids] == number
            if mine.any():
                vectors[mine] = part.reconstruct_batch(self._row_of[ids[mine]])
        return vectors

    def save(self, path: str) -> None:
        """Write one FAISS file, in the order of the ids, whatever the number of shards."""
        faiss = _faiss()
        whole = self._parts[0]
        if self._mapped:
            whole = faiss.index_factory(self.dimension, self.factory, faiss.METRIC_INNER_PRODUCT)
            for start in range(0, len(self), 8192):
                whole.add(self.reconstruct(np.arange(start, min(start + 8192, len(self)))))
        try:
            faiss.write_index(whole, path)
        except RuntimeError as error:
            raise EngineError(f"{path} cannot be written: {str(error).strip().splitlines()[-1]}") from error

    @classmethod
    def load(cls, path: str) -> "FaissIndex":
        """Read what `save` wrote, for searching only. The caller has verified the file's checksum: FAISS does not."""
        faiss = _faiss()
        try:
            part = faiss.read_index(path)
        except RuntimeError as error:
            raise EngineError(f"{path} is not a FAISS index: {str(error).strip().splitlines()[-1]}") from error
        if part.metric_type != faiss.METRIC_INNER_PRODUCT:
            raise EngineError(f"{path} is a FAISS index of another metric: expected inner products")
        index = cls.__new__(cls)
        index.dimension, index.factory = part.d, "loaded"
        index._parts, index._frozen, index._front, index._mapped = [part], True, part, []
        index._part_of, index._row_of = np.zeros(part.ntotal, np.int32), np.arange(part.ntotal)
        index._enable_reconstruct()
        return index
