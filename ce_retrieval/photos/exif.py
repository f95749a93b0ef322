"""EXIF: which way up a photo is, and its data as the upright result carries them."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from PIL import Image

_ORIENTATION, _THUMBNAIL, _THUMBNAIL_BYTES = 0x0112, 0x0201, 0x0202
_STRIP, _STRIP_BYTES = 0x0111, 0x0117
_EXIF_IFD, _GPS_IFD = 0x8769, 0x8825
_FORMS = {1: "B", 3: "H", 4: "I"}  # type of a value -> its form for struct
# What of a TIFF describes the photo and not the file: description, camera, resolution, program, time, host, artist, rights.
_DESCRIBING = (0x010E, 0x010F, 0x0110, 0x011A, 0x011B, 0x0128, 0x0131, 0x0132, 0x013B, 0x013C, 0x8298)

#: Orientation -> what turns the photo upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def exif_of(im: Image.Image) -> bytes:
    """Return the EXIF block of an image, from its byte order on; b"" if it has none."""
    if im.format == "TIFF":
        return _of_tiff(im)
    exif = im.info.get("exif")
    if exif is None and "Raw profile type exif" in im.info:  # ImageMagick's form of EXIF in a PNG before eXIf
        try:
            exif = bytes.fromhex("".join(im.info["Raw profile type exif"].split("\n")[3:]))
        except ValueError:
            return b""
    return exif.removeprefix(b"Exif\0\0") if isinstance(exif, bytes) else b""


def orientation_of(exif: bytes) -> int:
    """Return the orientation 1..8 of an EXIF block; 1 if it has none or is damaged."""
    try:
        for tag, form, at in _entries(exif, 4):
            if tag == _ORIENTATION:
                value = struct.unpack_from(form, exif, at)[0] if form else 1
                return int(value) if 1 <= value <= 8 else 1
    except struct.error:  # offsets that lead outside the block
        pass
    return 1


def upright(exif: bytes) -> bytes:
    """Return an EXIF block for the photo turned upright: orientation 1, and no thumbnail; b"" where it is damaged.

    A thumbnail would still show what was under the hole. All else stays where it is, so that offsets within the notes of a
    camera's maker still hold.
    """
    data = bytearray(exif)
    try:
        for tag, form, at in _entries(exif, 4):
            if tag == _ORIENTATION and form:
                struct.pack_into(form, data, at, 1)
        next_pointer = _end_of(exif, 4)
        (second,) = struct.unpack_from(_order(exif) + "I", exif, next_pointer)
        if second:
            values = {
                tag: struct.unpack_from(form, exif, at)[0] for tag, form, at in _entries(exif, next_pointer) if form
            }
            for place, length in ((_THUMBNAIL, _THUMBNAIL_BYTES), (_STRIP, _STRIP_BYTES)):
                first, count = values.get(place, 0), values.get(length, 0)
                data[first : first + count] = bytes(len(data[first : first + count]))
            struct.pack_into(_order(exif) + "I", data, next_pointer, 0)
    except struct.error:
        return b""
    return bytes(data)


def _order(exif: bytes) -> str:
    """Return the byte order of a block, for struct; struct.error where there is none."""
    if exif[:2] not in (b"II", b"MM"):
        raise struct.error("no byte order")
    return "<" if exif[:2] == b"II" else ">"


def _end_of(exif: bytes, pointer: int) -> int:
    """Return where the directory to which `pointer` points ends: there stands the pointer to the next one."""
    (start,) = struct.unpack_from(_order(exif) + "I", exif, pointer)
    (count,) = struct.unpack_from(_order(exif) + "H", exif, start)
    return start + 2 + 12 * count


def _entries(exif: bytes, pointer: int) -> Iterator[tuple[int, str, int]]:
    """Yield (tag, form of its value for struct or "", place of its value) of the directory to which `pointer` points."""
    order, end = _order(exif), _end_of(exif, pointer)
    (start,) = struct.unpack_from(order + "I", exif, pointer)
    for at in range(start + 2, end, 12):
        tag, kind = struct.unpack_from(order + "HH", exif, at)
        yield tag, order + _FORMS[kind] if kind in _FORMS else "", at + 8


def _of_tiff(im: Image.Image) -> bytes:
    """Return what describes the photo among the tags of a TIFF, which Pillow has turned upright, as an EXIF block."""
    source, exif = im.getexif(), Image.Exif()
    for tag in _DESCRIBING:
        if tag in source:
            exif[tag] = source[tag]
    for ifd in (_EXIF_IFD, _GPS_IFD):
        exif.get_ifd(ifd).update(source.get_ifd(ifd))
    found = exif.tobytes() if exif or exif.get_ifd(_EXIF_IFD) or exif.get_ifd(_GPS_IFD) else b""
    return found.removeprefix(b"Exif\0\0")
