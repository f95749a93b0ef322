"""Reading an index: open, check, search, and get back to the photos it was made from."""

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_retrieval.descriptors import Descriptor, make_descriptor
from ce_retrieval.errors import PhotoError, PhotoIndexError, SourceError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.segments import PhotoRecord, check_segment, file_problem, read_grids, read_table
from ce_retrieval.photo_index.weights import check_weights
from ce_retrieval.photo_index.where import matching_rows
from ce_retrieval.photos import DecodedPhoto, PhotoItem, PhotoSource, decode_photo, open_source

if TYPE_CHECKING:
    from indexes.base import SearchResult
    from indexes.masked import MaskedIndex


@dataclass(frozen=True)
class Verification:
    """What `verify` found: files checked, and one line for each that is not what was written."""

    files: int
    problems: tuple[str, ...]


class PhotoIndex:
    """An index of photos by context, opened for reading.

    It holds the manifest that it opened: segments are immutable, so later additions by another process change nothing
    here. Vectors and records are loaded at first use. Memory: 4 (G*C + G) bytes a photo.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self.manifest = manifest
        self._sources: dict[int, PhotoSource] = {}

    @classmethod
    def open(cls, path: str | Path) -> "PhotoIndex":
        """Open the index at `path` and verify every checksum.

        PhotoIndexError: no index there, another format version, a build that was stopped, or weights that are not those
        it was built with; CheckpointError: these are missing; CorruptIndexError: a file is truncated or altered.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if not manifest.complete:
            raise PhotoIndexError(
                f"the build of {path} was stopped after {manifest.count} photos: run the same `ceret index` command "
                "again, it goes on from there"
            )
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(lambda segment: check_segment(path, segment), manifest.segments))
        index = cls(path, manifest)
        if manifest.weights_sha256 is not None:
            _ = index.descriptor  # loads and compares the weights now, not after a user has waited for something else
        return index

    def __len__(self) -> int:
        return self.manifest.count

    @functools.cached_property
    def descriptor(self) -> Descriptor:
        """The descriptor that the index was built with; PhotoIndexError where its weights are others by now."""
        descriptor = make_descriptor(self.manifest.descriptor, self.manifest.size)
        check_weights(self.path, self.manifest, descriptor)
        return descriptor

    @functools.cached_property
    def protocol_hole(self) -> np.ndarray | None:
        """The hole (size, size) every photo was described with under `--hole center`, or None for whole photos."""
        return center_holes(1, self.manifest.size)[0] if self.manifest.hole == "center" else None

    @functools.cached_property
    def table(self) -> Any:
        """The records of all photos as a pyarrow table; row = id."""
        import pyarrow as pa

        tables = [read_table(self.path, segment) for segment in self.manifest.segments]
        return pa.concat_tables(tables).combine_chunks()  # in one piece, so that `take` need not join pieces each time

    @functools.cached_property
    def vectors(self) -> "MaskedIndex":
        """The grids of all photos, ready for hole-aware search."""
        from indexes.faiss_index import FaissIndex
        from indexes.masked import MaskedIndex

        cells, channels = self.manifest.cells, self.manifest.channels
        masked = MaskedIndex(FaissIndex(cells * channels + cells), cells, channels)
        for grids in self.grids():
            masked.add(grids)
        return masked

    def grids(self) -> Iterator[np.ndarray]:
        """Yield the stored grids float16 (n, G, C), segment by segment, in the order of the ids."""
        for segment in self.manifest.segments:
            if segment.count:
                yield read_grids(self.path, segment)

    def search(
        self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> "SearchResult":
        """Return squared distances and ids (B, k) of the k nearest photos to grids (B, G, C) with weights (B, G).

        allowed: bool (N,), the photos that may be found; None: all. PhotoIndexError: k is not 1 to how many those are.
        """
        if not 1 <= k <= len(self):
            raise PhotoIndexError(f"k is {k}, but {self.path} holds {len(self)} photos: choose 1 to {len(self)}")
        if allowed is not None and k > np.count_nonzero(allowed):
            count = np.count_nonzero(allowed)
            raise PhotoIndexError(f"k is {k}, but {count} photos of {self.path} may be found: choose 1 to {count}")
        return self.vectors.search(grids, weights, k, allowed)

    def matching(self, where: str) -> np.ndarray:
        """Return which photos an expression such as "licence == 'CC0' and width >= 1024" lets pass: bool (N,), maybe none.

        The language is that of `photo_index.where`; FilterError for what is none of it.
        """
        return matching_rows(self.table, [source.root for source in self.manifest.sources], where)

    def records(self, ids: Sequence[int] | np.ndarray) -> list[PhotoRecord]:
        """Return the records of the photos with these ids."""
        import pyarrow as pa

        # From a buffer: to convert an array, pyarrow imports pandas where that is installed, a third of a second.
        wanted = np.ascontiguousarray(ids, np.int64)
        rows = self.table.take(pa.Array.from_buffers(pa.int64(), len(wanted), [None, pa.py_buffer(wanted)]))
        columns = [rows.column(field.name).to_pylist() for field in fields(PhotoRecord)]
        return [PhotoRecord(*row) for row in zip(*columns, strict=True)]

    @functools.cached_property
    def labels(self) -> list[str]:
        """The label (scene folder, class) of every photo, '' where the source has none; position = id."""
        return self.table.column("label").to_pylist()

    def name_of(self, record: PhotoRecord) -> str:
        """Return the full name of a photo: path, or container::key."""
        return self.manifest.name_of(record.source, record.key)

    def read_photo(self, record: PhotoRecord, size: int | None = None) -> DecodedPhoto:
        """Decode a photo of the collection again: whole, or resized to size x size.

        PhotoError where it vanished or is no longer the photo that was indexed (its SHA-256 differs).
        """
        name = self.name_of(record)
        try:
            source = self._source(record.source)
            data = source.read(PhotoItem(record.key, offset=record.offset, length=record.length))
        except (OSError, PhotoError, SourceError) as error:
            raise PhotoError(
                f"{name} of {self.path} cannot be read any more: put it back, or rebuild the index"
            ) from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise PhotoError(f"{name} has changed since it was indexed: restore it, or rebuild {self.path}")
        return decode_photo(data, name=name, size=size)

    def _source(self, number: int) -> PhotoSource:
        if number not in self._sources:
            entry = self.manifest.sources[number]
            # Unchecked: the items are known, and looking through a whole folder or tar first would take seconds.
            self._sources[number] = open_source(entry.root, kind=entry.kind, check=False)
        return self._sources[number]


def verify_index(path: str | Path) -> Verification:
    """Check every file of an index, and that its parts agree; unlike `open` it goes on past the first problem."""
    path = Path(path)
    manifest = read_manifest(path)
    problems = []
    for segment in manifest.segments:
        broken = False
        for name, stored in segment.files.items():
            file = path / "segments" / segment.name / name
            problem = file_problem(file, stored)
            if problem:
                broken = True
                problems.append(f"{file} {problem}")
        if not broken:
            problems += _disagreements(path, manifest, segment.name)
    if not manifest.complete:
        problems.append(
            f"the build was stopped after {manifest.count} photos: run the same `ceret index` command again"
        )
    return Verification(sum(len(segment.files) for segment in manifest.segments), tuple(problems))


def _disagreements(path: Path, manifest: Manifest, name: str) -> list[str]:
    segment = next(segment for segment in manifest.segments if segment.name == name)
    problems = []
    shape = read_grids(path, segment).shape
    if shape != (segment.count, manifest.cells, manifest.channels):
        expected = (segment.count, manifest.cells, manifest.channels)
        problems.append(f"{path}: segment {name} has grids of shape {shape}, expected {expected}")
    table = read_table(path, segment)
    if table.num_rows != segment.count or table.column_names != [f.name for f in fields(PhotoRecord)]:
        problems.append(f"{path}: segment {name} has {table.num_rows} records of columns {table.column_names}")
    return problems
