"""Merging indexes: a new one that holds the photos of all, made of the files of the others."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError, SettingsError, cut
from ce_retrieval.photo_index.batches import Progress
from ce_retrieval.photo_index.beside import with_files
from ce_retrieval.photo_index.code_update import settled, without_codes
from ce_retrieval.photo_index.manifest import Manifest, read_manifest, write_manifest
from ce_retrieval.photo_index.manifest_parts import PHOTOS, Segment, Source, StoredFile, digest
from ce_retrieval.photo_index.merged_photos import Counts, MergedPhotos, Names
from ce_retrieval.photo_index.rows import Name
from ce_retrieval.photo_index.segment_files import check_segment, file_problem, kept_rows, read_table
from ce_retrieval.photo_index.segments import is_kind_file, is_places_file, table_file
from ce_retrieval.photo_index.settings import IndexSettings
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.settings import check_list
from ce_retrieval.storage import ReaderLock, check_folder, clear_new_folders, new_folder, write_file

_ALIKE = ("descriptor", "size", "hole", "cells", "channels", "weights_sha256")
_SHOWN = {"weights_sha256": "weights", "hole": "hole protocol", "size": "size in px"}


@dataclass(frozen=True)
class Merge:
    """What `merge_indexes` did.

    Attributes
    ----------
    photos : int
        Photos of the new index.
    repeated : int
        Photos that several of the indexes hold; each is in the new one once.
    kept_out : int
        Photos that one of the indexes holds and another keeps out; they stay removed.
    linked, copied : int
        Files that the new index shares with the others (hard links), and files that were copied.
    notes : tuple of (path, line)
        What the new index lacks, since not all of the others have it.
    """

    photos: int
    repeated: int
    kept_out: int
    linked: int
    copied: int
    notes: tuple[tuple[str, str], ...]


def merge_indexes(out: str | Path, paths: Sequence[str | Path], *, progress: Progress | None = None) -> Merge:
    """Make at `out` one index of the photos of several, which are not changed and may be in use.

    The order of the photos is that of the indexes, and their vectors are the same bytes. Files of segments are immutable, so
    they are shared by hard links where the file system allows, and copied elsewhere; each is verified. Equal sources become
    one. A photo that several indexes hold is taken from the first of them. What one of them keeps out stays out. `out` is put
    in place whole at the end: a killed merge leaves a hidden folder beside it, which the next one deletes.

    Parameters
    ----------
    out : path
        Nothing, or an empty folder, may stand there.
    paths : list of path
        At least two indexes of the same features, size, hole protocol and weights.
    progress : callable or None
        Called with the segments done and the segments in total.

    Raises
    ------
    SettingsError
        Fewer than two paths are given.
    PhotoIndexError
        An index is missing, unfinished or unlike the first, or no photo is left; or something stands at `out`.
    CorruptIndexError
        A file of an index is damaged.
    StorageError
    """
    check_list("`paths`", paths)
    out, places, settings = Path(out), [Path(path) for path in paths], IndexSettings()
    if len(places) < 2:
        raise SettingsError(f"a merge needs several indexes, {len(places)} given: give at least two")
    _check_out(out)
    locks = [ReaderLock(path) for path in places]
    manifests = [read_manifest(path) for path in places]
    for path, manifest in zip(places, manifests, strict=True):
        _check_alike(path, manifest, places[0], manifests[0])
    clear_new_folders(out)
    counts = Counts()
    with new_folder(out) as temporary:
        merged = _merged(temporary, places, manifests, counts, progress)
        if not merged.count:
            raise PhotoIndexError(
                f"no photo is left of {len(places)} indexes: each is removed or kept out by one of them"
            )
        write_manifest(temporary, settled(temporary, merged, settings.recall, settings.max_memory, None))
    for lock in locks:
        lock.close()
    notes = []
    if not merged.kind and any(manifest.kind for manifest in manifests):
        notes.append((str(out), f"no kind features, which differ: add them with `ceret add {out} --kind kind`"))
    if not merged.places and any(manifest.places for manifest in manifests):
        notes.append((str(out), f"no local features, which differ: add them with `ceret add {out} --places`"))
    return Merge(merged.count, counts.repeated, counts.kept_out, counts.linked, counts.copied, tuple(notes))


def _check_out(out: Path) -> None:
    check_outside(out)
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise PhotoIndexError(f"{out} exists already: choose another name, or delete it first")
    check_folder(out)


def _check_alike(path: Path, manifest: Manifest, first_path: Path, first: Manifest) -> None:
    """Raise PhotoIndexError unless an index is finished, and its photos were described as those of the first."""
    if not manifest.complete:
        raise PhotoIndexError(f"the build of {path} was stopped: run its `ceret index` command again first")
    for name in _ALIKE:
        own, other = (cut(str(getattr(one, name)), 40) for one in (manifest, first))
        if getattr(manifest, name) != getattr(first, name):
            raise PhotoIndexError(
                f"{path} has {_SHOWN.get(name, name)} {own} and {first_path} has {other}: build one of them anew with "
                "`ceret index` and the settings of the other"
            )


def _merged(
    folder: Path, paths: Sequence[Path], manifests: Sequence[Manifest], counts: Counts, progress: Progress | None
) -> Manifest:
    """Write the segments of all indexes into a folder; return the manifest that names them."""
    names = Names(manifests)
    photos = MergedPhotos(names, manifests, counts)
    base = _base(manifests, names.sources)
    segments: list[Segment] = []
    total = sum(len(manifest.segments) for manifest in manifests)
    for path, manifest in zip(paths, manifests, strict=True):
        taker = _Taker(folder, path, names.numbers(manifest), names, photos, counts)
        for segment in without_codes(manifest).segments:
            if not base.kind:
                segment = with_files(segment, is_kind_file)
            if not base.places:
                segment = with_files(segment, is_places_file)
            segments.append(taker.take(segment, f"{len(segments) + 1:06d}"))
            if progress:
                progress(len(segments), total)
    return dataclasses.replace(base, kept_out=photos.kept_out, segments=photos.without_old_notes(segments))


def _base(manifests: Sequence[Manifest], sources: tuple[Source, ...]) -> Manifest:
    """Return the new manifest without segments: with the kind features and local features that all have alike."""
    first = without_codes(manifests[0])  # codes are made anew, of all photos
    libraries: dict[str, str] = {}
    for name in dict.fromkeys(name for manifest in manifests for name in manifest.libraries):
        versions = [manifest.libraries[name] for manifest in manifests if name in manifest.libraries]
        libraries[name] = ", ".join(dict.fromkeys(versions))
    return dataclasses.replace(
        first,
        sources=sources,
        kind=first.kind if all(manifest.kind == first.kind for manifest in manifests) else None,
        places=first.places if all(manifest.places == first.places for manifest in manifests) else None,
        skip_duplicates=any(manifest.skip_duplicates for manifest in manifests),
        libraries=libraries,
    )


class _Taker:
    """Puts segments of one index into the folder of the merged one."""

    def __init__(
        self, folder: Path, path: Path, numbers: Mapping[int, int], names: Names, photos: MergedPhotos, counts: Counts
    ) -> None:
        self._folder, self._path, self._numbers = folder, path, numbers
        self._names, self._photos, self._counts = names, photos, counts

    def take(self, segment: Segment, name: str) -> Segment:
        """Put a segment there under a new name, and with the names that its photos have now."""
        records = {PHOTOS: segment.files[PHOTOS]}
        check_segment(self._path, dataclasses.replace(segment, files=records))
        table = read_table(self._path, segment, len(self._numbers))
        columns = {one: table.column(one).to_pylist() for one in ("source", "key", "offset", "sha256")}
        known = list(zip(columns["source"], columns["key"], strict=True))
        names = [self._names.of(self._numbers[number], key) for number, key in known]
        kept = kept_rows(segment).tolist()
        left_out = self._photos.leave_out(names, columns["offset"], columns["sha256"], kept)
        to = self._folder / "segments" / name
        to.mkdir(parents=True)
        files = dict(segment.files)
        for file, stored in segment.files.items():
            if file == PHOTOS and names != known:
                content = table_file(_renamed(table, names))
                write_file(to / file, content)
                files[file] = digest(content)
                self._counts.copied += 1
            else:
                self._put(self._path / "segments" / segment.name / file, to / file, stored)
        removed = tuple(np.union1d(np.array(segment.removed, np.int64), np.array(left_out, np.int64)).tolist())
        segment = self._photos.with_names(segment, self._numbers)
        return dataclasses.replace(segment, name=name, files=files, removed=removed)

    def _put(self, old: Path, new: Path, stored: StoredFile) -> None:
        """Link or copy a file, and verify what stands in the new place."""
        try:
            os.link(old, new)
            self._counts.linked += 1
        except OSError:  # another file system, one without links, or a file with too many: a copy will do
            with contextlib.suppress(FileNotFoundError):  # that is a problem of the index, told below
                shutil.copyfile(old, new)
            self._counts.copied += 1
        if problem := file_problem(new, stored):
            raise CorruptIndexError(f"{old} {problem}: restore it from a copy, or see `ceret verify {self._path}`")


def _renamed(table: Any, names: Sequence[Name]) -> Any:
    """Return records with other names of their photos."""
    import pyarrow as pa

    for column, values in (
        ("source", pa.array([number for number, _ in names], pa.int64())),
        ("key", pa.array([key for _, key in names], pa.string())),
    ):
        table = table.set_column(table.schema.get_field_index(column), column, values)
    return table
