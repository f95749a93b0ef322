"""Holes from files: a mask drawn for one photo, a folder of masks for an evaluation, and object shapes to paste."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from ce_retrieval.errors import MaskError
from ce_retrieval.holes.strategies import resize_hole, uniforms_for

WHITE = 128  # this bright or brighter is white: hole
RINGING = 64  # as far from 0 or 255 a value may lie (JPEG, soft edges) and still count as black or white
CLEAR_SHARE = 0.98  # of a mask's pixels that must be clearly black or white, and grey
MASK_SUFFIXES = (".png", ".bmp", ".gif", ".jpg", ".jpeg", ".tif", ".tiff", ".webp")
OBJECT_CLASSES = 20  # PASCAL VOC: 1-20 are objects, 0 is background, 255 the border between them
MIN_SHAPE_SHARE = 0.01  # of its file's pixels: smaller pieces would be blown up to blocks


def read_mask(
    path: str | Path, shape: tuple[int, int] | None, *, invert: bool = False, alpha: bool = False
) -> np.ndarray:
    """Read a mask file as a hole: bool (H, W), True = missing.

    shape: the photo's (H, W), which the mask must have: it is never resized. None takes any size.
    Default: white (>= 128) is the hole; invert: dark is. alpha: transparent (alpha < 128) is the hole, and with invert
    opaque is. Black and white JPEGs are read: at least 98 % of the pixels must lie within 64 of 0 or 255. EXIF
    orientation is applied, as to photos.
    MaskError, one line that names the option which would read the file where there is one: not readable as an image,
    another size, a colour picture, not two-valued, no alpha channel, nothing missing, everything missing.
    """
    name = str(path)
    image = _open(name, shape)
    opacity = _alpha_of(image)
    # A varying alpha channel is a second chance that the messages below may offer.
    offer = opacity is not None and not alpha and _is_mask(opacity)
    remedy = "; its alpha channel could be the mask: give --mask-alpha" if offer else ""
    if alpha:
        if opacity is None:
            raise MaskError(
                f"mask {name} has no alpha channel: leave out --mask-alpha to read its brightness (white = hole)"
            )
        _check_two_valued(name, opacity, "its alpha channel", "; leave out --mask-alpha to read its brightness")
        hole = opacity < WHITE
        values = opacity
    else:
        values = _brightness(name, image, remedy)
        _check_two_valued(name, values, "it", remedy or "; draw the hole in pure white on black")
        hole = values >= WHITE
    hole = ~hole if invert else hole
    _check_some(name, hole, values, alpha=alpha, invert=invert, remedy=remedy)
    return hole


def polarity_hint(hole: np.ndarray) -> str:
    """What to add to a message about a hole that leaves too little to see: "" unless it covers over half of its photo.

    A mask whose dark part is the hole cannot be told from its negative; but holes are seldom the larger part.
    """
    share = float(np.mean(hole))
    if share <= 0.5:
        return ""
    percent = "over 99" if 0.99 < share < 1 else f"{100 * share:.0f}"
    return (
        f"the hole covers {percent} % of the photo: "
        "if the other part of the mask was meant, give --invert-mask (or leave it out)"
    )


def mask_paths(folder: str | Path) -> list[Path]:
    """The mask files of a folder (not of folders in it), sorted by name. MaskError: no such folder, or none in it."""
    root = Path(folder)
    if not root.is_dir():
        raise MaskError(f"mask folder {root} does not exist: give a folder of mask images")
    try:
        paths = sorted(p for p in root.iterdir() if p.suffix.lower() in MASK_SUFFIXES and not p.name.startswith("."))
    except OSError as error:
        raise MaskError(f"mask folder {root} cannot be read ({error.strerror}): check its permissions") from error
    if not paths:
        raise MaskError(f"mask folder {root} holds no mask: expected images ({', '.join(MASK_SUFFIXES)})")
    return paths


def holes_from_folder(
    folder: str | Path, seed: int, photo_ids: Sequence[str], size: int, *, invert: bool = False, alpha: bool = False
) -> np.ndarray:
    """One mask file of a folder for each photo of an evaluation: bool (len(photo_ids), size, size).

    The choice hangs on (seed, photo id) and the sorted list of the folder's files alone. Evaluation holes are drawn at
    the evaluation's size, so a mask of any size and aspect is brought to it, by `resize_hole`: whatever touches a
    missing pixel is missing. MaskError as `read_mask`, or when nothing is left visible at that size.
    """
    paths = mask_paths(folder)
    choices = (uniforms_for(seed, photo_ids, 1)[:, 0] * len(paths)).astype(np.int64)
    holes = np.empty((len(photo_ids), size, size), bool)
    for choice in np.unique(choices):
        hole = resize_hole(read_mask(paths[choice], None, invert=invert, alpha=alpha), size)
        if hole.all():
            raise MaskError(
                f"mask {paths[choice]} leaves nothing visible at {size}x{size}: use a larger size or take it out"
            )
        holes[choices == choice] = hole
    return holes


def load_shapes(folder: str | Path, *, min_share: float = MIN_SHAPE_SHARE) -> list[np.ndarray]:
    """Read object shapes from PASCAL VOC style palette masks, for `masks.region_holes`.

    Every connected piece (8 neighbours) of one object class 1-20 that fills at least `min_share` of its file is a shape,
    cut out to its bounding box; background (0), border (255) and other values are none. Files are taken in the order of
    their names. Returns bool arrays of various (h, w). MaskError: no such folder, no mask in it, a file that is not a
    palette (or grey) image, or no shape in any.
    """
    shapes: list[np.ndarray] = []
    for path in mask_paths(folder):
        image = _open(str(path), None)
        if image.mode not in ("P", "L"):
            raise MaskError(
                f"shape file {path} is a {image.mode} image: expected a palette PNG whose values 1-{OBJECT_CLASSES} "
                "are object classes; convert it, or leave the folder out for procedural shapes"
            )
        shapes.extend(_pieces(np.asarray(image), min_share))
    if not shapes:
        raise MaskError(
            f"shape folder {folder} holds no object: expected palette PNGs with classes 1-{OBJECT_CLASSES}; "
            "leave the folder out for procedural shapes"
        )
    return shapes


def _pieces(classes: np.ndarray, min_share: float) -> list[np.ndarray]:
    from scipy import ndimage

    pieces = []
    for number, box in enumerate(ndimage.find_objects(classes, OBJECT_CLASSES), 1):
        if box is None:
            continue
        labels, count = ndimage.label(classes[box] == number, np.ones((3, 3)))
        areas = np.bincount(labels.ravel(), minlength=count + 1)
        for label, piece in enumerate(ndimage.find_objects(labels), 1):
            if areas[label] >= min_share * classes.size:
                pieces.append(labels[piece] == label)
    return pieces


def _open(name: str, shape: tuple[int, int] | None) -> Image.Image:
    """Open and decode; the size is checked before the pixels are read, so that a giant never fills the memory."""
    try:
        with warnings.catch_warnings():
            if shape is not None:  # the photo's own size is the limit then
                warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            else:
                warnings.simplefilter("error", Image.DecompressionBombWarning)
            image: Image.Image = Image.open(name)
        with image:
            turned = image.getexif().get(0x0112, 1) in (5, 6, 7, 8)
            width, height = image.size[::-1] if turned else image.size
            if shape is not None and (height, width) != tuple(shape):
                raise MaskError(
                    f"mask {name} is {width}x{height} pixels, its photo is {shape[1]}x{shape[0]}: "
                    "masks are not resized; save the mask at the photo's size"
                )
            return ImageOps.exif_transpose(image)
    except MaskError:
        raise
    except FileNotFoundError as error:
        raise MaskError(f"mask {name} does not exist: check the path") from error
    # Pillow's decoders raise many kinds of errors on damaged files, SyntaxError and struct.error among them.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MaskError(f"mask {name} cannot be read as an image ({reason}): give a PNG, white = hole") from error


def _alpha_of(image: Image.Image) -> np.ndarray | None:
    """The alpha channel, uint8 (H, W), or None when the image has none."""
    if not image.has_transparency_data:
        return None
    return np.asarray(image.convert("RGBA").getchannel("A"))


def _brightness(name: str, image: Image.Image, remedy: str) -> np.ndarray:
    """The grey values of a mask on a scale of 0 to 255, (H, W). MaskError for a colour picture."""
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        values = np.asarray(image).astype(np.float64)
        # 16-bit PNGs may come as 32-bit integers; float TIFFs are either 0-1 or 0-255.
        top = values.max()
        full = 65535 if top > 255 else 1 if image.mode == "F" and top <= 1 else 255
        return np.clip(values * (255 / full), 0, 255)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    colours = np.asarray(image.convert("RGB"))
    spread = colours.max(2) - colours.min(2)
    if np.mean(spread <= RINGING) < CLEAR_SHARE:
        raise MaskError(f"mask {name} is a colour picture, not a mask of black and white{remedy or _OWN_MASK}")
    return colours[..., 1]


_OWN_MASK = ": give a black and white image of the photo's size, white = hole"


def _is_mask(values: np.ndarray) -> bool:
    white = values >= WHITE
    return _clear_share(values) >= CLEAR_SHARE and bool(white.any()) and not bool(white.all())


def _clear_share(values: np.ndarray) -> float:
    return float(np.mean((values <= RINGING) | (values >= 255 - RINGING)))


def _check_two_valued(name: str, values: np.ndarray, what: str, remedy: str) -> None:
    share = _clear_share(values)
    if share < CLEAR_SHARE:
        raise MaskError(
            f"mask {name} is not two-valued: only {100 * share:.0f} % of {what} is clearly black or white{remedy}"
        )


def _check_some(name: str, hole: np.ndarray, values: np.ndarray, *, alpha: bool, invert: bool, remedy: str) -> None:
    if hole.any() and not hole.all():
        return
    says = "covers the whole photo" if hole.all() else "marks nothing as missing"
    low, high = values.min(), values.max()
    if alpha:
        remedy = f" (alpha is {low} to {high} of 255); leave out --mask-alpha to read its brightness"
    elif not remedy and low < high:
        remedy = f" (its values are {low:.0f} to {high:.0f} of 255); save it with black at 0 and white at 255"
    elif not remedy:
        remedy = f"; draw the hole in {'black on white' if invert else 'white on black'}"
    raise MaskError(f"mask {name} {says}{remedy}")
