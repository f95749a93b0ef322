"""Pixel layouts: whatever Pillow makes of a file becomes 8-bit grey, RGB or CMYK, and its transparency apart."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import PIL
from PIL import Image

# Tags of a TIFF, and values of its tag photometric.
_SUBFILE, _BITS, _COMPRESSION, _PHOTOMETRIC, _PLANES, _INK_SET = 254, 258, 259, 262, 284, 332
_EXTRA_SAMPLES, _SAMPLE_FORMAT, _SUBSAMPLING, _BLACK_WHITE = 338, 339, 530, 532
_WHITE_IS_ZERO, _BLACK_IS_ZERO, _SEPARATED, _YCBCR, _LAB = 0, 1, 5, 6, 8
_JPEG = (6, 7)  # values of the tag compression
_FULL_RANGE = (0, 255, 128, 255, 128, 255)  # of the tag reference black and white


class Refused(ValueError):
    """The content of a file is refused; the text is the reason."""


class Layout(NamedTuple):
    """The pixels of a photo, as its file holds them.

    Attributes
    ----------
    colours : mode L, RGB or CMYK
        also where they are transparent.
    alpha : mode L or None
        opacity; None where all is opaque.
    """

    colours: Image.Image
    alpha: Image.Image | None


def layout_of(im: Image.Image, *, dark_is_8_bit: bool = False) -> Layout:
    """Return the layout of a loaded image of any mode; Refused where the meaning of its pixels is unknown.

    dark_is_8_bit: 16-bit pixels that are all 255 or less count as 8-bit, as in masks.
    """
    if im.mode.startswith("I;16"):
        bits = _tiff_tag(im, _BITS, (16,))[0]
        full = (1 << bits) - 1 if 8 < bits < 16 else 65535
        wide = np.asarray(im).astype(np.uint32)
        full = 255 if dark_is_8_bit and wide.max() <= 255 else full
        return _grey_layout(im, (np.minimum(wide, full) * 255 + full // 2) // full, wide)
    if im.mode in ("I", "F"):
        values = np.asarray(im)
        return _grey_layout(im, _to_byte_range(values, im, dark_is_8_bit), values)
    if not im.has_transparency_data:
        known = im.mode in ("L", "RGB", "CMYK")
        return Layout(im if known else im.convert("L" if im.mode == "1" else "RGB"), None)
    rgba = (im.convert("LA") if im.mode == "La" else im).convert("RGBA")  # Pillow converts La to nothing but LA
    alpha = rgba.getchannel("A")
    low, high = alpha.getextrema()
    # Programs write 32-bit BMPs whose alpha is unused, and 0 everywhere.
    opaque = low == 255 or (im.format == "BMP" and high == 0)
    colours = rgba.getchannel("R") if im.mode in ("1", "L", "LA", "La") else rgba.convert("RGB")
    return Layout(colours, None if opaque else alpha)


def on_white(layout: Layout) -> Image.Image:
    """Return the colours of a layout, laid on white where they are transparent.

    What is stored under the transparency is not meant to be seen, and often black.
    """
    if layout.alpha is None:
        return layout.colours
    white = Image.new(layout.colours.mode, layout.colours.size, "white")
    white.paste(layout.colours, mask=layout.alpha)
    return white


def check_tiff(im: Any) -> None:
    """Raise Refused for a TIFF that Pillow opens but would misread; `tests/.../test_tiff_layouts.py` tries them all."""
    tags = im.tag_v2
    bits, extra = tags.get(_BITS, (1,)), tags.get(_EXTRA_SAMPLES, ())
    photometric, compression = tags.get(_PHOTOMETRIC, _WHITE_IS_ZERO), tags.get(_COMPRESSION, 1)
    grey = photometric in (_WHITE_IS_ZERO, _BLACK_IS_ZERO)
    planar = tags.get(_PLANES, 1) == 2 and len(bits) > 1
    fault = ""
    if tags.get(_SUBFILE, 0) & 1:
        fault = "whose first page is a reduced copy"
    elif max(bits) < 32 and 2 in tags.get(_SAMPLE_FORMAT, ()):
        fault = "of signed values, whose white is unknown"
    elif planar and compression == 1 and max(bits) > 8:
        fault = f"of {max(bits)} bits in separate planes"
    elif planar and ((grey and any(extra)) or photometric == _LAB):
        fault = f"of {'Lab' if photometric == _LAB else 'grey and transparency'} in separate planes"
    elif tags.prefix == b"MM" and compression != 1 and max(bits) > 16:
        fault = f"of {max(bits)} bits, big-endian and compressed"
    elif photometric == _SEPARATED and tags.get(_INK_SET, 1) != 1:
        fault = "of other inks than CMYK"
    elif photometric == _YCBCR and compression not in _JPEG and not _plain_ycbcr(tags):
        fault = "of subsampled or scaled YCbCr"
    elif photometric == _YCBCR and compression == 1 and int(PIL.__version__.partition(".")[0]) < 13:
        fault = "of uncompressed YCbCr, which Pillow reads from version 13 on"
    if fault:
        raise Refused(f"a TIFF {fault}: save it as interleaved RGB of 8 or 16 bits, or as PNG")


def _plain_ycbcr(tags: Any) -> bool:
    scale = tuple(float(value) for value in tags.get(_BLACK_WHITE, _FULL_RANGE))
    return tuple(tags.get(_SUBSAMPLING, (2, 2))) == (1, 1) and scale == _FULL_RANGE


def _grey_layout(im: Image.Image, grey: np.ndarray, values: np.ndarray) -> Layout:
    """Return the layout of the grey levels of `values`, the pixels of `im`."""
    if _tiff_tag(im, _PHOTOMETRIC, _BLACK_IS_ZERO) == _WHITE_IS_ZERO:  # which Pillow applies to 8-bit TIFFs only
        grey = 255 - grey
    transparent = im.info.get("transparency")
    alpha = None
    if isinstance(transparent, int) and (values == transparent).any():
        alpha = Image.fromarray(np.where(values == transparent, np.uint8(0), np.uint8(255)))
    return Layout(Image.fromarray(grey.astype(np.uint8)), alpha)


def _to_byte_range(values: np.ndarray, im: Image.Image, dark_is_8_bit: bool) -> np.ndarray:
    """Scale float or 32-bit pixels to 0..255, if their white is known."""
    low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise Refused("the pixels hold NaN or infinite values; expected numbers in [0, 1]")
    if im.mode == "F" and low >= 0 and high <= 1:
        return np.rint(values * 255)
    whole = im.mode == "I" or bool(np.all(values == np.rint(values)))
    if whole and low >= 0 and high <= 65535:
        # A PNG or PPM of this kind is 16-bit by its header.
        eight_bit = high <= 255 and (dark_is_8_bit or im.format not in ("PNG", "PPM"))
        return values if eight_bit else np.rint(values.astype(np.float64) / 257)
    raise Refused(
        f"pixel values from {low:g} to {high:g} have no known white; expected [0, 1], or whole numbers up to 255 or 65535"
    )


def _tiff_tag(im: Image.Image, tag: int, default: Any) -> Any:
    tags = getattr(im, "tag_v2", None)
    return default if tags is None else tags.get(tag, default)
