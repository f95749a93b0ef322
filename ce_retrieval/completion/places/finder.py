"""Where other photos of a place are looked for: all of a folder, and the likeliest of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.places.others import OtherPhotos
from ce_retrieval.completion.places.views import FeatureCache, Found, Open, ViewFinder
from ce_retrieval.completion.rerank.own_photo import OwnPhoto
from ce_retrieval.errors import PhotoError, SamePhotoError
from ce_retrieval.photo_index import Origin, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.pixels import Bools, Photo, grey_as_rgb, is_grey
from ce_retrieval.places.local_features import LocalFeatures
from ce_retrieval.places.search import nearest_places
from ce_retrieval.retrieval.neighbor import Neighbor, neighbors_of
from ce_retrieval.retrieval.query import square_query

LOOKED_AT = 20  # photos of an index, at most, by votes of local features
# Votes are measured in those of the photos in the places FLOOR. Where nothing shows the place, the best has about twice as
# many; most photos that do show it have far more.
FLOOR, CLOSE, FAR = slice(10, 30), 3.5, 1.6
FIRST = 3  # photos that are looked at whatever their votes: more than thirty may show the place
OF_EACH = 6  # of an index without local features: the most alike in kind, and as many of the nearest contexts
TRUSTED = 40  # photos of a folder that are looked at closely at once; of more, those that a first look chooses
SQUARE = 128  # px, the size at which copies of the photo are told


class Place(NamedTuple):
    """What is known of the place of a photo.

    Attributes
    ----------
    found : its views.
    features : of the photo.
    grey : whether the photo is grey, so that the views are, too.
    """

    found: Found
    features: LocalFeatures
    grey: bool


class PlaceFinder:
    """Finds other photos of a photo's place.

    Parameters
    ----------
    others : photos that the user gives for the place, or None.
    index : photos among which there may be some, or None.
    settings : with `where`, `exclude_same_source` and `allow_same_photo`.
    """

    def __init__(self, others: OtherPhotos | None, index: PhotoIndex | None, settings: Any) -> None:
        self._others, self._index, self._settings = others, index, settings
        self._cache = FeatureCache()
        self._allowed = allowed_photos(index, settings.where) if index is not None else None
        self._same = SameSource(index) if index is not None and settings.exclude_same_source else None

    @property
    def knows_places(self) -> bool:
        """Whether an index is searched by local features; without them, its likeliest scenes must be given."""
        return self._index is not None and self._index.manifest.places is not None

    def places(
        self, photo: Photo, hole: Bools, origin: Origin | None, scenes: Sequence[Neighbor], workers: int
    ) -> Iterator[Place]:
        """Yield what is known of a photo's place: by the others, then by the index.

        scenes : of the index, as a search by context or kind found them; read where it has no local features.
        """
        grey = is_grey(photo, hole)
        finder = ViewFinder(photo, hole, self._cache)
        lost: list[str] = []
        copies: list[str] = []
        for of_index in (False, True):
            if of_index and self._index is not None:
                close, far = self._likely(photo, hole, origin, scenes)
            elif not of_index and self._others is not None:
                given = self._others.neighbors
                close, far = (given, []) if len(given) <= TRUSTED else ([], given)
            else:
                continue
            # What tells copies knows photos by their ids, which begin at 0 both in the index and among the others.
            opened = self._opener(self._own(photo, hole, origin), grey, of_index=of_index)
            found = finder.among(close, far, opened, workers)
            lost, copies = [*lost, *found.lost], [*copies, *found.copies]
            features = finder.fine if found.views else finder.rough
            yield Place(Found(found.views, lost, copies), features, grey)

    def _own(self, photo: Photo, hole: Bools, origin: Origin | None) -> OwnPhoto | None:
        """Return what tells copies of a photo; None where they may fill it."""
        if self._settings.allow_same_photo:
            return None
        return OwnPhoto(photo, hole, square_query(photo, hole, SQUARE), origin)

    def _opener(self, own: OwnPhoto | None, grey: bool, *, of_index: bool) -> Open:
        def opened(neighbor: Neighbor) -> Photo:
            photo = self._read(neighbor, of_index=of_index)
            if own is not None and own.is_copy(neighbor, photo):
                raise SamePhotoError(neighbor.name)
            return grey_as_rgb(photo) if grey else photo

        return opened

    def _read(self, neighbor: Neighbor, *, of_index: bool) -> Photo:
        if not of_index:
            assert self._others is not None, "its photos are asked for"
            return self._others.read(neighbor)
        assert self._index is not None, "its photos are asked for"
        return self._index.read_photo(neighbor.record).pixels

    def _likely(
        self, photo: Photo, hole: Bools, origin: Origin | None, scenes: Sequence[Neighbor]
    ) -> tuple[Sequence[Neighbor], Sequence[Neighbor]]:
        """Return the photos of the index that are worth a close look, and those that are worth a first one."""
        index = self._index
        assert index is not None, "asked before"
        if not self.knows_places:
            known = [one for one in scenes if one.kind is not None]
            alike = sorted(known, key=lambda one: -one.kind if one.kind is not None else 0)
            first = {one.id: one for one in (*alike[:OF_EACH], *scenes[:OF_EACH])}
            return [], list(first.values())
        allowed = self._allowed
        if self._same is not None and origin is not None:
            apart = ~self._same.photos(origin)
            allowed = apart if allowed is None else allowed & apart
        nearest = nearest_places(index, photo, hole, FLOOR.stop, allowed)
        floor = float(np.median(nearest.scores[FLOOR])) if len(nearest.scores) == FLOOR.stop else 0.0
        votes = nearest.scores[:LOOKED_AT]
        worth = (votes > FAR * floor) | (np.arange(len(votes)) < FIRST)
        neighbors = neighbors_of(index, nearest.ids[:LOOKED_AT][worth], 1 / (1 + votes[worth]))
        count = np.count_nonzero(votes > CLOSE * floor) if floor else 0
        if self._same is not None:
            neighbors = self._apart(photo, hole, neighbors)
        return neighbors[:count], neighbors[count:]

    def _apart(self, photo: Photo, hole: Bools, neighbors: list[Neighbor]) -> list[Neighbor]:
        """Leave out near-duplicates of the photo."""
        index = self._index
        assert index is not None, "asked before"
        size = index.manifest.size
        square = square_query(photo, hole, size)

        def is_apart(neighbor: Neighbor) -> bool:
            try:
                other = index.read_photo(neighbor.record, size).pixels
            except PhotoError:  # it is named when it is looked at
                return True
            return not near_duplicates(*square, other[None])[0]

        return [one for one in neighbors if is_apart(one)]
