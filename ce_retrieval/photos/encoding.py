"""How a file encodes its photo, and the same for a result: profile, transparency, EXIF, known pixels bit for bit."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from ce_retrieval.photos.exif import upright
from ce_retrieval.photos.layouts import Layout
from ce_retrieval.photos.profiles import NO_CONVERSION, Conversion, from_srgb, to_srgb
from ce_retrieval.pixels import Bools, Photo, crop, hole_box, to_grey

_HEADER = 1 << 16  # bytes of an AVIF or HEIC in which its description is looked for
_BOX_DEPTH = re.compile(rb"pixi\0\0\0\0[\x01-\x04]([\x01-\x20])")
# Numbers of primaries and transfer curve (ITU-T H.273), and those that are sRGB's, much like them, or "unspecified".
_BOX_CODING = re.compile(rb"colrnclx\0(.)\0(.)", re.DOTALL)
_PNG_CODING = re.compile(rb"\0\0\0\x04cICP(.)(.)", re.DOTALL)
_LIKE_SRGB_PRIMARIES, _LIKE_SRGB_CURVES = (1, 2, 5, 6, 7), (1, 2, 4, 5, 6, 7, 13, 14, 15)
_GAMMA_DIFFERS = 0.02


@dataclass(frozen=True, eq=False)
class Encoding:
    """What the file of a photo holds beyond its colours in sRGB.

    Attributes
    ----------
    grey : whether it has one channel.
    stored : uint8 (H, W, 3), (H, W) where `grey`, or None
        its colours as the file has them, upright, also where they are transparent. None: those in sRGB.
    alpha : uint8 (H, W) or None
        its opacity, upright; None where all is opaque.
    conversion : what its colour profile does.
    exif : its EXIF block for the upright photo; b"" if it has none.
    faults : what of the file could not be used, a sentence each.
    lost : what of the file a result does not keep, a sentence each.
    """

    grey: bool = False
    stored: Photo | None = None
    alpha: Photo | None = None
    conversion: Conversion = NO_CONVERSION
    exif: bytes = b""
    faults: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What of the file the result does not have, a sentence each."""
        return (*self.faults, *self.lost)

    def about(self) -> dict[str, Any]:
        """Return what the result of the photo carries and what it does not, as JSON types."""
        carried = bool(self.conversion.carried)
        return {
            "profile": self.conversion.name if carried else None,
            "transparency": self.alpha is not None,
            "exif": bool(self.exif),
            "not_kept": list(self.notes),
        }

    def encoded(self, pixels: Photo, photo: Photo, filled: Bools) -> Photo:
        """Return a result as the photo's file would hold it.

        Parameters
        ----------
        pixels : uint8 (H, W, 3)
            the result in sRGB.
        photo : uint8 (H, W, 3)
            the photo in sRGB.
        filled : bool (H, W)
            pixels that are not the photo's. They become opaque.

        Returns
        -------
        uint8 (H, W), (H, W, 2), (H, W, 3) or (H, W, 4) : grey or colours, and opacity where the photo has it.

        Notes
        -----
        A known pixel that did not change keeps the file's values, bit for bit. One that a seam's blend changed is moved by
        the same difference, so that colours outside sRGB stay what they were; one that is not opaque stays as it is.
        """
        if self.stored is None:
            own = to_grey(pixels) if self.grey else pixels
        else:
            changed = (pixels != photo).any(axis=2)
            own = self.stored.copy()
            if (changed | filled).any():
                part = crop(hole_box(changed | filled))
                moved = changed[part] & ~filled[part]
                if self.alpha is not None:
                    moved &= self.alpha[part] == 255
                after, before = self._own(pixels[part]), self._own(photo[part])
                shifted = np.clip(own[part].astype(np.int16) + after - before, 0, 255).astype(np.uint8)
                own[part][filled[part]] = after[filled[part]]
                own[part][moved] = shifted[moved]
        alpha = None if self.alpha is None else np.where(filled, np.uint8(255), self.alpha)
        return own if alpha is None or alpha.min() == 255 else np.dstack([own, alpha])

    def _own(self, pixels: Photo) -> Photo:
        """Return sRGB colours uint8 (h, w, 3) as the file would hold them."""
        if self.conversion.from_srgb is None:
            return to_grey(pixels) if self.grey else pixels
        return from_srgb(pixels, self.conversion)


def encoding_of(im: Any, data: bytes, layout: Layout, conversion: Conversion, turn: Any, exif: bytes) -> Encoding:
    """Return the encoding of a photo.

    Parameters
    ----------
    im : Pillow's image of it.
    data : its file.
    layout : its pixels.
    conversion : of its profile.
    turn : what turns it upright, for Pillow; None where it is upright.
    exif : its EXIF block as it stands in the file.
    """
    colours, alpha = layout
    carried = bool(conversion.carried)
    stored: Image.Image | None = None
    if conversion.to_srgb is not None and carried:
        stored = colours
    elif alpha is not None:
        stored = to_srgb(colours, conversion)
    kept = upright(exif) if exif else b""
    faults, lost = [], []
    if unread := f"colour profile {conversion.fault}" if conversion.fault else _unread_coding(im, data):
        faults.append(f"its {unread}: its colours are taken as sRGB, and the result has no profile")
    if exif and not kept:
        faults.append("its EXIF data are damaged: the result has none")
    if depth := _depth(im, data):
        lost.append(f"the result has 8 bits a channel, not {depth}")
    if (frames := _frames(im)) > 1:
        lost.append(f"the result is the first of {frames} {'pages' if im.format == 'TIFF' else 'frames'}")
    if im.mode in ("CMYK", "LAB"):
        lost.append(f"the result is RGB, not {im.mode.title() if im.mode == 'LAB' else im.mode}")
    elif conversion.to_srgb is not None and not carried:
        lost.append(f"the result is in sRGB: nothing can be converted into its profile {conversion.name}")
    return Encoding(
        grey=colours.mode == "L" and (conversion.to_srgb is None or carried),
        stored=_array(stored, turn),
        alpha=_array(alpha, turn),
        conversion=conversion,
        exif=kept,
        faults=tuple(faults),
        lost=tuple(lost),
    )


def _frames(im: Any) -> int:
    """Return how many pictures a file holds; the previews behind a camera's JPEG do not count."""
    try:
        return 1 if im.format in ("JPEG", "MPO") else getattr(im, "n_frames", 1)
    except Exception:  # of a TIFF whose further pages are damaged
        return 1


def _array(image: Image.Image | None, turn: Any) -> Photo | None:
    if image is None:
        return None
    return np.array(image if turn is None else image.transpose(turn))


def _unread_coding(im: Any, data: bytes) -> str:
    """Return what tells the colours of a photo without a profile and is not read, where it tells other ones than sRGB."""
    if im.info.get("icc_profile"):
        return ""
    if im.format == "PNG":
        found = _PNG_CODING.search(data, 0, data.find(b"IDAT"))
        gamma = 0 if "srgb" in im.info else im.info.get("gamma", 0)
        if found is None and gamma and abs(gamma - 1 / 2.2) > _GAMMA_DIFFERS:
            return f"gamma of {gamma:.2f} is not used"
        codes = found[1] + found[2] if found else b""
    else:
        found = _BOX_CODING.search(data, 0, _HEADER) if im.format in ("AVIF", "HEIF") else None
        codes = found[1] + found[2] if found else b""
    if codes and (codes[0] not in _LIKE_SRGB_PRIMARIES or codes[1] not in _LIKE_SRGB_CURVES):
        return f"colour coding (primaries {codes[0]}, transfer {codes[1]}) is not used"
    return ""


def _depth(im: Any, data: bytes) -> int:
    """Return the bits a channel of a photo that has more than 8, else 0."""
    depth = 8
    if im.format == "PNG":
        depth = data[24]  # of the header
    elif im.format == "TIFF":
        depth = max(im.tag_v2.get(258, (1,)))
    elif im.format == "PPM":
        tokens = re.sub(rb"#[^\n]*", b"", data[:256]).split()
        depth = 16 if tokens[0] not in (b"P1", b"P4") and int(tokens[3]) > 255 else 8
    elif im.format in ("AVIF", "HEIF"):
        found = _BOX_DEPTH.search(data, 0, _HEADER)
        depth = found[1][0] if found else 8
    return depth if depth > 8 else 0
