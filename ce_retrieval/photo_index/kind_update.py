"""Giving an index other kind features: its photos are read again, and only the manifest's last replacement names the result."""

import dataclasses
from collections.abc import Iterator
from concurrent.futures import CancelledError
from pathlib import Path

import numpy as np

from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import CorruptIndexError
from ce_retrieval.photo_index.batches import AHEAD, BATCH_ITEMS, Decode, Progress
from ce_retrieval.photo_index.kinds import StoredKind, kinds_file, kinds_of
from ce_retrieval.photo_index.manifest import (
    Manifest,
    Segment,
    StoredFile,
    digest,
    library_versions,
    write_manifest,
)
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segments import (
    PhotoRecord,
    check_segment,
    clear_leftovers,
    file_problem,
    is_kind_file,
    kept_rows,
    read_kinds,
    read_table,
)
from ce_retrieval.pool import WorkerPool, batched, in_order, worker_pool
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file, storage_errors


def begin_kind(path: Path, kind: OneVector | None, manifest: Manifest) -> tuple[Manifest, bool]:
    """Prepare an index for other kind features, or for none. Needs the lock.

    Returns
    -------
    manifest : Manifest
        To go on with. It names no kind features if `write_kinds` is to follow, and is on the disk otherwise.
    anew : bool
        Whether `write_kinds` is to follow.

    Raises
    ------
    CorruptIndexError
        A file is damaged that does not hold kind features.
    """
    wanted = dataclasses.replace(manifest, kind=StoredKind.of(kind) if kind else None)
    file = wanted.kind_file
    clear_leftovers(path, manifest.segments, keep=file)
    for segment in manifest.segments:
        for name in filter(is_kind_file, segment.files):
            place = path / "segments" / segment.name / name
            if file_problem(place, segment.files[name]):
                with storage_errors(place):
                    place.unlink(missing_ok=True)
    bare = [_with_files(segment) for segment in manifest.segments]
    for segment in bare:
        check_segment(path, segment)
    if file is None:
        wanted = dataclasses.replace(wanted, segments=tuple(bare))
    elif not all(
        file in segment.files and (path / "segments" / segment.name / file).exists() for segment in wanted.segments
    ):
        return dataclasses.replace(manifest, kind=None, segments=tuple(bare)), True
    if wanted != manifest:
        write_manifest(path, wanted)
    return wanted, False


def write_kinds(
    path: Path, kind: OneVector, manifest: Manifest, decode: Decode, workers: int, progress: Progress | None
) -> Manifest:
    """Describe the kind of all photos of an index, file by file; return the manifest that names the files. Needs the lock.

    A file that a killed run has finished is kept, so running it again goes on there. Removed photos have vectors of zeros.

    Raises
    ------
    PhotoError
        A photo cannot be read any more, or has changed.
    """
    stored = StoredKind.of(kind)
    index, segments = PhotoIndex(path, manifest), []
    done, total = 0, manifest.count
    with worker_pool(workers) as pool:
        for segment in manifest.segments:
            place = path / "segments" / segment.name / stored.file
            if not _is_done(path, segment, stored):
                vectors = np.zeros((segment.count, stored.channels), np.float16)
                for rows, part in _described(pool, workers, index, segment, kind, decode):
                    vectors[rows] = part
                    done += len(rows)
                    if progress:
                        progress(done, total)
                replace_file(place, kinds_file(vectors))
            else:
                done += segment.count - len(segment.removed)
            segments.append(_with_files(segment, {stored.file: digest(read_regular(place))}))
    versions = library_versions(kind.libraries)
    libraries = {**manifest.libraries, **{name: versions[name] for name in kind.libraries}}
    return dataclasses.replace(manifest, kind=stored, segments=tuple(segments), libraries=libraries)


def _with_files(segment: Segment, kinds: dict[str, StoredFile] | None = None) -> Segment:
    """Return a segment with these files of kind features alone."""
    others = {name: stored for name, stored in segment.files.items() if not is_kind_file(name)}
    return dataclasses.replace(segment, files={**others, **(kinds or {})})


def _is_done(path: Path, segment: Segment, stored: StoredKind) -> bool:
    """Return whether a whole file of an earlier run has a vector for each photo; one that was removed then may be back."""
    try:
        vectors = read_kinds(path, segment, stored.file)
    except CorruptIndexError:
        return False
    shaped = vectors.shape == (segment.count, stored.channels) and vectors.dtype == np.float16
    return shaped and bool(vectors[kept_rows(segment)].any(axis=1).all())


def _described(
    pool: WorkerPool, workers: int, index: PhotoIndex, segment: Segment, kind: OneVector, decode: Decode
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield rows of a segment and their vectors."""
    records = read_table(index.path, segment)

    def describe(rows: list[int]) -> tuple[np.ndarray, np.ndarray]:
        photos = []
        for row in rows:
            if pool.stopping.is_set():
                raise CancelledError
            record = PhotoRecord(**records.slice(row, 1).to_pylist()[0])
            data = index.read_bytes(record)
            photos.append(decode(data, index.name_of(record), index.manifest.size).pixels)
        return np.array(rows), kinds_of(kind, np.stack(photos), index.manifest.hole)

    yield from in_order(pool, describe, batched(kept_rows(segment).tolist(), BATCH_ITEMS), AHEAD * workers)
