"""First passes over pooled grids: what keeps their vectors, and names those with the largest inner products."""

from typing import Protocol

import numpy as np

from indexes.cards import CardIndex
from indexes.faiss_door import cards_of, load_faiss
from indexes.pooling import Pooling

CENTROIDS = 16  # of a 4-bit code
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

    def train(self, vectors: np.ndarray) -> None:
        """Learn from a sample float32 (n, D), n at least 1, before the first `add`."""
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


def first_pass(pooling: Pooling, device: str) -> FirstPass:
    """Return what ranks pooled grids on a device: codes on the CPU, vectors on GPUs; errors as of `vector_index`."""
    if cards_of(device):
        return CardVectors(pooling.dimension, device)
    return FastScanCodes(pooling.dimension, pooling.groups * pooling.parts)


class FastScanCodes:
    """4-bit codes of vectors, scanned in registers by FAISS; a `FirstPass`.

    Parameters
    ----------
    dimension : int
    codes : int
        Codes a vector; it divides the dimension.
    """

    def __init__(self, dimension: int, codes: int) -> None:
        faiss = load_faiss()
        self._codes = faiss.IndexPQFastScan(dimension, codes, 4, faiss.METRIC_INNER_PRODUCT)
        self._codes.pq.cp.min_points_per_centroid = 1  # no warning for small collections

    @property
    def bytes_a_vector(self) -> int:
        """Memory of a vector's codes in bytes."""
        return int(self._codes.code_size)

    def __len__(self) -> int:
        return int(self._codes.ntotal)

    def train(self, vectors: np.ndarray) -> None:
        """Find the centroids of the codes."""
        # k-means wants as many points as centroids. So few photos are all measured, whatever their codes.
        self._codes.train(np.resize(vectors, (max(len(vectors), CENTROIDS), vectors.shape[1])))

    def add(self, vectors: np.ndarray) -> None:
        """Append the codes of float32 (N, D)."""
        self._codes.add(vectors)

    def best(self, queries: np.ndarray, needed: np.ndarray, allowed: np.ndarray | None) -> list[np.ndarray | None]:
        """Return the ids of the best codes of each query; see `FirstPass.best`."""
        most = int(needed.max())
        if allowed is None:
            ids = self._codes.search(queries, most)[1]
            return [np.sort(row[:number]) for row, number in zip(ids, needed, strict=True)]
        # FastScan takes no selector: more are fetched, so that enough of them pass.
        fetched = min(2 * most * len(self) // int(np.count_nonzero(allowed)), len(self))
        ids = self._codes.search(queries, fetched)[1]
        passed = [row[(row >= 0) & allowed[row]] for row in ids]
        return [
            np.sort(row[:number]) if len(row) >= number else None for row, number in zip(passed, needed, strict=True)
        ]


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

    def train(self, vectors: np.ndarray) -> None:
        """Find the power of two."""
        self._scale = _scale_of(np.abs(vectors).max())

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
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
