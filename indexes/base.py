"""The contract every engine fulfils, and what a search returns."""

from typing import NamedTuple, Protocol

import numpy as np


class EngineError(Exception):
    """An engine cannot do what is asked: not installed, wrong factory string, wrong dimension, too few vectors."""


class SearchResult(NamedTuple):
    """The best `k` of each query, best first.

    scores: float32 (B, k), inner products (larger is nearer) or, from `masked`, squared distances (smaller is nearer).
    ids: int64 (B, k), positions in the order of `add`, from 0.
    """

    scores: np.ndarray
    ids: np.ndarray


class VectorIndex(Protocol):
    """Maximum inner product search over float32 vectors of one dimension. Ids count up from 0 in the order of `add`."""

    dimension: int

    def __len__(self) -> int:
        """Return the number of vectors."""
        ...

    def train(self, vectors: np.ndarray) -> None:
        """Learn what the engine needs (quantisers) from float32 (N, D); does nothing in exact engines."""
        ...

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
        ...

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the `k` largest inner products of each of float32 (B, D).

        allowed: bool (N,), the vectors that may be found; None: all. EngineError unless 1 <= k <= how many those are.
        """
        ...

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return the stored vectors float32 (n, D) of int64 ids (n,); a compressed engine returns its approximation."""
        ...

    def save(self, path: str) -> None:
        """Write to a file."""
        ...

    @classmethod
    def load(cls, path: str) -> "VectorIndex":
        """Read what `save` wrote. The caller has verified the file's checksum."""
        ...


def check_vectors(vectors: np.ndarray, dimension: int) -> np.ndarray:
    """Return `vectors` as contiguous float32 (N, dimension), or raise EngineError with both shapes."""
    if vectors.ndim != 2 or vectors.shape[1] != dimension:
        raise EngineError(f"vectors of shape {vectors.shape} given to an index of dimension {dimension}")
    return np.ascontiguousarray(vectors, dtype=np.float32)


def check_k(k: int, count: int, allowed: np.ndarray | None = None) -> int:
    """Return how many of `count` vectors may be found; EngineError unless 1 <= k <= that, or `allowed` is no mask of them."""
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
