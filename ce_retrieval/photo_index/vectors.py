"""The grids of an index, ready for hole-aware search: all in memory, or codes in memory and the grids on disk."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.manifest_parts import Segment
from ce_retrieval.photo_index.segment_codes import SegmentCodes, codebook_of, segment_codes
from ce_retrieval.photo_index.segment_files import grids_offset, kept_rows, read_checked, read_grids
from ce_retrieval.photo_index.segments import VECTORS

if TYPE_CHECKING:
    from indexes.base import GridIndex
    from indexes.row_files import RowFiles

FIRST_PHOTOS = 2048  # whose mean is the origin of the vectors in memory


def open_vectors(path: Path, manifest: Manifest, device: str = "cpu") -> "GridIndex":
    """Load what a search of the index at `path` needs in memory, of the CPU or of GPUs.

    CorruptIndexError where a file is damaged. EngineError where FAISS is not installed, or cannot use the device.
    """
    if manifest.codes:
        return _by_codes(path, manifest, manifest.codes, device)
    return _exact(manifest, stored_grids(path, manifest), device)


def stored_grids(path: Path, manifest: Manifest) -> Iterator[np.ndarray]:
    """Yield the stored grids float16 (n, G, C), segment by segment, in the order of the ids; CorruptIndexError."""
    for segment in kept_segments(manifest):
        grids = read_grids(path, segment, manifest.grid)
        yield grids[kept_rows(segment)] if segment.removed else grids


def kept_segments(manifest: Manifest) -> Iterator[Segment]:
    """Yield the segments of which a photo is left."""
    return (segment for segment in manifest.segments if segment.count > len(segment.removed))


def _exact(manifest: Manifest, parts: Iterable[np.ndarray], device: str) -> "GridIndex":
    from indexes.faiss_index import vector_index
    from indexes.masked import MaskedIndex

    cells, channels = manifest.cells, manifest.channels
    masked = MaskedIndex(vector_index(cells * channels + cells, device), cells, channels)
    # The mean of the first addition is the origin: of the same photos however they are divided into segments, so that a
    # compaction changes no bit of a distance.
    parts, first, count = iter(parts), [], 0
    while count < min(FIRST_PHOTOS, manifest.count):
        first.append(next(parts))
        count += len(first[-1])
    begin = np.concatenate(first)
    for grids in itertools.chain((begin[:FIRST_PHOTOS], begin[FIRST_PHOTOS:]), parts):
        masked.add(grids)
    return masked


def _by_codes(path: Path, manifest: Manifest, stored: StoredCodes, device: str) -> "GridIndex":
    from indexes.faiss_door import cards_of
    from indexes.first_pass import CardVectors, CodeScan
    from indexes.pooled import PooledIndex
    from indexes.pooling import Pooling

    book, found = codebook_of(path, stored), _read_codes(path, manifest)
    rows = _row_files(path, manifest, found)
    if cards_of(device):
        # FAISS has no scan of 4-bit codes on GPUs: they keep the pooled grids themselves.
        pooling = Pooling(manifest.cells, manifest.channels, 1)
        index = PooledIndex(CardVectors(pooling.dimension, device), pooling, book.origin, rows, stored.effort)
        for grids in stored_grids(path, manifest):
            index.add(grids)
        return index
    scan = CodeScan(book)
    for segment, codes in zip(kept_segments(manifest), found, strict=True):
        scan.add_codes(codes.codes[kept_rows(segment)] if segment.removed else codes.codes)
    return PooledIndex(scan, book.pooling, book.origin, rows, stored.effort)


def _read_codes(path: Path, manifest: Manifest) -> list[SegmentCodes]:
    """Return the codes of the segments of which a photo is left, for an index that has codes."""
    assert manifest.codes is not None
    return [segment_codes(path, segment, manifest.codes) for segment in kept_segments(manifest)]


def row_files(path: Path, manifest: Manifest) -> "RowFiles":
    """Return what reads the grids of an index by their ids. CorruptIndexError where a file is damaged.

    With codes there is a checksum of each grid, which is compared when it is read; without, whole files are compared now.
    """
    if manifest.codes:
        return _row_files(path, manifest, _read_codes(path, manifest))
    from indexes.row_files import RowFile, RowFiles

    files = []
    for segment in kept_segments(manifest):
        read_checked(path, segment, VECTORS)
        kept = kept_rows(segment) if segment.removed else None
        place, offset = path / "segments" / segment.name / VECTORS, grids_offset(path, segment, manifest.grid)
        files.append(RowFile(place, offset, segment.count, None, kept))
    return RowFiles(files, manifest.cells, manifest.channels)


def _row_files(path: Path, manifest: Manifest, found: list[SegmentCodes]) -> "RowFiles":
    from indexes.row_files import RowFile, RowFiles

    files = []
    for segment, (_, checks, offset) in zip(kept_segments(manifest), found, strict=True):
        kept = kept_rows(segment) if segment.removed else None
        files.append(RowFile(path / "segments" / segment.name / VECTORS, offset, segment.count, checks, kept))
    return RowFiles(files, manifest.cells, manifest.channels)
