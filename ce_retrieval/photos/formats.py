"""File formats: which one a photo is in, what reads it, and why a file is none."""

from __future__ import annotations

import contextlib
import io
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from ce_retrieval.photos.layouts import Refused

_TIFF_PREFIXES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_PLUGINS = {"JPEG": "Jpeg", "PNG": "Png", "WebP": "WebP", "TIFF": "Tiff", "BMP": "Bmp", "AVIF": "Avif", "PPM": "Ppm"}
#: First bytes of images that are not read -> what they are.
_OTHERS = {
    b"GIF8": "a GIF",
    b"\0\0\0\x0cjP  ": "a JPEG 2000 image",
    b"\xff\x4f\xff\x51": "a JPEG 2000 image",
    b"\0\0\0\x0cJXL ": "a JPEG XL image",
    b"\xff\x0a": "a JPEG XL image",
    b"8BPS": "a Photoshop file",
    b"%PDF": "a PDF",
}
_quiet_lock = threading.Lock()


def format_of(data: bytes) -> str | None:
    """Return the format of a photo by its first bytes, whatever its file is called: a name for messages, or None."""
    if data[:3] == b"\xff\xd8\xff":
        return "JPEG"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP"
    if data[:4] in _TIFF_PREFIXES:
        return "TIFF"
    if data[:2] == b"BM":
        return "BMP"
    if re.match(rb"P[1-6][\s#]", data):
        return "PPM"
    if data[4:8] == b"ftyp":
        brands = {data[8:12], *(data[at : at + 4] for at in range(16, min(int.from_bytes(data[:4]), 256), 4))}
        return "AVIF" if brands & _AVIF_BRANDS else "HEIC" if brands & _HEIC_BRANDS else None
    return None


def why_no_photo(data: bytes) -> str:
    """Return why a file without a known format is not a photo, and what is expected."""
    if not data:
        return "the file is empty (0 bytes)"
    expected = "expected a JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or PPM image"
    if data.lstrip()[:1] == b"<":
        return f"a text page (HTML or XML), not a photo; {expected}"
    for start, what in _OTHERS.items():
        if data.startswith(start):
            return f"{what}, which is not read: convert it to PNG; {expected}"
    return f"not a photo; {expected}"


def open_image(data: bytes, kind: str) -> Any:
    """Return Pillow's image of a file of this format, its pixels not yet decoded; what Pillow raises, or Refused."""
    return _reader(kind)(io.BytesIO(data))


@cache
def _reader(kind: str) -> Callable[[io.BytesIO], Any]:
    """Return Pillow's reader of a format. `Image.open` would add its pixel-bomb warning, and try other formats."""
    if kind == "HEIC":
        try:
            return import_module("pillow_heif").HeifImageFile
        except ImportError:
            raise Refused(
                "HEIC needs pillow-heif: pip install '.[heif]' in the folder of ceret, or convert the photo to JPEG"
            ) from None
    plugin = _PLUGINS[kind]
    reader = getattr(import_module(f"PIL.{plugin}ImagePlugin"), f"{plugin}ImageFile")
    if kind == "JPEG":  # the resolution in EXIF is not needed: reading it costs time and may warn
        return type("JpegWithoutDpi", (reader,), {"_read_dpi_from_exif": lambda image: None})
    if kind == "AVIF" and not import_module("PIL.AvifImagePlugin").SUPPORTED:
        raise Refused("this Pillow was built without AVIF: pip install --upgrade pillow, or convert the photo to JPEG")
    return reader


@contextlib.contextmanager
def without_warnings(data: bytes, kind: str | None) -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata, one thread at a time: filters belong to the whole process.

    Only TIFF, AVIF, animated PNG and unknown formats may warn; the others need no lock.
    """
    if kind in ("TIFF", "AVIF", None) or (kind == "PNG" and b"acTL" in data[: data.find(b"IDAT")]):
        with _quiet_lock, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    else:
        yield
