"""Search for photos of the same place by local features: votes of those of a query for photos of an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.pixels import Bools, Floats, Photo
from ce_retrieval.places.codes import SCALE_STEPS, PlaceCodes
from ce_retrieval.places.inverted_file import InvertedFile
from ce_retrieval.places.local_features import LocalFeatures, local_features

QUERY_SIDE, QUERY_MOST = 800, 1500  # px and keypoints of a query
PROBED = 8  # cells a feature of the query
MOST_BITS = 22  # of 64 in which the signatures of a match may differ
SPREAD = 12.0  # bits: a match weighs exp(-(bits / SPREAD)^2)
BINS = (16, 24)  # of the turn, of 22.5 degrees, and of the zoom, of half an octave
NORM = 0.5


class PlaceSource(Protocol):
    """What is searched: a `PhotoIndex`."""

    def __len__(self) -> int:
        """Return N, the number of photos."""

    @property
    def place_codes(self) -> PlaceCodes:
        """What coded the local features."""

    def place_files(self) -> Iterator[tuple[InvertedFile, NDArray[np.int64]]]:
        """Yield files of local features, and the id of each photo of the file; -1 for one that is not part of the index."""


class NearestPlaces(NamedTuple):
    """Photos that a search found, best first: float32 (n,) votes and int64 (n,) ids."""

    scores: Floats
    ids: NDArray[np.int64]


def place_votes(index: PlaceSource, photo: Photo, hole: Bools | None, allowed: Bools | None = None) -> Floats:
    features = local_features(photo, hole, side=QUERY_SIDE, most=QUERY_MOST)
    return votes_of(index, features, allowed)


def votes_of(index: PlaceSource, features: LocalFeatures, allowed: Bools | None = None) -> Floats:
    """Return the votes of a query's local features."""
    from ce_retrieval.places.votes_kernel import best_votes, matches

    codes = index.place_codes
    own = codes.code(features)
    cells, signatures = codes.nearest(features.descriptors, PROBED)
    votes, counts = np.zeros(len(index), np.float32), np.ones(len(index), np.float32)
    parts = []
    for file, ids in index.place_files():
        found = matches(file.starts, file.rows, file.signatures, cells, signatures, MOST_BITS)
        of = ids[file.rows[found[:, 1]]]
        may = of >= 0
        if allowed is not None:
            may &= allowed[of]
        found, of = found[may], of[may]
        turns = own.angles[found[:, 0]] - file.angles[found[:, 1]]
        zooms = own.scales[found[:, 0]].astype(np.int16) - file.scales[found[:, 1]]
        parts.append((of, found[:, 0], found[:, 2], turns, zooms))
        kept = ids >= 0
        counts[ids[kept]] = file.counts[kept]
    if not parts:
        return votes
    ids, queries, bits, turns, zooms = (np.concatenate(column) for column in zip(*parts, strict=True))
    weights = np.exp(-np.square(np.arange(65) / SPREAD))[bits]
    # Bursts (H. Jegou, M. Douze, C. Schmid, CVPR 2009): a feature that is found often says little each time.
    weights /= np.sqrt(np.bincount(queries, weights))[queries]
    order = np.lexsort((queries, ids))
    ids, queries, weights, turns, zooms = (v[order] for v in (ids, queries, weights, turns, zooms))
    new = np.concatenate([[True], (ids[1:] != ids[:-1]) | (queries[1:] != queries[:-1])]) if len(ids) else np.zeros(0, bool)
    group = np.cumsum(new) - 1
    weights = weights / np.sqrt(np.bincount(group))[group] if len(ids) else weights
    t = turns.astype(np.float32) * (BINS[0] / 256)
    z = np.clip(zooms.astype(np.float32) * (2 / SCALE_STEPS) + BINS[1] / 2, 0, BINS[1] - 1)
    best_votes(ids, t, z, weights.astype(np.float32), BINS, votes)
    return votes / np.maximum(counts, 1) ** np.float32(NORM)
