"""Files beside a segment's own, which an index can be given, and lose, after it was built: what all kinds of them share."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import CancelledError
from pathlib import Path
from typing import TypeVar

import numpy as np

from ce_retrieval.photo_index.batches import AHEAD, BATCH_ITEMS, Decode
from ce_retrieval.photo_index.manifest import Manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Segment, StoredFile
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import check_segment, file_problem, kept_rows, read_table
from ce_retrieval.photo_index.segments import PhotoRecord, is_beside
from ce_retrieval.photos import DecodedPhoto
from ce_retrieval.pixels import Photo
from ce_retrieval.pool import WorkerPool, batched, in_order
from ce_retrieval.storage import storage_errors

T = TypeVar("T")
Decoded = tuple[DecodedPhoto, Photo | None]
Owns = Callable[[str], bool]  # whether a file of this name is of the kind that changes


def begin_files(
    path: Path, manifest: Manifest, wanted: Manifest, file: str | None, owns: Owns
) -> tuple[tuple[Segment, ...], bool]:
    """Delete damaged files of a kind that changes, and write the manifest of what is wanted where nothing has to be read.

    Needs the lock.

    Parameters
    ----------
    manifest, wanted : Manifest
        Of the index on disk, and the same with another entry for this kind of files.
    file : str or None
        Name in each segment; None: there are to be none.

    Returns
    -------
    segments : tuple of Segment
        Without these files if they are to be written anew, else those of the manifest that was written.
    anew : bool

    Raises
    ------
    CorruptIndexError
        A file of the segments themselves is damaged.
    """
    for segment in manifest.segments:
        for name in filter(owns, segment.files):
            place = path / "segments" / segment.name / name
            if file_problem(place, segment.files[name]):
                with storage_errors(place):
                    place.unlink(missing_ok=True)
    for segment in manifest.segments:
        check_segment(path, with_files(segment, is_beside))
    bare = tuple(with_files(segment, owns) for segment in manifest.segments)
    if file is None:
        wanted = dataclasses.replace(wanted, segments=bare)
    elif not all(
        file in segment.files and (path / "segments" / segment.name / file).exists() for segment in wanted.segments
    ):
        return bare, True
    if wanted != manifest:
        write_manifest(path, wanted)
    return wanted.segments, False


def with_files(segment: Segment, owns: Owns, files: Mapping[str, StoredFile] | None = None) -> Segment:
    """Return a segment with these files of a kind alone."""
    others = {name: stored for name, stored in segment.files.items() if not owns(name)}
    return dataclasses.replace(segment, files={**others, **(files or {})})


def read_again(
    pool: WorkerPool,
    workers: int,
    index: PhotoIndex,
    segment: Segment,
    decode: Decode,
    describe: Callable[[list[Decoded]], T],
    side: int | None = None,
) -> Iterator[tuple[np.ndarray, T]]:
    """Yield rows of a segment, and what `describe` makes of their photos; PhotoError for one that cannot be read."""
    records = read_table(index.path, segment, len(index.manifest.sources))

    def described(rows: list[int]) -> tuple[np.ndarray, T]:
        photos = []
        for row in rows:
            if pool.stopping.is_set():
                raise CancelledError
            record = PhotoRecord(**records.slice(row, 1).to_pylist()[0])
            data = index.read_bytes(record)
            photos.append(decode(data, index.name_of(record), index.manifest.size, side))
        return np.array(rows), describe(photos)

    yield from in_order(pool, described, batched(kept_rows(segment).tolist(), BATCH_ITEMS), AHEAD * workers)
