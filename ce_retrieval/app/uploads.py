"""Photos and masks that users give: read within limits, and shown in small."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
from PIL import Image

from ce_retrieval.app.messages import PHOTO_GONE, PageError, photo_fault
from ce_retrieval.errors import MaskError, PhotoError
from ce_retrieval.errors import one_line as plain_line
from ce_retrieval.holes.files import read_mask
from ce_retrieval.photos import DecodedPhoto, LargePhotoError, decode_photo
from ce_retrieval.pixels import Bools, Photo, resize_area
from ce_retrieval.storage import storage_errors, write_file

PREVIEW = 2048  # px, the longer side of what is painted on and compared
TILE = 320  # px, of a picture among many
QUALITY = 90  # of previews
LONGEST = 80  # characters of a file's name


class GivenPhoto(NamedTuple):
    """A photo that a user has chosen.

    Attributes
    ----------
    name : of its file, as the page shows it.
    file : its bytes, where the browser cannot fetch them.
    sha256 : of them.
    height, width : upright, px.
    preview : a picture of it, at most PREVIEW px long.
    """

    name: str
    file: Path
    sha256: str
    height: int
    width: int
    preview: Path

    @property
    def stem(self) -> str:
        """The name without its suffix: results are called after it."""
        return Path(self.name).stem

    def read(self, max_pixels: int) -> DecodedPhoto:
        """Decode it once more; PageError where it has been deleted."""
        return decode_photo(_bytes_of(self.file), name=self.name, max_pixels=max_pixels)


class GivenMask(NamedTuple):
    """A mask file that a user has loaded; invert, alpha: as in `read_mask`."""

    name: str
    file: Path
    invert: bool
    alpha: bool

    def read(self, shape: tuple[int, int]) -> Bools:
        """Return the hole bool (H, W)."""
        try:
            return read_mask(self.file, shape, invert=self.invert, alpha=self.alpha)
        except MaskError as error:
            text = plain_line(str(error)).replace(str(self.file), f"“{self.name}”")
            if not self.file.exists():
                raise PageError("The mask is no longer here: load it again.") from None
            raise MaskError(_for_page(text)) from None


def take_photo(data: bytes, name: str, served: Path, kept: Path, max_pixels: int) -> GivenPhoto:
    """Keep a photo that a user has chosen, and make its preview.

    Parameters
    ----------
    data : of its file.
    name : of its file; any text.
    served, kept : folders of the user (`Home.rooms`).

    Raises
    ------
    PageError : it is no photo that can be read.
    LargePhotoError : it has more than `max_pixels` pixels.
    """
    name = plain_name(name)
    try:
        decoded = decode_photo(data, name=name, max_pixels=max_pixels)
    except LargePhotoError:
        raise
    except PhotoError as error:
        raise PageError(photo_fault(error, name)) from None
    sha256 = hashlib.sha256(data).hexdigest()
    file = kept / f"{sha256[:16]}{Path(name).suffix}"
    with storage_errors(file):
        write_file(file, data)
    preview = served / f"photo-{sha256[:16]}.jpg"
    save_preview(preview, decoded.pixels, PREVIEW)
    height, width = decoded.pixels.shape[:2]
    return GivenPhoto(name, file, sha256, height, width, preview)


def take_mask(data: bytes, name: str, kept: Path, *, invert: bool, alpha: bool) -> GivenMask:
    """Keep a mask file that a user has loaded; `GivenMask.read` says what is wrong with it."""
    name = plain_name(name)
    file = kept / f"mask-{hashlib.sha256(data).hexdigest()[:16]}{Path(name).suffix}"
    with storage_errors(file):
        write_file(file, data)
    return GivenMask(name, file, invert, alpha)


def save_preview(path: Path, pixels: Photo, side: int) -> None:
    """Write a picture uint8 (h, w, 3) of at most `side` px a side: a .jpg, which is written fast, or a .webp, which is small."""
    share = min(1.0, side / max(pixels.shape))
    size = max(1, round(pixels.shape[0] * share)), max(1, round(pixels.shape[1] * share))
    kind: dict[str, Any] = {"format": "JPEG"} if path.suffix == ".jpg" else {"format": "WEBP", "method": 0}
    with storage_errors(path):
        Image.fromarray(resize_area(pixels, size)).save(path, quality=QUALITY, **kind)


def save_mask(path: Path, hole: Bools) -> str:
    """Write a hole bool (H, W) as a PNG, white = hole; return the SHA-256 of the file."""
    with storage_errors(path):
        Image.fromarray(hole.astype(np.uint8) * np.uint8(255)).save(path, "PNG")
    return hashlib.sha256(path.read_bytes()).hexdigest()


def served_url(path: Path) -> str:
    """Return the address of a file of `Home.served`, on the page's own server."""
    return f"/gradio_api/file={quote(str(path))}"


def plain_name(name: Any) -> str:
    """Return the last part of a file's name, without what a file system or a page might take amiss, and not too long."""
    last = re.split(r"[/\\]", str(name))[-1]
    text = re.sub(r"[^\w .()+,-]", "_", last).strip(" .") or "photo"
    stem, suffix = os.path.splitext(text)
    return f"{stem[:LONGEST]}{suffix[:8]}"


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError:
        raise PageError(PHOTO_GONE) from None


def _for_page(text: str) -> str:
    """Replace the remedies of the command line by those of the page."""
    return (
        text.replace("`invert`", "“Dark marks the hole”")
        .replace("`alpha`", "“Transparent marks the hole”")
        .removeprefix("mask ")
    )
