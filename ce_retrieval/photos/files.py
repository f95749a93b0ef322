"""Whole photos from and to single files."""

from __future__ import annotations

import io
import os
import secrets
import stat
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError, StorageError
from ce_retrieval.photos.decode import DEFAULT_MAX_PIXELS, DecodedPhoto, decode_photo

#: Largest encoded photo that is read into memory, in bytes.
MAX_BYTES = 1 << 30

_SAVERS: dict[str, tuple[str, dict[str, Any]]] = {
    ".png": ("PNG", {"compress_level": 3}),
    ".tif": ("TIFF", {}),
    ".tiff": ("TIFF", {}),
    ".bmp": ("BMP", {}),
    ".webp": ("WEBP", {"lossless": True}),
    ".jpg": ("JPEG", {"quality": 95, "subsampling": 0}),
    ".jpeg": ("JPEG", {"quality": 95, "subsampling": 0}),
}


def read_bytes(path: str | os.PathLike[str], *, name: str | None = None) -> bytes:
    """The whole content of a regular file (links are followed); PhotoError when it is none, or cannot be read."""
    name = os.fspath(path) if name is None else name
    try:
        # Non-blocking, so that a named pipe called .jpg cannot hold up a whole run.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with open(descriptor, "rb", buffering=0) as file:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                raise PhotoError(f"{name}: not a regular file")
            if status.st_size > MAX_BYTES:
                raise PhotoError(f"{name}: {status.st_size} bytes are more than the {MAX_BYTES} that a photo may have")
            return file.readall()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise PhotoError(f"{name}: cannot be read: {reason}") from None


def load_photo(
    path: str | os.PathLike[str], *, size: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> DecodedPhoto:
    """Read and decode one photo file: `decode_photo` on its bytes, named by its path; PhotoError with the reason."""
    return decode_photo(read_bytes(path), name=os.fspath(path), size=size, max_pixels=max_pixels)


def save_photo(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write RGB pixels to a file, whole or not at all.

    Parameters
    ----------
    path : path of a file
        its suffix chooses the format: .png, .tif(f), .bmp, .webp (lossless, pixels bit-identical) or .jpg/.jpeg
        (quality 95, 4:4:4: not bit-identical). The folder must exist. A file already there is replaced.
    pixels : np.ndarray
        uint8 (H, W, 3) RGB.

    Raises
    ------
    ValueError : `pixels` has another dtype or shape.
    StorageError : unknown suffix, no such folder, not writable, disk full. Whatever stood at `path` is unchanged.
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"expected pixels uint8 (H, W, 3), got {pixels.dtype} {pixels.shape}")
    target = Path(path)
    if target.suffix.lower() not in _SAVERS:
        raise StorageError(f"{target}: unknown photo suffix {target.suffix!r}; use one of {', '.join(_SAVERS)}")
    kind, options = _SAVERS[target.suffix.lower()]
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    temporary = target.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        try:
            with open(temporary, "xb") as file:
                file.write(buffer.getbuffer())
            os.replace(temporary, target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(
            f"{target}: cannot be written: {error.strerror}; choose a writable folder with free space"
        ) from None
