"""Holes from files: the mask of one photo, a folder of masks for an evaluation, and object shapes to paste."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from ce_retrieval.errors import MaskError, reason_of
from ce_retrieval.holes.strategies import resize_hole, uniforms_for
from ce_retrieval.holes.turned import turn_for
from ce_retrieval.own_files import own_names
from ce_retrieval.photos import DEFAULT_MAX_PIXELS
from ce_retrieval.photos.base import photo_suffixes, photos_with_masks
from ce_retrieval.photos.exif import TURNS, exif_of, orientation_of
from ce_retrieval.photos.files import read_bytes
from ce_retrieval.photos.formats import format_of, open_image, without_warnings
from ce_retrieval.photos.layouts import check_tiff, layout_of
from ce_retrieval.pixels import Bools, Photo

WHITE = 128  # grey level from which a pixel is white, and thus hole
RINGING = 64  # distance from 0 or 255 up to which a value counts as black or white (JPEG, soft edges)
CLEAR_SHARE = 0.98  # share of a mask's pixels that must be black or white, and grey
MASK_SUFFIXES = (".png", ".gif", *(suffix for suffix in photo_suffixes() if suffix != ".png"))
OBJECT_CLASSES = 20  # PASCAL VOC: 1-20 are objects, 0 is background, 255 the border between them
MIN_SHAPE_SHARE = 0.01  # share of its file that a shape must fill: enlarged, smaller ones would look like blocks


def read_mask(
    path: str | Path,
    shape: tuple[int, int] | None,
    *,
    invert: bool = False,
    alpha: bool = False,
    photo: str | Path | None = None,
) -> Bools:
    """Read a mask file as a hole.

    Parameters
    ----------
    path : path of an image
        black and white; JPEG noise is allowed: 98 % of the pixels must lie within 64 of 0 or 255. EXIF orientation is
        applied, as for photos.
    shape : (H, W) or None
        the photo's size, which the mask must have, since masks are never resized; None accepts any.
    invert : bool
        False: white (128 or more) is the hole. True: black is.
    alpha : bool
        read the alpha channel in place of the brightness. Transparent is the hole, even in part (below 255): the colour of
        an edge pixel is mixed with what was there before. With `invert`, opaque is the hole, even in part (above 0).
    photo : path or None
        the photo's file: where its EXIF orientation explains another size of the mask, the error says so.

    Returns
    -------
    bool (H, W), True = missing.

    Raises
    ------
    MaskError
        not readable as an image, of another size, a colour picture, not two-valued, without alpha channel, nothing or
        everything missing. The message names the argument that would read the file, if there is one.
    """
    name = str(path)
    colours, opacity = _read(name, shape, photo)
    # Where the alpha channel is a mask too, the messages below suggest it.
    offer = opacity is not None and not alpha and _is_mask(opacity)
    remedy = "; its alpha channel could be the mask: set `alpha`" if offer else ""
    if alpha:
        if opacity is None:
            raise MaskError(
                f"mask {name} has no alpha channel: leave out `alpha` to read its brightness (white = hole)"
            )
        values = opacity
        hole = opacity > 0 if invert else opacity < 255
    else:
        values = _brightness(name, colours, remedy)
        _check_two_valued(name, values, remedy or "; draw the hole in pure white on black")
        hole = (values >= WHITE) != invert
    _check_some(name, hole, values, alpha=alpha, invert=invert, remedy=remedy)
    return hole


def polarity_hint(hole: Bools) -> str:
    """Return a hint that the mask of a hole bool (H, W) may be inverted: "" unless the hole covers over half of its photo.

    A mask and its negative cannot be told apart, but holes rarely cover most of a photo.
    """
    share = float(np.mean(hole))
    if share <= 0.5:
        return ""
    percent = "over 99" if 0.99 < share < 1 else f"{100 * share:.0f}"
    return f"the hole covers {percent} % of the photo: if the mask is inverted, set `invert` (or leave it out)"


def mask_paths(folder: str | Path) -> list[Path]:
    """Return the mask files of a folder, without its subfolders, sorted by name; MaskError if there are none.

    Results of ceret are passed over, and photos whose masks lie beside them.
    """
    root = Path(folder)
    if not root.is_dir():
        found = "is not a folder" if root.exists() else "does not exist"
        raise MaskError(f"mask folder {root} {found}: give a folder of mask images")
    try:
        names = {entry.name for entry in root.iterdir() if not entry.name.startswith(".")}
        left_out = own_names(str(root), names) | photos_with_masks(names)
        paths = sorted(root / name for name in names - left_out if is_mask_name(name))
    except OSError as error:
        raise MaskError(f"mask folder {root} cannot be read ({reason_of(error)}): check its permissions") from error
    if not paths:
        raise MaskError(f"mask folder {root} holds no mask: expected images ({', '.join(MASK_SUFFIXES)})")
    return paths


def is_mask_name(name: str) -> bool:
    """Return whether a file name has the suffix of a mask, in upper or lower case."""
    return name.lower().endswith(MASK_SUFFIXES)


def holes_from_folder(folder: str | Path, seed: int, photo_ids: Sequence[str], size: int) -> Bools:
    """Choose a mask file of a folder for each photo of an evaluation: bool (len(photo_ids), size, size).

    The choice depends on (seed, photo id) and the sorted file names alone. A mask may have any size and aspect ratio: it is
    brought to the evaluation's size by `resize_hole`. MaskError as `read_mask`, or if nothing stays visible at that size.
    """
    paths = mask_paths(folder)
    choices = (uniforms_for(seed, photo_ids, 1)[:, 0] * len(paths)).astype(np.int64)
    holes = np.empty((len(photo_ids), size, size), bool)
    for choice in np.unique(choices):
        hole = resize_hole(read_mask(paths[choice], None), size)
        if hole.all():
            raise MaskError(
                f"mask {paths[choice]} leaves nothing visible at {size}x{size}: use a larger size or take it out"
            )
        holes[choices == choice] = hole
    return holes


def load_shapes(folder: str | Path) -> list[Bools]:
    """Read object shapes for region holes from palette masks in the form of PASCAL VOC.

    A shape is a connected piece (8 neighbours) of one object class, 1 to 20, that fills at least 1 % of its file, cropped
    to its bounding box. Background (0), border (255) and other values hold no shapes.

    Parameters
    ----------
    folder : path
        its files are read in the order of their names.

    Returns
    -------
    Bool arrays of various (h, w).

    Raises
    ------
    MaskError
        no folder, no mask in it, a file that is not a palette or grey image, or no shape in any.
    """
    shapes: list[Bools] = []
    for path in mask_paths(folder):
        with _mask_errors(str(path)):
            image = _open(str(path), None)
        if image.mode not in ("P", "L"):
            raise MaskError(
                f"shape file {path} is a {image.mode} image: expected a palette PNG whose values 1-{OBJECT_CLASSES} "
                "are object classes; convert it, or leave out `shapes` for procedural ones"
            )
        shapes.extend(_pieces(_upright(image, image)))
    if not shapes:
        raise MaskError(
            f"shape folder {folder} holds no object: expected palette PNGs with classes 1-{OBJECT_CLASSES}; "
            "leave out `shapes` for procedural ones"
        )
    return shapes


def _pieces(classes: Photo) -> list[Bools]:
    """Return the shapes of one file, class by class."""
    from scipy import ndimage

    pieces = []
    for number, box in enumerate(ndimage.find_objects(classes, OBJECT_CLASSES), 1):
        if box is None:
            continue
        labels, count = ndimage.label(classes[box] == number, np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        for label, piece in enumerate(ndimage.find_objects(labels), 1):
            if areas[label] >= MIN_SHAPE_SHARE * classes.size:
                pieces.append(labels[piece] == label)
    return pieces


class _Mask(NamedTuple):
    """A mask file: its pixels upright, uint8 (H, W) or (H, W, 3), and its alpha channel (H, W) if it has one."""

    colours: Photo
    alpha: Photo | None


def _read(name: str, shape: tuple[int, int] | None, photo: str | Path | None = None) -> _Mask:
    """Read a mask of `shape`, and of a photo's file; MaskError."""
    with _mask_errors(name):
        image = _open(name, shape, photo)
        colours, alpha = layout_of(image, dark_is_8_bit=True)
        if alpha is None and image.has_transparency_data:  # which is not used
            alpha = Image.new("L", colours.size, 255)
        colours = colours.convert("RGB") if colours.mode == "CMYK" else colours
        return _Mask(_upright(image, colours), None if alpha is None else _upright(image, alpha))


@contextlib.contextmanager
def _mask_errors(name: str) -> Iterator[None]:
    """Turn what reading a mask raises into a MaskError."""
    try:
        yield
    except MaskError:
        raise
    except Exception as error:  # Pillow's decoders raise nearly anything on damaged files, even SyntaxError
        if not os.path.lexists(name):
            raise MaskError(f"mask {name} does not exist: check the path") from error
        if os.path.isdir(name):
            raise MaskError(f"mask {name} is a folder: give a PNG, white = hole") from error
        reason = " ".join(str(error).removeprefix(f"{name}: ").split()) or type(error).__name__
        if isinstance(error, UnidentifiedImageError):  # its text names an object in memory
            reason = "the file is empty" if not os.path.getsize(name) else "it is not an image"
        raise MaskError(f"mask {name} cannot be read as an image ({reason}): give a PNG, white = hole") from error


def _open(name: str, shape: tuple[int, int] | None, photo: str | Path | None = None) -> Image.Image:
    """Open and decode an image of any format that Pillow reads; its size is checked first, so that none fills the memory."""
    data = read_bytes(name)
    kind = format_of(data)
    with without_warnings(data, kind):
        image = Image.open(io.BytesIO(data)) if kind is None else open_image(data, kind)
        width, height = image.size
        if shape is None and width * height > DEFAULT_MAX_PIXELS:
            raise MaskError(f"mask {name} is {width}x{height} pixels, over {DEFAULT_MAX_PIXELS}: make it smaller")
        if shape is not None and width * height != shape[0] * shape[1]:
            _check_size(name, image, shape, photo)
        if kind == "TIFF":
            check_tiff(image)
        image.load()
    if shape is not None:
        _check_size(name, image, shape, photo)
    return image


def _check_size(name: str, image: Image.Image, shape: tuple[int, int], photo: str | Path | None) -> None:
    """Raise MaskError unless an image, turned upright, has the size (H, W)."""
    width, height = image.size[::-1] if orientation_of(exif_of(image)) >= 5 else image.size
    if (height, width) != tuple(shape):
        turn = turn_for(photo) if photo is not None and (width, height) == tuple(shape) else ""
        remedy = (
            f"the photo's EXIF orientation turns it, and the mask fits the unturned photo; {turn}"
            if turn
            else "masks are not resized; save the mask at the photo's size"
        )
        raise MaskError(f"mask {name} is {width}x{height} pixels, its photo is {shape[1]}x{shape[0]}: {remedy}")


def _upright(image: Image.Image, part: Image.Image) -> np.ndarray:
    """Return the pixels of an image, or of a channel of it, upright."""
    turn = TURNS.get(orientation_of(exif_of(image)))
    return np.asarray(part if turn is None else part.transpose(turn))


def _brightness(name: str, colours: Photo, remedy: str) -> Photo:
    """Return the grey values (H, W) of a mask's pixels; MaskError for a colour picture."""
    if colours.ndim == 2:
        return colours
    spread = colours.max(2) - colours.min(2)
    if np.mean(spread <= RINGING) < CLEAR_SHARE:
        remedy = remedy or ": give a black and white image of the photo's size, white = hole"
        raise MaskError(f"mask {name} is a colour picture, not a black and white mask{remedy}")
    return colours[..., 1]


def _is_mask(values: Photo) -> bool:
    """Return whether an alpha channel could be the mask: two-valued, with both values in use."""
    white = values >= WHITE
    return _clear_share(values) >= CLEAR_SHARE and bool(white.any()) and not bool(white.all())


def _clear_share(values: np.ndarray) -> float:
    """Return the share of the pixels that are black or white."""
    return float(np.mean((values <= RINGING) | (values >= 255 - RINGING)))


def _check_two_valued(name: str, values: np.ndarray, remedy: str) -> None:
    share = _clear_share(values)
    if share < CLEAR_SHARE:
        raise MaskError(
            f"mask {name} is not two-valued: only {100 * share:.0f} % of it is clearly black or white{remedy}"
        )


def _check_some(name: str, hole: np.ndarray, values: np.ndarray, *, alpha: bool, invert: bool, remedy: str) -> None:
    if hole.any() and not hole.all():
        return
    fault = "covers the whole photo" if hole.all() else "marks nothing as missing"
    low, high = values.min(), values.max()
    if alpha:
        remedy = f" (alpha is {low} to {high} of 255); leave out `alpha` to read its brightness"
    elif not remedy and low < high:
        remedy = f" (its values are {low:.0f} to {high:.0f} of 255); save it with black at 0 and white at 255"
    elif not remedy:
        remedy = f"; draw the hole in {'black on white' if invert else 'white on black'}"
    raise MaskError(f"mask {name} {fault}{remedy}")
