"""Single photo files: reading and writing."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ce_retrieval.errors import PhotoError, SettingsError, reason_of
from ce_retrieval.own_files import check_free, check_picture, marked
from ce_retrieval.photos.base import DEFAULT_MAX_PIXELS
from ce_retrieval.photos.decode import DecodedPhoto, decode_photo
from ce_retrieval.pixels import Bools, Photo
from ce_retrieval.reading import LongFileError, NotAFileError, read_regular
from ce_retrieval.storage import check_file, replace_file

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
        return read_regular(path, MAX_BYTES)
    except LongFileError as error:
        raise PhotoError(f"{name}: {error.size} bytes are more than the {MAX_BYTES} that a photo may have") from None
    except IsADirectoryError:
        raise PhotoError(f"{name}: a folder; give a photo") from None
    except NotAFileError:
        raise PhotoError(f"{name}: not a regular file; give a photo") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        raise PhotoError(f"{name}: cannot be read: {reason_of(error)}; check the path") from None


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
    target = Path(path)
    replace_file(target, _encoded(target, pixels), synced=False)


def save_result(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write a picture as a PNG that is marked as ceret's own, in place of nothing or of another one.

    Raises
    ------
    StorageError
        `path` holds a file of others, or cannot be written.
    SettingsError
        `path` is not a .png.
    """
    target = Path(path)
    _check_png(target)
    _replace_own(target, _encoded(target, pixels))


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
        `path` holds a file of others, or cannot be written.
    """
    encoding = photo.encoding
    carried = {"icc_profile": encoding.conversion.carried, "exif": encoding.exif}
    options = {**_WRITERS[".png"][1], **{name: value for name, value in carried.items() if value}}
    _replace_own(path, _bytes(encoding.encoded(pixels, photo.pixels, filled), "PNG", options))


def check_place(path: str | os.PathLike[str], inputs: Mapping[str, Path]) -> None:
    """Raise an error now where `save_result` would raise one later, or would overwrite an input of the run.

    Parameters
    ----------
    path : path of a file
    inputs : path by what it is
        as for `own_files.check_free`.

    Raises
    ------
    SettingsError
        `path` is not a .png.
    StorageError
        `path` holds an input, a file of others or the result of a completion, or lies in no folder.
    """
    target = Path(path)
    _check_png(target)
    check_picture(target, inputs)
    check_file(target)


def _check_png(target: Path) -> None:
    """Raise SettingsError for another format: only PNGs are marked, so a later run could not tell that it wrote the file."""
    if target.suffix.lower() != ".png":
        raise SettingsError(f"{target}: pictures are written as PNG; give NAME.png")


def _check_suffix(target: Path) -> None:
    if target.suffix.lower() not in _WRITERS:
        raise SettingsError(f"{target}: unknown photo suffix {target.suffix!r}; use one of {', '.join(_WRITERS)}")


def _encoded(target: Path, pixels: np.ndarray) -> bytes:
    """Return pixels uint8 (H, W, 3) as the file `target` should hold them."""
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ValueError(f"pixels are {pixels.dtype} {pixels.shape}: expected uint8 (H, W, 3)")
    _check_suffix(target)
    return _bytes(pixels, *_WRITERS[target.suffix.lower()])


def _bytes(pixels: np.ndarray, kind: str, options: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def _replace_own(target: Path, data: bytes) -> None:
    """Write a PNG of ceret in place of nothing, or of another one."""
    check_free(target)
    replace_file(target, marked(data), synced=False)
