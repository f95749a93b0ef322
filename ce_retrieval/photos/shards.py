"""Photos in an uncompressed tar of WebDataset form, read in place by their offset: nothing is ever extracted."""

from __future__ import annotations

import json
import logging
import os
import re
import struct
import tarfile
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from ce_retrieval.errors import PhotoError, SourceError, reason_of
from ce_retrieval.photos.base import (
    NO_STAMP,
    PassedOver,
    PhotoItem,
    first_folder,
    photo_suffixes,
    plain_text,
    stamp_of,
    unread_suffix,
)
from ce_retrieval.photos.files import MAX_BYTES
from ce_retrieval.reading import open_regular

_log = logging.getLogger(__name__)

_BLOCK = 512
_MAX_SIDECAR = 1 << 20
_SIDECARS = frozenset({"json", "txt", "cls"})
_ABSOLUTE = re.compile(r"[/\\]|[A-Za-z]:[/\\]")
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"\x28\xb5\x2f\xfd": "zstd"}
#: What the tar parser raises on damaged headers.
_DAMAGE = (tarfile.TarError, OSError, ValueError, ArithmeticError, LookupError, RecursionError, struct.error)


@dataclass
class _Sample:
    """Neighbouring members of one key: extension -> (offset, length) in bytes."""

    key: str
    parts: dict[str, tuple[int, int]] = field(default_factory=dict)


class TarSource:
    """The photos of one shard in WebDataset form (github.com/webdataset/webdataset).

    Consecutive members of one key (the path up to the first dot of its last component) form a sample. Its photo is its
    first member with a photo's extension, whose path is the item's key. `.txt` holds the caption, `.cls` the label, `.json`
    any of caption or text, licence or license, and label; `.txt` and `.cls` take precedence. Without a label, the key's first
    folder is the label. Items keep the tar's order.

    Opening reads a few bytes. The first `count` or `items` scans all headers once, and refuses the shard before it yields
    an item if a name is absolute or has '..', or the tar is truncated, damaged, or lacks its end-of-archive block. Memory
    does not grow with the number of photos.

    Notes
    -----
    Deviations from WebDataset: links, hidden members and members without extension are skipped; an extension that repeats
    within a key starts a new sample instead of failing; a sidecar that cannot be read is logged and left out.
    """

    kind = "tar"

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.root = os.path.abspath(path)
        self.passed_over = PassedOver()
        try:
            with open_regular(self.root) as file:
                self._descriptor = os.dup(file.fileno())
        except OSError as error:
            raise SourceError(f"{self.root}: cannot be opened: {reason_of(error)}; give a tar") from None
        self._closer = weakref.finalize(self, os.close, self._descriptor)
        self._count: int | None = None
        try:
            start = os.pread(self._descriptor, 6, 0)
        except OSError as error:
            self.close()
            raise SourceError(f"{self.root}: cannot be read: {reason_of(error)}") from None
        for magic, name in _COMPRESSED.items():
            if start.startswith(magic):
                self.close()
                raise SourceError(f"{self.root}: compressed with {name}; decompress it first, photos are read in place")

    def items(self) -> Iterator[PhotoItem]:
        """Yield the photos in the tar's order; SourceError before the first if the tar is unsafe or damaged."""
        self.count()
        for sample in _samples(self._members()):
            item = self._item(sample)
            if item is not None:
                yield item

    def count(self) -> int:
        """Return the number of photos; the first call scans and checks all headers (SourceError)."""
        if self._count is None:
            self.passed_over = PassedOver()
            samples = _samples(self._members(self.passed_over))
            self._count = sum(_photo_extension(sample) is not None for sample in samples)
        return self._count

    def read(self, item: PhotoItem) -> bytes:
        """Return the member's bytes; PhotoError if they do not lie within the tar, or the source is closed."""
        name = f"{self.root}/{item.key}"
        if item.length > MAX_BYTES:
            raise PhotoError(f"{name}: {item.length} bytes are more than the {MAX_BYTES} that a photo may have")
        if item.offset < 0 or item.length < 0:
            raise PhotoError(f"{name}: the item has no offset in the tar; take items from this source")
        data = self._pread(item.offset, item.length, name)
        if len(data) != item.length:
            raise PhotoError(f"{name}: the tar ends {item.length - len(data)} bytes early; was it replaced or cut?")
        return data

    def stamp(self, item: PhotoItem) -> tuple[int, int]:
        """Return size and time of change of the tar."""
        return stamp_of(self._descriptor) if self._closer.alive else NO_STAMP

    def rest(self) -> None:
        """Nothing is held."""

    def close(self) -> None:
        """Close the tar; a later `read` raises PhotoError."""
        self._closer()

    def _pread(self, offset: int, length: int, name: str) -> bytes:
        if not self._closer.alive:
            raise PhotoError(f"{name}: its source is closed")
        try:
            return os.pread(self._descriptor, length, offset)
        except (OSError, OverflowError) as error:
            raise PhotoError(f"{name}: cannot be read: {error}") from None

    def _members(self, passed_over: PassedOver | None = None) -> Iterator[tarfile.TarInfo]:
        """Yield the regular members in order; SourceError at the first unsafe one, and at any damage."""
        last = -1
        try:
            with open_regular(self.root) as file, tarfile.open(fileobj=file, mode="r:") as tar:
                while (member := tar.next()) is not None:
                    tar.members.clear()  # type: ignore[attr-defined]  # or every header stays in memory
                    self._check(member)
                    if member.size < 0 or tar.offset <= last:
                        raise SourceError(f"{self.root}: damaged at byte {last}; make or fetch it again")
                    last = tar.offset
                    if member.isreg():
                        if passed_over and (suffix := unread_suffix(member.name)):
                            passed_over.suffixes[suffix] += 1
                        yield member
                # The parser takes a damaged header for the end; but only a block of zeros is the end.
                file.seek(tar.offset)
                if file.read(_BLOCK) != bytes(_BLOCK):
                    raise SourceError(
                        f"{self.root}: truncated or damaged at byte {tar.offset} (no end of archive); "
                        "make or fetch it again"
                    )
        except _DAMAGE as error:
            text = " ".join(str(error).split())[:120]
            raise SourceError(f"{self.root}: not a whole tar: {text}; make or fetch it again") from None

    def _check(self, member: tarfile.TarInfo) -> None:
        name = plain_text(member.name)
        if _ABSOLUTE.match(name) or ".." in re.split(r"[/\\]", name):
            raise SourceError(
                f"{self.root}: member {name!r} has an absolute path or '..'; nothing was read; "
                "pack it again with relative names"
            )
        if member.issparse():
            raise SourceError(f"{self.root}: member {name!r} is stored sparse; pack it again without --sparse")

    def _item(self, sample: _Sample) -> PhotoItem | None:
        extension = _photo_extension(sample)
        if extension is None:
            return None
        fields = self._fields(sample)
        offset, length = sample.parts[extension]
        key = f"{sample.key}.{extension}"
        return PhotoItem(
            key=key,
            label=self._text(sample, "cls") or _first(fields, "label") or first_folder(key),
            caption=self._text(sample, "txt") or _first(fields, "caption", "text"),
            licence=_first(fields, "licence", "license"),
            offset=offset,
            length=length,
        )

    def _fields(self, sample: _Sample) -> dict[str, Any]:
        text = self._text(sample, "json")
        if not text:
            return {}
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        if not isinstance(fields, dict):
            _log.warning("%s/%s.json: not a JSON object; left out", self.root, sample.key)
            return {}
        return fields

    def _text(self, sample: _Sample, extension: str) -> str:
        if extension not in sample.parts:
            return ""
        offset, length = sample.parts[extension]
        name = f"{self.root}/{sample.key}.{extension}"
        if length > _MAX_SIDECAR:
            _log.warning("%s: longer than %d bytes; left out", name, _MAX_SIDECAR)
            return ""
        try:
            return self._pread(offset, length, name).decode("utf-8").strip()
        except UnicodeDecodeError:
            _log.warning("%s: not UTF-8; left out", name)
            return ""


def _samples(members: Iterator[tarfile.TarInfo]) -> Iterator[_Sample]:
    """Group neighbouring members by key, as WebDataset does."""
    sample = _Sample("")
    for member in members:
        folder, _, base = plain_text(member.name).removeprefix("./").rpartition("/")
        stem, dot, extension = base.partition(".")
        extension = extension.lower()
        if not stem or not dot or not (extension in _SIDECARS or _is_photo(extension)):
            continue
        key = f"{folder}/{stem}" if folder else stem
        if key != sample.key or extension in sample.parts:
            if sample.parts:
                yield sample
            sample = _Sample(key)
        sample.parts[extension] = (member.offset_data, member.size)
    if sample.parts:
        yield sample


def _photo_extension(sample: _Sample) -> str | None:
    return next(filter(_is_photo, sample.parts), None)


def _is_photo(extension: str) -> bool:
    return f".{extension}" in photo_suffixes()


def _first(fields: dict[str, Any], *names: str) -> str:
    """Return the first of the named fields that holds text or a number, as text."""
    for name in names:
        value = fields.get(name)
        if isinstance(value, str | int | float) and not isinstance(value, bool):
            return str(value).strip()
    return ""
