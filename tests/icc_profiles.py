"""ICC profiles for tests, written by hand (ICC.1:2001), and what they mean by their own formulas."""

import struct

import numpy as np

D50, D65 = np.array([0.9642, 1, 0.8249]), (0.3127, 0.3290)
P3_PRIMARIES = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_PRIMARIES = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
SRGB_PRIMARIES = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def to_xyz(primaries) -> np.ndarray:
    """Matrix from linear colours to XYZ, white at D50."""
    columns = np.stack([_xyz_of(xy) for xy in primaries], 1)
    white = _xyz_of(D65)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ D50) / (_BRADFORD @ white)) @ _BRADFORD
    return adapt @ (columns * np.linalg.solve(columns, white))


def to_srgb(pixels: np.ndarray, primaries, gamma: float) -> np.ndarray:
    """Colours uint8 of such a profile as sRGB levels, floats, clipped to 0..255."""
    linear = (pixels / 255) ** gamma @ (np.linalg.inv(to_xyz(SRGB_PRIMARIES)) @ to_xyz(primaries)).T
    return 255 * srgb_curve(np.clip(linear, 0, 1))


def srgb_curve(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-9) ** (1 / 2.4) - 0.055)


def rgb_profile(name: str, primaries, gamma: float) -> bytes:
    matrix = to_xyz(primaries)
    tags = [(b"desc", _description(name)), (b"wtpt", _xyz(D50)), (b"cprt", b"text\0\0\0\0none\0")]
    tags += [(tag, _xyz(matrix[:, i])) for i, tag in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))]
    tags += [(tag, _curve(gamma)) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    return _profile(b"RGB ", b"mntr", tags)


def grey_profile(name: str, gamma: float) -> bytes:
    tags = [(b"desc", _description(name)), (b"wtpt", _xyz(D50)), (b"cprt", b"text\0\0\0\0none\0")]
    return _profile(b"GRAY", b"mntr", [*tags, (b"kTRC", _curve(gamma))])


def cmyk_profile(name: str) -> bytes:
    """A printer whose black ink alone does anything: L* falls from 100 to 0 with it."""
    corners = [(255 * (1 - k), 128, 128) for c in (0, 1) for m in (0, 1) for y in (0, 1) for k in (0, 1)]
    return _profile(b"CMYK", b"prtr", [(b"desc", _description(name)), (b"A2B0", _table(4, 3, corners))], pcs=b"Lab ")


def one_way_profile(name: str) -> bytes:
    """A scanner: a table from its colours to L*a*b*, and none back. Red alone is read, as lightness."""
    corners = [(255 * r, 128, 128) for r in (0, 1) for g in (0, 1) for b in (0, 1)]
    return _profile(b"RGB ", b"scnr", [(b"desc", _description(name)), (b"A2B0", _table(3, 3, corners))], pcs=b"Lab ")


def _profile(space: bytes, kind: bytes, tags: list, pcs: bytes = b"XYZ ") -> bytes:
    table, body, start = b"", b"", 132 + 12 * len(tags)
    for tag, data in tags:
        data += bytes(-len(data) % 4)
        table += tag + struct.pack(">II", start + len(body), len(data))
        body += data
    head = struct.pack(">I4sI4s4s4s", start + len(body), b"none", 0x02400000, kind, space, pcs)
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + b"".join(map(_fixed, D50)) + bytes(48)
    return head + struct.pack(">I", len(tags)) + table + body


def _table(inputs: int, outputs: int, corners: list) -> bytes:
    """A lut8 with two steps a channel and straight curves."""
    identity = b"".join(map(_fixed, np.eye(3).ravel()))
    curve = bytes(range(256))
    head = b"mft1\0\0\0\0" + bytes([inputs, outputs, 2, 0]) + identity
    return head + curve * inputs + bytes(value for corner in corners for value in corner) + curve * outputs


def _xyz_of(xy) -> np.ndarray:
    return np.array([xy[0] / xy[1], 1, (1 - xy[0] - xy[1]) / xy[1]])


def _fixed(value: float) -> bytes:
    return struct.pack(">i", round(float(value) * 65536))


def _xyz(values) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _curve(gamma: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def _description(text: str) -> bytes:
    return b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text.encode() + bytes(1 + 8 + 3 + 67)
