"""The search for scenes: those of the photo's kind, and those whose surroundings are nearest whatever their kind.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 3, search by gist and colour: the
same kind of place. Here the kind has features of its own (`descriptors.kind`), where the index holds them, and the nearest
contexts are considered too: a photo of the very place is among them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ce_retrieval.completion.rerank.own_photo import OwnPhoto
from ce_retrieval.completion.settings import SearchSettings
from ce_retrieval.errors import CeretError, FilterError, NoKindError
from ce_retrieval.photo_index import Origin, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import Bools, Floats
from ce_retrieval.retrieval.kind_search import kind_similarity, nearest_kinds
from ce_retrieval.retrieval.neighbor import Neighbor, neighbors_of
from ce_retrieval.retrieval.search import (
    described_contexts,
    nothing_apart,
    search_apart,
    search_contexts,
)

CONTEXT_SHARE = 0.1  # of the scenes, the nearest contexts of any kind

HIDDEN = "the hole leaves too little of the photo to tell its kind: the nearest contexts are its scenes"

Square = tuple[np.ndarray, np.ndarray]
# (number of scenes, the photos that may be found) -> squared distances (n,) and ids (n,), nearest first.
Find = Callable[[int, Bools | None], tuple[np.ndarray, np.ndarray]]


class SceneSearch:
    """Finds the scenes for photos, many at a time.

    Parameters
    ----------
    index : the photos to search.
    settings : with a focus in px, or None.
    scenes : decoded photos at the index's size.
    least : how many scenes to find at least, if the collection holds them.

    Attributes
    ----------
    searched : photos that may be found.
    count : scenes that a search finds.
    notes : (path of the index, line) where kind plays no part for any photo, though the settings ask for it.
    """

    def __init__(self, index: PhotoIndex, settings: SearchSettings, scenes: PhotoCache, least: int) -> None:
        assert not isinstance(settings.focus, str), "resolved before"
        self._index, self._settings, self._scenes, self._focus = index, settings, scenes, settings.focus
        self._allowed = allowed_photos(index, settings.where)
        self._same = SameSource(index) if settings.exclude_same_source else None
        self.searched = len(index) if self._allowed is None else int(np.count_nonzero(self._allowed))
        self.count = min(max(least, settings.candidates), self.searched)
        self._by_kind = settings.by_kind
        self.notes: tuple[tuple[str, str], ...] = ()
        if self._by_kind:
            try:
                _ = index.kind
            except NoKindError as error:
                self._by_kind = False
                path = str(index.path)
                self.notes = ((path, str(error).removeprefix(path).lstrip(": ")),)

    def neighbors(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        squares: Mapping[int, Square],
        results: list[CeretError | None],
        origins: Sequence[Origin | None],
    ) -> dict[int, list[Neighbor]]:
        """Return the scenes of each query at the index's size (`squares`, by its place in `photos`), nearest context first.

        The error of a query takes its place in `results`.
        """
        kinds = {number: self._similarity(square) for number, square in squares.items()}
        if self._same is None and not self._by_kind:
            return self._contexts(squares, results)
        found = {}
        for number, square in squares.items():
            try:
                find = self._find(square, origins[number])
                found[number] = self._united(find, kinds[number], origins[number])
            except FilterError:
                own = OwnPhoto(photos[number], holes[number], square, origins[number])
                results[number] = self._nothing_apart(square, own)
            except CeretError as error:
                results[number] = error
        return found

    def _similarity(self, square: Square) -> Floats | None:
        """Return the similarity in kind of all photos; None where kind plays no part."""
        if not self._by_kind:
            return None
        try:
            return kind_similarity(self._index, *square)
        except NoKindError:  # the hole leaves too little
            return None

    def _united(self, find: Find, similarity: Floats | None, origin: Origin | None) -> list[Neighbor]:
        """Return the scenes by context alone, or those of the kind with a few of the nearest contexts.

        A photo's own folder is mostly of its own kind: where it is excluded, others take its place.
        """
        if similarity is None or self.count == self.searched:
            distances, ids = find(self.count, self._allowed)
            return neighbors_of(self._index, ids, distances, similarity)
        distances, ids = find(math.ceil(self.count * CONTEXT_SHARE), self._allowed)
        rest = np.ones(len(self._index), bool) if self._allowed is None else self._allowed.copy()
        rest[ids] = False
        if self._same is not None and origin is not None:
            rest &= ~self._same.photos(origin)
        alike = np.zeros(len(self._index), bool)
        wanted = min(self.count - len(ids), int(np.count_nonzero(rest)))
        if not wanted:
            return neighbors_of(self._index, ids, distances, similarity)
        alike[nearest_kinds(similarity, wanted, rest).ids[0]] = True
        try:
            more = find(wanted, alike)
        except FilterError:  # all of them are near-duplicates
            return neighbors_of(self._index, ids, distances, similarity)
        distances, ids = np.concatenate([distances, more[0]]), np.concatenate([ids, more[1]])
        order = np.lexsort((ids, distances))
        return neighbors_of(self._index, ids[order], distances[order], similarity)

    def _find(self, square: Square, origin: Origin | None) -> Find:
        """Return the search by context for a query, among the photos that are not of its own source if the settings say so."""

        def read(ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
            scenes = self._scenes.get(ids)
            return scenes.positions, scenes.photos

        described = None
        if self._same is None:
            described = described_contexts(self._index, square[0][None], square[1][None], self._focus)

        def find(count: int, allowed: Bools | None) -> tuple[np.ndarray, np.ndarray]:
            if described is not None:
                found = self._index.search(*described, count, allowed)
            else:
                assert self._same is not None
                query = self._index, square, count, self._same, origin
                found = search_apart(*query, focus=self._focus, allowed=allowed, read=read)
            return found.scores[0], found.ids[0]

        return find

    def _contexts(self, squares: Mapping[int, Square], results: list[CeretError | None]) -> dict[int, list[Neighbor]]:
        """Search all queries in one batch; where one of them is refused, each alone, so that the others are served."""
        if not squares:
            return {}
        photos, holes = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        try:
            found = search_contexts(self._index, photos, holes, self.count, focus=self._focus, allowed=self._allowed)
        except CeretError as error:
            if len(squares) == 1:
                results[next(iter(squares))] = error
                return {}
            alone = [self._contexts({number: square}, results) for number, square in squares.items()]
            return {number: neighbors for one in alone for number, neighbors in one.items()}
        rows = zip(squares, found.ids, found.scores, strict=True)
        return {number: neighbors_of(self._index, ids, scores) for number, ids, scores in rows}

    def _nothing_apart(self, square: Square, own: OwnPhoto) -> FilterError:
        """Return the error for a query with no photo apart from its own source, with a way that works."""
        neighbors = self._contexts({0: square}, [None]).get(0, [])
        scenes = self._scenes.get([neighbor.id for neighbor in neighbors])
        copies = own.among([neighbors[position] for position in scenes.positions], scenes.photos)
        too = " and set `allow_same_photo`" if copies.all() and not self._settings.allow_same_photo else ""
        return nothing_apart(self._index, f"leave out `exclude_same_source`{too}")
