"""The grids of an index, ready for hole-aware search: all in memory, or codes in memory and the grids on disk."""

import contextlib
import itertools
from collections.abc import Generator, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.manifest_parts import VECTORS, Segment
from ce_retrieval.photo_index.segment_codes import codebook_of, segment_codes
from ce_retrieval.photo_index.segment_files import grids_offset, kept_rows, read_checked, read_grids
from ce_retrieval.pool import in_order, worker_pool

if TYPE_CHECKING:
    from indexes.base import GridIndex
    from indexes.row_files import RowFiles

AHEAD = 2  # segments that are read before they are needed
FIRST_PHOTOS = 2048  # whose mean is the origin of the vectors in memory


def open_vectors(path: Path, manifest: Manifest, device: str = "cpu") -> "GridIndex":
    """Load what a search of the index at `path` needs in memory, of the CPU or of GPUs.

    CorruptIndexError where a file is damaged. EngineError where FAISS is not installed, or cannot use the device.
    """
    if manifest.codes:
        return _by_codes(path, manifest, manifest.codes, device)
    return _exact(path, manifest, device)


def stored_grids(path: Path, manifest: Manifest) -> Generator[np.ndarray, None, None]:
    """Yield the stored grids float16 (n, G, C), segment by segment, in the order of the ids; CorruptIndexError.

    The next ones are read and checked meanwhile.
    """

    def read(segment: Segment) -> np.ndarray:
        grids = read_grids(path, segment, manifest.grid)
        return grids[kept_rows(segment)] if segment.removed else grids

    with worker_pool(1) as pool:
        yield from in_order(pool, read, kept_segments(manifest), AHEAD)


def kept_segments(manifest: Manifest) -> Iterator[Segment]:
    """Yield the segments of which a photo is left."""
    return (segment for segment in manifest.segments if segment.count > len(segment.removed))


def origin_of(path: Path, manifest: Manifest) -> np.ndarray:
    """Return what is subtracted from the grids of an index without codes: the mean float32 (G, C) of its first photos.

    They are the same photos however they are divided into segments, so a compaction changes no bit of a distance.
    """
    with contextlib.closing(stored_grids(path, manifest)) as grids:
        return _mean_of(_first_of(grids))


def _first_of(grids: Iterator[np.ndarray]) -> list[np.ndarray]:
    """Take the grids of the first `FIRST_PHOTOS` photos, and those that come with them, from an iterator."""
    first: list[np.ndarray] = []
    while sum(map(len, first)) < FIRST_PHOTOS and (part := next(grids, None)) is not None:
        first.append(part)
    return first


def _mean_of(first: Sequence[np.ndarray]) -> np.ndarray:
    mean: np.ndarray = np.concatenate(first)[:FIRST_PHOTOS].mean(axis=0, dtype=np.float32)
    return mean


def _exact(path: Path, manifest: Manifest, device: str) -> "GridIndex":
    from indexes.faiss_index import vector_index
    from indexes.masked import MaskedIndex

    cells, channels = manifest.grid
    engine = vector_index(cells * channels + cells, device)
    with contextlib.closing(stored_grids(path, manifest)) as grids:
        first = _first_of(grids)
        masked = MaskedIndex(engine, cells, channels, _mean_of(first))
        for part in itertools.chain(first, grids):
            masked.add(part)
    return masked


def _by_codes(path: Path, manifest: Manifest, stored: StoredCodes, device: str) -> "GridIndex":
    from indexes.faiss_door import cards_of
    from indexes.first_pass import CardVectors, CodeScan
    from indexes.pooled import PooledIndex
    from indexes.pooling import Pooling

    book = codebook_of(path, stored)
    found = [segment_codes(path, segment, stored) for segment in kept_segments(manifest)]
    rows = _row_files(path, manifest, [(codes.checks, codes.offset) for codes in found])
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


def row_files(path: Path, manifest: Manifest) -> "RowFiles":
    """Return what reads the grids of an index by their ids. CorruptIndexError where a file is damaged.

    With codes there is a checksum of each grid, which is compared when it is read; without, whole files are compared now.
    """
    places: list[tuple[np.ndarray | None, int]] = []
    for segment in kept_segments(manifest):
        if manifest.codes:
            _, checks, offset = segment_codes(path, segment, manifest.codes)
            places.append((checks, offset))
        else:
            read_checked(path, segment, VECTORS)
            places.append((None, grids_offset(path, segment, manifest.grid)))
    return _row_files(path, manifest, places)


def _row_files(path: Path, manifest: Manifest, places: Sequence[tuple[np.ndarray | None, int]]) -> "RowFiles":
    """Return what reads grids, given the checksums of each segment's and where they begin in its file of vectors."""
    from indexes.row_files import RowFile, RowFiles

    files = []
    for segment, (checks, offset) in zip(kept_segments(manifest), places, strict=True):
        kept = kept_rows(segment) if segment.removed else None
        files.append(RowFile(path / "segments" / segment.name / VECTORS, offset, segment.count, checks, kept))
    return RowFiles(files, *manifest.grid)
