"""The photos of an index at its size: decoded once and kept within a bound of memory."""

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import NamedTuple

import numpy as np

from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segments import PhotoRecord


class CachedPhotos(NamedTuple):
    """Photos that could be read.

    Attributes
    ----------
    positions : int64 (n,)
        Which of the requested ids they are.
    photos : uint8 (n, S, S, 3)
    dropped : tuple of str
        One line for each photo that vanished or changed since it was indexed.
    """

    positions: np.ndarray
    photos: np.ndarray
    dropped: tuple[str, ...]


class PhotoCache:
    """Photos of an index at its size; beyond `max_bytes` the least recently used are dropped. Threads may share it.

    Parameters
    ----------
    index : PhotoIndex
    max_bytes : int
        Bound on the photos held; at least one is.
    workers : int
        Threads that decode.
    """

    def __init__(self, index: PhotoIndex, max_bytes: int, workers: int) -> None:
        from indexes.threads import Threads

        self._index = index
        self._capacity = max(1, max_bytes // (3 * index.manifest.size**2))
        self._photos: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()
        self._pool = Threads(workers)

    def get(self, ids: Sequence[int] | np.ndarray) -> CachedPhotos:
        """Return the photos with these ids, decoding those that are not held."""
        ids = [int(i) for i in ids]
        with self._lock:
            held = {i: self._photos[i] for i in ids if i in self._photos}
            for i in held:
                self._photos.move_to_end(i)
        missing = [i for i in ids if i not in held]
        dropped = []
        if missing:
            records = self._index.records(missing)
            for i, photo in zip(missing, self._pool.map(self._decode, records), strict=True):
                if isinstance(photo, PhotoError):
                    dropped.append(str(photo))
                else:
                    held[i] = photo
            with self._lock:
                self._photos.update((i, held[i]) for i in missing if i in held)
                while len(self._photos) > self._capacity:
                    self._photos.popitem(last=False)
        positions = np.array([position for position, i in enumerate(ids) if i in held], np.int64)
        size = self._index.manifest.size
        photos = (
            np.stack([held[ids[p]] for p in positions]) if len(positions) else np.empty((0, size, size, 3), np.uint8)
        )
        return CachedPhotos(positions, photos, tuple(dropped))

    def _decode(self, record: PhotoRecord) -> np.ndarray | PhotoError:
        try:
            return self._index.read_photo(record, self._index.manifest.size).pixels
        except PhotoError as error:
            return error
