"""The rows of an index by their photos: found by name or by path, with what was known of each file."""

import functools
import os
from pathlib import Path

import numpy as np

from ce_retrieval.photo_index.columns import numbers_of
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.repeats import Repeat, content_of
from ce_retrieval.photo_index.segment_files import read_kinds, read_places, read_stamps, read_table
from ce_retrieval.photos import PhotoItem
from ce_retrieval.photos.base import plain_text
from ce_retrieval.photos.walk import is_hidden
from ce_retrieval.places.inverted_file import NOT_DESCRIBED

Name = tuple[int, str]  # of a photo: number of its source, key


class Rows:
    """The photos that an index has described, removed ones too; a row counts through all segments.

    Attributes
    ----------
    manifest : Manifest
    sources : int64 (n,)
        Number of each row's source.
    keys : list of str
    kept : bool (n,)
        False for removed rows.
    skipped : name -> reason
        Photos that could not be read.
    repeats : list of Repeat
        Photos that are left out as duplicates.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        names = ("source", "offset", "length", "key", "sha256")
        tables = [read_table(folder, segment, len(manifest.sources), names) for segment in manifest.segments]
        columns = [[table.column(name) for table in tables] for name in names[:3]]
        self.sources, self._offsets, self._lengths = (
            np.concatenate([np.empty(0, np.int64), *map(numbers_of, parts)]) for parts in columns
        )
        self._stamps = np.concatenate(
            [np.empty((0, 2), np.int64), *(read_stamps(folder, segment) for segment in manifest.segments)]
        )
        self.keys: list[str] = [key for table in tables for key in table.column("key").to_pylist()]
        self._sha256: list[str] = [sha256 for table in tables for sha256 in table.column("sha256").to_pylist()]
        self._starts = np.cumsum([0, *(segment.count for segment in manifest.segments)])
        self.kept = np.ones(len(self.keys), bool)
        for start, segment in zip(self._starts.tolist(), manifest.segments, strict=False):
            self.kept[start + np.array(segment.removed, np.int64)] = False
        self._names_out, self._contents_out = frozenset(manifest.kept_out.names), frozenset(manifest.kept_out.sha256)
        self.skipped = {(one.source, one.key): one.reason for one in manifest.skipped if one.is_photo}
        self.repeats = [one for segment in manifest.segments for one in segment.repeats]
        self._repeats = {(one.name, one.offset): one for one in self.repeats}
        self._names_repeated = {one.name for one in self.repeats}
        self._of_name: dict[Name, list[int]] = {}
        bare = self._not_described(folder)
        for row, name in enumerate(zip(self.sources.tolist(), self.keys, strict=True)):
            if row not in bare:
                self._of_name.setdefault(name, []).append(row)
        for rows in self._of_name.values():
            rows.sort(key=lambda row: not self.kept[row])  # one that holds is found before a removed one like it

    def _not_described(self, folder: Path) -> set[int]:
        """Return the removed rows without kind or local features, which came later: their photos cannot come back to them."""
        kind, places = self.manifest.kind, self.manifest.places
        file = self.manifest.kind_file
        found: set[int] = set()
        for start, segment in zip(self._starts.tolist(), self.manifest.segments, strict=False):
            if kind and file and segment.removed:
                vectors = read_kinds(folder, segment, file, kind.channels)
                found |= {start + row for row in segment.removed if not vectors[row].any()}
            if places and segment.removed:
                counts = read_places(folder, segment, places.file).counts
                found |= {start + row for row in segment.removed if counts[row] == NOT_DESCRIBED}
        return found

    def of(self, name: Name) -> list[int]:
        """Return the rows of a photo; several if it has changed, or if a tar has two members of that name."""
        return self._of_name.get(name, [])

    def knows(self, name: Name) -> bool:
        """Return whether the index has described or skipped the photo, keeps it out, or left it out as a duplicate."""
        known = name in self._of_name or name in self.skipped or name in self._names_out
        return known or name in self._names_repeated

    def repeat_at(self, name: Name, item: PhotoItem) -> Repeat | None:
        """Return what is noted of an item that was left out as a duplicate, None if it was not."""
        return self._repeats.get((name, item.offset))

    def as_repeat(self, row: int) -> Repeat:
        """Return the note of a row's photo as a duplicate."""
        name = int(self.sources[row]), self.keys[row]
        return Repeat(*name, int(self._offsets[row]), self._sha256[row], *self._stamps[row].tolist())

    def contents(self, rows: np.ndarray) -> set[bytes]:
        """Return the hashes of the bytes of which the rows were made that a mask bool (n,) marks."""
        return {content_of(self._sha256[row]) for row in np.flatnonzero(rows).tolist()}

    def keeps_out(self, name: Name) -> bool:
        """Return whether a photo of this name was removed on purpose, whatever its file holds."""
        return name in self._names_out

    @property
    def keeps_out_contents(self) -> bool:
        """Whether photos were removed on purpose by what their files hold."""
        return bool(self._contents_out)

    def keeps_out_content(self, sha256: str) -> bool:
        """Return whether photos with these bytes were removed on purpose, whatever their names."""
        return sha256 in self._contents_out

    def sha256_of(self, row: int) -> str:
        """Return the hash of the bytes of which a row was made."""
        return self._sha256[row]

    def with_stamp(self, rows: list[int], item: PhotoItem, stamp: tuple[int, int]) -> int | None:
        """Return which of the rows was made of a file with this size and time of change, None if none was."""
        return next(
            (row for row in rows if self._is_at(row, item) and tuple(self._stamps[row].tolist()) == stamp), None
        )

    def with_hash(self, rows: list[int], item: PhotoItem, sha256: str) -> int | None:
        """Return which of the rows was made of these bytes at the item's place, None if none was."""
        return next((row for row in rows if self._is_at(row, item) and self._sha256[row] == sha256), None)

    def _is_at(self, row: int, item: PhotoItem) -> bool:
        return bool(self._offsets[row] == item.offset and self._lengths[row] == item.length)

    def name_of(self, number: int, item: PhotoItem) -> Name:
        """Return the name of an item: that under which the index knows its file or has its folder, or else its own."""
        own = number, item.key
        if self.knows(own) or not item.path:
            return own
        inside = {n: plain_text(item.path[len(root) :]) for n, root in self.roots.items() if item.path.startswith(root)}
        known = [name for name in inside.items() if self.knows(name)]
        if known or item.path in self._files or item.path in self._linked:
            return known[0] if known else self._files.get(item.path) or self._linked[item.path]
        visible = [n for n, key in inside.items() if not any(is_hidden(part) for part in key.split("/"))]
        whole = [n for n in visible if self.manifest.sources[n].kind == "folder"]
        return (whole[0], inside[whole[0]]) if whole and number not in whole else own

    @functools.cached_property
    def _files(self) -> dict[str, Name]:
        """Real path -> name, of the sources that are a single file."""
        sources = enumerate(self.manifest.sources)
        names = {n: plain_text(os.path.basename(source.root)) for n, source in sources if source.kind == "file"}
        return {os.path.realpath(self.manifest.sources[n].root): (n, name) for n, name in names.items()}

    @functools.cached_property
    def roots(self) -> dict[int, str]:
        """The sources that are folders: number -> real path with a "/" at its end."""
        folders = {n: source.root for n, source in enumerate(self.manifest.sources) if source.is_folder}
        return {number: os.path.join(os.path.realpath(root), "") for number, root in folders.items()}

    @functools.cached_property
    def _linked(self) -> dict[str, Name]:
        """Real path -> name, of the photos in folders that only a link leads to."""
        folders: dict[Name, list[Name]] = {}
        for number, key in (*self._of_name, *self.skipped, *self._names_out, *self._names_repeated):
            if number in self.roots:
                folders.setdefault((number, os.path.dirname(key)), []).append((number, key))
        found: dict[str, Name] = {}
        for (number, folder), names in folders.items():
            place = os.path.join(self.roots[number], folder).rstrip("/")
            real = os.path.realpath(place)
            links = _links_in(place) if real == place else None
            for name in names:
                base = os.path.basename(name[1])
                if links is None or base in links:
                    found[os.path.realpath(os.path.join(real, base))] = name
        return found

    def split(self, rows: np.ndarray) -> list[tuple[int, ...]]:
        """Return the rows that a mask bool (n,) marks, as numbers within each segment."""
        bounds = zip(self._starts[:-1].tolist(), self._starts[1:].tolist(), strict=True)
        return [tuple(np.flatnonzero(rows[start:end]).tolist()) for start, end in bounds]


def _links_in(folder: str) -> set[str]:
    try:
        with os.scandir(folder) as entries:
            return {entry.name for entry in entries if entry.is_symlink()}
    except OSError:  # gone, or not readable: then no item leads there either
        return set()
