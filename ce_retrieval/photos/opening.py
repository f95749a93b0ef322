"""All the photos that a command was given: paths and patterns, each photo once, and what holds none passed over."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from ce_retrieval.errors import SourceError, some
from ce_retrieval.photos.base import PhotoSource, is_image_name, plain_text, unread, unread_suffix
from ce_retrieval.photos.folder_sources import FilesSource, FolderSource, connect, shard_suffix
from ce_retrieval.photos.sources import open_source
from ce_retrieval.photos.walk import walk
from ce_retrieval.settings import check_list


class Sources(list[PhotoSource]):
    """The sources that `open_sources` opened, and what it passed over.

    Attributes
    ----------
    given : tuple of str
        The absolute paths that were asked for.
    refused : list of (path, reason)
        Those that hold no photo.
    suffixes : suffix -> number of files
        Images of kinds that are not read among the given paths.
    parts : list of str
        Given paths that are read as part of another.
    """

    def __init__(self, given: tuple[str, ...]) -> None:
        super().__init__()
        self.given = given
        self.refused: list[tuple[str, str]] = []
        self.suffixes: Counter[str] = Counter()
        self.parts: list[str] = []

    def refuse(self, path: str, error: SourceError) -> None:
        """Note a path that holds no photo."""
        self.refused.append((plain_text(path), str(error).removeprefix(f"{path}: ")))

    def notes(self) -> list[tuple[str, str]]:
        """Return (path, line) for all that was passed over; complete when all items have been read."""
        lines = [("the given paths", unread(suffix, count)) for suffix, count in sorted(self.suffixes.items())]
        if self.parts:
            lines.append((some([plain_text(path) for path in self.parts]), "given twice, read once"))
        return [*lines, *(note for source in self for note in source.passed_over.notes(source.root))]

    def close(self) -> None:
        """Close all sources."""
        for source in self:
            source.close()


def open_sources(paths: Iterable[str | os.PathLike[str]], apart: Iterable[str | os.PathLike[str]] = ()) -> Sources:
    """Open several sources in the given order.

    A path that does not exist may be a pattern: `train-*.tar`, or WebDataset's `train-{000..146}.tar`. A folder with shards
    (tar, parquet; at any depth) and without a photo stands for its shards, in the order of their paths; a folder with a
    photo stands for its photos alone. Several photos of one folder are one source. What lies within another given folder is
    read as part of it. Of several paths, those that hold no photo are passed over (`Sources.refused`). apart: subfolders that
    are not read, where results go.

    Raises
    ------
    SourceError
        `paths` is empty, a path does not exist, or none holds a photo.
    SettingsError
        `paths` is one path and not a list.
    """
    check_list("`paths`", paths)
    places = [os.path.realpath(path) for path in apart]
    sources = Sources(tuple(dict.fromkeys(os.path.abspath(found) for path in paths for found in _matches(path))))
    try:
        for path, names, unread_suffixes in _plan(sources, places):
            try:
                source = FilesSource(path, names, unread_suffixes) if names else open_source(path, apart=places)
                sources.append(source)
            except SourceError as error:
                sources.refuse(path, error)
    except BaseException:
        sources.close()
        raise
    if not sources:
        raise _nothing(sources)
    connect(sources)
    return sources


def _plan(sources: Sources, apart: Sequence[str]) -> Iterator[tuple[str, list[str], list[str]]]:
    """Yield what to open: a path, or a folder with the names of some of its photos, and the suffixes of unread images."""
    paths = list(dict.fromkeys(_expanded(sources, apart)))
    if len(paths) > 1:
        for path in filter(_leads_up, paths):
            sources.refused.append((plain_text(path), "a link to a folder that contains it"))
        paths = [path for path in paths if not _leads_up(path)]
    first: dict[str, str] = {}  # real path -> path; of a file and a link to it, the file
    for path in sorted(paths, key=os.path.islink):
        first.setdefault(os.path.realpath(path), path)
    folders = {real: FolderSource(path, apart) for real, path in first.items() if os.path.isdir(real)}

    def is_part(real: str) -> bool:
        others = (folder for other, folder in folders.items() if other != real)
        return any(other.holds_folder(real) if real in folders else other.holds(real) for other in others)

    homes: dict[str, str] = {}  # real path of a folder -> the first path to it
    chosen: dict[tuple[str, bool], list[str]] = {}  # path, whether single photos in it -> their names
    others: dict[str, list[str]] = {}  # folder -> suffixes
    for path in paths:
        real = os.path.realpath(path)
        if first[real] != path or is_part(real):
            sources.parts.append(path)
        elif (suffix := unread_suffix(path)) and real not in folders and len(paths) > 1:
            others.setdefault(os.path.dirname(path), []).append(suffix)
        elif is_image_name(path) and real not in folders:
            home = os.path.dirname(path)
            home = homes.setdefault(os.path.realpath(home), home)
            chosen.setdefault((home, True), []).append(os.path.basename(path))
        else:
            chosen[path, False] = []
    for (path, _), names in chosen.items():
        if len(names) == 1:
            yield os.path.join(path, names[0]), [], []
        else:
            yield path, names, others.pop(path, []) if names else []
    sources.suffixes.update(suffix for suffixes in others.values() for suffix in suffixes)


def _expanded(sources: Sources, apart: Sequence[str]) -> Iterator[str]:
    """Yield the given paths, with the shards of a folder in its place; SourceError if one does not exist."""
    for path in sources.given:
        if not os.path.lexists(path):
            raise SourceError(f"{path}: no such file or folder; check the path")
        try:
            yield from _shards_in(path, apart) or [path]
        except SourceError as error:
            sources.refuse(path, error)


def _shards_in(path: str, apart: Sequence[str]) -> list[str]:
    """Return the shards in a folder without a photo; else nothing."""
    if not os.path.isdir(path) or next(walk(path, is_image_name, apart=apart), None) is not None:
        return []
    return [
        os.path.join(path, found.relative) for found in walk(path, lambda name: bool(shard_suffix(name)), apart=apart)
    ]


def _leads_up(path: str) -> bool:
    """Return whether a path is a link to a folder that contains the link."""
    home, real = os.path.realpath(os.path.dirname(path)), os.path.realpath(path)
    return os.path.islink(path) and os.path.join(home, "").startswith(os.path.join(real, ""))


def _nothing(sources: Sources) -> SourceError:
    """Return the error for given paths none of which holds a photo."""
    if not sources.given:
        return SourceError("no photo source was given; name a folder, a .tar, a .parquet or a photo")
    reasons = [f"{path}: {reason}" for path, reason in sources.refused]
    if len(reasons) == 1:
        return SourceError(reasons[0])
    why = [f"the first: {reasons[0]}"] if reasons else [line for _, line in sources.notes()]
    return SourceError(f"none of the {len(sources.given)} given paths holds a photo that can be read; {'; '.join(why)}")


def _matches(path: str | os.PathLike[str]) -> list[str]:
    """Return the paths that a pattern stands for; the path itself if it exists or is not a pattern."""
    path = os.fspath(path)
    if os.path.lexists(path):
        return [path]
    braces = re.search(r"\{(\d+)\.\.(\d+)\}", path)
    if braces:
        first, last = braces.groups()
        numbers = range(int(first), int(last) + 1)
        names = [f"{path[: braces.start()]}{n:0{len(first)}d}{path[braces.end() :]}" for n in numbers]
        return [match for name in names for match in _matches(name)]
    if not glob.has_magic(path):
        return [path]
    found = sorted(glob.glob(path, recursive=True))
    if not found:
        raise SourceError(f"{path}: nothing matches this pattern; check the path")
    return found
