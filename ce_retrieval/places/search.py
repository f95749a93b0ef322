"""Search for photos of the same place by local features: votes of those of a query for photos of an index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, Protocol

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
TURNS, ZOOMS = 16, 24  # bins: of 22.5 degrees, and of half an octave


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
    """Photos that a search found, best first: float32 (n,) votes, above 0, and int64 (n,) ids."""

    scores: Floats
    ids: NDArray[np.int64]


class _Matches(NamedTuple):
    """Matches of local features: ids of the photos, features of the query, bits that differ, turns and zooms: (m,) each."""

    ids: NDArray[Any]
    queries: NDArray[Any]
    bits: NDArray[Any]
    turns: NDArray[Any]
    zooms: NDArray[Any]


def place_votes(index: PlaceSource, photo: Photo, hole: Bools | None = None, allowed: Bools | None = None) -> Floats:
    """Return how much speaks for each photo of an index being of a query's place.

    Parameters
    ----------
    index : PhotoIndex
    photo : uint8 (H, W, 3)
    hole : bool (H, W) or None
        True = missing: what is under it has no influence. None: nothing is missing.
    allowed : bool (N,) or None
        Photos that may be found; None allows all.

    Returns
    -------
    float32 (N,)
        Votes; 0 for a photo with no feature like any of the query. They order photos, and are no measure of certainty: that
        takes their geometry.

    Raises
    ------
    NoPlacesError
        The index has no local features, or other codes made them.
    CorruptIndexError
        A file of the index has been damaged since it was opened.

    Notes
    -----
    Hamming embedding and weak geometric consistency (H. Jegou, M. Douze, C. Schmid, ECCV 2008): a match counts by how few
    bits of the signatures differ, and a photo's votes are those that agree in how far it is turned and zoomed. Bursts (the
    same, "On the burstiness of visual elements", CVPR 2009): matches of one feature of the query share its vote, within a
    photo and over all photos, by the square root. That does the work of an inverse document frequency. Votes are not divided
    by a photo's number of features, which is bounded: with its root or fourth root fewer places are found.
    """
    codes = index.place_codes  # an index without any is an error before any work
    return _votes(index, query_features(photo, hole), codes, allowed)


def query_features(photo: Photo, hole: Bools | None = None) -> LocalFeatures:
    """Return the local features by which `place_votes` searches."""
    return local_features(photo, hole, side=QUERY_SIDE, most=QUERY_MOST)


def feature_votes(index: PlaceSource, features: LocalFeatures, allowed: Bools | None = None) -> Floats:
    """Return the votes of `place_votes` for a query whose `query_features` are known."""
    return _votes(index, features, index.place_codes, allowed)


def nearest_places(
    index: PlaceSource, photo: Photo, hole: Bools | None, k: int, allowed: Bools | None = None
) -> NearestPlaces:
    """Return the photos with the most votes of `place_votes`, at most k, ties by id; none without a vote."""
    return most_votes(place_votes(index, photo, hole, allowed), k)


def most_votes(votes: Floats, k: int, allowed: Bools | None = None) -> NearestPlaces:
    """Return the allowed photos with the most votes, at most k, ties by id; none without a vote."""
    ids = np.flatnonzero(votes if allowed is None else votes * allowed)
    ids = ids[np.argsort(-votes[ids], kind="stable")][:k]
    return NearestPlaces(votes[ids], ids)


def _votes(index: PlaceSource, features: LocalFeatures, codes: PlaceCodes, allowed: Bools | None) -> Floats:
    """Return the votes float32 (N,) of local features."""
    from ce_retrieval.places.votes_kernel import best_votes

    votes = np.zeros(len(index), np.float32)
    found = _matches_of(index, features, codes, allowed)
    if len(found.ids):
        turns = found.turns.astype(np.float32) * (TURNS / 256)
        zooms = np.clip(found.zooms.astype(np.float32) * (2 / SCALE_STEPS) + ZOOMS / 2, 0, ZOOMS - 1)
        best_votes(found.ids, turns, zooms, _weights(found), (TURNS, ZOOMS), votes)
    return votes


def _matches_of(index: PlaceSource, features: LocalFeatures, codes: PlaceCodes, allowed: Bools | None) -> _Matches:
    """Return the matches of a query's features, ordered by photo, then by feature of the query."""
    from ce_retrieval.places.votes_kernel import matches

    own = codes.code(features)
    cells, signatures = codes.nearest(features.descriptors, PROBED)
    parts = [_Matches(*(np.zeros(0, kind) for kind in (np.int64, np.int32, np.int32, np.uint8, np.int16)))]
    for file, ids in index.place_files():
        found = matches(file.starts, file.signatures, cells, signatures, MOST_BITS)
        of = ids[file.rows[found[:, 1]]]
        may = of >= 0
        if allowed is not None:
            may &= allowed[of]
        queries, places, bits = found[may].T
        turns = own.angles[queries] - file.angles[places]  # modulo 256, a whole turn
        zooms = own.scales[queries].astype(np.int16) - file.scales[places]
        parts.append(_Matches(of[may], queries, bits, turns, zooms))
    whole = _Matches(*(np.concatenate(column) for column in zip(*parts, strict=True)))
    order = np.lexsort((whole.queries, whole.ids))
    return _Matches(*(column[order] for column in whole))


def _weights(found: _Matches) -> Floats:
    """Return what each of m > 0 matches in order counts: float32 (m,)."""
    weights = np.exp(-np.square(np.arange(MOST_BITS + 1) / SPREAD))[found.bits]
    weights /= np.sqrt(np.bincount(found.queries, weights))[found.queries]
    other = (np.diff(found.ids) != 0) | (np.diff(found.queries) != 0)
    of_pair = np.concatenate([[0], np.cumsum(other)])
    return (weights / np.sqrt(np.bincount(of_pair))[of_pair]).astype(np.float32)
