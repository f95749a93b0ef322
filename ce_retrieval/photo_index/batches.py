"""The pipeline of a build: batches of photos are described by threads, in order, and gathered into segments."""

import dataclasses
import functools
import hashlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ce_retrieval.descriptors import Descriptor
from ce_retrieval.errors import PhotoError, PhotoIndexError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index.decode_budget import OTHER_BYTES, DecodeBudget
from ce_retrieval.photo_index.manifest import Manifest, Skipped, write_manifest
from ce_retrieval.photo_index.segments import PhotoRecord, write_segment
from ce_retrieval.photos import PhotoItem, PhotoSource

SEGMENT_ITEMS = 2048  # what a kill loses at most; fixed, so that a resumed build equals an undisturbed one
BATCH_ITEMS = 32  # divides SEGMENT_ITEMS
AHEAD = 4  # batches under way for each thread: enough to keep all busy while a segment is written
MIN_SIDE = 16  # px; a smaller photo has no context to speak of

Progress = Callable[[int, int], None]  # items done, items in all


class Task(NamedTuple):
    """An item of a source, and the source's number in the manifest."""

    source: int
    item: PhotoItem


class _Described(NamedTuple):
    grids: np.ndarray
    records: list[PhotoRecord]
    skipped: list[Skipped]
    tasks: list[Task]


class Work:
    """One run of the pipeline. `sources`: by number in the manifest, those that the run reads."""

    def __init__(
        self,
        folder: Path,
        descriptor: Descriptor,
        sources: Mapping[int, PhotoSource],
        workers: int,
        budget: DecodeBudget,
    ) -> None:
        self.folder, self.descriptor, self.sources = folder, descriptor, sources
        self.workers, self.budget = workers, budget
        self._mine = threading.local()

    def run(
        self, manifest: Manifest, tasks: Iterable[Task], done: int, total: int, progress: Progress | None
    ) -> Manifest:
        """Describe all tasks and write them as segments, the manifest after each; return the last manifest.

        done: items that an earlier run had finished, out of `total`; progress counts on from there.
        """
        batches = _batched(iter(tasks), BATCH_ITEMS)
        describe = functools.partial(self._describe, hole=manifest.hole)
        gathered: list[_Described] = []
        current: int | None = None
        with ThreadPoolExecutor(self.workers) as pool:
            for described in _in_order(pool, describe, batches, AHEAD * self.workers):
                gathered.append(described)
                # Sources come one after the other, and a table keeps megabytes for its next read: done with, it is closed.
                for number, _ in described.tasks:
                    if current is not None and current != number:
                        self.sources[current].close()
                    current = number
                done += len(described.tasks)
                if progress:
                    progress(done, total)
                if len(gathered) == SEGMENT_ITEMS // BATCH_ITEMS:
                    manifest = self._write(manifest, gathered)
                    gathered = []
        return self._write(manifest, gathered) if gathered else manifest

    def _describe(self, tasks: list[Task], hole: str) -> _Described:
        """Read, decode and describe one batch; photos that cannot be read are noted, not raised."""
        size = self.descriptor.size
        photos = self._buffer()
        records: list[PhotoRecord] = []
        skipped: list[Skipped] = []
        for number, item in tasks:
            source = self.sources[number]
            try:
                data = source.read(item)
                decoded = self.budget.decode(data, item.key, size)
                check_side(decoded.width, decoded.height)
            except PhotoError as error:
                skipped.append(Skipped(number, item.key, _reason(error, source, item)))
                continue
            photos[len(records)] = decoded.pixels
            texts = _storable(item.label), _storable(item.caption), _storable(item.licence)
            about = (decoded.width, decoded.height, hashlib.sha256(data).hexdigest())
            records.append(PhotoRecord(number, item.key, *texts, *about, item.offset, item.length))
        shape = (len(records), self.descriptor.cells, self.descriptor.channels)
        grids = np.empty(shape, np.float16)
        if records:
            holes = center_holes(len(records), size) if hole == "center" else None
            grids[:] = self.descriptor.describe(photos[: len(records)], holes)
        return _Described(grids, records, skipped, tasks)

    def _buffer(self) -> np.ndarray:
        """Return this thread's room for a batch of photos; to ask the system for new pages every time is slow."""
        if not hasattr(self._mine, "photos"):
            self._mine.photos = np.empty((BATCH_ITEMS, self.descriptor.size, self.descriptor.size, 3), np.uint8)
        return self._mine.photos

    def _write(self, manifest: Manifest, gathered: list[_Described]) -> Manifest:
        number = 1 + max((int(segment.name) for segment in manifest.segments), default=0)
        segment = write_segment(
            self.folder,
            f"{number:06d}",
            np.concatenate([described.grids for described in gathered]),
            [record for described in gathered for record in described.records],
            items=sum(len(described.tasks) for described in gathered),
            keys_sha256=keys_hash(task for described in gathered for task in described.tasks),
            skipped=[skipped for described in gathered for skipped in described.skipped],
        )
        manifest = dataclasses.replace(manifest, segments=(*manifest.segments, segment))
        write_manifest(self.folder, manifest)
        return manifest


def check_side(width: int, height: int) -> None:
    """Raise PhotoError for a photo too small to have a context."""
    if min(width, height) < MIN_SIDE:
        raise PhotoError(
            f"the photo is {width}x{height}: at least {MIN_SIDE} px a side are needed to see a context; "
            "enlarge it, or leave it out"
        )


def decode_budget(descriptor: Descriptor, workers: int, max_memory: int) -> DecodeBudget:
    """Return what `max_memory` bytes leave for decoding photos.

    What does not depend on the photos (libraries, a network, a segment being written, the batches in flight) is taken off
    first; PhotoIndexError where too little is left for a photo of four times the descriptor's size.
    """
    grid = descriptor.cells * descriptor.channels
    photo = 3 * descriptor.size**2
    working = workers * BATCH_ITEMS * (2 * photo + 12 * grid + getattr(descriptor, "photo_memory", 0))
    waiting = AHEAD * workers * BATCH_ITEMS * 2 * grid
    fixed = (250 << 20) + getattr(descriptor, "memory", 0) + 3 * SEGMENT_ITEMS * grid * 2 + working + waiting
    needed = fixed + OTHER_BYTES * 16 * descriptor.size**2
    if max_memory < needed:
        raise PhotoIndexError(
            f"--max-memory {max_memory >> 20}MB is too little for {descriptor.spec} with {workers} "
            f"workers: give at least {(needed >> 20) + 1}MB, or fewer --workers"
        )
    return DecodeBudget(max_memory - fixed)


def _reason(error: PhotoError, source: PhotoSource, item: PhotoItem) -> str:
    """Return why a photo was skipped, without its name, which is kept beside the reason."""
    reason = str(error)
    for name in (f"{source.root}/{item.key}", source.root, item.key):
        reason = reason.removeprefix(f"{name}: ")
    return reason


def _storable(text: str) -> str:
    """Return text as UTF-8 can hold it: half a surrogate pair, which JSON allows, becomes a visible escape."""
    return text.encode(errors="backslashreplace").decode()


def keys_hash(tasks: Iterable[Task]) -> str:
    """Return the SHA-256 of the names of tasks, in order."""
    digest = hashlib.sha256()
    for number, item in tasks:
        digest.update(f"{number}\0{item.key}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def _batched(items: Iterator[Task], size: int) -> Iterator[list[Task]]:
    while batch := list(itertools.islice(items, size)):
        yield batch


def _in_order(
    pool: ThreadPoolExecutor, function: Callable[[list[Task]], _Described], items: Iterator[list[Task]], ahead: int
) -> Iterator[_Described]:
    """Map with at most `ahead` calls under way, results in order: memory stays flat however long `items` is."""
    waiting: deque[Future[_Described]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
