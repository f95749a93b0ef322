"""Checking an index: its files against the manifest, and its photos against their recorded hashes."""

import os
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np

from ce_retrieval.errors import CorruptIndexError, PhotoError, counted
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.manifest_parts import Segment
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_codes import segment_codes
from ce_retrieval.photo_index.segment_files import (
    file_problem,
    kept_rows,
    read_grids,
    read_kinds,
    read_places,
    read_stamps,
    read_table,
)
from ce_retrieval.photo_index.segments import PhotoRecord
from ce_retrieval.pool import batched, in_order, worker_pool
from ce_retrieval.settings import WORKERS
from ce_retrieval.storage import ReaderLock

AT_ONCE = 16  # photos that a thread checks in one call


@dataclass(frozen=True)
class Verification:
    """What was checked.

    Attributes
    ----------
    files : int
        Files of the index.
    photos : int or None
        Photos; None if they were not looked at.
    problems : tuple of str
        One line for each.
    """

    files: int
    photos: int | None
    problems: tuple[str, ...]


def verify_index(
    path: str | Path,
    *,
    photos: bool = False,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Verification:
    """Check every file of an index, and that its parts agree; unlike `PhotoIndex.open`, list all problems.

    Parameters
    ----------
    path : path
    photos : bool
        Also read every photo, and compare it with its recorded SHA-256.
    workers : int or None
        Threads that read photos; None: one a core.
    progress : callable or None
        Called with the photos done and the photos in total.

    Raises
    ------
    SettingsError
        `workers` is out of range.
    PhotoIndexError
        There is no index at `path`, or its manifest is damaged.
    """
    if workers is not None:
        WORKERS.check("`workers`", workers)
    path = Path(path)
    reading = ReaderLock(path)
    manifest = read_manifest(path)
    problems, whole = [], []
    for segment in manifest.segments:
        broken = _broken_files(path, segment)
        problems += broken or _disagreements(path, manifest, segment)
        if not broken:
            whole.append(segment)
    if not manifest.complete:
        problems.append(
            f"the build was stopped after {counted(manifest.count, 'photo')}: run the same `ceret index` command again"
        )
    count = None
    if photos:
        index = PhotoIndex(path, manifest)
        count = sum(segment.count - len(segment.removed) for segment in whole)
        problems += _changed_photos(index, whole, count, workers or os.cpu_count() or 1, progress)
    reading.close()
    return Verification(sum(len(segment.files) for segment in manifest.segments), count, tuple(problems))


def _broken_files(path: Path, segment: Segment) -> list[str]:
    found = []
    for name, stored in segment.files.items():
        file = path / "segments" / segment.name / name
        if problem := file_problem(file, stored):
            found.append(f"{file} {problem}")
    return found


def _disagreements(path: Path, manifest: Manifest, segment: Segment) -> list[str]:
    """Return where a segment's content differs from what the manifest says."""
    problems = []
    shape, expected = read_grids(path, segment).shape, (segment.count, manifest.cells, manifest.channels)
    if shape != expected:
        problems.append(f"{path}: segment {segment.name} has grids of shape {shape}, expected {expected}")
    if read_stamps(path, segment).shape != (segment.count, 2):
        problems.append(
            f"{path}: segment {segment.name} has no time of change for each of its {counted(segment.count, 'photo')}"
        )
    if manifest.kind and manifest.kind_file:
        described = (segment.count, manifest.kind.channels)
        named = manifest.kind_file in segment.files
        found = read_kinds(path, segment, manifest.kind_file).shape if named else None
        if found != described:
            problems.append(f"{path}: segment {segment.name} has kind features of shape {found}, expected {described}")
    if manifest.places:
        named = manifest.places.file in segment.files
        seen = len(read_places(path, segment, manifest.places.file).counts) if named else 0
        if seen != segment.count:
            problems.append(f"{path}: segment {segment.name} has local features of {seen} of {segment.count} photos")
    if manifest.codes:
        try:
            checks = segment_codes(path, segment, manifest.codes).checks
        except CorruptIndexError as error:
            problems.append(str(error))
        else:
            from indexes.row_files import row_checks

            if not np.array_equal(checks, row_checks(read_grids(path, segment))):
                problems.append(f"{path}: segment {segment.name} has checksums of other grids")
    table = read_table(path, segment)
    if table.num_rows != segment.count or table.column_names != [f.name for f in fields(PhotoRecord)]:
        problems.append(f"{path}: segment {segment.name} has {table.num_rows} records of columns {table.column_names}")
    return problems


def _changed_photos(
    index: PhotoIndex,
    segments: list[Segment],
    count: int,
    workers: int,
    progress: Callable[[int, int], None] | None,
) -> list[str]:
    """Return one line for each photo of these segments that has changed or cannot be read."""

    def check(records: list[PhotoRecord]) -> list[str]:
        found = []
        for record in records:
            if pool.stopping.is_set():
                break
            try:
                index.read_bytes(record)
            except PhotoError as error:
                found.append(str(error))
        return found

    records = (
        PhotoRecord(**row)
        for segment in segments
        for row in read_table(index.path, segment).take(kept_rows(segment)).to_pylist()
    )
    problems: list[str] = []
    done = 0
    with worker_pool(workers) as pool:
        for found in in_order(pool, check, batched(records, AT_ONCE), 4 * workers):
            problems += found
            done = min(done + AT_ONCE, count)
            if progress:
                progress(done, count)
    return problems
