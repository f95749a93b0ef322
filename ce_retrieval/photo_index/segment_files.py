"""Reading segments: each file is compared with its checksum when it is read, not when an index is opened."""

import hashlib
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import CorruptIndexError, reason_of
from ce_retrieval.photo_index.manifest_parts import PHOTOS, VECTORS, Segment, StoredFile, digest
from ce_retrieval.photo_index.segment_parsers import (
    grids_in,
    grids_place,
    kinds_in,
    reading_content,
    records_in,
    stamps_at,
)
from ce_retrieval.photo_index.segments import PhotoRecord, is_codes_file, is_kind_file, is_places_file
from ce_retrieval.places.inverted_file import InvertedFile, open_inverted
from ce_retrieval.reading import open_regular, read_regular

ALTERED = "is altered: its checksum is not the manifest's"


def file_problem(path: Path, stored: StoredFile) -> str | None:
    """Return what is wrong with a segment's file (missing, truncated, altered), or None."""
    try:
        with open_regular(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size != stored.bytes:
                return _other_size(size, stored)
            if hashlib.file_digest(file, "sha256").hexdigest() != stored.sha256:
                return ALTERED
    except OSError as error:
        return _unreadable(error)
    return None


def _other_size(size: int, stored: StoredFile) -> str:
    return f"has {size} bytes instead of {stored.bytes}"


def _unreadable(error: OSError) -> str:
    return f"cannot be read: {reason_of(error)}"


def check_segment(folder: Path, segment: Segment) -> None:
    """Raise CorruptIndexError for the first file of the segment that is not as it was written."""
    for name, stored in segment.files.items():
        if problem := file_problem(folder / "segments" / segment.name / name, stored):
            raise damaged(folder, segment, name, problem)


def check_sizes(folder: Path, segment: Segment) -> None:
    """Raise CorruptIndexError for the first file of the segment that is missing, or of another size; nothing is read."""
    for name, stored in segment.files.items():
        try:
            size = os.stat(folder / "segments" / segment.name / name).st_size
        except OSError as error:
            raise damaged(folder, segment, name, _unreadable(error)) from error
        if size != stored.bytes:
            raise damaged(folder, segment, name, _other_size(size, stored))


def damaged(folder: Path, segment: Segment, name: str, problem: str) -> CorruptIndexError:
    """Return the error for a file of a segment of the index `folder`, with a remedy."""
    anew = f"delete {folder} and build it again with `ceret index`"
    if is_kind_file(name):
        anew = f"make it anew with `ceret add {folder} --kind KIND`, KIND as `ceret info {folder}` shows it"
    elif is_places_file(name):
        anew = f"make it anew with `ceret add {folder} --places`"
    elif is_codes_file(name):
        anew = f"make it anew with `ceret tune {folder}`"
    return CorruptIndexError(
        f"{folder / 'segments' / segment.name / name} {problem}: restore it from a copy, or {anew}"
    )


def read_checked(folder: Path, segment: Segment, name: str, *, again: bool = False) -> bytes:
    """Return the bytes of a file of a segment; CorruptIndexError where they are not those that the manifest names.

    A file that the manifest does not name yet, since its writer was stopped, has nothing to be compared with.
    again : the caller has read it before, so only its size is compared.
    """
    stored = segment.files.get(name)
    try:
        data = read_regular(folder / "segments" / segment.name / name)
    except OSError as error:
        raise damaged(folder, segment, name, _unreadable(error)) from error
    if stored and len(data) != stored.bytes:
        raise damaged(folder, segment, name, _other_size(len(data), stored))
    if stored and not again and digest(data) != stored:
        raise damaged(folder, segment, name, ALTERED)
    return data


def read_grids(folder: Path, segment: Segment, grid: tuple[int, int]) -> np.ndarray:
    """Return the grids float16 (n, G, C) of a segment, those of removed photos too; CorruptIndexError. grid: G and C."""
    data = read_checked(folder, segment, VECTORS)
    with _content_of(folder, segment, VECTORS):
        return grids_in(data, segment.count, grid)


def read_stamps(folder: Path, segment: Segment) -> np.ndarray:
    """Return the stamps int64 (n, 2) of a segment whose files have been checked; NO_STAMP where it has none.

    Only they are read, not the grids beside them. CorruptIndexError.
    """
    with _content_of(folder, segment, VECTORS):
        return stamps_at(str(folder / "segments" / segment.name / VECTORS), segment.count)


def read_kinds(folder: Path, segment: Segment, file: str, channels: int, *, again: bool = False) -> np.ndarray:
    """Return the kind vectors float16 (n, channels) of a segment, those of removed photos too; `again` as for `read_checked`."""
    data = read_checked(folder, segment, file, again=again)
    with _content_of(folder, segment, file):
        return kinds_in(data, segment.count, channels)


def read_places(folder: Path, segment: Segment, file: str) -> InvertedFile:
    """Open the local features of a segment, those of removed photos too; they are mapped into memory. CorruptIndexError."""
    path = folder / "segments" / segment.name / file
    stored = segment.files.get(file)
    if stored and (problem := file_problem(path, stored)):
        raise damaged(folder, segment, file, problem)
    with _content_of(folder, segment, file), reading_content():
        found = open_inverted(path)
        if len(found.counts) != segment.count:
            raise ValueError(f"it has local features of {len(found.counts)} of {segment.count} photos")
        return found


def grids_offset(folder: Path, segment: Segment, grid: tuple[int, int]) -> int:
    """Return where the grids begin in the segment's file of vectors, in bytes: they lie there row after row."""
    with _content_of(folder, segment, VECTORS):
        return grids_place(str(folder / "segments" / segment.name / VECTORS), segment.count, grid)


def read_table(folder: Path, segment: Segment, sources: int, columns: Sequence[str] | None = None) -> Any:
    """Return the records of a segment as a pyarrow table, those of removed photos too; CorruptIndexError.

    Its columns are PhotoRecord's, or some of them. sources: number of the index's.
    """
    data = read_checked(folder, segment, PHOTOS)
    types: dict[str, Any] = {field.name: field.type for field in fields(PhotoRecord)}
    with _content_of(folder, segment, PHOTOS):
        return records_in(data, segment.count, sources, types, columns)


@contextmanager
def _content_of(folder: Path, segment: Segment, name: str) -> Iterator[None]:
    """Turn a ValueError, of a file whose checksum is right, into a CorruptIndexError."""
    try:
        yield
    except ValueError as error:
        raise damaged(folder, segment, name, f"cannot be read ({error})") from error


def kept_rows(segment: Segment) -> np.ndarray:
    """Return the rows of a segment that are not removed: int64, ascending."""
    return np.delete(np.arange(segment.count), np.array(segment.removed, np.int64))
