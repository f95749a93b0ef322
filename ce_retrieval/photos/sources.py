"""Sources of photos: folders, single files, and the registry that opens any kind."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Callable, Iterable, Iterator

from ce_retrieval.errors import PhotoError, SettingsError, SourceError
from ce_retrieval.photos.base import (
    IMAGE_SUFFIXES,
    PassedOver,
    PhotoItem,
    PhotoSource,
    first_folder,
    is_image_name,
    plain_text,
    remedy_for,
    unread_suffix,
)
from ce_retrieval.photos.files import read_bytes
from ce_retrieval.photos.walk import walk

_PARQUET_SUFFIXES = (".parquet", ".parq", ".pq")
_SHARD_SUFFIXES = (".tar", *_PARQUET_SUFFIXES)
_COMPRESSED_TAR = re.compile(r"\.(tar\.\w+|t[gbxz]z2?|tzst)$")


class FolderSource:
    """The photos of a folder and its subfolders.

    An item's key is its relative posix path, and its label the first folder of the key. Items are sorted by key (code
    points). Memory holds the names of one branch of folders, never the whole tree. Links are followed, except those to a
    folder that contains them. Hidden files and folders (leading dot) and files without a photo's suffix are skipped, and so
    are results of ceret, masks beside their photos, and the subfolders `apart` (`passed_over` counts these). A photo that
    cannot be read is still an item: `read` says why.
    """

    kind = "folder"

    def __init__(self, path: str | os.PathLike[str], apart: Iterable[str | os.PathLike[str]] = ()) -> None:
        self.root = os.path.abspath(path)
        self.passed_over = PassedOver()
        self._apart = tuple(apart)
        if not os.path.isdir(self.root):
            raise SourceError(f"{self.root}: not a folder; give the folder that holds the photos")

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photos in the order of their keys; SourceError names a folder that cannot be listed."""
        self.passed_over = PassedOver()
        for relative in walk(self.root, is_image_name, self.passed_over, self._apart):
            key = plain_text(relative)
            yield PhotoItem(key, first_folder(key))

    def count(self) -> int:
        """Return the number of photo files: lists every folder once, opens no photo."""
        return sum(1 for _ in walk(self.root, is_image_name, PassedOver(), self._apart))

    def read(self, item: PhotoItem) -> bytes:
        """Return the file's bytes; PhotoError if it cannot be read, or its key leads out of the folder."""
        name = f"{self.root}/{item.key}"
        if item.key.startswith("/") or ".." in item.key.split("/"):
            raise PhotoError(f"{name}: leads out of the folder {self.root}")
        if "\\x" in item.key and not os.path.lexists(name):
            raise PhotoError(f"{name}: its name is not valid UTF-8; rename the file")
        return read_bytes(name)

    def close(self) -> None:
        """Nothing is held open."""


class FileSource:
    """One photo file; its key is the file name."""

    kind = "file"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(path)
        self.passed_over = PassedOver()
        if not os.path.isfile(self.root):
            raise SourceError(f"{self.root}: not a photo file; give a file with one of {', '.join(IMAGE_SUFFIXES)}")

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photo."""
        yield PhotoItem(plain_text(os.path.basename(self.root)))

    def count(self) -> int:
        """Return 1."""
        return 1

    def read(self, item: PhotoItem) -> bytes:
        """Return the file's bytes; PhotoError if it cannot be read, or `item` is from another source."""
        if item.key != plain_text(os.path.basename(self.root)):
            raise PhotoError(f"{item.key}: not in {plain_text(self.root)}, which is a single photo")
        return read_bytes(self.root, name=plain_text(self.root))

    def close(self) -> None:
        """Nothing is held open."""


def _tar(path: str) -> PhotoSource:
    from ce_retrieval.photos.shards import TarSource

    return TarSource(path)


def _parquet(path: str) -> PhotoSource:
    from ce_retrieval.photos.tables import ParquetSource

    return ParquetSource(path)


#: kind -> opener of a source of that kind.
SOURCES: dict[str, Callable[[str], PhotoSource]] = {
    "folder": FolderSource,
    "tar": _tar,
    "parquet": _parquet,
    "file": FileSource,
}


def open_source(
    path: str | os.PathLike[str],
    kind: str | None = None,
    *,
    check: bool = True,
    apart: Iterable[str | os.PathLike[str]] = (),
) -> PhotoSource:
    """Open one source of photos.

    Parameters
    ----------
    path : path
        a folder, an uncompressed .tar in WebDataset form, a parquet table (.parquet, .parq, .pq), or a photo file.
    kind : str or None
        a key of `SOURCES`; None chooses by the path.
    check : bool
        look for a photo first, and scan a tar for unsafe names and damage. False is for reading items that are already
        known, and just as safe: nothing is ever extracted.
    apart : paths
        subfolders of a folder that are not read: where results go.

    Raises
    ------
    SourceError
        missing, unsupported, damaged, unsafe, or without a photo.
    SettingsError
        `kind` is unknown.
    """
    where = os.path.abspath(path)
    if not os.path.lexists(where):
        raise SourceError(f"{where}: no such file or folder; check the path")
    if kind is None:
        kind = _kind_of(where)
    if kind not in SOURCES:
        raise SettingsError(f"unknown kind of photo source {kind!r}: use one of {', '.join(SOURCES)}")
    source = FolderSource(where, apart) if kind == "folder" else SOURCES[kind](where)
    if check:
        try:
            _check_holds_photos(source)
        except BaseException:
            source.close()
            raise
    return source


def open_sources(
    paths: Iterable[str | os.PathLike[str]], apart: Iterable[str | os.PathLike[str]] = ()
) -> list[PhotoSource]:
    """Open several sources in the given order; a path that occurs twice is opened once.

    A path that does not exist may be a pattern: `train-*.tar`, or WebDataset's `train-{000..146}.tar`. A folder with shards
    (tar, parquet; at any depth) and without a photo stands for its shards, in the order of their paths; a folder with a
    photo stands for its photos alone. apart: subfolders that are not read.

    Raises
    ------
    SourceError
        `paths` is empty, or the first source that `open_source` refuses.
    """
    where: dict[str, None] = {}
    apart = tuple(apart)
    for path in paths:
        for found in _matches(os.fspath(path)):
            is_folder = os.path.isdir(found) and next(walk(found, is_image_name, PassedOver(), apart), None) is None
            names = walk(found, _is_shard_name, PassedOver(), apart) if is_folder else ()
            shards = [os.path.join(found, name) for name in names]
            where.update(dict.fromkeys(map(os.path.abspath, shards or [found])))
    if not where:
        raise SourceError("no photo source was given; name a folder, a .tar, a .parquet or a photo")
    opened: list[PhotoSource] = []
    try:
        for path in where:
            opened.append(open_source(path, apart=apart))
    except BaseException:
        for source in opened:
            source.close()
        raise
    return opened


def _kind_of(path: str) -> str:
    name = os.path.basename(path).lower()
    if os.path.isdir(path):
        return "folder"
    if name.endswith(".tar") or _COMPRESSED_TAR.search(name):
        return "tar"
    if name.endswith(_PARQUET_SUFFIXES):
        return "parquet"
    if is_image_name(name):
        return "file"
    if suffix := unread_suffix(name):
        raise SourceError(f"{path}: photos with suffix {suffix} are not read here: {remedy_for(suffix)}")
    raise SourceError(
        f"{path}: not a known kind of photo source; expected a folder, a .tar, a .parquet, or a photo "
        f"({', '.join(IMAGE_SUFFIXES)})"
    )


def _check_holds_photos(source: PhotoSource) -> None:
    if source.kind == "folder":
        if next(source.items(), None) is None:
            shards = sum(1 for _ in walk(source.root, _is_shard_name, PassedOver()))
            others = [note.partition(": ")[2] for note in source.passed_over.notes(source.root)]
            remedy = f"it holds {shards} shards: give those" if shards else "; ".join(others) or "check the path"
            raise SourceError(f"{source.root}: no photo in it ({', '.join(IMAGE_SUFFIXES)}); {remedy}")
    elif source.count() == 0:
        raise SourceError(f"{source.root}: no photo in it; check that it is the file you meant")


def _is_shard_name(name: str) -> bool:
    return name.lower().endswith(_SHARD_SUFFIXES)


def _matches(path: str) -> list[str]:
    """Return the paths that a pattern stands for; the path itself if it exists or is not a pattern."""
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
