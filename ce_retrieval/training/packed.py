"""Photos decoded once to squares of one size, and what was left out of them. No torch here."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.errors import PhotoError, SourceError, some
from ce_retrieval.pixels import Photo
from ce_retrieval.pool import worker_pool
from ce_retrieval.settings import WORKERS, Range

if TYPE_CHECKING:
    from ce_retrieval.photos import PhotoItem, PhotoSource
    from ce_retrieval.photos.opening import Sources

SIZES = Range(low=16, high=4096, whole=True)  # sides of packed photos, px
THREADS = 2  # that decode, by default
_BLOCK = 256


@dataclass(frozen=True)
class PackedPhotos:
    """Square photos of one size.

    Attributes
    ----------
    pixels : uint8 (N, P, P, 3), array or memory-mapped file.
    keys, labels : of each photo, N.
    fingerprint : SHA-256 of keys and pixels.
    """

    pixels: np.ndarray
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.keys)

    @property
    def size(self) -> int:
        """Side of the photos, px."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class PackReport:
    """Result of packing.

    Attributes
    ----------
    count : photos.
    skipped : (key, reason) of photos that could not be read.
    fingerprint : SHA-256 of keys and pixels, before any loss by a photo's format.
    notes : (path, line) for paths, folders and kinds of files that were passed over.
    """

    count: int
    skipped: tuple[tuple[str, str], ...]
    fingerprint: str
    notes: tuple[tuple[str, str], ...] = ()


@contextlib.contextmanager
def opened(paths: Sequence[str | Path], apart: Iterable[str | Path] = ()) -> Iterator[Sources]:
    """Open photo sources until the block ends; SourceError as of `photos.open_sources`."""
    from ce_retrieval.photos import open_sources

    sources = open_sources(paths, apart=apart)
    try:
        yield sources
    finally:
        sources.close()


class Decoding:
    """Decodes all photos of some sources in their order, and collects names, what is skipped, and the fingerprint.

    Parameters
    ----------
    sources : of the photos.
    size : side to which every photo is resized whole, px.
    workers : threads that decode.
    progress : called with (done, total).

    Attributes
    ----------
    total : number of photos, those that cannot be read included.
    keys, labels : of the photos yielded so far.

    Raises
    ------
    SettingsError : `size` or `workers` is out of range.
    """

    def __init__(
        self, sources: Sources, size: int, workers: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        SIZES.check("`size`", size)
        WORKERS.check("`workers`", workers)
        self.sources, self.size, self.workers, self.progress = sources, size, workers, progress
        self.total = sum(source.count() for source in sources)
        self.keys: list[str] = []
        self.labels: list[str] = []
        self._skipped: list[tuple[str, str]] = []
        self._digest = hashlib.sha256()

    def blocks(self) -> Iterator[Photo]:
        """Yield uint8 (b, size, size, 3); one block at a time is in memory. Call once."""
        entries = ((source, item) for source in self.sources for item in source.items())
        done = 0
        with worker_pool(self.workers) as pool:
            while block := list(islice(entries, _BLOCK)):
                good: list[Photo] = []
                for (_, item), photo in zip(block, pool.map(self._decoded, block), strict=True):
                    if isinstance(photo, str):
                        self._skipped.append((item.key, photo))
                    else:
                        self._take(item, photo)
                        good.append(photo)
                if good:
                    yield np.stack(good)
                done += len(block)
                if self.progress is not None:
                    self.progress(done, self.total)

    def _decoded(self, entry: tuple[PhotoSource, PhotoItem]) -> Photo | str:
        """Return a photo, or why it is skipped."""
        from ce_retrieval.photos import decode_photo
        from ce_retrieval.photos.collected import check_side, reason_of

        source, item = entry
        try:
            photo = decode_photo(source.read(item), name=item.key, size=self.size)
            check_side(photo.width, photo.height)
            return photo.pixels
        except PhotoError as error:
            return reason_of(error, source, item)

    def _take(self, item: PhotoItem, photo: Photo) -> None:
        self.keys.append(item.key)
        self.labels.append(item.label)
        self._digest.update(item.key.encode("utf-8", "surrogateescape"))
        self._digest.update(photo.tobytes())

    def report(self) -> PackReport:
        """Return the report when all blocks have been taken; SourceError where no photo could be read."""
        if not self.keys:
            reason = ": ".join(self._skipped[0]) if self._skipped else "it is empty"
            roots = some([source.root for source in self.sources])
            raise SourceError(f"{roots}: no photo could be read ({reason})")
        notes = (*self.sources.refused, *self.sources.notes())
        return PackReport(len(self.keys), tuple(self._skipped), self._digest.hexdigest(), notes)
