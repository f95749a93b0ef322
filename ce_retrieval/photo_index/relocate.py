"""A collection that has moved: the index is told where its sources are now."""

import dataclasses
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import PhotoError, PhotoIndexError, SettingsError, counted
from ce_retrieval.photo_index.columns import numbers_of
from ce_retrieval.photo_index.manifest import Manifest, read_manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import Source
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import kept_rows, read_table
from ce_retrieval.photo_index.segments import PhotoRecord, clear_leftovers
from ce_retrieval.storage import writer_lock

SAMPLE = 32  # photos of each source that are looked at


@dataclass(frozen=True)
class Relocation:
    """What `relocate_index` did.

    Attributes
    ----------
    sources : tuple of (old root, new root)
    checked : int
        Photos that were looked at in the new place.
    problems : tuple of str
        Those of them that are missing or have changed there, one line each.
    """

    sources: tuple[tuple[str, str], ...]
    checked: int
    problems: tuple[str, ...]


def relocate_index(path: str | Path, old: str | Path, new: str | Path) -> Relocation:
    """Replace the place `old` of an index's sources by `new`, in one step, after a look at some of the photos there.

    Parameters
    ----------
    path : path
        The index.
    old : path
        The root of a source, or a folder above some of them, as `ceret info` shows them.
    new : path
        Where it is now.

    Raises
    ------
    SettingsError
        `new` is `old`.
    PhotoIndexError
        No source lies at `old`, `new` does not exist or is a source already, or most of the photos looked at are missing or
        others there. The index is then as it was.
    LockedIndexError, StorageError
    """
    path = Path(path)
    before, after = os.path.abspath(old), os.path.abspath(new)
    if after == before:
        raise SettingsError(f"{after} is given as the old and the new place: give the place where the photos are now")
    if not os.path.lexists(after):
        raise PhotoIndexError(f"{after} does not exist: give the new place of {before}")
    read_manifest(path)  # no lock is left where no index is
    with writer_lock(path):
        manifest = read_manifest(path)
        clear_leftovers(path, manifest.segments)
        moved = {n: _moved(source, before, after) for n, source in enumerate(manifest.sources)}
        numbers = [number for number, source in moved.items() if source != manifest.sources[number]]
        if not numbers:
            roots = ", ".join(sorted({source.root for source in manifest.sources})[:3])
            raise PhotoIndexError(f"no source of {path} lies at {before}: its sources are at {roots}")
        relocated = dataclasses.replace(manifest, sources=tuple(moved.values()))
        if len(set(relocated.sources)) < len(set(manifest.sources)):
            raise PhotoIndexError(f"{after} is a source of {path} already: delete the index and build it again")
        index = PhotoIndex(path, relocated)
        checked, problems = 0, []
        for number in numbers:
            sample = _sample(path, manifest, number)
            bad = [problem for record in sample if (problem := _problem(index, record))]
            if 2 * len(bad) > len(sample):
                raise PhotoIndexError(
                    f"of {counted(len(sample), 'photo')} looked at in {relocated.sources[number].root}, {len(bad)} cannot be "
                    f"read or differ from those indexed, the first: {bad[0]}; give the folder that holds them now"
                )
            checked += len(sample)
            problems += bad
        write_manifest(path, relocated)
    pairs = ((manifest.sources[number].root, relocated.sources[number].root) for number in numbers)
    return Relocation(tuple(pairs), checked, tuple(problems))


def _moved(source: Source, before: str, after: str) -> Source:
    if source.root == before:
        return Source(source.kind, after)
    below = source.root.removeprefix(os.path.join(before, ""))
    return Source(source.kind, os.path.join(after, below)) if below != source.root else source


def _sample(path: Path, manifest: Manifest, number: int) -> list[PhotoRecord]:
    """Return up to SAMPLE records of a source, spread over all of them."""
    rows = []
    for segment in manifest.segments:
        table = read_table(path, segment, len(manifest.sources)).take(kept_rows(segment))
        found = np.flatnonzero(numbers_of(table.column("source")) == number)
        rows += table.take(found[:: max(1, len(found) // SAMPLE)]).to_pylist()
    chosen = np.unique(np.linspace(0, len(rows) - 1, SAMPLE).astype(int)) if rows else ()
    return [PhotoRecord(**rows[row]) for row in chosen]


def _problem(index: PhotoIndex, record: PhotoRecord) -> str | None:
    try:
        index.read_bytes(record)
    except PhotoError as error:
        # Without its own remedy, which is for a photo that has not moved.
        what = "cannot be read" if error.__cause__ else "has changed since it was indexed"
        return f"{index.name_of(record)} {what}"
    return None
