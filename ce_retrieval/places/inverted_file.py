"""The coded local features of some photos, in lists by cell, as one file of which a search reads the lists that it needs.

The file is of the format safetensors: a header in JSON that names the arrays, then their bytes. It is mapped into memory, so
opening it reads the header alone.
"""

from __future__ import annotations

import json
import mmap
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.places.codes import CELLS, NO_FEATURES, CodedFeatures
from ce_retrieval.reading import open_regular

MOST_PHOTOS = 1 << 16  # of a file: a row is stored as uint16
NOT_DESCRIBED = (1 << 16) - 1  # count of a photo that was removed before its features were looked for
_TYPES = {"U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1"}  # safetensors' names
FIELDS = {"starts": "<u4", "counts": "<u2", "rows": "<u2", "signatures": "<u8", "angles": "u1", "scales": "u1"}


class InvertedFile(NamedTuple):
    """Local features of `len(counts)` photos, ordered by cell, then by photo.

    Attributes
    ----------
    starts : uint32 (CELLS + 1,)
        The list of cell c is starts[c] to starts[c + 1].
    counts : uint16 (photos,)
        Local features of each photo, or NOT_DESCRIBED.
    rows : uint16 (n,)
        The photo of each feature.
    signatures, angles, scales : uint64, uint8, uint8 (n,)
        As in `CodedFeatures`.
    """

    starts: NDArray[np.uint32]
    counts: NDArray[np.uint16]
    rows: NDArray[np.uint16]
    signatures: NDArray[np.uint64]
    angles: NDArray[np.uint8]
    scales: NDArray[np.uint8]


def inverted_bytes(photos: Sequence[CodedFeatures | None]) -> memoryview:
    """Return the bytes of a file with the coded features of photos, at most MOST_PHOTOS; None for one not described."""
    from safetensors.numpy import save

    counts = np.array([NOT_DESCRIBED if photo is None else len(photo.cells) for photo in photos], np.uint16)
    described = [photo for photo in photos if photo is not None] or [NO_FEATURES]
    cells, *others = (np.concatenate(parts) for parts in zip(*described, strict=True))
    order = np.argsort(cells, kind="stable")
    rows = np.repeat(np.arange(len(photos), dtype=np.uint16), np.where(counts == NOT_DESCRIBED, 0, counts))
    starts = np.concatenate([[0], np.cumsum(np.bincount(cells, minlength=CELLS))])
    arrays = (starts, counts, rows[order], *(values[order] for values in others))
    file = {name: np.ascontiguousarray(array, FIELDS[name]) for name, array in zip(FIELDS, arrays, strict=True)}
    return memoryview(save(file))


def coded_photos(file: InvertedFile, rows: Sequence[int] | NDArray[np.int64]) -> list[CodedFeatures]:
    """Return the coded features of some photos of a file, each in the order of its cells.

    `inverted_bytes` makes the same bytes of them as of those that the file was made of: within a list, it keeps their order.
    """
    lengths = np.diff(file.starts.astype(np.int64)).astype(np.int64)
    cells = np.repeat(np.arange(CELLS, dtype=np.uint16), lengths)
    order = np.argsort(file.rows, kind="stable")
    ends = np.searchsorted(file.rows[order], np.arange(len(file.counts) + 1))
    places = [order[ends[row] : ends[row + 1]] for row in rows]
    return [CodedFeatures(cells[at], file.signatures[at], file.angles[at], file.scales[at]) for at in places]


def open_inverted(path: Path) -> InvertedFile:
    """Map a file of `inverted_bytes` into memory; OSError or ValueError where it cannot be read or holds something else."""
    with open_regular(path) as file:
        data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    begin = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(bytes(data[8:begin]))
    arrays = {}
    for name, expected in FIELDS.items():
        about = header.get(name)
        if not about or _TYPES.get(about["dtype"]) != expected:
            raise ValueError(f"it has no array {name} of type {expected}")
        start, end = about["data_offsets"]
        arrays[name] = np.frombuffer(data[begin + start : begin + end], expected)
    found = InvertedFile(**arrays)
    if len(found.starts) != CELLS + 1 or any(len(array) != found.starts[-1] for array in found[2:]):
        raise ValueError("its arrays do not fit each other")
    # A search goes where these point to, without looking again.
    if found.starts[0] or (found.starts[1:] < found.starts[:-1]).any():
        raise ValueError("its lists do not follow each other")
    if len(found.rows) and found.rows.max() >= len(found.counts):
        raise ValueError(f"it has features of photo {found.rows.max()} of {len(found.counts)}")
    return found
