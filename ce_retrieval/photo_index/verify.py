"""Checking an index: its files against the manifest, and its photos against their recorded hashes."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import CorruptIndexError, PhotoError, counted
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
from ce_retrieval.photo_index.manifest_parts import Segment
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_codes import segment_codes
from ce_retrieval.photo_index.segment_files import (
    damaged,
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
    """Return where a segment's files, whole as they are, do not hold what the manifest says."""
    problems, kind = [], manifest.kind
    readers: list[Callable[[], object]] = [
        lambda: read_stamps(path, segment),
        lambda: read_table(path, segment, len(manifest.sources)),
    ]
    if kind and (kinds := manifest.kind_file):
        readers.append(lambda: read_kinds(path, segment, kinds, kind.channels))
    if places := manifest.places:
        readers.append(lambda: read_places(path, segment, places.file))
    readers.append(lambda: _check_grids(path, manifest, segment))
    for read in readers:
        try:
            read()
        except CorruptIndexError as error:
            problems.append(str(error))
    return problems


def _check_grids(path: Path, manifest: Manifest, segment: Segment) -> None:
    """Raise CorruptIndexError where a segment has other grids than the manifest says, or codes of other grids."""
    grids = read_grids(path, segment, manifest.grid)
    if manifest.codes:
        from indexes.row_files import row_checks

        if not np.array_equal(segment_codes(path, segment, manifest.codes).checks, row_checks(grids)):
            raise damaged(path, segment, manifest.codes.file, "has checksums of other grids")


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
        for row in read_table(index.path, segment, len(index.manifest.sources)).take(kept_rows(segment)).to_pylist()
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
