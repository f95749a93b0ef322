"""The protocol of photo sources, their items, which file names are photos, and what is passed over."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import Protocol

#: Most pixels (width x height) of a photo that is read by default: above 100-megapixel cameras, below pixel bombs.
DEFAULT_MAX_PIXELS = 120_000_000
#: Suffixes (lower case) of the photos that every installation reads.
IMAGE_SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".mpo"),
    *(".png", ".webp", ".tif", ".tiff", ".bmp", ".avif"),
    *(".ppm", ".pgm", ".pbm", ".pnm"),
)
#: Suffix -> the extra of ceret that reads photos of this suffix.
EXTRA_SUFFIXES = {".heic": "heif", ".heif": "heif", ".hif": "heif"}
#: Extra -> the package that it installs.
EXTRA_PACKAGES = {"heif": "pillow_heif"}
#: Suffixes of images that are never read as photos: animations, rare formats, files of editors, raw files of cameras.
UNREAD_SUFFIXES = (
    *(".gif", ".apng", ".jp2", ".j2k", ".jpx", ".jxl", ".jxr", ".tga", ".pcx", ".dds", ".exr", ".hdr", ".pfm", ".pam"),
    *(".psd", ".psb", ".xcf", ".kra", ".svg"),
    *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".orf", ".rw2", ".raf", ".pef", ".srw"),
)

_MASK = re.compile(r"(.+)[_-]mask|mask[_-](.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class PhotoItem:
    """One photo of a source, not yet read."""

    key: str  # its name within the source: a posix path, valid UTF-8
    label: str = ""
    caption: str = ""
    licence: str = ""
    offset: int = -1  # of its bytes in a tar, or its row in a parquet table; else -1
    length: int = -1  # of its bytes in a tar; else -1


@dataclass
class PassedOver:
    """How many files a folder holds that are not taken for photos.

    Attributes
    ----------
    results : int
        Files that ceret wrote.
    outputs : int
        Further files where the results of the running command go.
    masks : int
        Masks beside their photos (`masks_beside`).
    """

    results: int = 0
    outputs: int = 0
    masks: int = 0

    def notes(self, root: str) -> list[str]:
        """Return one line for each kind of file that was passed over in the source at `root`."""
        told = (
            (self.results, "that ceret wrote"),
            (self.outputs, "where the results go"),
            (self.masks, "that are the masks of photos beside them, by their names"),
        )
        return [
            f"{plain_text(root)}: passed over {count} file{'s' if count > 1 else ''} {what}"
            for count, what in told
            if count
        ]


class PhotoSource(Protocol):
    """The photos of one folder or file."""

    kind: str  # a key of `SOURCES`
    root: str  # absolute path of the folder or file
    passed_over: PassedOver  # complete when `items` has been exhausted

    def items(self) -> Iterator[PhotoItem]:
        """Yield all photos, in the same order on every call and machine; SourceError."""

    def count(self) -> int:
        """Return the number of items without reading a photo; SourceError."""

    def read(self, item: PhotoItem) -> bytes:
        """Return the encoded bytes of one item, from any thread; PhotoError if that is not possible."""

    def close(self) -> None:
        """Release files; the source cannot be read afterwards."""


@cache
def photo_suffixes() -> tuple[str, ...]:
    """Return the suffixes (lower case) of the photos that this installation reads, those of installed extras too."""
    extra = (suffix for suffix, name in EXTRA_SUFFIXES.items() if find_spec(EXTRA_PACKAGES[name]) is not None)
    return (*IMAGE_SUFFIXES, *extra)


def is_image_name(name: str) -> bool:
    """Return whether a file name has the suffix of a photo that this installation reads, in upper or lower case."""
    return name.lower().endswith(photo_suffixes())


def unread_suffix(name: str) -> str:
    """Return the suffix (lower case) of a file name if it is an image's that this installation does not read, else ""."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix if suffix in (*EXTRA_SUFFIXES, *UNREAD_SUFFIXES) and suffix not in photo_suffixes() else ""


def remedy_for(suffix: str) -> str:
    """Return what makes images with a suffix that `unread_suffix` returned readable, as half a sentence."""
    if suffix in EXTRA_SUFFIXES:
        return f"pip install 'ceret[{EXTRA_SUFFIXES[suffix]}]' reads them"
    return "convert them to JPEG or PNG"


def masked_stem(stem: str) -> str:
    """Return the stem of the photo whose mask has this stem: "a" for "a_mask", "a-mask" and "mask_a"; "" for other stems."""
    found = _MASK.fullmatch(stem)
    return (found[1] or found[2]) if found else ""


def masks_beside(names: Collection[str]) -> set[str]:
    """Return which of the images in a folder are the masks of others, by their names."""
    stems = {name: os.path.splitext(name)[0] for name in names if is_image_name(name)}
    photos = set(stems.values())
    return {name for name, stem in stems.items() if masked_stem(stem) in photos}


def photos_with_masks(names: Collection[str]) -> set[str]:
    """Return which files of a folder have masks beside them, by their names: the others of `masks_beside`."""
    masked = {masked_stem(os.path.splitext(name)[0]) for name in names if is_image_name(name)}
    return {name for name in names if os.path.splitext(name)[0] in masked}


def plain_text(name: str) -> str:
    r"""Return a file name as valid UTF-8: bytes that are not (surrogates) become a visible \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def first_folder(key: str) -> str:
    """Return the first folder of a key, which serves as its label; "" if it has none."""
    return key.split("/", 1)[0] if "/" in key else ""
