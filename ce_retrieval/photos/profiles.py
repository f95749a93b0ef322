"""Colour profiles: from a photo's own colours to sRGB, in which all work is done, and back."""

from __future__ import annotations

import io
from functools import cache, lru_cache
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

_SPACES = {"L": "GRAY", "RGB": "RGB", "CMYK": "CMYK"}  # mode of the pixels -> colour space of a profile that fits
_SAME = 2  # levels of 255; a profile whose colours are this close to sRGB's counts as sRGB


class Conversion(NamedTuple):
    """What a colour profile does to pixels of one mode.

    Attributes
    ----------
    name : the profile's description.
    to_srgb, from_srgb : Pillow's transforms; None where colours stay as they are.
    carried : the profile, where a result can have it; else b"".
    fault : why the profile is not used; "" where it is.
    """

    name: str = ""
    to_srgb: Any = None
    from_srgb: Any = None
    carried: bytes = b""
    fault: str = ""


#: For pixels without a profile.
NO_CONVERSION = Conversion()


def to_srgb(image: Image.Image, conversion: Conversion) -> Image.Image:
    """Return the colours of an image, mode L, RGB or CMYK, in sRGB: mode RGB, or as it is where no profile is used."""
    return image if conversion.to_srgb is None else conversion.to_srgb.apply(image)


def from_srgb(pixels: np.ndarray, conversion: Conversion) -> np.ndarray:
    """Return sRGB colours uint8 (H, W, 3) in the profile's space: (H, W, 3), or (H, W) for a profile of greys."""
    if conversion.from_srgb is None:
        return pixels
    return np.asarray(conversion.from_srgb.apply(Image.fromarray(np.ascontiguousarray(pixels))))


@lru_cache(maxsize=16)
def conversion_of(profile: bytes, mode: str) -> Conversion:
    """Return the conversion of pixels of mode L, RGB or CMYK by an ICC profile.

    Notes
    -----
    Perceptual intent, by LittleCMS in Pillow. The last 16 profiles are kept: most photos share a few. Threads may share a
    conversion.
    """
    from PIL import ImageCms

    if not profile:
        return NO_CONVERSION
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        space, name = opened.profile.xcolor_space.strip(), (opened.profile.profile_description or "").strip()
        srgb = _srgb_profile()
        if space != _SPACES[mode]:
            same = (
                space == "RGB" and mode == "L" and _is_srgb(ImageCms.buildTransform(opened, srgb, "RGB", "RGB"), "RGB")
            )
            return Conversion() if same else Conversion(fault=f"is for {space}, its pixels are {_SPACES[mode]}")
        forward = ImageCms.buildTransform(opened, srgb, mode, "RGB")
        if mode != "CMYK" and _is_srgb(forward, mode):
            return Conversion(name, carried=profile)
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return Conversion(fault="is damaged")
    if mode == "CMYK":
        return Conversion(name, forward)
    try:
        return Conversion(name, forward, ImageCms.buildTransform(srgb, opened, "RGB", mode), profile)
    except ImageCms.PyCMSError:  # some profiles of scanners and cameras lead to sRGB only
        return Conversion(name, forward)


@cache
def _srgb_profile() -> Any:
    from PIL import ImageCms

    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def _is_srgb(forward: Any, mode: str) -> bool:
    """Return whether a transform to sRGB keeps greys, and the colours of a cube, within `_SAME`."""
    greys = np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    cube = np.stack(np.meshgrid(*[np.linspace(0, 255, 9).astype(np.uint8)] * 3), -1).reshape(-1, 3)
    before = greys if mode == "L" else np.concatenate([greys, cube])
    probe = before[None, :, 0] if mode == "L" else before[None]
    after = np.asarray(forward.apply(Image.fromarray(np.ascontiguousarray(probe))))[0]
    return int(np.abs(after.astype(int) - before).max()) <= _SAME
