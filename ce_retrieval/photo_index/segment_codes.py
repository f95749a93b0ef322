"""The codes of a segment's photos: made of its grids, written beside them, and read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest_parts import Segment
from ce_retrieval.photo_index.segment_files import damaged, grids_offset, read_checked, read_grids

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
    """Return a codebook whose numbers are float16, as they are stored."""
    from indexes.codebook import Codebook

    return Codebook(codebook.origin.astype(np.float16), codebook.centroids.astype(np.float16))


def make_codes(folder: Path, segment: Segment, codebook: Codebook) -> SegmentCodes:
    """Code the grids of a segment; CorruptIndexError where they are damaged."""
    from indexes.row_files import row_checks

    grids = read_grids(folder, segment)
    return SegmentCodes(codebook.encode(grids), row_checks(grids), grids_offset(folder, segment))


def codes_bytes(codes: SegmentCodes) -> bytes:
    """Return the file of a segment's codes, of the format safetensors."""
    from safetensors.numpy import save

    arrays = {"codes": codes.codes, "checks": codes.checks, "offset": np.array([codes.offset], np.int64)}
    data: bytes = save(arrays)
    return data


def segment_codes(folder: Path, segment: Segment, stored: StoredCodes) -> SegmentCodes:
    """Return the codes of a segment: read, or made where an addition that goes on has not written them yet.

    CorruptIndexError where the file is damaged.
    """
    if stored.file not in segment.files:
        return make_codes(folder, segment, stored.made)
    from safetensors import SafetensorError
    from safetensors.numpy import load

    data = read_checked(folder, segment, stored.file)
    try:
        arrays = load(data)
        found = SegmentCodes(arrays["codes"], arrays["checks"], int(arrays["offset"][0]))
    except (SafetensorError, KeyError, IndexError) as error:
        raise damaged(folder, segment, stored.file, f"is not a file of codes ({error})") from error
    if found.codes.shape != (segment.count, stored.made.bytes_a_photo) or found.checks.shape != (segment.count,):
        raise damaged(folder, segment, stored.file, f"has codes of shape {found.codes.shape}")
    return found
