"""Reading an index: open, check, search, and read its photos again."""

import functools
import hashlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ce_retrieval.descriptors import Descriptor, make_descriptor
from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import CorruptIndexError, PhotoError, PhotoIndexError, SettingsError, SourceError, counted
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.photo_index.engines import Engine
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.places import places_of_index, without_places
from ce_retrieval.photo_index.records import COLUMNS, Records
from ce_retrieval.photo_index.segment_files import check_sizes, kept_rows, read_kinds, read_places
from ce_retrieval.photo_index.segments import PhotoRecord
from ce_retrieval.photo_index.stores import open_store
from ce_retrieval.photo_index.vectors import kept_segments, open_vectors, stored_grids
from ce_retrieval.photo_index.weights import check_weights, kind_of_index, without_kind
from ce_retrieval.photo_index.where import matching_rows
from ce_retrieval.photos import DecodedPhoto, PhotoItem, PhotoSource, decode_photo, open_source
from ce_retrieval.places.codes import PlaceCodes
from ce_retrieval.places.inverted_file import InvertedFile
from ce_retrieval.settings import COUNT
from ce_retrieval.storage import ReaderLock

if TYPE_CHECKING:
    from indexes.base import GridIndex, SearchResult


class PhotoIndex:
    """An index of photos by context, opened for reading.

    It keeps the manifest that it opened. Segments are immutable, so additions by another process change nothing here, and
    those that a compaction replaces are deleted when no reader has the index open any more.
    Vectors and records are loaded at first use. Memory: 4 (G*C + G) bytes a photo, or with codes about 70.

    Attributes
    ----------
    path : Path
    manifest : Manifest
    engine : Engine
        Where its vectors are searched.
    allowed : bool (N,) or None
        The photos that may be found (`restricted`); None: all.
    """

    def __init__(self, path: Path, manifest: Manifest, engine: Engine | None = None) -> None:
        self.path = path
        self.manifest = manifest
        self.engine = engine or Engine()
        self.allowed: np.ndarray | None = None
        self._sources: dict[int, PhotoSource] = {}
        self._kinds_read: set[str] = set()
        self._lock: ReaderLock | None = None

    @classmethod
    def open(cls, path: str | Path, *, device: str = "cpu", store: str | None = None) -> "PhotoIndex":
        """Open the index at `path`; no file of a segment is read.

        Parameters
        ----------
        path : path
        device : str
            Where its vectors are searched: "cpu"; "cuda", all GPUs; "cuda:N", one; or "auto", all GPUs, or the CPU where
            FAISS can use none.
        store : str or None
            A Milvus that searches instead ("http://host:19530" or "milvus:FOLDER.db"), to which `publish_index` has written.

        Raises
        ------
        SettingsError, EngineError
            The device has another name; it is not there, or FAISS cannot use it; or as `open_store`.
        PhotoIndexError
            There is no index, it has another format version, its build was stopped, its photos have all vanished, or its
            weights have changed.
        CheckpointError
            Its weights are missing.
        CorruptIndexError
            The manifest is damaged, or a file is missing or truncated. One that is altered is found when it is read, since all
            that is read is compared with its checksum; `verify_index` reads all.
        """
        engine, path = Engine(device, store), Path(path)
        lock = ReaderLock(path)
        manifest = read_manifest(path)
        if not manifest.complete:
            raise PhotoIndexError(
                f"the build of {path} was stopped after {counted(manifest.count, 'photo')}: run the same `ceret index` command "
                "again to resume it"
            )
        if not manifest.count:
            raise PhotoIndexError(
                f"{path} holds no photo any more: put its photos back and run `ceret add {path}`, or delete it"
            )
        for segment in manifest.segments:
            check_sizes(path, segment)
        index = cls(path, manifest, engine)
        index._lock = lock
        if manifest.weights_sha256 is not None:
            _ = index.descriptor  # loads and compares the weights now, before any work
        if store is not None:
            _ = index.vectors  # asks for the collection now
        return index

    def __len__(self) -> int:
        return self.manifest.count

    @functools.cached_property
    def descriptor(self) -> Descriptor:
        """The descriptor that the index was built with; PhotoIndexError if its weights have changed."""
        descriptor = make_descriptor(self.manifest.descriptor, self.manifest.size)
        check_weights(self.path, self.manifest, descriptor)
        return descriptor

    @functools.cached_property
    def protocol_hole(self) -> np.ndarray | None:
        """The hole (size, size) that every photo was described with under the protocol "center"; None for whole photos."""
        return center_holes(1, self.manifest.size)[0] if self.manifest.hole == "center" else None

    @functools.cached_property
    def _records(self) -> Records:
        return Records(self.path, self.manifest)

    @property
    def table(self) -> Any:
        """The records of all photos as a pyarrow table; row = id. All of them: `columns` and `records` read less."""
        return self._records.columns(COLUMNS)

    def columns(self, *names: str) -> Any:
        """Return columns of the records of all photos as a pyarrow table; row = id."""
        return self._records.columns(names)

    def column(self, name: str) -> Any:
        """Return a column of the records of all photos as a pyarrow array; position = id."""
        return self._records.columns([name]).column(name)

    @functools.cached_property
    def vectors(self) -> "GridIndex":
        """The grids of all photos, ready for hole-aware search."""
        if self.engine.store is not None:
            return open_store(self, self.engine.store)
        return open_vectors(self.path, self.manifest, self.engine.device)

    def grids(self) -> Iterator[np.ndarray]:
        """Yield the stored grids float16 (n, G, C), segment by segment, in the order of the ids."""
        return stored_grids(self.path, self.manifest)

    @functools.cached_property
    def kind(self) -> OneVector:
        """What described the kind of the photos; NoKindError without kind features, or if their weights have changed."""
        return kind_of_index(self.path, self.manifest.kind, self.manifest.size)

    def kinds(self) -> Iterator[np.ndarray]:
        """Yield the kind vectors float16 (n, C) of norm 1, segment by segment, in the order of the ids.

        NoKindError without kind features.
        """
        if self.manifest.kind is None:
            raise without_kind(self.path)
        file = self.manifest.kind_file
        if file is None:
            for grids in self.grids():
                norms = np.linalg.norm(grids[:, 0].astype(np.float32), axis=1, keepdims=True)
                yield (grids[:, 0] / np.where(norms > 0, norms, 1)).astype(np.float16)
            return
        for segment in kept_segments(self.manifest):
            again = segment.name in self._kinds_read
            vectors = read_kinds(self.path, segment, file, self.manifest.kind.channels, again=again)
            self._kinds_read.add(segment.name)
            yield vectors[kept_rows(segment)] if segment.removed else vectors

    @property
    def place_codes(self) -> PlaceCodes:
        """What coded the local features; NoPlacesError without local features, or where this ceret has other codes."""
        return places_of_index(self.path, self.manifest.places).codes

    def place_files(self) -> Iterator[tuple[InvertedFile, np.ndarray]]:
        """Yield the local features, segment by segment, and the id int64 of each photo of the segment, -1 where removed.

        NoPlacesError without local features.
        """
        yield from self._place_files

    @functools.cached_property
    def _place_files(self) -> list[tuple[InvertedFile, np.ndarray]]:
        if self.manifest.places is None:
            raise without_places(self.path)
        found, start = [], 0
        for segment in self.manifest.segments:
            ids, kept = np.full(segment.count, -1), kept_rows(segment)
            ids[kept] = start + np.arange(len(kept))
            found.append((read_places(self.path, segment, self.manifest.places.file), ids))
            start += len(kept)
        return found

    def search(
        self, grids: np.ndarray, weights: np.ndarray, k: int, allowed: np.ndarray | None = None
    ) -> "SearchResult":
        """Find the k nearest photos to each grid.

        Parameters
        ----------
        grids : float (B, G, C)
        weights : float (B, G)
            Of the cells, in [0, 1].
        k : int
            1 to the number of photos that may be found.
        allowed : bool (N,) or None
            Photos that may be found; None allows all.

        Returns
        -------
        Squared distances (B, k) and ids (B, k), nearest first.

        Raises
        ------
        SettingsError
            k is out of range.
        CorruptIndexError
            A file that is read for the search is damaged.

        Notes
        -----
        The distances are exact. An index with codes may miss some of the nearest; `ceret tune` measures how many.
        """
        self.check_k(k)
        if self.allowed is not None:
            allowed = self.allowed if allowed is None else self.allowed & allowed
        if allowed is not None and k > np.count_nonzero(allowed):
            count = np.count_nonzero(allowed)
            raise SettingsError(
                f"`k` is {k}, but {counted(int(count), 'photo')} of {self.path} may be found: choose 1 to {count}"
            )
        from indexes.row_files import RowError

        try:
            return self.vectors.search(grids, weights, k, allowed)
        except RowError as error:
            raise CorruptIndexError(
                f"{error}: restore it from a copy, or delete {self.path} and build it again"
            ) from error

    def check_k(self, k: int) -> None:
        """Raise SettingsError unless the index has k photos."""
        COUNT.check("`k`", k)
        if k > len(self):
            raise SettingsError(
                f"`k` is {k}, but {self.path} holds {counted(len(self), 'photo')}: choose 1 to {len(self)}"
            )

    def matching(self, where: str) -> np.ndarray:
        """Return which photos pass an expression such as "licence == 'CC0' and width >= 1024": bool (N,), maybe none.

        `photo_index.where` describes the language; FilterError for an invalid expression.
        """
        roots = [source.root for source in self.manifest.sources]
        return matching_rows(self.column, roots, where)

    def records(self, ids: Sequence[int] | np.ndarray) -> list[PhotoRecord]:
        """Return the records of the photos with these ids."""
        return self._records.of(ids)

    @functools.cached_property
    def labels(self) -> list[str]:
        """The label (scene folder, class) of every photo, '' if the source has none; position = id."""
        return self.column("label").to_pylist()

    def name_of(self, record: PhotoRecord) -> str:
        """Return the full name of a photo: path, or container::key."""
        return self.manifest.name_of(record.source, record.key)

    def read_photo(self, record: PhotoRecord, size: int | None = None) -> DecodedPhoto:
        """Decode a photo of the collection again: whole, or resized to size x size.

        PhotoError if it vanished, or if its SHA-256 is not the recorded one.
        """
        return decode_photo(self.read_bytes(record), name=self.name_of(record), size=size)

    def read_bytes(self, record: PhotoRecord) -> bytes:
        """Return the encoded bytes of a photo; PhotoError if it vanished, or if its SHA-256 is not the recorded one."""
        name = self.name_of(record)
        try:
            source = self._source(record.source)
            data = source.read(PhotoItem(record.key, offset=record.offset, length=record.length))
        except (OSError, PhotoError, SourceError) as error:
            root = self.manifest.sources[record.source].root
            moved = (
                "" if os.path.lexists(root) else f"; if {root} has moved, run `ceret relocate {self.path} {root} NEW`"
            )
            raise PhotoError(
                f"{name} of {self.path} cannot be read any more: put it back, or bring the index up to date with "
                f"`ceret add {self.path}`{moved}"
            ) from error
        if hashlib.sha256(data).hexdigest() != record.sha256:
            raise PhotoError(
                f"{name} has changed since it was indexed: restore it, or bring the index up to date with "
                f"`ceret add {self.path}`"
            )
        return data

    def _source(self, number: int) -> PhotoSource:
        if number not in self._sources:
            entry = self.manifest.sources[number]
            # Unchecked: the items are known, and checking a whole folder or tar would take seconds.
            self._sources[number] = open_source(entry.root, kind=entry.kind, check=False)
        return self._sources[number]
