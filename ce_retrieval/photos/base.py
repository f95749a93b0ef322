"""The protocol of photo sources, and their items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

#: Suffixes (lower case) of the file names that count as photos.
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp")


@dataclass(frozen=True, slots=True)
class PhotoItem:
    """One photo of a source, not yet read."""

    key: str  # its name within the source: a posix path, valid UTF-8
    label: str = ""
    caption: str = ""
    licence: str = ""
    offset: int = -1  # of its bytes in a tar, or its row in a parquet table; else -1
    length: int = -1  # of its bytes in a tar; else -1


class PhotoSource(Protocol):
    """The photos of one folder or file."""

    kind: str  # a key of `SOURCES`
    root: str  # absolute path of the folder or file

    def items(self) -> Iterator[PhotoItem]:
        """Yield all photos, in the same order on every call and machine; SourceError."""

    def count(self) -> int:
        """Return the number of items without reading a photo; SourceError."""

    def read(self, item: PhotoItem) -> bytes:
        """Return the encoded bytes of one item, from any thread; PhotoError if that is not possible."""

    def close(self) -> None:
        """Release files; the source cannot be read afterwards."""


def is_image_name(name: str) -> bool:
    """Return whether a file name has the suffix of a photo, in upper or lower case."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def plain_text(name: str) -> str:
    r"""Return a file name as valid UTF-8: bytes that are not (surrogates) become a visible \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def first_folder(key: str) -> str:
    """Return the first folder of a key, which serves as its label; "" if it has none."""
    return key.split("/", 1)[0] if "/" in key else ""
