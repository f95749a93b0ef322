"""The leak guard: queries whose figures would be too good, since the collection holds them or a near-duplicate."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos.near_duplicates import MIN_COARSE, coarse, fine, similarity
from ce_retrieval.photos.sameness import SAME_VIEW

SHORTLIST = 3  # photos that are aligned with each query, and with its mirror image


@dataclass(frozen=True)
class Leak:
    """A query with a near-duplicate in the collection.

    Attributes
    ----------
    query, photo : names.
    mirrored : the near-duplicate shows the query's mirror image.
    similarity : correlation of their detail once aligned, at most 1.
    """

    query: str
    photo: str
    mirrored: bool
    similarity: float


class LeakGuard:
    """Finds queries with a near-duplicate in the collection, also a mirrored one; fed block by block.

    Parameters
    ----------
    names : of the queries.
    queries : uint8 (Q, S, S, 3)

    Notes
    -----
    Two steps, both of `photos.near_duplicates`: the correlation of thumbnails gives each query a shortlist, whose photos
    are then aligned with it and compared by detail.
    """

    def __init__(self, names: Sequence[str], queries: np.ndarray) -> None:
        self._names, self._queries = names, queries
        self._coarse = np.concatenate([coarse(queries), coarse(queries[:, :, ::-1])])
        self._scores = np.full((len(self._coarse), SHORTLIST), -1, np.float32)
        self._ids = np.full(self._scores.shape, -1, np.int64)

    def feed(self, ids: np.ndarray, photos: np.ndarray) -> None:
        """Compare the queries with photos uint8 (n, S, S, 3) of these ids."""
        scores = np.concatenate([self._scores, self._coarse @ coarse(photos).T], axis=1)
        numbers = np.concatenate([self._ids, np.broadcast_to(ids, (len(self._ids), len(ids)))], axis=1)
        best = np.argsort(-scores, axis=1, kind="stable")[:, :SHORTLIST]
        self._scores = np.take_along_axis(scores, best, axis=1)
        self._ids = np.take_along_axis(numbers, best, axis=1)

    def leaks(self, index: PhotoIndex, scenes: PhotoCache) -> dict[int, Leak]:
        """Return, by the query's row, the nearest near-duplicate of each query that has one."""
        rows, places = np.nonzero(self._scores >= MIN_COARSE)
        ids = self._ids[rows, places]
        unique = np.unique(ids)
        found = scenes.get(unique)
        pictures = dict(zip(unique[found.positions].tolist(), map(fine, found.photos), strict=True))
        half = len(self._names)

        def similarity_of(row: int, photo: int, framing: float) -> float:
            query = self._queries[row % half]
            if photo not in pictures:
                return -1.0
            return similarity(fine(query if row < half else query[:, ::-1]), pictures[photo], None, framing)

        with ThreadPoolExecutor(os.cpu_count()) as pool:
            similarities = list(pool.map(similarity_of, rows.tolist(), ids.tolist(), self._scores[rows, places]))
        leaks: dict[int, Leak] = {}
        for row, photo, value in zip(rows.tolist(), ids.tolist(), similarities, strict=True):
            query = row % half
            if value >= SAME_VIEW and (query not in leaks or value > leaks[query].similarity):
                name = index.name_of(index.records([photo])[0])
                leaks[query] = Leak(self._names[query], name, row >= half, value)
        return dict(sorted(leaks.items()))
