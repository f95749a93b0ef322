"""The contract of an engine, the result of a search, and the checks that engines share."""

from typing import NamedTuple, Protocol

import numpy as np


class EngineError(Exception):
    """An engine cannot do what is asked: not installed, a wrong shape, or k out of range."""


class SearchResult(NamedTuple):
    """The k best of each query, best first.

    Attributes
    ----------
    scores : float32 (B, k)
        Inner products (larger is nearer), or squared distances from `MaskedIndex` (smaller is nearer).
    ids : int64 (B, k)
        Positions in the order of `add`, from 0.
    """

    scores: np.ndarray
    ids: np.ndarray


class VectorIndex(Protocol):
    """Maximum inner product search over float32 vectors of one dimension; ids count from 0 in the order of `add`."""

    dimension: int

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
        ...

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Find the k largest inner products of each query.

        Parameters
        ----------
        queries : float32 (B, D)
        k : int
            1 to the number of vectors that may be found.
        allowed : bool (N,) or None
            Vectors that may be found; None allows all.

        Raises
        ------
        EngineError
            k is out of range, or an array has another shape.
        """
        ...

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored vectors float32 (n, D) of int64 ids (n,)."""
        ...


class GridIndex(Protocol):
    """Hole-aware nearest neighbours of grids (G, C): `MaskedIndex` in memory, `PooledIndex` by codes; ids as `VectorIndex`."""

    cells: int
    channels: int

    def __len__(self) -> int:
        """Return the number of grids."""
        ...

    def add(self, grids: np.ndarray) -> None:
        """Append grids (N, G, C)."""
        ...

    def search(self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the k smallest squared distances of each query, nearest first, ties by id.

        Parameters
        ----------
        grids : float (B, G, C)
        weights : float (B, G)
            In [0, 1], each row with a positive sum.
        k : int
            1 to the number of grids that may be found.
        allowed : bool (N,) or None
            Grids that may be found; None allows all.

        Raises
        ------
        EngineError
            A row of weights is all zero or not in [0, 1], k is out of range, or an array has another shape.
        """
        ...


def check_grids(grids: np.ndarray, cells: int, channels: int) -> None:
    """Raise EngineError unless grids have the shape (N, cells, channels)."""
    if grids.ndim != 3 or grids.shape[1:] != (cells, channels):
        raise EngineError(f"grids of shape {grids.shape}: expected (N, {cells}, {channels})")


def check_weights(weights: np.ndarray, shape: tuple[int, int]) -> None:
    """Raise EngineError unless weights have this shape (B, G) and lie in [0, 1], and each row has a positive one."""
    if weights.shape != shape or not ((weights >= 0) & (weights <= 1)).all():
        raise EngineError(f"weights of shape {weights.shape}: expected {shape}, all in [0, 1]")
    if not (weights.sum(axis=1) > 0).all():
        raise EngineError("a query with no visible cell cannot be searched: every weight is 0")


def check_vectors(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Return `vectors` as contiguous float32 (N, dimension), or raise EngineError with both shapes."""
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise EngineError(f"vectors of shape {vectors.shape} given to an index of dimension {dimension}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def check_k(k: int, count: int, allowed: np.ndarray | None = None) -> int:
    """Return how many of `count` vectors may be found; EngineError unless 1 <= k <= that number, or for a wrong mask."""
    if allowed is None:
        found, where = count, f"the index holds {count} vectors"
    elif allowed.shape != (count,) or allowed.dtype != bool:
        raise EngineError(f"a mask of {allowed.dtype} {allowed.shape} given to an index: expected bool ({count},)")
    else:
        found = int(np.count_nonzero(allowed))
        where = f"{found} of {count} vectors are allowed"
    if not 1 <= k <= found:
        raise EngineError(f"k is {k}, but {where}: ask for 1 to {found} neighbours")
    return found
