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

    def search(self, queries: np.ndarray, k: int) -> SearchResult:
        """Return the `k` largest inner products of each of float32 (B, D); EngineError unless 1 <= k <= len(self)."""
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


def check_k(k: int, count: int) -> None:
    """Raise EngineError unless 1 <= k <= count."""
    if not 1 <= k <= count:
        raise EngineError(f"k is {k}, but the index holds {count} vectors: ask for 1 to {count} neighbours")
