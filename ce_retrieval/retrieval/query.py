"""Whether arrays are a photo and a hole, and how to make them so where they are not."""

from __future__ import annotations

from typing import Any

import numpy as np

from ce_retrieval.errors import MaskError, PhotoError

PHOTO, HOLE = "uint8 (H, W, 3)", "bool (H, W)"


def check_arrays(photo: Any, hole: Any) -> None:
    """Raise PhotoError unless a photo is a numpy array uint8 (H, W, 3), MaskError unless a hole is one of bool (H, W)."""
    if not isinstance(photo, np.ndarray):
        raise PhotoError(
            f"the photo is of type {type(photo).__name__}: a numpy array {PHOTO} is expected, such as "
            "np.asarray(image.convert('RGB')) of a Pillow image"
        )
    if photo.ndim != 3 or photo.shape[2] != 3:
        raise PhotoError(f"the photo is {_kind(photo)}: {PHOTO} is expected; {_three_channels(photo)}")
    if photo.dtype != np.uint8:
        raise PhotoError(f"the photo is {_kind(photo)}: {PHOTO} is expected; {_bytes(photo)}")
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
