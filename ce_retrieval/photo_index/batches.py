"""The pipeline of a build: threads describe batches of photos, which are written in order as segments."""

import dataclasses
import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import CancelledError
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ce_retrieval.descriptors import Descriptor
from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import PhotoError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index.kinds import StoredKind, kinds_file, kinds_of
from ce_retrieval.photo_index.manifest import Manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Skipped
from ce_retrieval.photo_index.places import PlaceFeatures
from ce_retrieval.photo_index.repeats import Repeat, content_of
from ce_retrieval.photo_index.segments import PhotoRecord, write_segment
from ce_retrieval.photos import DecodedPhoto, PhotoItem, PhotoSource
from ce_retrieval.photos.collected import check_side, reason_of
from ce_retrieval.pixels import Photo
from ce_retrieval.places.codes import CodedFeatures
from ce_retrieval.places.inverted_file import inverted_bytes
from ce_retrieval.pool import batched, in_order, worker_pool

SEGMENT_ITEMS = 2048  # the most a kill loses; fixed, so that a resumed build equals an undisturbed one
BATCH_ITEMS = 32  # divides SEGMENT_ITEMS
AHEAD = 4  # batches in progress per thread: enough to keep all busy while a segment is written

Progress = Callable[[int, int], None]  # items done, items in total
# Encoded bytes, name, size in px, side in px or None -> the square, and the larger photo where there is a side.
Decode = Callable[[bytes, str, int, int | None], tuple[DecodedPhoto, Photo | None]]


class Task(NamedTuple):
    """An item of a source, with the source's number in the manifest."""

    source: int
    item: PhotoItem


class Described(NamedTuple):
    """A described batch: the photos that could be read, and what else is noted of its items."""

    grids: np.ndarray
    kinds: np.ndarray
    places: list[CodedFeatures]
    records: list[PhotoRecord]
    stamps: list[tuple[int, int]]
    skipped: list[Skipped]
    tasks: list[Task]
    repeats: list[Repeat]


# Describes batches of tasks, and yields the results in their order.
Describe = Callable[[Iterable[list[Task]]], Iterator[Described]]
Describing = Callable[[str], AbstractContextManager[Describe]]  # given the hole protocol, for the time of a build


class Describer:
    """Reads and describes photos.

    Parameters
    ----------
    descriptor : Descriptor
    kind : OneVector or None
        Describes the kind of each photo for a file of its own; None writes no such file.
    sources : number -> PhotoSource
        The sources to read, by their number in the manifest.
    decode : Decode
        Decodes a photo, resized to a square, and in its own shape.
    places : PlaceFeatures or None
        Finds the local features of each photo for a file of their own; None writes no such file.
    """

    def __init__(
        self,
        descriptor: Descriptor,
        kind: OneVector | None,
        sources: Mapping[int, PhotoSource],
        decode: Decode,
        places: PlaceFeatures | None = None,
    ) -> None:
        self.descriptor, self.kind, self.sources, self.decode, self.places = descriptor, kind, sources, decode, places
        self._side = places.stored.side if places else None
        self._of_thread = threading.local()

    def describe(self, tasks: list[Task], hole: str, stopping: threading.Event) -> Described:
        """Read, decode and describe one batch; note the photos that cannot be read. End early if the run is stopping."""
        size = self.descriptor.size
        photos = self._buffer()
        records: list[PhotoRecord] = []
        stamps: list[tuple[int, int]] = []
        skipped: list[Skipped] = []
        places: list[CodedFeatures] = []
        for number, item in tasks:
            if stopping.is_set():
                raise CancelledError
            source = self.sources[number]
            stamp = source.stamp(item)  # before the photo is read: a change in between is then seen later
            read = self.read(source, item)
            if isinstance(read, str):
                skipped.append(Skipped(number, item.key, read))
                continue
            data, decoded, larger = read
            photos[len(records)] = decoded.pixels
            if self.places and larger is not None:
                places.append(self.places.of(larger, hole))
            texts = _storable(item.label), _storable(item.caption), _storable(item.licence)
            about = (decoded.width, decoded.height, hashlib.sha256(data).hexdigest())
            records.append(PhotoRecord(number, item.key, *texts, *about, item.offset, item.length))
            stamps.append(stamp)
        shape = (len(records), self.descriptor.cells, self.descriptor.channels)
        grids = np.empty(shape, np.float16)
        kinds = np.empty((len(records), self.kind.channels if self.kind else 0), np.float16)
        if records:
            holes = center_holes(len(records), size) if hole == "center" else None
            grids[:] = self.descriptor.describe(photos[: len(records)], holes)
            if self.kind:
                kinds[:] = kinds_of(self.kind, photos[: len(records)], hole)
        return Described(grids, kinds, places, records, stamps, skipped, tasks, [])

    def read(self, source: PhotoSource, item: PhotoItem) -> tuple[bytes, DecodedPhoto, Photo | None] | str:
        """Return the bytes of a photo, and the photo as `decode` does, or why it cannot be used."""
        try:
            data = source.read(item)
            decoded, larger = self.decode(data, item.key, self.descriptor.size, self._side)
            check_side(decoded.width, decoded.height)
        except PhotoError as error:
            return reason_of(error, source, item)
        return data, decoded, larger

    def _buffer(self) -> np.ndarray:
        """Return this thread's buffer for a batch of photos, kept because new pages from the system are slow."""
        if not hasattr(self._of_thread, "photos"):
            self._of_thread.photos = np.empty((BATCH_ITEMS, self.descriptor.size, self.descriptor.size, 3), np.uint8)
        return self._of_thread.photos


class Pipeline(Describer):
    """Describes photos in threads, or elsewhere, and writes them as segments.

    Parameters
    ----------
    folder : Path
        The index.
    descriptor, kind, sources, decode, places
        As for `Describer`.
    workers : int
        Threads.

    Attributes
    ----------
    contents : set of bytes or None
        SHA-256 of the photos that the index has. Photos with one of these are left out, and others are added to it; None takes
        all photos.
    describing : callable
        Makes a context of a `Describe`, given the hole protocol; the threads of this process, unless it is replaced.
    """

    def __init__(
        self,
        folder: Path,
        descriptor: Descriptor,
        kind: OneVector | None,
        sources: Mapping[int, PhotoSource],
        workers: int,
        decode: Decode,
        places: PlaceFeatures | None = None,
    ) -> None:
        super().__init__(descriptor, kind, sources, decode, places)
        self.folder, self.workers = folder, workers
        self.contents: set[bytes] | None = None
        self.describing: Describing = self._in_threads

    def run(
        self, manifest: Manifest, tasks: Iterable[Task], done: int, total: int, progress: Progress | None
    ) -> Manifest:
        """Describe all tasks and write them as segments, with a new manifest after each; return the last manifest.

        `progress` counts from `done`, the items that an earlier run finished, to `total`.
        """
        batches = batched(iter(tasks), BATCH_ITEMS)
        gathered: list[Described] = []
        current: int | None = None
        with self.describing(manifest.hole) as describe:
            for described in describe(batches):
                gathered.append(self._without_repeats(described))
                # A table holds megabytes for its next read, and most photos of a source follow each other.
                for number, _ in described.tasks:
                    if current is not None and current != number:
                        self.sources[current].rest()
                    current = number
                done += len(described.tasks)
                if progress:
                    progress(done, total)
                if len(gathered) == SEGMENT_ITEMS // BATCH_ITEMS:
                    manifest = self._write(manifest, gathered)
                    gathered = []
        return self._write(manifest, gathered) if gathered else manifest

    @contextmanager
    def _in_threads(self, hole: str) -> Iterator[Describe]:
        with worker_pool(self.workers) as pool:
            describe = functools.partial(self.describe, hole=hole, stopping=pool.stopping)
            yield lambda batches: in_order(pool, describe, batches, AHEAD * self.workers)

    def _without_repeats(self, described: Described) -> Described:
        """Leave out photos whose bytes the index has.

        Only here, where batches come in their order, so that the same photos are left out however threads were scheduled; and
        after they were described, since the bytes of a vector may depend on the photos that share its batch.
        """
        if self.contents is None:
            return described
        kept, repeats = [], []
        for row, (record, stamp) in enumerate(zip(described.records, described.stamps, strict=True)):
            content = content_of(record.sha256)
            if content in self.contents:
                repeats.append(Repeat(record.source, record.key, record.offset, record.sha256, *stamp))
            else:
                self.contents.add(content)
                kept.append(row)
        return described._replace(
            grids=described.grids[kept],
            kinds=described.kinds[kept],
            places=[described.places[row] for row in kept] if described.places else [],
            records=[described.records[row] for row in kept],
            stamps=[described.stamps[row] for row in kept],
            repeats=repeats,
        )

    def _write(self, manifest: Manifest, gathered: list[Described]) -> Manifest:
        number = 1 + max((int(segment.name) for segment in manifest.segments), default=0)
        more = {}
        if self.kind:
            vectors = np.concatenate([described.kinds for described in gathered])
            more[StoredKind.of(self.kind).file] = kinds_file(vectors)
        if self.places:
            more[self.places.stored.file] = inverted_bytes([one for described in gathered for one in described.places])
        segment = write_segment(
            self.folder,
            f"{number:06d}",
            np.concatenate([described.grids for described in gathered]),
            [record for described in gathered for record in described.records],
            np.array([stamp for described in gathered for stamp in described.stamps], np.int64).reshape(-1, 2),
            items=sum(len(described.tasks) for described in gathered),
            keys_sha256=keys_hash(task for described in gathered for task in described.tasks),
            skipped=[skipped for described in gathered for skipped in described.skipped],
            more=more,
            repeats=[repeat for described in gathered for repeat in described.repeats],
        )
        manifest = dataclasses.replace(manifest, segments=(*manifest.segments, segment))
        write_manifest(self.folder, manifest)
        return manifest


def _storable(text: str) -> str:
    """Return text as valid UTF-8: half a surrogate pair, which JSON allows, becomes a visible escape."""
    return text.encode(errors="backslashreplace").decode()


def keys_hash(tasks: Iterable[Task]) -> str:
    """Return the SHA-256 of the tasks' names, in order."""
    digest = hashlib.sha256()
    for number, item in tasks:
        digest.update(f"{number}\0{item.key}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()
