"""Decoding: one encoded photo becomes upright sRGB uint8 pixels, or a `PhotoError` says why not."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS
from ce_retrieval.photos.encoding import Encoding, encoding_of
from ce_retrieval.photos.exif import TURNS, exif_of, orientation_of
from ce_retrieval.photos.formats import format_of, open_image, why_no_photo, without_warnings
from ce_retrieval.photos.jpeg import with_end_mark
from ce_retrieval.photos.layouts import Layout, Refused, check_tiff, layout_of, on_white
from ce_retrieval.photos.profiles import NO_CONVERSION, Conversion, conversion_of, to_srgb
from ce_retrieval.photos.resizing import LOOPS
from ce_retrieval.pixels import Photo
from ce_retrieval.settings import COUNT, Range

SIDE = Range(low=1, high=65_535, whole=True)  # of a resized photo, px
_NOTHING = Encoding()  # of a resized photo


class DecodedPhoto(NamedTuple):
    """A decoded photo, its size before any resize, and what else its file holds."""

    pixels: Photo  # uint8 (H, W, 3), sRGB, upright
    width: int  # of the whole photo, upright, px
    height: int
    encoding: Encoding  # empty for a resized photo


class LargePhotoError(PhotoError):
    """A photo has more pixels than are decoded."""

    def __init__(self, name: str, width: int, height: int, max_pixels: int, remedy: str) -> None:
        super().__init__(f"{name}: {width}x{height} pixels are more than the {max_pixels} that are read: {remedy}")
        self.pixels = width * height


def decode_photo(
    data: bytes,
    *,
    name: str,
    size: int | None = None,
    max_pixels: int = DEFAULT_MAX_PIXELS,
    remedy: str = "make it smaller",
) -> DecodedPhoto:
    """Decode a JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or PPM to upright RGB.

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
    remedy : str
        what the message says of such a photo.

    Returns
    -------
    DecodedPhoto with writable uint8 pixels (H, W, 3), or (size, size, 3).

    Raises
    ------
    PhotoError
        `name: reason`; no other exception or warning is caused by the data. LargePhotoError: more than `max_pixels`.
    SettingsError
        `size` or `max_pixels` is out of range.

    Notes
    -----
    - Colours are converted to sRGB by the embedded profile (perceptual intent). A profile that is damaged, or for pixels of
      another kind, is ignored. The pixels of a photo without a profile, or with one of sRGB, stay as they are.
    - EXIF orientation is applied (not if XMP alone has it); with `size` after the resize, which may differ by a grey level
      or two from the other order.
    - Transparent parts become white. Of several frames or pages, the first is read.
    - 16-bit values are scaled by 255/65535, float values in [0, 1] by 255. Float and 32-bit values that are whole numbers up
      to 255 or 65535 count as 8-bit or 16-bit; other ranges are refused, because their white is unknown.
    - CMYK JPEGs are read inverted, as Adobe writes them.
    - A JPEG without its end mark is read if nothing else is missing.
    - Threads decode in parallel: Pillow releases the GIL. Only TIFFs and AVIFs go one at a time.
    """
    return _decoded(data, name, size, None, max_pixels, remedy)[0]


def decode_both(
    data: bytes, *, name: str, size: int, side: int, max_pixels: int = DEFAULT_MAX_PIXELS
) -> tuple[DecodedPhoto, Photo]:
    """Decode a photo twice, as a square and in its own shape, from one reading of the file where that gives the same.

    Parameters
    ----------
    data, name, size, max_pixels
        As for `decode_photo`.
    side : int
        px; the second is made smaller by the same filter so that none of its sides is longer.

    Returns
    -------
    What `decode_photo` returns of the square, bit for bit, and uint8 (h, w, 3). Errors as `decode_photo`.
    """
    square, larger = _decoded(data, name, size, side, max_pixels, "make it smaller")
    assert larger is not None
    return square, larger


def _decoded(
    data: bytes, name: str, size: int | None, side: int | None, max_pixels: int, remedy: str
) -> tuple[DecodedPhoto, Photo | None]:
    """Decode, and turn whatever goes wrong into a PhotoError."""
    if size is not None:
        SIDE.check("`size`", size)
    if side is not None:
        SIDE.check("`side`", side)
    COUNT.check("`max_pixels`", max_pixels)
    kind = format_of(data)
    if kind is None:
        raise PhotoError(f"{name}: {why_no_photo(data)}")
    try:
        with without_warnings(data, kind):
            try:
                return _decode(data, kind, size, side, max_pixels)
            except OSError:
                whole = with_end_mark(data) if kind == "JPEG" else None
                if whole is None:
                    raise
                return _decode(whole, kind, size, side, max_pixels)
    except _TooLarge as error:
        width, height = error.args
        raise LargePhotoError(name, width, height, max_pixels, remedy) from None
    except Refused as error:
        raise PhotoError(f"{name}: {error}") from None
    except MemoryError:
        raise PhotoError(f"{name}: not enough memory to decode this {kind}: make it smaller") from None
    except Exception as error:  # hostile bytes make Pillow's parsers raise nearly anything
        text = " ".join(str(error).split())[:120] or type(error).__name__
        raise PhotoError(f"{name}: damaged or unsupported {kind}: {text}; copy or download it again") from error


class _TooLarge(Exception):
    """The header names more pixels than are decoded; arguments: width, height."""


def _decode(
    data: bytes, kind: str, size: int | None, side: int | None, max_pixels: int
) -> tuple[DecodedPhoto, Photo | None]:
    """Decode a photo, resized to `size`, and beside that to `side`; to `side` alone where there is no `size`."""
    im = open_image(data, kind)
    width, height = im.size
    if width * height > max_pixels:
        raise _TooLarge(width, height)
    box: tuple[float, float, float, float] | None = None
    target = _target(width, height, size, side)
    if target and kind == "JPEG" and width >= 4 * target[0] and height >= 4 * target[1]:
        drafted = im.draft("RGB", (2 * target[0], 2 * target[1]))
        box = drafted[1] if drafted else None  # the photo without the padding of its last block
    if kind == "TIFF":
        check_tiff(im)
    im.load()
    if kind == "TIFF":  # Pillow turns a TIFF upright while it loads
        width, height = im.size
        target = _target(width, height, size, side)
    exif = exif_of(im) if kind != "TIFF" or target is None else b""
    turn = TURNS.get(orientation_of(exif))
    layout, conversion = _with_profile(im, layout_of(im))
    photo = on_white(layout)

    def finished(target: tuple[int, int] | None) -> Photo:
        if target not in (None, photo.size) and turn is None and conversion.to_srgb is None:
            resized = LOOPS.resize(photo, target, box)
            if resized is not None:
                return resized
        made = photo if target in (None, photo.size) else photo.resize(target, Image.Resampling.BICUBIC, box=box)
        made = to_srgb(made if turn is None else made.transpose(turn), conversion)
        return np.array(made if made.mode == "RGB" else made.convert("RGB"))

    pixels, larger = finished(target), None
    if size is not None and side is not None:
        # A JPEG that was reduced for the square is too small: it is read again.
        reduced = box is not None
        larger = (
            _decode(data, kind, None, side, max_pixels)[0].pixels if reduced else finished(_fitted(width, height, side))
        )
    if turn is not None and orientation_of(exif) >= 5:
        width, height = height, width
    encoding = _NOTHING if target is not None else encoding_of(im, data, layout, conversion, turn, exif)
    return DecodedPhoto(pixels, width, height, encoding), larger


def _target(width: int, height: int, size: int | None, side: int | None) -> tuple[int, int] | None:
    """Return the width and height to which a photo is resized; None where it stays as it is."""
    if size is not None:
        return size, size
    return None if side is None else _fitted(width, height, side)


def _fitted(width: int, height: int, side: int) -> tuple[int, int]:
    share = min(1.0, side / max(width, height))
    return max(1, round(width * share)), max(1, round(height * share))


def _with_profile(im: Image.Image, layout: Layout) -> tuple[Layout, Conversion]:
    """Return the layout of an image and the conversion of its profile; CMYK without a profile becomes RGB."""
    profile = im.info.get("icc_profile", b"")
    if profile is None:  # it did not unpack
        conversion = Conversion(fault="is damaged")
    else:
        conversion = conversion_of(bytes(profile), layout.colours.mode) if profile else NO_CONVERSION
    if layout.colours.mode == "CMYK" and conversion.to_srgb is None:
        layout = layout._replace(colours=layout.colours.convert("RGB"))
    return layout, conversion
