"""The collection: its photos, read once for every search by pixels, and an index of each descriptor."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from ce_retrieval.errors import EvaluationError, SettingsError
from ce_retrieval.evaluation.settings import EvaluationSettings, Progress
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_alike
from ce_retrieval.photo_index.photo_cache import PhotoCache

BLOCK = 512  # photos at a time: bounds the memory, whatever the size of the collection
SLACK = 1e-5  # above the rounding of a distance in float32, below the differences between photos


class NearestByPixels:
    """The photo of a collection that is nearest to each query over a region of pixels; fed block by block.

    Parameters
    ----------
    queries : uint8 (Q, S, S, 3)
    regions : bool (Q, S, S), none empty

    Attributes
    ----------
    distance : float64 (Q,)
        mean squared difference over the region's pixels and channels, of [0, 1] values.
    ids : int64 (Q,), -1 before the first block

    Notes
    -----
    A matrix product in float32 finds the photos that come near, integers decide among them: the result is exact. Of equal
    photos the first one fed is kept.
    """

    def __init__(self, queries: np.ndarray, regions: np.ndarray) -> None:
        self._queries, self._regions = queries, regions
        self._columns = np.flatnonzero(regions.any(axis=0).ravel())
        seen = regions.reshape(len(regions), -1)[:, self._columns]
        # Photos with the same hole share their region: its norms are summed once.
        shared, self._region_of = np.unique(seen, axis=0, return_inverse=True)
        self._shared = shared.astype(np.float32)
        pixels = self._pixels(queries)
        self._masked = (2 * pixels * seen[:, :, None]).reshape(len(pixels), -1)
        self._constant = np.einsum("qpc,qpc,qp->q", pixels, pixels, seen, dtype=np.float64)
        self._values = 3 * seen.sum(axis=1)
        self.distance = np.full(len(pixels), np.inf)
        self.ids = np.full(len(pixels), -1, np.int64)

    def feed(self, ids: np.ndarray, photos: np.ndarray) -> None:
        """Compare the queries with photos uint8 (n, S, S, 3) of these ids."""
        pixels = self._pixels(photos)
        norms = np.einsum("npc,npc->np", pixels, pixels)
        distances = self._constant[:, None] - self._masked @ pixels.reshape(len(pixels), -1).T
        distances += (self._shared @ norms.T)[self._region_of.reshape(-1)]
        distances /= self._values[:, None]
        nearest = distances.min(axis=1)
        for row in np.flatnonzero(nearest < self.distance + SLACK).tolist():
            near = np.flatnonzero(distances[row] <= nearest[row] + SLACK)
            exact = self._exact(row, photos[near])
            best = int(np.argmin(exact))
            if exact[best] < self.distance[row]:
                self.distance[row], self.ids[row] = exact[best], ids[near[best]]

    def _pixels(self, photos: np.ndarray) -> np.ndarray:
        """Return float32 (n, P, 3) about zero: small norms keep the expanded square precise."""
        return photos.reshape(len(photos), -1, 3)[:, self._columns].astype(np.float32) / 255 - 0.5

    def _exact(self, row: int, photos: np.ndarray) -> np.ndarray:
        region = self._regions[row]
        difference = photos[:, region].astype(np.int64) - self._queries[row][region]
        return np.square(difference).sum(axis=(1, 2)) / (255.0**2 * self._values[row])


def read_collection(index: PhotoIndex, scenes: PhotoCache, report: Progress) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield (ids, photos uint8 (n, S, S, 3)) of every photo of the collection.

    Raises
    ------
    EvaluationError : one has changed or cannot be read any more: the figures would be those of another collection.
    """
    for start in range(0, len(index), BLOCK):
        ids = np.arange(start, min(start + BLOCK, len(index)))
        found = scenes.get(ids)
        if found.dropped:
            raise EvaluationError(found.dropped[0])
        yield ids, found.photos
        report("reading the collection", int(ids[-1]) + 1, len(index))


def drawn_photos(index: PhotoIndex, settings: EvaluationSettings) -> np.ndarray | None:
    """Return the photos of the collection that methods may fill from, bool (N,), None for all; SettingsError for too many."""
    if settings.collection is None:
        return None
    if settings.collection > len(index):
        raise SettingsError(
            f"`collection` is {settings.collection}, but {index.path} holds {len(index)}: choose 1 to {len(index)}"
        )
    drawn = np.zeros(len(index), bool)
    drawn[np.random.default_rng(settings.seed).permutation(len(index))[: settings.collection]] = True
    return drawn


def indexes_for(specs: Iterable[str], index: PhotoIndex, out: Path, report: Progress) -> dict[str, PhotoIndex]:
    """Return an index of the same photos for each descriptor: the given one, or one at `out`/FEATURES.ceret.

    The latter is built once, with the hole protocol and size of the given one; later evaluations open it.

    Raises
    ------
    EvaluationError : the photos are no longer those of the given index.
    CeretError : the errors of building and opening an index.
    """
    return {
        spec: index if spec == index.manifest.descriptor else _index_of(spec, index, out, report)
        for spec in dict.fromkeys(specs)
    }


def _index_of(spec: str, index: PhotoIndex, out: Path, report: Progress) -> PhotoIndex:
    manifest = index.manifest
    path = out / f"{spec.replace(':', '-').replace('/', '-')}.ceret"
    settings = IndexSettings(features=spec, hole=manifest.hole, size=manifest.size)
    build_alike(index, path, settings, lambda done, total: report(f"indexing by {spec}", done, total))
    opened = PhotoIndex.open(path, device=index.engine.device)
    check_same_photos(opened, index, f"the collection has changed; delete {path}, and run `ceret add {index.path}`")
    return opened


def check_same_photos(one: PhotoIndex, other: PhotoIndex, remedy: str) -> None:
    """Raise EvaluationError unless two indexes are of the same photos in the same order."""
    columns = ("source", "key", "sha256")
    if not one.columns(*columns).equals(other.columns(*columns)):
        raise EvaluationError(f"{one.path} and {other.path} are not of the same photos: {remedy}")
