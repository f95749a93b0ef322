"""The photos behind the candidates: decoded once, at the index's size, within a bound of memory."""

from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import PhotoIndex, PhotoRecord


class Scenes(NamedTuple):
    """Candidate photos that could be read.

    positions: int64 (n,), which of the asked ids they are; photos: uint8 (n, S, S, 3); dropped: one line for each
    photo that vanished or changed since it was indexed.
    """

    positions: np.ndarray
    photos: np.ndarray
    dropped: tuple[str, ...]


class SceneCache:
    """Photos of an index at its size, the least recently used dropped beyond `max_bytes`. Safe to share by threads."""

    def __init__(self, index: PhotoIndex, max_bytes: int, workers: int) -> None:
        self._index = index
        self._capacity = max(1, max_bytes // (3 * index.manifest.size**2))
        self._photos: OrderedDict[int, np.ndarray] = OrderedDict()
        self._lock = Lock()
        self._pool = ThreadPoolExecutor(workers)

    def get(self, ids: Sequence[int] | np.ndarray) -> Scenes:
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
        return Scenes(positions, photos, tuple(dropped))

    def _decode(self, record: PhotoRecord) -> np.ndarray | PhotoError:
        try:
            return self._index.read_photo(record, self._index.manifest.size).pixels
        except PhotoError as error:
            return error


def is_grey(photo: np.ndarray, hole: np.ndarray) -> bool:
    """Whether all known pixels of a photo uint8 (H, W, 3) have red = green = blue; those of the hole are never read."""
    colour = (photo[..., 0] != photo[..., 1]) | (photo[..., 1] != photo[..., 2])
    return not (colour & ~hole).any()


def in_grey(pixels: np.ndarray) -> np.ndarray:
    """Return pixels uint8, or float32 in [0, 1], (..., 3) in grey: three channels that are their luma (ITU-R BT.601)."""
    import cv2

    flat = np.ascontiguousarray(pixels).reshape(-1, 1, 3)
    return np.repeat(cv2.cvtColor(flat, cv2.COLOR_RGB2GRAY).reshape(*pixels.shape[:-1], 1), 3, axis=-1)


def scene_patch(scene: np.ndarray, shape: tuple[int, int], box: tuple[int, int, int, int]) -> np.ndarray:
    """Return the part `box` (y0, x0, y1, x1) of a scene uint8 (h, w, 3) brought to the whole size `shape` (H, W), bicubic.

    All of it is resized, so that anyone can repeat it to the bit: Pillow orders and rounds its two passes by the size of
    what it is asked for, and a resize of the part alone may differ by a few grey levels.
    """
    height, width = shape
    y0, x0, y1, x1 = box
    if scene.shape[:2] != (height, width):
        scene = np.asarray(Image.fromarray(scene).resize((width, height), Image.Resampling.BICUBIC))
    return scene[y0:y1, x0:x1]
