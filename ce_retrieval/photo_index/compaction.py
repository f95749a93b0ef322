"""Compacting an index: segments without removed photos, and few large ones in the place of many small ones."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import batches
from ce_retrieval.photo_index.batches import Progress, Task, keys_hash
from ce_retrieval.photo_index.code_update import with_all_codes
from ce_retrieval.photo_index.kinds import kinds_file
from ce_retrieval.photo_index.manifest import Manifest, read_manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Segment
from ce_retrieval.photo_index.segment_files import (
    check_segment,
    kept_rows,
    read_grids,
    read_kinds,
    read_places,
    read_stamps,
    read_table,
)
from ce_retrieval.photo_index.segments import PhotoRecord, clear_leftovers, write_segment
from ce_retrieval.photo_index.writing import changing_index
from ce_retrieval.photos import PhotoItem
from ce_retrieval.places.inverted_file import coded_photos, inverted_bytes


@dataclass(frozen=True)
class Compaction:
    """What `compact_index` did.

    Attributes
    ----------
    photos : int
        Photos of the index.
    dropped : int
        Removed photos that its files held.
    segments : tuple of (before, after)
        Numbers of its segments.
    freed : int
        Bytes by which its files are smaller.
    deleted : bool
        Whether the old files are gone. Those that a reader may still need stay until the next change of the index without
        readers.
    """

    photos: int
    dropped: int
    segments: tuple[int, int]
    freed: int
    deleted: bool


def compact_index(path: str | Path, *, progress: Progress | None = None) -> Compaction:
    """Rewrite the segments of the index at `path` that hold removed photos, and join small ones that follow each other.

    Photos keep their order, so a search finds the same photos with the same ids and distances. New segments are written
    first, then the manifest is replaced, then the old segments are deleted, unless a reader has the index open. Of a stopped
    run nothing but files without a name are left, which the next writer deletes.

    Parameters
    ----------
    path : path
        The index.
    progress : callable or None
        Called with the photos written and those to write.

    Raises
    ------
    PhotoIndexError
        The index's first build has not ended, or all of its photos are removed.
    CorruptIndexError
        A file of it is damaged.
    LockedIndexError, StorageError
    """
    path = Path(path)
    with changing_index(path) as manifest:
        if not manifest.count:
            raise PhotoIndexError(
                f"{path} holds no photo any more: put its photos back and run `ceret add {path}`, or delete it"
            )
        groups = _groups(manifest.segments)
        for group in groups:
            for segment in group if _changes(group) else ():
                check_segment(path, segment)
        try:
            segments = _written(path, manifest, groups, progress)
            after = with_all_codes(path, dataclasses.replace(manifest, segments=segments))
            if after != manifest:
                write_manifest(path, after)
        except BaseException:
            clear_leftovers(path, read_manifest(path).segments)
            raise
        deleted = clear_leftovers(path, after.segments)
    counts = len(manifest.segments), len(segments)
    return Compaction(after.count, manifest.removed, counts, _bytes(manifest) - _bytes(after), deleted)


def _groups(segments: Sequence[Segment]) -> list[list[Segment]]:
    """Return segments by what becomes of them: each group one of up to SEGMENT_ITEMS photos, in their order."""
    groups: list[list[Segment]] = []
    for segment in segments:
        before = sum(map(_kept, groups[-1])) if groups else 0
        # One without photos is never left out alone: then no new segment could get its name while a reader still has it.
        if groups and (not before or before + _kept(segment) <= batches.SEGMENT_ITEMS):
            groups[-1].append(segment)
        else:
            groups.append([segment])
    return groups


def _changes(group: Sequence[Segment]) -> bool:
    """Return whether a group is anything but one segment without removed photos."""
    return len(group) > 1 or bool(group[0].removed)


def _written(
    path: Path, manifest: Manifest, groups: Sequence[Sequence[Segment]], progress: Progress | None
) -> tuple[Segment, ...]:
    """Write the segments of the groups that change; return those of all groups."""
    number = max(int(segment.name) for segment in manifest.segments)
    done, total = 0, sum(_kept(segment) for group in groups if _changes(group) for segment in group)
    segments = []
    for group in groups:
        if not _changes(group):
            segments.append(group[0])
            continue
        number += 1
        segments.append(_joined(path, manifest, group, f"{number:06d}"))
        done += segments[-1].count
        if progress:
            progress(done, total)
    return tuple(segments)


def _joined(path: Path, manifest: Manifest, group: Sequence[Segment], name: str) -> Segment:
    """Write the photos of a group as the segment `name`."""
    kept = [(segment, kept_rows(segment)) for segment in group]
    tables = [read_table(path, segment, len(manifest.sources)).take(rows) for segment, rows in kept]
    records = [PhotoRecord(**row) for table in tables for row in table.to_pylist()]
    more, kind = {}, manifest.kind
    if kind and (file := manifest.kind_file):
        vectors = [read_kinds(path, segment, file, kind.channels)[rows] for segment, rows in kept]
        more[file] = kinds_file(np.concatenate(vectors))
    if manifest.places:
        file = manifest.places.file
        more[file] = inverted_bytes(
            [photo for segment, rows in kept for photo in coded_photos(read_places(path, segment, file), rows)]
        )
    return write_segment(
        path,
        name,
        np.concatenate([read_grids(path, segment, manifest.grid)[rows] for segment, rows in kept]),
        records,
        np.concatenate([read_stamps(path, segment)[rows] for segment, rows in kept]),
        items=len(records),
        keys_sha256=keys_hash(Task(record.source, PhotoItem(record.key)) for record in records),
        skipped=[one for segment in group for one in segment.skipped],
        more=more,
        repeats=[one for segment in group for one in segment.repeats],
    )


def _kept(segment: Segment) -> int:
    return segment.count - len(segment.removed)


def _bytes(manifest: Manifest) -> int:
    return sum(stored.bytes for segment in manifest.segments for stored in segment.files.values())
