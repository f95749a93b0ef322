"""A codebook: 4-bit codes of pooled grids, learnt from a sample of a collection."""

from typing import Any

import numpy as np

from indexes.base import EngineError, check_grids
from indexes.faiss_door import load_faiss
from indexes.pooling import Pooling

TRAINING = 3000  # grids that train a codebook: more of them gain nothing
CENTROIDS = 16  # of a 4-bit code
BLOCK = 4096  # grids that are coded at a time


class Codebook:
    """Turns grids into codes, half a byte for each part of a group of cells (`pooling`).

    Parameters
    ----------
    origin : float32 (G, C)
        Subtracted from all grids. This changes no distance, but codes then tell photos apart.
    centroids : float32 (groups * parts, 16, width)
        Of each part; see `Pooling`.

    Attributes
    ----------
    cells, channels, parts : int
        G, C, and the codes for each group.
    pooling : Pooling
    bytes_a_photo : int
        Of codes.

    Raises
    ------
    EngineError
        FAISS is not installed, the grid is not square, or the arrays do not fit each other.
    """

    def __init__(self, origin: np.ndarray, centroids: np.ndarray) -> None:
        self.cells, self.channels = origin.shape
        groups = Pooling(self.cells, self.channels, 1).groups
        self.parts = max(len(centroids) // groups, 1)
        self.pooling = Pooling(self.cells, self.channels, self.parts)
        expected = (groups * self.parts, CENTROIDS, self.pooling.width)
        if centroids.shape != expected:
            raise EngineError(f"centroids of shape {centroids.shape}: expected {expected}")
        self.origin = np.ascontiguousarray(origin, np.float32)
        self.centroids = np.ascontiguousarray(centroids, np.float32)
        faiss = load_faiss()
        self._coder = _empty_index(faiss.IndexPQ, self.pooling)
        faiss.copy_array_to_vector(self.centroids.ravel(), self._coder.pq.centroids)
        self._coder.is_trained = True

    @classmethod
    def train(cls, grids: np.ndarray, parts: int) -> "Codebook":
        """Learn a codebook from a sample of a collection, float (n, G, C), of which `training_ids` are enough.

        EngineError where the sample is empty, its grids are not square, or their channels cannot be cut into these parts.
        """
        if grids.ndim != 3 or not len(grids):
            raise EngineError(f"no grids to train a codebook on (shape {grids.shape}): give 1 or more, (n, G, C)")
        cells, channels = grids.shape[1:]
        pooling = Pooling(cells, channels, parts)
        origin = grids.mean(axis=0, dtype=np.float32)
        # k-means wants as many points as centroids.
        sample = np.resize(grids, (max(len(grids), CENTROIDS), cells, channels))
        faiss = load_faiss()
        coder = _empty_index(faiss.IndexPQ, pooling)
        coder.pq.cp.min_points_per_centroid = 1  # no warning for small collections
        coder.train(pooling.photos(sample, origin))
        centroids = faiss.vector_to_array(coder.pq.centroids)
        return cls(origin, centroids.reshape(pooling.groups * parts, CENTROIDS, pooling.width))

    @property
    def bytes_a_photo(self) -> int:
        """Size of a photo's codes."""
        return self.pooling.code_bytes

    def encode(self, grids: np.ndarray) -> np.ndarray:
        """Return the codes uint8 (N, bytes_a_photo) of grids (N, G, C) of any float type; EngineError for another shape."""
        check_grids(grids, self.cells, self.channels)
        codes = np.empty((len(grids), self.bytes_a_photo), np.uint8)
        for start in range(0, len(grids), BLOCK):
            some = slice(start, start + BLOCK)
            codes[some] = self.encode_vectors(self.pooling.photos(grids[some], self.origin))
        return codes

    def encode_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return the codes uint8 (N, bytes_a_photo) of pooled grids float32 (N, dimension)."""
        codes: np.ndarray = self._coder.sa_encode(np.ascontiguousarray(vectors, np.float32))
        return codes

    def check_codes(self, codes: np.ndarray) -> None:
        """Raise EngineError unless these are codes of this codebook, uint8 (N, bytes_a_photo)."""
        if codes.ndim != 2 or codes.shape[1] != self.bytes_a_photo or codes.dtype != np.uint8:
            raise EngineError(f"codes of {codes.dtype} {codes.shape}: expected uint8 (N, {self.bytes_a_photo})")

    def scanner(self, codes: np.ndarray) -> Any:
        """Return a FAISS index over codes uint8 (N, bytes_a_photo), in the order in which its scan reads them.

        Notes
        -----
        F. André et al., "Cache locality is not enough: high-performance nearest neighbor search with product quantization
        fast scan" (2015), as built in FAISS.
        """
        faiss = load_faiss()
        plain = _empty_index(faiss.IndexPQ, self.pooling)
        plain.pq = self._coder.pq
        plain.is_trained = True
        plain.add_sa_codes(np.ascontiguousarray(codes))
        return faiss.IndexPQFastScan(plain)

    def scan(self, scanner: Any, queries: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the ids (B, most) of the best codes of a `scanner`, best first; it holds no fewer."""
        scores, ids = scanner.search(queries, most)
        return scores, ids

    def photos(self, codes: np.ndarray) -> np.ndarray:
        """Return the pooled grids float32 (N, dimension) that codes uint8 (N, bytes_a_photo) stand for."""
        vectors: np.ndarray = self._coder.sa_decode(np.ascontiguousarray(codes))
        return vectors


def _empty_index(kind: Any, pooling: Pooling) -> Any:
    return kind(pooling.dimension, pooling.groups * pooling.parts, 4, load_faiss().METRIC_INNER_PRODUCT)


def training_ids(count: int, seed: int = 0) -> np.ndarray:
    """Return the ids int64 (n,) ascending, n at most TRAINING, of a random sample of `count` grids to train on."""
    if count <= TRAINING:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, TRAINING, replace=False))
