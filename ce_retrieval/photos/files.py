"""Single photo files: reading and writing."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError, SettingsError
from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS
from ce_retrieval.photos.decode import DecodedPhoto, decode_photo
from ce_retrieval.pixels import Bools, Photo
from ce_retrieval.storage import replace_file

#: Remedy for a photo with too many pixels, where the user can set `max_pixels`.
RAISE_MAX_PIXELS = "raise `max_pixels`, or make it smaller"
#: Largest encoded photo that is read into memory, in bytes.
MAX_BYTES = 1 << 30

#: Suffix -> Pillow's format and its options.
_WRITERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".webp": ("WEBP", {"lossless": True}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}


def read_bytes(path: str | os.PathLike[str], *, name: str | None = None) -> bytes:
    """Return the content of a regular file, following links; PhotoError, which calls it `name`, if it cannot be read."""
    name = os.fspath(path) if name is None else name
    try:
        # Non-blocking: a named pipe called .jpg would otherwise block for ever.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError(f"{name}: not a regular file")
            if status.st_size > MAX_BYTES:
                raise PhotoError(f"{name}: {status.st_size} bytes are more than the {MAX_BYTES} that a photo may have")
            return file.readall()
    except IsADirectoryError:
        raise PhotoError(f"{name}: a folder; give a photo") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"{name}: cannot be read: {reason}") from None


def load_photo(
    path: str | os.PathLike[str], *, size: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> DecodedPhoto:
    """Read and decode one photo file: `decode_photo` of its bytes; errors name its path."""
    return decode_photo(
        read_bytes(path), name=os.fspath(path), size=size, max_pixels=max_pixels, remedy=RAISE_MAX_PIXELS
    )


def save_photo(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write RGB pixels to a file in one step; on failure a file already there stays unchanged.

    Parameters
    ----------
    path : path of a file
        its suffix sets the format: .png, .tif, .tiff, .bmp, .webp (lossless), or .jpg, .jpeg (lossy: quality 95, 4:4:4).
        The folder must exist; a file already there is replaced.
    pixels : uint8 (H, W, 3)
        RGB.

    Raises
    ------
    ValueError
        `pixels` has another type or shape.
    SettingsError
        the suffix is unknown.
    StorageError
        the file cannot be written.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}: expected uint8 (H, W, 3)")
    target = Path(path)
    if target.suffix.lower() not in _WRITERS:
        raise SettingsError(f"{target}: unknown photo suffix {target.suffix!r}; use one of {', '.join(_WRITERS)}")
    kind, options = _WRITERS[target.suffix.lower()]
    _save(target, pixels, kind, options)


def save_filled(path: Path, pixels: Photo, photo: DecodedPhoto, filled: Bools) -> None:
    """Write a photo with other pixels as a PNG that keeps what the photo's file holds: profile, transparency, EXIF.

    Parameters
    ----------
    path : path of a .png
    pixels : uint8 (H, W, 3)
        sRGB, equal to `photo.pixels` where the photo is kept.
    photo : the photo, as it was decoded.
    filled : bool (H, W)
        as in `Encoding.encoded`.

    Raises
    ------
    StorageError
        the file cannot be written.
    """
    encoding = photo.encoding
    carried = {"icc_profile": encoding.conversion.carried, "exif": encoding.exif}
    options = {**_WRITERS[".png"][1], **{name: value for name, value in carried.items() if value}}
    _save(path, encoding.encoded(pixels, photo.pixels, filled), "PNG", options)


def _save(path: Path, pixels: Photo, kind: str, options: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    replace_file(path, buffer.getbuffer(), synced=False)
