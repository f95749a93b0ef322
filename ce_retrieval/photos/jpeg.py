"""JPEGs that are cut off: one that lacks nothing but its end mark is whole."""

from __future__ import annotations

import hashlib
import re
import struct

from ce_retrieval.photos.formats import open_image

_END = b"\xff\xd9"
_ENTROPY_END = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_SCAN = 0xDA
_FILLERS = (b"\xa5\x3c" * 32, b"\x5a\xc3" * 32, b"\xfe\x01" * 32)
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_COEFFICIENTS = 64  # of a block


def with_end_mark(data: bytes) -> bytes | None:
    """Return a JPEG that lacks only its end mark with that mark; None where more of it is missing.

    All scans must be there, and the last one whole: with data after it, or a restart mark and data, the pixels are the same.
    """
    data = data.removesuffix(b"\xff")
    try:
        if not _has_all_scans(data):
            return None
    except (struct.error, IndexError):
        return None
    restarts = _RESTART.findall(data)
    restart = bytes([0xFF, 0xD0 + ((restarts[-1][0] + 1) % 8 if restarts else 0)])
    pixels = _pixels_hash(data + _END)
    longer = [data + filler + _END for filler in (*_FILLERS, restart + _FILLERS[0])]
    return data + _END if all(_pixels_hash(one) == pixels for one in longer) else None


def _has_all_scans(data: bytes) -> bool:
    """Return whether the scans of a JPEG carry every coefficient of every component to its last bit."""
    missing: dict[tuple[int, int], int] = {}  # (component, coefficient) -> its bits that are not there yet
    components = b""
    at = 2
    while at + 4 <= len(data):
        mark, (length,) = data[at + 1], struct.unpack_from(">H", data, at + 2)
        if mark in _FRAMES:
            components = data[at + 10 : at + 10 + 3 * data[at + 9] : 3]
        if mark == _SCAN:
            count = data[at + 4]
            names = data[at + 5 : at + 5 + 2 * count : 2]
            first, last, bits = struct.unpack_from("BBB", data, at + 5 + 2 * count)
            missing.update(((name, k), bits & 15) for name in names for k in range(first, last + 1))
            following = _ENTROPY_END.search(data, at + 2 + length)
            if following is None:
                break
            at = following.start()
        else:
            at += 2 + length
    return bool(components) and not any(missing.get((c, k), 1) for c in components for k in range(_COEFFICIENTS))


def _pixels_hash(data: bytes) -> bytes:
    image = open_image(data, "JPEG")
    image.load()
    return hashlib.sha256(image.tobytes()).digest()
