"""From a photo and its hole to a checked query at the index's size, and the hint for an inverted mask."""

from typing import Any

import numpy as np

from ce_retrieval.errors import CeretError, DescriptorError, MaskError, PhotoError, PhotoIndexError
from ce_retrieval.holes.files import polarity_hint
from ce_retrieval.holes.strategies import resize_hole
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photos.collected import check_side
from ce_retrieval.pixels import check_hole, resize

PHOTO, HOLE = "uint8 (H, W, 3)", "bool (H, W)"


def check_query(photo: np.ndarray, hole: np.ndarray) -> None:
    """Raise an error unless a photo and its hole can make a query.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W)
        True = missing.

    Raises
    ------
    PhotoError
        `photo` is of another type or shape, or smaller than an index takes; the message says how to convert it.
    MaskError
        `hole` is of another type or shape, or marks no pixel or all of them.
    """
    check_photo(photo)
    _check_hole_array(hole)
    if hole.shape == photo.shape[:2] and hole.all():
        raise hinted(MaskError("the hole leaves nothing of the photo visible"), hole)
    check_hole(hole, photo.shape[:2])


def square_query(photo: np.ndarray, hole: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize a photo and its hole to size x size, whatever their shape (bicubic).

    Parameters
    ----------
    photo : uint8 (H, W, 3)
    hole : bool (H, W)
        True = missing.
    size : int
        px.

    Returns
    -------
    photo : uint8 (size, size, 3)
        0 under the hole; the argument itself if it has that size already.
    hole : bool (size, size)
        A pixel is missing if any part of it was.

    Notes
    -----
    The filter sees known pixels only: hidden ones have weight 0, and the other weights are scaled to sum to 1 (normalised
    convolution: H. Knutsson, C.-F. Westin, "Normalized and differential convolution", 1993). Where the filter does not
    reach the hole, the result equals the plain resize of an index's photos bit for bit.
    """
    if photo.shape[:2] == (size, size):
        return photo, hole
    square_hole = resize_hole(hole, size)
    known = np.where(hole[:, :, None], np.uint8(0), photo)
    square = resize(known, (size, size)).copy()
    # Visible pixels lie on known ones, so their weights sum to well above 0, although some are negative.
    weights = resize((~hole).astype(np.float32), (size, size))
    near = (np.abs(weights - 1) > 1e-5) & ~square_hole
    for channel in range(3):
        sums = resize(known[:, :, channel].astype(np.float32), (size, size))[near]
        square[near, channel] = np.clip(np.rint(sums / weights[near]), 0, 255)
    square[square_hole] = 0
    return square, square_hole


def check_photo(photo: np.ndarray) -> None:
    """Raise PhotoError unless a photo alone can make a query, as `check_query` does."""
    _check_photo_array(photo)
    check_side(photo.shape[1], photo.shape[0])


def check_whole(index: PhotoIndex) -> None:
    """Raise PhotoIndexError where an index cannot be asked for photos like a whole one: it has not seen its own whole."""
    if index.protocol_hole is not None:
        raise PhotoIndexError(
            f"{index.path} was built with the hole protocol 'center': it knows nothing of the centre of its photos, so a whole "
            "photo cannot be compared; give the central hole, or build an index with the protocol 'none'"
        )


def protocol_hole(index: PhotoIndex, hole: np.ndarray) -> np.ndarray:
    """Return the hole bool (S, S) to describe a query with, given its own hole (S, S) at the index's size.

    For an index of whole photos it is the query's own. An index with the hole protocol "center" adds the centre, and the
    query's own hole must be that centre to within one pixel, since a mask drawn at another size need not fall on whole
    pixels here.

    Raises
    ------
    PhotoIndexError
        The protocol is "center" and the hole another one.
    """
    center = index.protocol_hole
    if center is None:
        return hole
    rows = np.flatnonzero(center.any(axis=1))
    first, last = rows[0], rows[-1]
    outer = np.zeros_like(center)
    outer[first - 1 : last + 2, first - 1 : last + 2] = True
    inner = np.zeros_like(center)
    inner[first + 1 : last, first + 1 : last] = True
    if (hole & ~outer).any() or (inner & ~hole).any():
        raise PhotoIndexError(
            f"{index.path} was built with the hole protocol 'center': a query's hole must be the central half of the "
            "photo's height and width; for other holes build an index with the protocol 'none'"
        )
    return hole | center


def hinted(error: CeretError, hole: np.ndarray) -> CeretError:
    """Return the error of a query, with a hint added if its own hole (H, W) looks like an inverted mask."""
    hint = polarity_hint(hole) if isinstance(error, DescriptorError | PhotoIndexError | MaskError) else ""
    return type(error)(f"{error}; {hint}") if hint else error


def _check_photo_array(photo: Any) -> None:
    """Raise PhotoError for another type or number of axes, with the code that converts it."""
    if not isinstance(photo, np.ndarray):
        raise PhotoError(
            f"the photo is of type {type(photo).__name__}: a numpy array {PHOTO} is expected, such as "
            "np.asarray(image.convert('RGB')) of a Pillow image"
        )
    if photo.ndim != 3 or photo.shape[2] != 3:
        raise PhotoError(f"the photo is {_kind(photo)}: {PHOTO} is expected; {_three_channels(photo)}")
    if photo.dtype != np.uint8:
        raise PhotoError(f"the photo is {_kind(photo)}: {PHOTO} is expected; {_bytes(photo)}")


def _check_hole_array(hole: Any) -> None:
    """Raise MaskError for another type or number of axes, with the code that converts it."""
    if not isinstance(hole, np.ndarray):
        raise MaskError(
            f"the hole is of type {type(hole).__name__}: a numpy array {HOLE}, True = missing, is expected, such as "
            "np.asarray(mask.convert('L')) > 127 of a Pillow image"
        )
    if hole.ndim != 2:
        remedy = "take one channel: hole[..., 0]" if hole.ndim == 3 else "give rows of pixels"
        raise MaskError(f"the hole is {_kind(hole)}: {HOLE}, True = missing, is expected; {remedy}")
    if hole.dtype != np.bool_:
        middle = "0.5" if hole.dtype.kind == "f" and hole.size and hole.max() <= 1 else "127"
        bits = hole.dtype.kind in "iu" and hole.size and hole.max() == 1
        remedy = "hole == 1" if bits else f"hole > {middle}"
        raise MaskError(f"the hole is {_kind(hole)}: {HOLE}, True = missing, is expected; compare: {remedy}")


def _kind(array: np.ndarray) -> str:
    return f"{array.dtype} {array.shape}"


def _three_channels(photo: np.ndarray) -> str:
    if photo.ndim == 2:
        return "stack a grey photo to three channels: np.dstack([photo] * 3)"
    if photo.ndim != 3:
        return "give one photo at a time"
    if photo.shape[2] == 1:
        return "repeat the one channel: np.repeat(photo, 3, axis=2)"
    if photo.shape[2] == 4:
        return "leave out the alpha channel: photo[..., :3]"
    if photo.shape[0] == 3:
        return "put the channels last: photo.transpose(1, 2, 0)"
    return "three channels are needed, red, green and blue, the last of the axes"


def _bytes(photo: np.ndarray) -> str:
    if photo.dtype.kind == "f" and photo.size and photo.max() <= 1:
        return "of values in [0, 1] make bytes: np.rint(photo * 255).astype(np.uint8)"
    if photo.dtype == np.uint16:
        return "of 16 bits make bytes: (photo // 257).astype(np.uint8)"
    return "of values from 0 to 255 make bytes: photo.astype(np.uint8)"
