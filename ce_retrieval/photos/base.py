"""The protocol of photo sources, their items, what they pass over, and which file names are photos."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
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
#: What `stamp` returns where there is no file to look at.
NO_STAMP = (-1, -1)

_MASK = re.compile(r"(.+)[_-]mask|mask[_-](.+)", re.IGNORECASE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class PhotoItem:
    """One photo of a source, not yet read.

    Attributes
    ----------
    key : str
        Its name within the source: a posix path, valid UTF-8.
    label, caption, licence : str
        As the source gives them, else "".
    offset : int
        Of its bytes in a tar, or its row in a parquet table; else -1.
    length : int
        Of its bytes in a tar; else -1.
    path : str
        Where it has a file of its own, the file's real path; else "".
    """

    key: str
    label: str = ""
    caption: str = ""
    licence: str = ""
    offset: int = -1
    length: int = -1
    path: str = field(default="", compare=False)


@dataclass
class PassedOver:
    """What a source did not take on its last walk.

    Attributes
    ----------
    folders : key of a subfolder, with "/" at its end -> why it cannot be listed
    suffixes : suffix -> number of files
        Images of kinds that are not read, and shards beside photos.
    upward : list of str
        Keys of links to a folder that contains the source, with "/" at their end.
    repeats : int
        Links to photos, or to folders of photos, that are read elsewhere.
    results : int
        Images that ceret wrote.
    outputs : int
        Other images where the results of the running command go.
    masks : int
        Masks beside their photos (`masks_beside`).
    """

    folders: dict[str, str] = field(default_factory=dict)
    suffixes: Counter[str] = field(default_factory=Counter)
    upward: list[str] = field(default_factory=list)
    repeats: int = 0
    results: int = 0
    outputs: int = 0
    masks: int = 0

    def notes(self, root: str) -> list[tuple[str, str]]:
        """Return (path, line) for each folder and each kind of file that was passed over in the source at `root`."""
        root = plain_text(root)
        folders = [(f"{root}/{key}", reason) for key, reason in self.folders.items()]
        folders += [(f"{root}/{key}", "passed over, a link to a folder that contains it") for key in self.upward]
        lines = [unread(suffix, count) for suffix, count in sorted(self.suffixes.items())]
        if self.repeats:
            links = f"{self.repeats} links lead" if self.repeats > 1 else "a link leads"
            lines.append(f"{links} to photos that are read already; each photo counts once")
        not_photos = {
            "that ceret wrote": self.results,
            "where the results go": self.outputs,
            "named as masks of photos beside them": self.masks,
        }
        lines += [f"passed over {n} file{'s' if n > 1 else ''} {what}" for what, n in not_photos.items() if n]
        return [*folders, *((root, line) for line in lines)]


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

    def stamp(self, item: PhotoItem) -> tuple[int, int]:
        """Return size in bytes and time of change in ns of the file that holds the item; NO_STAMP if it is gone."""

    def rest(self) -> None:
        """Drop what is held in memory for the next read."""

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
        return f"pip install '.[{EXTRA_SUFFIXES[suffix]}]' in the folder of ceret, and they are"
    return "convert them to JPEG or PNG"


def masked_stem(stem: str) -> str:
    """Return the stem of the photo whose mask has this stem: "a" for "a_mask", "a-mask" and "mask_a"; "" for other stems."""
    found = _MASK.fullmatch(stem)
    return (found[1] or found[2]) if found else ""


def masks_beside(names: Collection[str]) -> set[str]:
    """Return which of the images in a folder are the masks of others, by their names."""
    stems = {name: os.path.splitext(name)[0] for name in names if is_image_name(name) or unread_suffix(name)}
    photos = set(stems.values())
    return {name for name, stem in stems.items() if masked_stem(stem) in photos}


def photos_with_masks(names: Collection[str]) -> set[str]:
    """Return which files of a folder have masks beside them, by their names: the others of `masks_beside`."""
    masked = {masked_stem(os.path.splitext(name)[0]) for name in names if is_image_name(name)}
    return {name for name in names if os.path.splitext(name)[0] in masked}


def unread(suffix: str, count: int) -> str:
    """Return the line that tells of files with a suffix that were passed over."""
    line = f"{count} file{'s' if count > 1 else ''} with suffix {suffix} {'were' if count > 1 else 'was'} not looked at"
    return f"{line}: {remedy_for(suffix)}" if unread_suffix(f"name{suffix}") else line


def plain_text(name: str) -> str:
    r"""Return a file name as valid UTF-8: bytes that are not (surrogates) become a visible \xNN."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def first_folder(key: str) -> str:
    """Return the first folder of a key, which serves as its label; "" if it has none."""
    return key.split("/", 1)[0] if "/" in key else ""


def stamp_of(path: str | int) -> tuple[int, int]:
    """Return the size in bytes and the time of change in ns of a file or its descriptor; NO_STAMP if it is gone."""
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return NO_STAMP
    return status.st_size, status.st_mtime_ns
