"""Decoding: one encoded photo becomes upright RGB uint8 pixels, or a `PhotoError` says why not."""

from __future__ import annotations

import contextlib
import io
import struct
import threading
import warnings
from collections.abc import Callable, Iterator
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError
from ce_retrieval.pixels import Photo

#: Most pixels (width x height) of a photo that is decoded by default: above 100-megapixel cameras, below pixel bombs.
DEFAULT_MAX_PIXELS = 120_000_000

_ORIENTATION_TAG = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_TIFF_PREFIXES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_quiet_lock = threading.Lock()


class DecodedPhoto(NamedTuple):
    """A decoded photo, and its size before any resize."""

    pixels: Photo  # uint8 (H, W, 3), RGB, upright
    width: int  # of the whole photo, upright, px
    height: int


class _Refused(ValueError):
    """The content of a file is refused; the text is the reason."""


def decode_photo(
    data: bytes, *, name: str, size: int | None = None, max_pixels: int = DEFAULT_MAX_PIXELS
) -> DecodedPhoto:
    """Decode a JPEG, PNG, WebP, TIFF or BMP to upright RGB.

    Parameters
    ----------
    data : bytes
        the whole file.
    name : str
        the photo's name in error messages.
    size : int or None
        if given, the whole photo is resized to (size, size), whatever its shape, by Pillow's antialiased bicubic filter.
        A JPEG at least 4x larger than `size` on both sides is decoded at 1/2, 1/4 or 1/8 scale, never below 2x `size`;
        the result differs from a full decode by a few grey levels at strong edges.
    max_pixels : int
        a photo with more pixels is refused on the strength of its header, before it is decoded.

    Returns
    -------
    DecodedPhoto with writable uint8 pixels (H, W, 3), or (size, size, 3).

    Raises
    ------
    PhotoError
        `name: reason`; no other exception or warning leaves this function.

    Notes
    -----
    - EXIF orientation is applied (not if XMP alone has it); with `size` after the resize, which may differ by a grey level
      or two from the other order.
    - Transparent parts become white. ICC profiles are ignored. Of several frames or pages, the first is read.
    - 16-bit values are scaled by 255/65535, float values in [0, 1] by 255. Float and 32-bit values that are whole numbers up
      to 255 or 65535 count as 8-bit or 16-bit; other ranges are refused, because their white is unknown.
    - CMYK JPEGs are read inverted, as Adobe writes them.
    - Threads decode in parallel: Pillow releases the GIL. Only TIFFs go one at a time.
    """
    kind = _format_of(data)
    if kind is None:
        raise PhotoError(f"{name}: {_why_no_image(data)}")
    try:
        # Only TIFF and animated PNG may warn about odd metadata; the other formats need no lock.
        if kind == "TIFF" or (kind == "PNG" and b"acTL" in data[: data.find(b"IDAT")]):
            with _without_warnings():
                return _decode(data, kind, size, max_pixels)
        return _decode(data, kind, size, max_pixels)
    except _Refused as error:
        raise PhotoError(f"{name}: {error}") from None
    except MemoryError:
        raise PhotoError(f"{name}: not enough memory to decode this {kind}") from None
    except Exception as error:  # hostile bytes make Pillow's parsers raise nearly anything
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise PhotoError(f"{name}: damaged or unsupported {kind}: {text}") from error


def _decode(data: bytes, kind: str, size: int | None, max_pixels: int) -> DecodedPhoto:
    im = _reader(kind)(io.BytesIO(data))
    width, height = im.size
    if width * height > max_pixels:
        raise _Refused(f"{width}x{height} pixels are more than the {max_pixels} allowed by `max_pixels`")
    box: tuple[float, float, float, float] | None = None
    if size is not None and kind == "JPEG" and min(width, height) >= 4 * size:
        drafted = im.draft("RGB", (2 * size, 2 * size))
        box = drafted[1] if drafted else None  # the photo without the padding of its last block
    im.load()
    if kind == "TIFF":  # Pillow turns a TIFF upright while it loads
        width, height = im.size
        orientation = 1
    else:
        orientation = _orientation(im.info)
    photo = _flatten(im)
    if size is not None and photo.size != (size, size):
        photo = photo.resize((size, size), Image.Resampling.BICUBIC, box=box)
    if orientation in _TURNS:
        photo = photo.transpose(_TURNS[orientation])
        if orientation >= 5:
            width, height = height, width
    if photo.mode != "RGB":
        photo = photo.convert("RGB")
    return DecodedPhoto(np.array(photo), width, height)


# -- formats -----------------------------------------------------------------------------------------------------------


def _format_of(data: bytes) -> str | None:
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
    return None


def _why_no_image(data: bytes) -> str:
    if not data:
        return "the file is empty (0 bytes)"
    expected = "expected a JPEG, PNG, WebP, TIFF or BMP image"
    if data.lstrip()[:1] == b"<":
        return f"a text page (HTML or XML), not a photo; {expected}"
    return f"not a photo; {expected}"


@cache
def _reader(kind: str) -> Callable[[io.BytesIO], Any]:
    """Return Pillow's reader of a format. `Image.open` would add its pixel-bomb warning, and try other formats."""
    plugin = {"JPEG": "Jpeg", "PNG": "Png", "WebP": "WebP", "TIFF": "Tiff", "BMP": "Bmp"}[kind]
    reader = getattr(import_module(f"PIL.{plugin}ImagePlugin"), f"{plugin}ImageFile")
    if kind == "JPEG":  # the resolution in EXIF is not needed: reading it costs time and may warn
        return type("JpegWithoutDpi", (reader,), {"_read_dpi_from_exif": lambda image: None})
    return reader


@contextlib.contextmanager
def _without_warnings() -> Iterator[None]:
    """Silence Pillow's warnings about odd metadata, one thread at a time: filters belong to the whole process."""
    with _quiet_lock, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# -- orientation -------------------------------------------------------------------------------------------------------


def _orientation(info: dict[Any, Any]) -> int:
    """Return the EXIF orientation 1..8 from Pillow's `info`; 1 if there is none or the block is damaged."""
    exif = info.get("exif")
    if exif is None and "Raw profile type exif" in info:  # ImageMagick's form of EXIF in a PNG before eXIf
        try:
            exif = bytes.fromhex("".join(info["Raw profile type exif"].split("\n")[3:]))
        except ValueError:
            return 1
    return _orientation_of(exif) if isinstance(exif, bytes) else 1


def _orientation_of(exif: bytes) -> int:
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(exif[:2])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, start)
        for at in range(start + 2, start + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(order + "HH", exif, at)
            if tag == _ORIENTATION_TAG:
                form = {1: "B", 3: "H", 4: "I"}.get(kind)
                value = struct.unpack_from(order + form, exif, at + 8)[0] if form else 1
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # offsets that lead outside the block
        pass
    return 1


# -- pixel layouts -----------------------------------------------------------------------------------------------------


def _flatten(im: Image.Image) -> Image.Image:
    """Convert any pixel layout to an opaque 8-bit image of mode L or RGB."""
    if im.mode.startswith("I;16"):
        bits = _tiff_tag(im, 258, (16,))[0]
        full = (1 << bits) - 1 if 8 < bits < 16 else 65535
        wide = np.asarray(im).astype(np.uint32)
        grey = (np.minimum(wide, full) * 255 + full // 2) // full
        return _grey_image(im, grey, wide)
    if im.mode in ("I", "F"):
        values = np.asarray(im)
        return _grey_image(im, _to_byte_range(values, im), values)
    if im.has_transparency_data:
        return _on_white(im.convert("RGBA"))
    return im if im.mode in ("L", "RGB") else im.convert("RGB")


def _grey_image(im: Image.Image, grey: np.ndarray, values: np.ndarray) -> Image.Image:
    """Make an opaque image of the grey levels of `values`, the pixels of `im`."""
    if _tiff_tag(im, 262, 1) == 0:  # WhiteIsZero, which Pillow applies to 8-bit TIFFs only
        grey = 255 - grey
    transparent = im.info.get("transparency")
    if isinstance(transparent, int):
        grey = np.where(values == transparent, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))


def _to_byte_range(values: np.ndarray, im: Image.Image) -> np.ndarray:
    """Scale float or 32-bit pixels to 0..255, if their white is known."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise _Refused("the pixels hold NaN or infinite values; expected numbers in [0, 1]")
    if im.mode == "F" and low >= 0 and high <= 1:
        return np.rint(values * 255)
    whole = im.mode == "I" or bool(np.all(values == np.rint(values)))
    if whole and low >= 0 and high <= 65535:
        eight_bit = high <= 255 and im.format != "PNG"  # a PNG of this kind is 16-bit by its header
        return values if eight_bit else np.rint(values.astype(np.float64) / 257)
    raise _Refused(
        f"pixel values from {low:g} to {high:g} have no known white; expected [0, 1], or whole numbers up to 255 or 65535"
    )


def _tiff_tag(im: Image.Image, tag: int, default: Any) -> Any:
    tags = getattr(im, "tag_v2", None)
    return default if tags is None else tags.get(tag, default)


def _on_white(rgba: Image.Image) -> Image.Image:
    alpha = rgba.getchannel("A")
    rgb = rgba.convert("RGB")
    if alpha.getextrema()[0] == 255:
        return rgb
    # Not the colour stored under the transparency: it is not meant to be seen, and often black.
    white = Image.new("RGB", rgba.size, (255, 255, 255))
    white.paste(rgb, mask=alpha)
    return white
