"""Merging indexes: a new one that holds the photos of all, made of the files of the others."""

import contextlib
import dataclasses
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError, SettingsError, cut
from ce_retrieval.photo_index.batches import Progress
from ce_retrieval.photo_index.beside import with_files
from ce_retrieval.photo_index.kept_out import KeptOut
from ce_retrieval.photo_index.manifest import (
    Manifest,
    Segment,
    Source,
    StoredFile,
    digest,
    read_manifest,
    write_manifest,
)
from ce_retrieval.photo_index.segments import (
    PHOTOS,
    check_segment,
    file_problem,
    is_kind_file,
    is_places_file,
    kept_rows,
    read_table,
    table_file,
)
from ce_retrieval.photos.base import plain_text
from ce_retrieval.storage import ReaderLock, clear_new_folders, new_folder, write_file

_ALIKE = ("descriptor", "size", "hole", "cells", "channels", "recipe", "weights_sha256")
_SHOWN = {"weights_sha256": "weights", "hole": "hole protocol", "size": "size in px"}

Place = tuple[str, int]  # of a photo: path of its file, or container::key, and its offset there


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


@dataclass
class _Counts:
    """What a merge has met so far."""

    repeated: int = 0
    kept_out: int = 0
    linked: int = 0
    copied: int = 0


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
    out, places = Path(out), [Path(path) for path in paths]
    if len(places) < 2:
        raise SettingsError(f"{len(places)} indexes are given to merge: give at least two")
    _check_out(out, places)
    locks = [ReaderLock(path) for path in places]
    manifests = [read_manifest(path) for path in places]
    for path, manifest in zip(places, manifests, strict=True):
        _check_alike(path, manifest, places[0], manifests[0])
    clear_new_folders(out)
    counts = _Counts()
    with new_folder(out) as temporary:
        merged = _merged(temporary, places, manifests, counts, progress)
        if not merged.count:
            raise PhotoIndexError(
                f"no photo is left of {len(places)} indexes: each is removed or kept out by one of them"
            )
        write_manifest(temporary, merged)
    for lock in locks:
        lock.close()
    notes = []
    if not merged.kind and any(manifest.kind for manifest in manifests):
        notes.append((str(out), f"no kind features, which differ: add them with `ceret add {out} --kind kind`"))
    if not merged.places and any(manifest.places for manifest in manifests):
        notes.append((str(out), f"no local features, which differ: add them with `ceret add {out} --places`"))
    return Merge(merged.count, counts.repeated, counts.kept_out, counts.linked, counts.copied, tuple(notes))


def _check_out(out: Path, paths: Sequence[Path]) -> None:
    place = Path(os.path.realpath(out))
    for path in paths:
        if Path(os.path.realpath(path)) in place.parents:
            raise PhotoIndexError(f"{out} lies inside the index {path}: choose another place")
    if os.path.lexists(out) and not (out.is_dir() and not any(out.iterdir())):
        raise PhotoIndexError(f"{out} exists already: choose another name, or delete it first")


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
    folder: Path, paths: Sequence[Path], manifests: Sequence[Manifest], counts: _Counts, progress: Progress | None
) -> Manifest:
    """Write the segments of all indexes into a folder; return the manifest that names them."""
    sources, numbers = _united_sources(manifests)
    base = _base(manifests, sources)
    out = KeptOut()
    for manifest, mapped in zip(manifests, numbers, strict=True):
        out = out.with_more(((mapped[n], key) for n, key in manifest.kept_out.names), manifest.kept_out.sha256)
    photos = _Photos(sources, out, counts)
    segments: list[Segment] = []
    total = sum(len(manifest.segments) for manifest in manifests)
    for path, manifest, mapped in zip(paths, manifests, numbers, strict=True):
        for segment in manifest.segments:
            if not base.kind:
                segment = with_files(segment, is_kind_file)
            if not base.places:
                segment = with_files(segment, is_places_file)
            name = f"{len(segments) + 1:06d}"
            segments.append(_taken(folder, path, segment, name, mapped, photos))
            if progress:
                progress(len(segments), total)
    segments = photos.with_skipped(segments)
    return dataclasses.replace(base, kept_out=out, segments=tuple(segments))


def _united_sources(manifests: Sequence[Manifest]) -> tuple[tuple[Source, ...], list[dict[int, int]]]:
    """Return the sources of all manifests, equal ones once, and for each manifest its numbers -> the new ones."""
    sources: list[Source] = []
    known: dict[tuple[str, str], int] = {}
    numbers = []
    for manifest in manifests:
        mapped = {}
        for number, source in enumerate(manifest.sources):
            place = source.kind, os.path.realpath(source.root)
            if place not in known:
                known[place] = len(sources)
                sources.append(source)
            mapped[number] = known[place]
        numbers.append(mapped)
    return tuple(sources), numbers


def _base(manifests: Sequence[Manifest], sources: tuple[Source, ...]) -> Manifest:
    """Return the new manifest without segments: with the kind features and local features that all have alike."""
    first = manifests[0]
    libraries: dict[str, str] = {}
    for name in dict.fromkeys(name for manifest in manifests for name in manifest.libraries):
        versions = [manifest.libraries[name] for manifest in manifests if name in manifest.libraries]
        libraries[name] = ", ".join(dict.fromkeys(versions))
    return dataclasses.replace(
        first,
        sources=sources,
        kind=first.kind if all(manifest.kind == first.kind for manifest in manifests) else None,
        places=first.places if all(manifest.places == first.places for manifest in manifests) else None,
        libraries=libraries,
    )


class _Photos:
    """The photos that a merge has taken: each once, and none that is kept out."""

    def __init__(self, sources: Sequence[Source], out: KeptOut, counts: _Counts) -> None:
        self.counts = counts
        self._roots = [plain_text(os.path.realpath(source.root)) for source in sources]
        self._sources = sources
        self._taken: set[Place] = set()
        self._names_out = {self._place(number, key, -1)[0] for number, key in out.names}
        self._contents_out = set(out.sha256)

    def _place(self, number: int, key: str, offset: int) -> Place:
        source, root = self._sources[number], self._roots[number]
        if source.kind == "file":
            return root, offset
        return (f"{root.rstrip('/')}/{key}" if source.is_folder else f"{root}::{key}"), offset

    def leave_out(self, numbers: Sequence[int], table: dict[str, list], kept: Sequence[int]) -> list[int]:
        """Return which of the kept rows of a segment are not to be taken; the others count as taken."""
        left = []
        for row in kept:
            place = self._place(numbers[row], table["key"][row], table["offset"][row])
            if place[0] in self._names_out or table["sha256"][row] in self._contents_out:
                self.counts.kept_out += 1
            elif place in self._taken:
                self.counts.repeated += 1
            else:
                self._taken.add(place)
                continue
            left.append(row)
        return left

    def with_skipped(self, segments: Sequence[Segment]) -> list[Segment]:
        """Return segments without notes that another index makes obsolete: of photos that it has, or noted too."""
        taken, seen, cleared = {path for path, _ in self._taken}, set(), []
        for segment in segments:
            skipped = []
            for one in segment.skipped:
                path = self._place(one.source, one.key, -1)[0]
                if path not in seen and not (one.is_photo and path in taken):
                    skipped.append(one)
                seen.add(path)
            cleared.append(dataclasses.replace(segment, skipped=tuple(skipped)))
        return cleared


def _taken(
    folder: Path, path: Path, segment: Segment, name: str, numbers: Mapping[int, int], photos: _Photos
) -> Segment:
    """Put a segment of the index at `path` into a folder, under a new name and with new numbers of its sources."""
    import pyarrow as pa

    records = {PHOTOS: segment.files[PHOTOS]}
    check_segment(path, dataclasses.replace(segment, files=records))
    table = read_table(path, segment)
    own = table.column("source").to_pylist()
    mapped = [numbers[number] for number in own]
    columns = {column: table.column(column).to_pylist() for column in ("key", "offset", "sha256")}
    left_out = photos.leave_out(mapped, columns, kept_rows(segment).tolist())
    to = folder / "segments" / name
    to.mkdir(parents=True)
    files = dict(segment.files)
    for file, stored in segment.files.items():
        if file == PHOTOS and mapped != own:
            place = table.schema.get_field_index("source")
            content = table_file(table.set_column(place, "source", pa.array(mapped, pa.int64())))
            write_file(to / file, content)
            files[file] = digest(content)
            photos.counts.copied += 1
        else:
            _put(path / "segments" / segment.name / file, to / file, path, stored, photos.counts)
    skipped = tuple(dataclasses.replace(one, source=numbers[one.source]) for one in segment.skipped)
    removed = tuple(np.union1d(np.array(segment.removed, np.int64), np.array(left_out, np.int64)).tolist())
    return dataclasses.replace(segment, name=name, files=files, skipped=skipped, removed=removed)


def _put(old: Path, new: Path, index: Path, stored: StoredFile, counts: _Counts) -> None:
    """Link or copy a file, and verify what stands in the new place."""
    try:
        os.link(old, new)
        counts.linked += 1
    except OSError:  # another file system, one without links, or a file with too many: a copy will do
        with contextlib.suppress(FileNotFoundError):  # that is a problem of the index, told below
            shutil.copyfile(old, new)
        counts.copied += 1
    if problem := file_problem(new, stored):
        raise CorruptIndexError(f"{old} {problem}: restore it from a copy, or see `ceret verify {index}`")
