"""Brute force in numpy, block by block: the oracle that every engine is tested against."""

import numpy as np

from indexes.base import EngineError, SearchResult, check_k, check_vectors

BLOCK_ROWS = 8192


class ExactIndex:
    """Exact maximum inner product search; ties go to the smaller id. Memory beyond the vectors: B x BLOCK_ROWS floats."""

    def __init__(self, dimension: int) -> None:
        self.dimension = dimension
        self._vectors = np.empty((0, dimension), np.float32)

    def __len__(self) -> int:
        return len(self._vectors)

    def train(self, vectors: np.ndarray) -> None:
        """Check the shape of float32 (N, D); brute force has nothing to learn."""
        check_vectors(vectors, self.dimension)

    def add(self, vectors: np.ndarray) -> None:
        """Append float32 (N, D)."""
        self._vectors = np.concatenate([self._vectors, check_vectors(vectors, self.dimension)])

    def search(self, queries: np.ndarray, k: int, allowed: np.ndarray | None = None) -> SearchResult:
        """Return the k largest inner products of each of float32 (B, D), computed in float64 and returned as float32."""
        queries = check_vectors(queries, self.dimension).astype(np.float64)
        check_k(k, len(self), allowed)
        scores = np.empty((len(queries), 0))
        ids = np.empty((len(queries), 0), np.int64)
        for start in range(0, len(self), BLOCK_ROWS):
            rows = np.arange(start, min(start + BLOCK_ROWS, len(self)))
            if allowed is not None:
                rows = rows[allowed[rows]]
            scores = np.concatenate([scores, queries @ self._vectors[rows].T.astype(np.float64)], axis=1)
            ids = np.concatenate([ids, np.broadcast_to(rows, (len(queries), len(rows)))], axis=1)
            # A stable sort keeps the smaller id first among equal scores, since ids ascend from left to right.
            order = np.argsort(-scores, axis=1, kind="stable")[:, :k]
            scores, ids = np.take_along_axis(scores, order, 1), np.take_along_axis(ids, order, 1)
        return SearchResult(scores.astype(np.float32), ids)

    def reconstruct(self, ids: np.ndarray) -> np.ndarray:
        """Return a copy of the stored vectors float32 (n, D)."""
        return self._vectors[ids]

    def save(self, path: str) -> None:
        """Write the matrix in numpy's own format."""
        with open(path, "wb") as file:
            np.save(file, self._vectors, allow_pickle=False)

    @classmethod
    def load(cls, path: str) -> "ExactIndex":
        """Read what `save` wrote; nothing is unpickled."""
        try:
            vectors = np.load(path, allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise EngineError(f"{path} is not a saved exact index: {error}") from error
        index = cls(vectors.shape[1])
        index.add(vectors)
        return index
