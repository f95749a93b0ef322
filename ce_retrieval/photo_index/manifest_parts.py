"""What a manifest is made of: files, segments, sources, and what these hold that the index does not."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from ce_retrieval.photo_index.repeats import Repeat

VECTORS, PHOTOS = "vectors.h5", "photos.parquet"  # files that every segment has


@dataclass(frozen=True)
class StoredFile:
    """A file of a segment: size in bytes and SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Skipped:
    """What a source holds and the index does not.

    Attributes
    ----------
    source : int
        Number of the source.
    key : str
        A photo that could not be read; with "/" at its end, a folder that could not be listed; "**/*.heic": all files with
        that suffix, which were not looked at.
    reason : str
    """

    source: int
    key: str
    reason: str

    @property
    def is_photo(self) -> bool:
        """Whether it is a photo, which a later run tries again."""
        return not self.key.endswith("/") and not self.is_pattern

    @property
    def is_pattern(self) -> bool:
        """Whether it stands for all files with a suffix."""
        return self.key.startswith("**/*.")


@dataclass(frozen=True)
class Segment:
    """A complete, immutable part of an index.

    Attributes
    ----------
    name : str
        Its folder.
    items : int
        Items of the sources that it consumed when it was written: photos and skipped ones. Of a compacted segment, photos.
    count : int
        Photos in its files.
    keys_sha256 : str
        Hash of the items' names, by which a resumed build checks that the sources are still the same.
    files : file name -> StoredFile
    skipped : tuple of Skipped
        Noted with this segment. Unlike the files, it changes when the sources do.
    removed : tuple of int
        Rows whose photos have vanished, changed or been removed since, ascending. They are no part of the index any more.
    repeats : tuple of Repeat
        Photos that are left out as duplicates, noted with this segment.
    """

    name: str
    items: int
    count: int
    keys_sha256: str
    files: Mapping[str, StoredFile]
    skipped: tuple[Skipped, ...] = ()
    removed: tuple[int, ...] = ()
    repeats: tuple[Repeat, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where photos come from: the kind of source and its absolute path."""

    kind: str
    root: str

    @property
    def is_folder(self) -> bool:
        """Whether its photos are files below `root`."""
        return self.kind in ("folder", "files")


def digest(data: bytes | memoryview) -> StoredFile:
    """Return the size and checksum of a file's content."""
    return StoredFile(len(data), hashlib.sha256(data).hexdigest())
