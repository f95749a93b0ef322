"""What every photo source has in common: its items and its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

#: File name suffixes (lower case) that are taken for photos.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, slots=True)
class PhotoItem:
    """One photo of a source, not yet read.

    `key` names it within the source (a posix path; valid UTF-8). `offset` and `length` locate its bytes in a tar;
    for parquet `offset` is the row number; -1 where they mean nothing.
    """

    key: str
    label: str = ""
    caption: str = ""
    licence: str = ""
    offset: int = -1
    length: int = -1


class PhotoSource(Protocol):
    """Photos from one place. `kind` is a key of `SOURCES`; `root` the absolute path of the folder or file."""

    kind: str
    root: str

    def items(self) -> Iterator[PhotoItem]:
        """All photos in an order that is the same on every call and machine, streaming; SourceError."""

    def count(self) -> int:
        """Number of items, without reading a photo; SourceError."""

    def read(self, item: PhotoItem) -> bytes:
        """The encoded bytes of one item; safe to call from several threads; PhotoError when they cannot be had."""

    def close(self) -> None:
        """Release files; the source cannot be read afterwards."""


def is_image_name(name: str) -> bool:
    """Whether a file name has the suffix of a photo, in any case."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def plain_text(name: str) -> str:
    r"""A file name as valid UTF-8: bytes that are none (surrogates) become a visible \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def first_folder(key: str) -> str:
    """The first folder of a key, which serves as its label; '' when it has none."""
    return key.split("/", 1)[0] if "/" in key else ""
