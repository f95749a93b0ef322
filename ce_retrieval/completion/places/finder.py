"""Where other photos of a place are looked for: all of a folder, and the likeliest of an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.places.others import OtherPhotos
from ce_retrieval.completion.places.views import FeatureCache, Found, ViewFinder
from ce_retrieval.completion.rerank.own_photo import OwnPhoto
from ce_retrieval.errors import SamePhotoError
from ce_retrieval.photo_index import Origin, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.pixels import Bools, Photo, grey_as_rgb, is_grey
from ce_retrieval.places.local_features import LocalFeatures
from ce_retrieval.places.search import nearest_places
from ce_retrieval.retrieval.neighbor import Neighbor, neighbors_of
from ce_retrieval.retrieval.query import square_query

LOOKED_AT = 20  # photos of an index, by votes of local features
OF_EACH = 10  # of an index without them: the most alike in kind, and as many of the nearest contexts
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
                neighbors = self._likely(photo, hole, origin, scenes)
            elif not of_index and self._others is not None:
                neighbors = self._others.neighbors
            else:
                continue
            # What tells copies knows photos by their ids, which begin at 0 both in the index and among the others.
            found = self._look(finder, neighbors, self._own(photo, hole, origin), grey, workers, of_index=of_index)
            lost, copies = [*lost, *found.lost], [*copies, *found.copies]
            features = finder.fine if found.views else finder.rough
            yield Place(Found(found.views, lost, copies), features, grey)

    def _own(self, photo: Photo, hole: Bools, origin: Origin | None) -> OwnPhoto | None:
        """Return what tells copies of a photo; None where they may fill it."""
        if self._settings.allow_same_photo:
            return None
        return OwnPhoto(photo, hole, square_query(photo, hole, SQUARE), origin)

    def _look(
        self,
        finder: ViewFinder,
        neighbors: Sequence[Neighbor],
        own: OwnPhoto | None,
        grey: bool,
        workers: int,
        *,
        of_index: bool,
    ) -> Found:
        def opened(neighbor: Neighbor) -> Photo:
            photo = self._read(neighbor, of_index=of_index)
            if own is not None and own.is_copy(neighbor, photo):
                raise SamePhotoError(neighbor.name)
            return grey_as_rgb(photo) if grey else photo

        trusted = not of_index and len(neighbors) <= TRUSTED
        return finder.among(neighbors, opened, trusted=trusted, workers=workers)

    def _read(self, neighbor: Neighbor, *, of_index: bool) -> Photo:
        if not of_index:
            assert self._others is not None, "its photos are asked for"
            return self._others.read(neighbor)
        assert self._index is not None, "its photos are asked for"
        return self._index.read_photo(neighbor.record).pixels

    def _likely(
        self, photo: Photo, hole: Bools, origin: Origin | None, scenes: Sequence[Neighbor]
    ) -> Sequence[Neighbor]:
        """Return the photos of the index that are worth a look."""
        index = self._index
        assert index is not None, "asked before"
        if not self.knows_places:
            alike = sorted(
                (one for one in scenes if one.kind is not None),
                key=lambda one: -(one.kind if one.kind is not None else 0),
            )
            first = {one.id: one for one in (*alike[:OF_EACH], *scenes[:OF_EACH])}
            return list(first.values())
        allowed = self._allowed
        if self._same is not None and origin is not None:
            apart = ~self._same.photos(origin)
            allowed = apart if allowed is None else allowed & apart
        nearest = nearest_places(index, photo, hole, LOOKED_AT, allowed)
        neighbors = neighbors_of(index, nearest.ids, 1 / nearest.scores)
        return self._apart(photo, hole, neighbors) if self._same is not None else neighbors

    def _apart(self, photo: Photo, hole: Bools, neighbors: Sequence[Neighbor]) -> Sequence[Neighbor]:
        """Leave out near-duplicates of the photo."""
        assert self._index is not None, "asked before"
        size = self._index.manifest.size
        squares = [self._index.read_photo(one.record, size).pixels for one in neighbors]
        if not squares:
            return neighbors
        same = near_duplicates(*square_query(photo, hole, size), np.stack(squares))
        return [one for one, duplicate in zip(neighbors, same, strict=True) if not duplicate]
