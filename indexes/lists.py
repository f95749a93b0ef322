"""Codes in lists: photos that are alike stand together, and a query scans the lists of what is like it."""

from typing import Any

import numpy as np

from indexes.base import EngineError
from indexes.codebook import Codebook
from indexes.faiss_door import load_faiss

# Candidates asked for that make a query scan all lists; fewer are looked for in as large a share of them. A query that sees
# little of a photo needs more candidates (`indexes.pooled.candidate_counts`), and for the same reason more lists.
ALL_LISTS = 4000
MOST_LISTS = 2048  # the sample that trains a codebook has not many more photos to head them


class ListCodebook(Codebook):
    """A codebook whose codes begin with the number of a list, that of the nearest of some photos: the heads.

    Parameters
    ----------
    origin, centroids
        As of `Codebook`.
    heads : uint8 (L, bytes)
        Codes of photos of the collection, without a list's number. L is 2 or more.

    Raises
    ------
    EngineError
        As of `Codebook`, or the heads are of another shape.

    Notes
    -----
    An inverted file (J. Sivic and A. Zisserman, "Video Google", 2003), with two differences: a query chooses lists by the
    hole-aware distance to their heads, and heads are photos drawn at random in place of centroids of k-means. Among a million
    photos these were hardly better, and their training took longer than all the rest.
    """

    def __init__(self, origin: np.ndarray, centroids: np.ndarray, heads: np.ndarray) -> None:
        super().__init__(origin, centroids)
        expected = super().bytes_a_photo
        if heads.dtype != np.uint8 or heads.ndim != 2 or heads.shape[1] != expected or not 2 <= len(heads) <= 1 << 16:
            raise EngineError(
                f"heads of {heads.dtype} {heads.shape}: expected uint8 (L, {expected}), L from 2 to {1 << 16}"
            )
        faiss = load_faiss()
        self.heads = heads
        vectors = self.photos(heads)
        self._nearest = faiss.IndexFlatL2(self.pooling.means(vectors[:1]).shape[1])
        self._nearest.add(np.ascontiguousarray(self.pooling.means(vectors)))
        self._heads = faiss.IndexFlatIP(self.pooling.dimension)
        self._heads.add(vectors)
        self._prefix = 1 if len(heads) <= 1 << 8 else 2

    @classmethod
    def of(cls, codebook: Codebook, grids: np.ndarray, lists: int) -> "ListCodebook":
        """Return a codebook with as many lists, headed by some of a sample of the collection's grids (n, G, C), evenly spread.

        There are fewer lists where the sample is smaller; EngineError where it has fewer than two grids.
        """
        chosen = np.unique(np.linspace(0, len(grids) - 1, lists).astype(np.int64))
        return cls(codebook.origin, codebook.centroids, codebook.encode(grids[chosen]))

    @property
    def bytes_a_photo(self) -> int:
        """Size of a photo's codes and of the number of its list."""
        return super().bytes_a_photo + self._prefix

    def encode_vectors(self, vectors: np.ndarray) -> np.ndarray:
        """Return the lists' numbers, low byte first, and the codes uint8 (N, bytes_a_photo) of pooled grids (N, dimension)."""
        vectors = np.ascontiguousarray(vectors, np.float32)
        lists = self._nearest.search(np.ascontiguousarray(self.pooling.means(vectors)), 1)[1].astype("<u2")
        numbers = lists.view(np.uint8).reshape(-1, 2)[:, : self._prefix]
        return np.concatenate([numbers, super().encode_vectors(vectors)], axis=1)

    def check_codes(self, codes: np.ndarray) -> None:
        """Raise EngineError unless these are codes of this codebook, uint8 (N, bytes_a_photo), of lists that there are."""
        super().check_codes(codes)
        numbers = codes[:, 0].astype(np.int64)
        if self._prefix == 2:
            numbers |= codes[:, 1].astype(np.int64) << 8
        if numbers.max(initial=0) >= len(self.heads):
            raise EngineError(f"codes of list {numbers.max()}: the lists are 0 to {len(self.heads) - 1}")

    def scanner(self, codes: np.ndarray) -> Any:
        """Return a FAISS index over codes uint8 (N, bytes_a_photo), which can be divided into its lists."""
        faiss, pooling = load_faiss(), self.pooling
        plain = faiss.IndexIVFPQ(
            self._heads,
            pooling.dimension,
            len(self.heads),
            pooling.groups * pooling.parts,
            4,
            faiss.METRIC_INNER_PRODUCT,
        )
        plain.by_residual = False
        plain.pq = self._coder.pq
        plain.is_trained = True
        plain.add_sa_codes(np.ascontiguousarray(codes))
        return faiss.IndexIVFPQFastScan(plain)

    def scan(self, scanner: Any, queries: np.ndarray, most: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the scores and the ids (B, most) of the best codes that the nearest lists hold; see `Codebook.scan`."""
        parameters = load_faiss().IVFSearchParameters
        lists = min(-(-most * len(self.heads) // ALL_LISTS), len(self.heads))
        scores, ids = scanner.search(queries, most, params=parameters(nprobe=lists))
        if ids.min(initial=0) < 0:  # these lists hold too few
            scores, ids = scanner.search(queries, most, params=parameters(nprobe=len(self.heads)))
        return scores, ids
