"""One pass over every photo of a collection: the oracle, the rim search and the leak guard all need the pixels."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ce_retrieval.completion.scenes import SceneCache
from ce_retrieval.photo_index import PhotoIndex

BLOCK = 512  # photos at a time: bounds the memory, whatever the size of the collection


@dataclass
class NearestByPixels:
    """The photo of a collection nearest to each query over a region of pixels; fed block by block.

    queries: uint8 (Q, S, S, 3); regions: bool (Q, S, S). distance: mean squared difference over the region's pixels and
    channels of a [0, 1] image.
    """

    queries: np.ndarray
    regions: np.ndarray

    def __post_init__(self) -> None:
        union = self.regions.any(axis=0)
        self._columns = np.flatnonzero(union.ravel())
        seen = self.regions.reshape(len(self.regions), -1)[:, self._columns].astype(np.float32)
        pixels = self._pixels(self.queries)
        self._seen = seen
        self._masked = (2 * pixels * seen[:, :, None]).reshape(len(pixels), -1)
        self._constant = np.einsum("qpc,qpc,qp->q", pixels, pixels, seen, dtype=np.float64)
        self._pixel_count = 3 * seen.sum(axis=1)
        self.distance = np.full(len(pixels), np.inf)
        self.ids = np.full(len(pixels), -1, np.int64)

    def _pixels(self, photos: np.ndarray) -> np.ndarray:
        """Return float32 (n, P, 3) about zero: small norms keep the expanded square precise."""
        return photos.reshape(len(photos), -1, 3)[:, self._columns].astype(np.float32) / 255 - 0.5

    def feed(self, ids: np.ndarray, photos: np.ndarray) -> None:
        """Compare photos uint8 (n, S, S, 3) with these ids; ties keep the smaller id."""
        pixels = self._pixels(photos)
        norms = np.einsum("npc,npc->np", pixels, pixels)
        product = self._masked @ pixels.reshape(len(pixels), -1).T - self._seen @ norms.T
        distances = (self._constant[:, None] - product) / self._pixel_count[:, None]
        best = np.argmin(distances, axis=1)
        nearest = distances[np.arange(len(distances)), best]
        better = nearest < self.distance
        self.distance[better], self.ids[better] = nearest[better], ids[best[better]]


def read_collection(
    index: PhotoIndex, scenes: SceneCache, progress: Callable[[int, int], None] | None = None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (ids, photos uint8 (n, S, S, 3)) of every photo of the collection that can still be read."""
    for start in range(0, len(index), BLOCK):
        ids = np.arange(start, min(start + BLOCK, len(index)))
        found = scenes.get(ids)
        if len(found.positions):
            yield ids[found.positions], found.photos
        if progress:
            progress(int(ids[-1]) + 1, len(index))


@dataclass(frozen=True)
class Leak:
    """A query that the collection holds, or nearly: `rms` is the root mean square difference, [0, 1] image."""

    query: str
    photo: str
    mirrored: bool
    rms: float


class LeakGuard:
    """Finds queries with a near-duplicate in the collection, mirrored ones too; fed block by block.

    Photos are compared as wholes on 32x32 cell means. A pair is a near-duplicate when its difference is small both in
    itself (`MAX_RMS`) and against the photo's own contrast (`MAX_SHARE` of its variance): two foggy skies are alike
    without being the same photo.
    """

    GRID = 32
    MAX_RMS = 0.05
    MAX_SHARE = 0.06

    def __init__(self, names: Sequence[str], queries: np.ndarray) -> None:
        self._names = names
        cells = self._cells(queries)
        mirrored = self._cells(queries[:, :, ::-1])
        self._queries = np.concatenate([cells, mirrored])
        self._variance = self._queries.var(axis=1)
        self._norms = np.einsum("qd,qd->q", self._queries, self._queries)
        self.score = np.full(len(self._queries), np.inf)
        self.rms = np.full(len(self._queries), np.inf)
        self.ids = np.full(len(self._queries), -1, np.int64)

    def _cells(self, photos: np.ndarray) -> np.ndarray:
        count, size = photos.shape[:2]
        edges = np.linspace(0, size, self.GRID + 1).astype(int)[:-1]
        sums = np.add.reduceat(np.add.reduceat(photos.astype(np.float32), edges, axis=1), edges, axis=2)
        area = np.diff(np.append(edges, size)).astype(np.float32)
        return (sums / (area[:, None, None] * area[:, None]) / 255 - 0.5).reshape(count, -1)

    def feed(self, ids: np.ndarray, photos: np.ndarray) -> None:
        """Compare photos uint8 (n, S, S, 3) with these ids."""
        cells = self._cells(photos)
        norms = np.einsum("nd,nd->n", cells, cells)
        squares = (self._norms[:, None] + norms - 2 * self._queries @ cells.T) / cells.shape[1]
        squares = np.maximum(squares, 0)
        score = np.maximum(squares / self.MAX_RMS**2, squares / (self.MAX_SHARE * self._variance[:, None] + 1e-9))
        best = np.argmin(score, axis=1)
        rows = np.arange(len(score))
        better = score[rows, best] < self.score
        self.score[better], self.ids[better] = score[rows, best][better], ids[best[better]]
        self.rms[better] = np.sqrt(squares[rows, best][better])

    def leaks(self, index: PhotoIndex) -> dict[int, Leak]:
        """Return the leaking queries by their number."""
        half = len(self._names)
        found: dict[int, Leak] = {}
        for row in np.argsort(self.score, kind="stable"):
            query = int(row % half)
            if self.score[row] < 1 and query not in found:
                photo = index.name_of(index.records([self.ids[row]])[0])
                found[query] = Leak(self._names[query], photo, bool(row >= half), float(self.rms[row]))
        return dict(sorted(found.items()))
