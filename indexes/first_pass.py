"""First passes over pooled grids: what keeps their vectors, and names those with the largest inner products."""

import functools
import os
from typing import Any, Protocol

import numpy as np

from indexes.cards import CardIndex
from indexes.codebook import Codebook
from indexes.faiss_door import load_faiss
from indexes.threads import Threads

SHARD, MOST_CODES = 1 << 16, 1 << 20  # vectors worth a thread of their own in a scan; the most in one of its indexes
LARGEST = 1024  # of the numbers that a sample gets as float16: others may be 64 times as large


class FirstPass(Protocol):
    """Vectors of one dimension, ranked by inner products that need not be exact; ids count from 0 in the order of `add`."""

    @property
    def bytes_a_vector(self) -> int:
        """Memory of a vector in bytes, where this process keeps it."""
        ...

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
        ...

    def best(self, queries: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ids of the largest inner products of each query.

        Parameters
        ----------
        queries : float32 (B, D)
        needed : int64 (B,)
            How many, fewer than may be found.
        allowed : bool (N,) or None
            Vectors that may be found; None allows all.

        Returns
        -------
        B arrays int64 (needed,) ascending; None where too few of those looked at are allowed.
        """
        ...


class CodeScan:
    """4-bit codes of pooled grids, scanned in registers by FAISS on all cores; a `FirstPass`.

    FAISS scans with one thread for one query, so the codes are dealt out to several indexes.

    Parameters
    ----------
    codebook : Codebook

    Notes
    -----
    F. André et al., "Cache locality is not enough: high-performance nearest neighbor search with product quantization fast
    scan" (2015), as built in FAISS.
    """

    def __init__(self, codebook: Codebook) -> None:
        self._codebook = codebook
        self._waiting: list[np.ndarray] = []
        self._scanners: list[Any] = []
        self._count = 0

    @property
    def bytes_a_vector(self) -> int:
        """Memory of a vector's codes in bytes."""
        return self._codebook.bytes_a_photo

    def __len__(self) -> int:
        return self._count

    def add(self, vectors: np.ndarray) -> None:
        """Append the codes of float32 (N, D)."""
        self.add_codes(self._codebook.encode_vectors(vectors))

    def add_codes(self, codes: np.ndarray) -> None:
        """Append codes uint8 (N, bytes_a_vector); EngineError for what are none of the codebook."""
        self._codebook.check_codes(codes)
        self._waiting.append(codes)
        self._count += len(codes)

    def best(self, queries: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ids of the best codes of each query; see `FirstPass.best`."""
        most = int(needed.max())
        if allowed is None:
            ids = self._ranked(queries, most)
            return [np.sort(row[:number]) for row, number in zip(ids, needed, strict=True)]
        # FastScan takes no selector: more are fetched, so that enough of them pass.
        fetched = min(2 * most * len(self) // int(np.count_nonzero(allowed)), len(self))
        ids = self._ranked(queries, fetched)
        passed = [row[(row >= 0) & allowed[row]] for row in ids]
        return [
            np.sort(row[:number]) if len(row) >= number else None for row, number in zip(passed, needed, strict=True)
        ]

    def _ranked(self, queries: np.ndarray, most: int) -> np.ndarray:
        """Return the ids int64 (B, most) of the best codes of each query, best first."""
        scanners = self._shards()
        if len(scanners) == 1:
            return self._codebook.scan(scanners[0], queries, most)[1]
        starts = np.cumsum([0, *(scanner.ntotal for scanner in scanners)])

        def search(number: int) -> tuple[np.ndarray, np.ndarray]:
            scores, ids = self._codebook.scan(scanners[number], queries, min(most, scanners[number].ntotal))
            return scores, ids + starts[number]

        found = zip(*self._pool.map(search, range(len(scanners))), strict=True)
        scores, ids = (np.concatenate(part, axis=1) for part in found)
        if ids.shape[1] > most:
            kept = np.argpartition(-scores, most - 1, axis=1)[:, :most]
            scores, ids = np.take_along_axis(scores, kept, 1), np.take_along_axis(ids, kept, 1)
        return np.take_along_axis(ids, np.argsort(-scores, axis=1, kind="stable"), 1)

    def _shards(self) -> list[Any]:
        """Return FAISS's indexes, made of the codes that wait: one after the other, so that few are held twice."""
        if self._waiting:
            waiting, self._waiting = self._waiting[::-1], []
            total = sum(map(len, waiting))
            number = max(1, min(os.cpu_count() or 1, total // SHARD), -(-total // MOST_CODES))
            part: list[np.ndarray] = []
            while waiting:
                part.append(waiting.pop())
                if not waiting or sum(map(len, part)) * number >= total:
                    self._scanners.append(self._codebook.scanner(np.concatenate(part)))
                    part = []
        return self._scanners

    @functools.cached_property
    def _pool(self) -> Threads:
        # One thread of FAISS in each of these: a team of its own for every one of them would be too many.
        return Threads(os.cpu_count() or 1, initializer=lambda: load_faiss().omp_set_num_threads(1))


class CardVectors:
    """float16 vectors on GPUs, where FAISS has no 4-bit scan; a `FirstPass`.

    They tell photos apart better than codes do. All are multiplied by one power of two, which changes no order, so that
    float16 can hold them: the squared norms of features may be beyond its range.

    Parameters
    ----------
    dimension : int
    device : str
        As of `CardIndex`.
    """

    def __init__(self, dimension: int, device: str = "cuda") -> None:
        self._vectors = CardIndex(dimension, device, half=True)
        self._scale = np.float32(1)

    @property
    def bytes_a_vector(self) -> int:
        """Memory of a vector in bytes, on the GPUs."""
        return 2 * self._vectors.dimension

    def __len__(self) -> int:
        return len(self._vectors)

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D); the first ones find the power of two."""
        if not len(self) and len(vectors):
            self._scale = _scale_of(np.abs(vectors).max())
        most = np.finfo(np.float16).max
        self._vectors.add(np.clip(vectors * self._scale, -most, most))

    def best(self, queries: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ids of the largest inner products of each query; see `FirstPass.best`."""
        # The cards round the queries to float16 too.
        scaled = queries * np.array([_scale_of(largest) for largest in np.abs(queries).max(axis=1)])[:, None]
        ids = self._vectors.search(scaled, int(needed.max()), allowed).ids
        return [np.sort(row[:number]) for row, number in zip(ids, needed, strict=True)]


def _scale_of(largest: float) -> np.float32:
    """Return the power of two that brings a number to LARGEST at most, and above half of it; 1 for 0."""
    return np.float32(2.0 ** np.floor(np.log2(LARGEST / largest))) if largest > 0 else np.float32(1)
