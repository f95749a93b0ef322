"""Giving an index other kind features: its photos are read again, and only the manifest's last replacement names the result."""

import dataclasses
from pathlib import Path

import numpy as np

from ce_retrieval.descriptors.one_vector import OneVector
from ce_retrieval.errors import CorruptIndexError
from ce_retrieval.photo_index.batches import Decode, Progress
from ce_retrieval.photo_index.beside import Decoded, begin_files, read_again, with_files
from ce_retrieval.photo_index.kinds import StoredKind, kinds_file, kinds_of
from ce_retrieval.photo_index.manifest import Manifest, library_versions
from ce_retrieval.photo_index.manifest_parts import Segment, digest
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import kept_rows, read_kinds
from ce_retrieval.photo_index.segments import is_kind_file
from ce_retrieval.pool import worker_pool
from ce_retrieval.reading import read_regular
from ce_retrieval.storage import replace_file


def with_kind(manifest: Manifest, kind: OneVector | None) -> Manifest:
    """Return a manifest with another entry for kind features."""
    return dataclasses.replace(manifest, kind=StoredKind.of(kind) if kind else None)


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
        A file of the segments themselves is damaged.
    """
    wanted = with_kind(manifest, kind)
    segments, anew = begin_files(path, manifest, wanted, wanted.kind_file, is_kind_file)
    return dataclasses.replace(wanted, kind=None if anew else wanted.kind, segments=segments), anew


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

    def describe(photos: list[Decoded]) -> np.ndarray:
        return kinds_of(kind, np.stack([photo.pixels for photo, _ in photos]), manifest.hole)

    with worker_pool(workers) as pool:
        for segment in manifest.segments:
            place = path / "segments" / segment.name / stored.file
            if not _is_done(path, segment, stored):
                vectors = np.zeros((segment.count, stored.channels), np.float16)
                for rows, part in read_again(pool, workers, index, segment, decode, describe):
                    vectors[rows] = part
                    done += len(rows)
                    if progress:
                        progress(done, total)
                replace_file(place, kinds_file(vectors))
            else:
                done += segment.count - len(segment.removed)
            segments.append(with_files(segment, is_kind_file, {stored.file: digest(read_regular(place))}))
    versions = library_versions(kind.libraries)
    libraries = {**manifest.libraries, **{name: versions[name] for name in kind.libraries}}
    return dataclasses.replace(manifest, kind=stored, segments=tuple(segments), libraries=libraries)


def _is_done(path: Path, segment: Segment, stored: StoredKind) -> bool:
    """Return whether a whole file of an earlier run has a vector for each photo; one that was removed then may be back."""
    try:
        vectors = read_kinds(path, segment, stored.file, stored.channels)
    except CorruptIndexError:
        return False
    return bool(vectors[kept_rows(segment)].any(axis=1).all())
