"""Cell arrays of texts and numbers in a MATLAB file of version 5 or 7.

SciPy's reader ends the process where cells are nested deeply, and unpacks without a bound; this one reads no cell in a cell.

Notes
-----
MathWorks, "MAT-File Format" (MAT-File Level 5).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Collection, Iterator

import numpy as np
from numpy.typing import NDArray

# Kinds of elements: numbers and texts by how they are stored, an array with its header, and one that is compressed.
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_ARRAY, _COMPRESSED = 14, 15
# Classes of arrays; those of numbers are from double to uint64.
_CELL, _CHAR, _DOUBLE, _UINT64 = 1, 4, 6, 15
_COMPLEX = 0x800
_HEADER = 128  # bytes of a file before its first element

Cell = str | NDArray[np.generic]
_Elements = Iterator[tuple[int, memoryview]]


class LargeFileError(ValueError):
    """A file unpacks to more bytes than are wanted."""


def read_cells(data: bytes, names: Collection[str], most: int) -> dict[str, list[Cell]]:
    """Return the cells of the variables of these names that a file has, in MATLAB's order.

    Parameters
    ----------
    data : the file.
    names : of variables.
    most : bytes of all variables together, unpacked.

    Raises
    ------
    LargeFileError : there are more.
    ValueError : the file is of another version or damaged, or a variable is not a cell array of texts and real numbers.
    """
    order = {b"IM": "<", b"MI": ">"}.get(data[126:_HEADER])
    if order is None or struct.unpack_from(f"{order}H", data, 124)[0] != 0x100:
        raise ValueError("not a MATLAB file of version 5 or 7: save it by save(..., '-v7')")
    found: dict[str, list[Cell]] = {}
    for body in _arrays(memoryview(data)[_HEADER:], order, most):
        name, kind, _, parts = _header(body, order)
        if name in names and kind != _CELL:
            raise ValueError(f"{name} is not a cell array")
        if name in names:
            found[name] = [_cell(kind, part, order) for kind, part in parts]
    return found


def _arrays(data: memoryview, order: str, most: int) -> Iterator[memoryview]:
    """Yield the arrays of a file, unpacked."""
    for kind, body in _elements(data, order):
        if kind == _ARRAY:
            yield body
        elif kind == _COMPRESSED:
            unpacked = zlib.decompressobj().decompress(body, most + 1)
            most -= len(unpacked)
            if most < 0:
                raise LargeFileError
            yield from (inner for kind, inner in _elements(memoryview(unpacked), order) if kind == _ARRAY)


def _elements(data: memoryview, order: str) -> _Elements:
    """Yield the kinds and the contents of elements, one after the other."""
    place = 0
    while place < len(data):
        if place + 8 > len(data):
            raise ValueError("the file is cut short")
        kind, length = struct.unpack_from(f"{order}II", data, place)
        start, end = place + 8, place + 8 + length
        if kind >> 16:  # a short one: its length is in the upper half, and the content follows at once
            kind, length = kind & 0xFFFF, kind >> 16
            start, end = place + 4, place + 4 + min(length, 4)
            place += 8
        else:
            place = end if kind == _COMPRESSED else end + -length % 8
        if end > len(data):
            raise ValueError("the file is cut short")
        yield kind, data[start:end]


def _header(body: memoryview, order: str) -> tuple[str, int, tuple[int, ...], _Elements]:
    """Return the name, the class and the shape of an array, and the elements behind them."""
    parts = _elements(body, order)
    (_, flags), (_, shape), (_, name) = (_next(parts) for _ in range(3))
    (word,) = struct.unpack_from(f"{order}I", flags)
    kind = -1 if word & _COMPLEX else word & 0xFF
    return bytes(name).decode("latin-1"), kind, tuple(np.frombuffer(shape, f"{order}i4").tolist()), parts


def _next(parts: _Elements) -> tuple[int, memoryview]:
    found = next(parts, None)
    if found is None:
        raise ValueError("an array is cut short")
    return found


def _cell(kind: int, body: memoryview, order: str) -> Cell:
    """Return the text or the numbers of a cell."""
    if kind == _ARRAY and not body:
        return np.empty((0, 0))
    _, kind, shape, parts = _header(body, order) if kind == _ARRAY else ("", -1, (), iter(()))
    if kind == _CHAR and shape[0] <= 1:
        stored, content = _next(parts) if 0 not in shape else (1, memoryview(b""))
        if stored in _TEXTS:
            ends = {"<": "-le", ">": "-be"}[order] if _TEXTS[stored] in ("utf-16", "utf-32") else ""
            return bytes(content).decode(_TEXTS[stored] + ends)
    if _DOUBLE <= kind <= _UINT64:
        stored, content = _next(parts) if 0 not in shape else (1, memoryview(b""))
        if stored in _NUMBERS:
            return np.frombuffer(content, order + _NUMBERS[stored]).reshape(shape, order="F")
    raise ValueError("a cell holds neither a text nor real numbers")
