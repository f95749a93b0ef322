"""The codes of a segment's photos: made of its grids, written beside them, and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_retrieval.errors import CorruptIndexError
from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest_parts import VECTORS, Segment
from ce_retrieval.photo_index.segment_files import damaged, grids_offset, read_checked, read_grids
from ce_retrieval.photo_index.segment_parsers import tensors_in

if TYPE_CHECKING:
    from indexes.codebook import Codebook


class SegmentCodes(NamedTuple):
    """The codes of a segment's photos, removed ones too.

    Attributes
    ----------
    codes : uint8 (n, bytes)
    checks : uint32 (n,)
        Checksum of each photo's grid (`indexes.row_files.row_checks`).
    offset : int
        Where the grids begin in the segment's file of vectors, in bytes.
    """

    codes: np.ndarray
    checks: np.ndarray
    offset: int


def rounded(codebook: Codebook) -> Codebook:
    """Return a codebook whose numbers are float16, as they are stored; ValueError where they are too large for that."""
    from indexes.codebook import Codebook

    with np.errstate(over="ignore"):
        origin, centroids = codebook.origin.astype(np.float16), codebook.centroids.astype(np.float16)
    if not (np.isfinite(origin).all() and np.isfinite(centroids).all()):
        raise ValueError(f"half the square of a cell's numbers is above {np.finfo(np.float16).max:g}")
    return Codebook(origin, centroids)


def make_codes(folder: Path, segment: Segment, codebook: Codebook) -> SegmentCodes:
    """Code the grids of a segment; CorruptIndexError where they are damaged."""
    from indexes.row_files import row_checks

    grid = codebook.cells, codebook.channels
    grids = read_grids(folder, segment, grid)
    return SegmentCodes(codebook.encode(grids), row_checks(grids), grids_offset(folder, segment, grid))


def codes_bytes(codes: SegmentCodes) -> bytes:
    """Return the file of a segment's codes, of the format safetensors."""
    from safetensors.numpy import save

    arrays = {"codes": codes.codes, "checks": codes.checks, "offset": np.array([codes.offset], np.int64)}
    data: bytes = save(arrays)
    return data


def codebook_of(folder: Path, stored: StoredCodes) -> Codebook:
    """Return the codebook of the index `folder`; CorruptIndexError where its manifest holds none."""
    from indexes.base import EngineError
    from indexes.faiss_door import load_faiss

    load_faiss()  # that it is not installed is another error
    try:
        return stored.made
    except (ValueError, EngineError) as error:
        raise CorruptIndexError(
            f"{folder / 'manifest.json'} has a codebook that cannot be read ({error}): make it anew with `ceret tune {folder}`"
        ) from error


def segment_codes(folder: Path, segment: Segment, stored: StoredCodes) -> SegmentCodes:
    """Return the codes of a segment: read, or made where an addition that goes on has not written them yet.

    CorruptIndexError where the file is damaged.
    """
    from indexes.base import EngineError

    codebook = codebook_of(folder, stored)
    if stored.file not in segment.files:
        return make_codes(folder, segment, codebook)
    data = read_checked(folder, segment, stored.file)
    expected = {
        "codes": (np.uint8, (segment.count, codebook.bytes_a_photo)),
        "checks": (np.uint32, (segment.count,)),
        "offset": (np.int64, (1,)),
    }
    try:
        arrays = tensors_in(data)
        found = {name: (array.dtype.type, array.shape) for name, array in arrays.items()}
        if found != expected:
            raise ValueError(
                f"it holds {', '.join(f'{name} of shape {array.shape}' for name, array in arrays.items())}"
            )
        offset, size = int(arrays["offset"][0]), 2 * stored.cells * stored.channels
        if not 0 <= offset <= segment.files[VECTORS].bytes - segment.count * size:
            raise ValueError(f"the grids are said to begin at byte {offset}")
        codebook.check_codes(arrays["codes"])
    except (ValueError, EngineError) as error:
        raise damaged(folder, segment, stored.file, f"is not a file of codes ({error})") from error
    return SegmentCodes(arrays["codes"], arrays["checks"], offset)
