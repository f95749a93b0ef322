"""The manifest: the one file that says what an index is and which segments it has."""

import dataclasses
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError
from ce_retrieval.storage import replace_file

FORMAT = "ceret-index"
VERSION = 1
MANIFEST = "manifest.json"
HOLE_PROTOCOLS = ("none", "center")


@dataclass(frozen=True)
class StoredFile:
    """A file of a segment: size in bytes and SHA-256 in hexadecimal."""

    bytes: int
    sha256: str


@dataclass(frozen=True)
class Skipped:
    """A photo that could not be read: its source's number, its key there, and the reason."""

    source: int
    key: str
    reason: str


@dataclass(frozen=True)
class Segment:
    """A whole, immutable part of an index.

    items: how many items of the sources it consumed (photos and skipped ones); keys_sha256: hash of their names, by
    which a resumed build knows that the sources are still the same.
    """

    name: str
    items: int
    count: int
    keys_sha256: str
    files: Mapping[str, StoredFile]
    skipped: tuple[Skipped, ...] = ()


@dataclass(frozen=True)
class Source:
    """Where photos came from: the kind of source and its absolute path."""

    kind: str
    root: str


@dataclass(frozen=True)
class Manifest:
    """Everything an index says of itself. `complete` is False until its first build has ended."""

    descriptor: str
    size: int
    cells: int
    channels: int
    hole: str
    sources: tuple[Source, ...]
    weights_sha256: str | None = None
    recipe: str = "exact"
    segments: tuple[Segment, ...] = ()
    complete: bool = False
    libraries: Mapping[str, str] = field(default_factory=dict)

    @property
    def sha256(self) -> str:
        """The hash of the manifest's content: two indexes with the same hash hold the same vectors and records."""
        return digest(to_json(self)).sha256

    @property
    def count(self) -> int:
        """The number of photos in all segments."""
        return sum(segment.count for segment in self.segments)

    @property
    def skipped(self) -> tuple[Skipped, ...]:
        """The photos that could not be read, of all segments."""
        return tuple(skipped for segment in self.segments for skipped in segment.skipped)

    def name_of(self, source: int, key: str) -> str:
        """Return the full name of a photo: its path, or container and key."""
        return photo_name(self.sources[source], key)


def photo_name(source: Source, key: str) -> str:
    """Return the path of a photo in a folder, the path of a single file, or `container::key`."""
    if source.kind == "folder":
        return os.path.join(source.root, key)
    return source.root if source.kind == "file" else f"{source.root}::{key}"


def library_versions(more: Sequence[str] = ()) -> dict[str, str]:
    """Return the versions of the libraries that shape the bytes of an index; `more`: those of its features alone."""
    from importlib import metadata

    names = ("ceret", "numpy", "pillow", "numba", "h5py", "pyarrow", *more)
    return {name: metadata.version(name) for name in names}


def digest(data: bytes | memoryview) -> StoredFile:
    """Return the size and checksum of a file's content."""
    return StoredFile(len(data), hashlib.sha256(data).hexdigest())


def to_json(manifest: Manifest) -> bytes:
    """Return the content of a manifest file; its last entry is the SHA-256 of the others."""
    content = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(manifest)}
    return _encoded({**content, "sha256": _checksum(content)})


def _checksum(content: Mapping[str, Any]) -> str:
    return hashlib.sha256(_encoded(content)).hexdigest()


def _encoded(content: Mapping[str, Any]) -> bytes:
    # Bytes of a path that are no UTF-8 are lone surrogates in Python: written as JSON's escapes, they come back the same.
    return (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode(errors="backslashreplace")


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest in one step."""
    replace_file(folder / MANIFEST, to_json(manifest))


def read_manifest(folder: Path) -> Manifest:
    """Read and check the manifest of an index.

    PhotoIndexError: there is none, it is of another version, or it may not be read; CorruptIndexError: it is damaged.
    """
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise _no_index(folder) from error
    except OSError as error:
        raise PhotoIndexError(f"{path} cannot be read: {(error.strerror or str(error)).lower()}") from error
    try:
        content = json.loads(data)
        if content["format"] != FORMAT:
            raise PhotoIndexError(f"{path} is of format {content['format']!r}, expected {FORMAT!r}")
        if content["version"] != VERSION:
            raise PhotoIndexError(
                f"{folder} has format version {content['version']}, this ceret reads version {VERSION}: "
                "rebuild it with `ceret index`, or use the ceret that wrote it"
            )
        if content.pop("sha256") != _checksum(content):
            raise ValueError("its checksum does not match")
        return _parse(content)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        message = (
            f"{path} is damaged ({type(error).__name__}: {error}): restore it, or rebuild the index with `ceret index`"
        )
        raise CorruptIndexError(message) from error


def _no_index(folder: Path) -> PhotoIndexError:
    if not folder.exists():
        return PhotoIndexError(f"no index at {folder}: make one with `ceret index PHOTOS --out {folder}`")
    return PhotoIndexError(
        f"{folder} is not a ceret index (it has no {MANIFEST}): give the folder that `ceret index` wrote"
    )


def _parse(content: dict[str, Any]) -> Manifest:
    """Build the dataclasses; unknown keys raise TypeError, as missing ones do."""
    fields = {key: value for key, value in content.items() if key not in ("format", "version")}
    segments = []
    for segment in fields.pop("segments"):
        files = {name: StoredFile(**stored) for name, stored in segment.pop("files").items()}
        skipped = tuple(Skipped(**item) for item in segment.pop("skipped"))
        segments.append(Segment(files=files, skipped=skipped, **segment))
    sources = tuple(Source(**source) for source in fields.pop("sources"))
    return Manifest(segments=tuple(segments), sources=sources, **fields)
