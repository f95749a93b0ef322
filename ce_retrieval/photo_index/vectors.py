"""The grids of an index, ready for hole-aware search: all in memory, or codes in memory and the grids on disk."""

import itertools
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.photo_index.codes import StoredCodes
from ce_retrieval.photo_index.manifest import Manifest, Segment
from ce_retrieval.photo_index.segment_codes import segment_codes
from ce_retrieval.photo_index.segment_files import kept_rows, read_grids
from ce_retrieval.photo_index.segments import VECTORS

if TYPE_CHECKING:
    from indexes.base import GridIndex

FIRST_PHOTOS = 2048  # whose mean is the origin of the vectors in memory


def open_vectors(path: Path, manifest: Manifest) -> "GridIndex":
    """Load what a search of the index at `path` needs in memory.

    CorruptIndexError where a file is damaged. EngineError where FAISS is not installed.
    """
    if manifest.codes:
        return _by_codes(path, manifest, manifest.codes)
    return _exact(manifest, stored_grids(path, manifest))


def stored_grids(path: Path, manifest: Manifest) -> Iterator[np.ndarray]:
    """Yield the stored grids float16 (n, G, C), segment by segment, in the order of the ids; CorruptIndexError."""
    for segment in kept_segments(manifest):
        grids = read_grids(path, segment)
        yield grids[kept_rows(segment)] if segment.removed else grids


def kept_segments(manifest: Manifest) -> Iterator[Segment]:
    """Yield the segments of which a photo is left."""
    return (segment for segment in manifest.segments if segment.count > len(segment.removed))


def _exact(manifest: Manifest, parts: Iterable[np.ndarray]) -> "GridIndex":
    from indexes.faiss_index import FaissIndex
    from indexes.masked import MaskedIndex

    cells, channels = manifest.cells, manifest.channels
    masked = MaskedIndex(FaissIndex(cells * channels + cells), cells, channels)
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


def _by_codes(path: Path, manifest: Manifest, stored: StoredCodes) -> "GridIndex":
    from indexes.pooled import PooledIndex
    from indexes.row_files import RowFile, RowFiles

    files, codes = [], []
    for segment in kept_segments(manifest):
        found = segment_codes(path, segment, stored)
        kept = kept_rows(segment) if segment.removed else None
        place = path / "segments" / segment.name / VECTORS
        files.append(RowFile(place, found.offset, segment.count, found.checks, kept))
        codes.append(found.codes if kept is None else found.codes[kept])
    index = PooledIndex(stored.made, RowFiles(files, manifest.cells, manifest.channels), stored.effort)
    for part in codes:
        index.add_codes(part)
    return index
