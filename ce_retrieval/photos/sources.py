"""The kinds of photo sources, and what opens one."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable

from ce_retrieval.errors import SettingsError, SourceError, counted
from ce_retrieval.photos.base import IMAGE_SUFFIXES, PhotoSource, is_image_name, remedy_for, unread_suffix
from ce_retrieval.photos.folder_sources import (
    PARQUET_SUFFIXES,
    SHARD_SUFFIXES,
    FileSource,
    FilesSource,
    FolderSource,
)

_COMPRESSED_TAR = re.compile(r"\.(tar\.\w+|t[gbxz]z2?|tzst)$")


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
    "files": FilesSource,
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


def _kind_of(path: str) -> str:
    name = os.path.basename(path).lower()
    if os.path.isdir(path):
        return "folder"
    if name.endswith(".tar") or _COMPRESSED_TAR.search(name):
        return "tar"
    if name.endswith(PARQUET_SUFFIXES):
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
            suffixes = source.passed_over.suffixes
            shards = sum(suffixes[suffix] for suffix in SHARD_SUFFIXES)
            others = [line for _, line in source.passed_over.notes(source.root)]
            held = f"it holds {counted(shards, 'shard')}: give {'that' if shards == 1 else 'those'}"
            remedy = held if shards else "; ".join(others) or "check the path"
            raise SourceError(f"{source.root}: no photo in it ({', '.join(IMAGE_SUFFIXES)}); {remedy}")
    elif source.count() == 0:
        raise SourceError(f"{source.root}: no photo in it; check that it is the file you meant")
