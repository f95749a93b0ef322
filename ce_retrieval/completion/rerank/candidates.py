"""The scenes that may fill a hole: searched in an index by context, then ordered at the index's size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ce_retrieval.completion.rerank.network_guided import NetworkGuide
from ce_retrieval.completion.rerank.rim import rim_distance, rim_weights
from ce_retrieval.completion.settings import SearchSettings
from ce_retrieval.errors import CeretError, PhotoError
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import Origin, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import grey_as_rgb, is_grey
from ce_retrieval.retrieval.query import check_query, hinted, square_query
from ce_retrieval.retrieval.search import Neighbor, default_focus, neighbors_of, search_apart, search_contexts

CACHE_BYTES = 1 << 30

Settings = TypeVar("Settings", bound=SearchSettings)


@dataclass(frozen=True)
class Query:
    """A photo with a hole that was searched.

    Attributes
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), at the photo's own size.
    square, square_hole : uint8 (S, S, 3) and bool (S, S), the same at the index's size.
    expected : float32 (S, S, 3), the network's fill for a guided re-rank, else None.
    neighbors : the nearest contexts, nearest first.
    grey : whether all known pixels of the photo are grey, so that scenes are compared, and fill, in grey.
    """

    photo: np.ndarray
    hole: np.ndarray
    square: np.ndarray
    square_hole: np.ndarray
    expected: np.ndarray | None
    neighbors: Sequence[Neighbor]
    grey: bool

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels (..., 3) of scenes as they are compared with this photo: in grey where it is grey."""
        return grey_as_rgb(pixels) if self.grey and len(pixels) else pixels


@dataclass(frozen=True)
class Ranked:
    """A neighbour, and the distances by which the re-rank has placed it."""

    neighbor: Neighbor
    scores: dict[str, float] = field(default_factory=dict)


class Ranking(NamedTuple):
    """Neighbours, the best first, and a line for each that cannot be read."""

    order: Sequence[Ranked]
    dropped: tuple[str, ...]


def resolved(settings: Settings, index: PhotoIndex) -> Settings:
    """Return the settings with the focus that is best for the index in place of "auto"."""
    return replace(settings, focus=default_focus(index.descriptor)) if settings.focus == "auto" else settings


class CandidateFinder:
    """Finds and orders the scenes for photos, many at a time.

    Parameters
    ----------
    index : the photos to search.
    settings : as `resolved` returns them.
    least : how many neighbours to find at least, if the collection holds them.
    fill : what the candidates are used for, a `fill` of RetrievalSettings.
    scenes : decoded photos at the index's size, to share; None: its own.
    workers : threads that decode.

    Attributes
    ----------
    about, network : what results say of the index, and of the weights of a guided re-rank (else None).

    Raises
    ------
    CheckpointError, CeretError : weights or torch are missing for a guided re-rank.
    FilterError : `where` cannot be read, or no photo passes it.
    """

    def __init__(
        self,
        index: PhotoIndex,
        settings: SearchSettings,
        *,
        least: int,
        fill: str,
        scenes: PhotoCache | None,
        workers: int,
    ) -> None:
        self._index, self._settings = index, settings
        self._allowed = allowed_photos(index, settings.where)
        self._same = SameSource(index) if settings.exclude_same_source else None
        self._searched = len(index) if self._allowed is None else int(np.count_nonzero(self._allowed))
        self._count = min(max(least, settings.candidates), self._searched)
        self.about: dict[str, Any] = _about(index)
        guided = settings.rerank == "guided"
        self._network_fill = NetworkFill(settings.weights) if guided else None
        self._guide = NetworkGuide(fill=fill) if guided else None
        self.network: dict[str, Any] | None = self._network_fill.about if self._network_fill else None
        self.scenes = scenes or PhotoCache(index, CACHE_BYTES, workers)

    def queries(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> list[Query | CeretError]:
        """Search for all photos as one batch; an error of one takes its place and spares the others.

        origins: the photos' files, read where `exclude_same_source` is set.
        """
        results: list[Any] = [None] * len(photos)
        squares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (photo, hole) in enumerate(zip(photos, holes, strict=True)):
            try:
                check_query(photo, hole)
                squares[number] = square_query(photo, hole, self._index.manifest.size)
            except CeretError as error:
                results[number] = error
        if self._same is None:
            contexts = self._search(squares, results)
        else:
            contexts = self._search_apart(self._same, squares, results, origins)
        for number in squares.keys() - contexts.keys():
            results[number] = hinted(results[number], holes[number])
        expected = self._expected(photos, holes, squares, contexts, results)
        for number in expected if self._network_fill else contexts:
            query = Query(
                photo=photos[number],
                hole=holes[number],
                square=squares[number][0],
                square_hole=squares[number][1],
                expected=expected.get(number),
                neighbors=contexts[number],
                grey=is_grey(photos[number], holes[number]),
            )
            if query.expected is not None:
                query = replace(query, expected=query.seen(query.expected))
            results[number] = query
        return results

    def _search(
        self, squares: dict[int, tuple[np.ndarray, np.ndarray]], results: list[Any]
    ) -> dict[int, list[Neighbor]]:
        """Search all queries in one batch; where one of them is refused, each alone, so that the others are served."""
        if not squares:
            return {}
        photos, holes = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        try:
            found = search_contexts(self._index, photos, holes, self._count, focus=self._focus, allowed=self._allowed)
        except CeretError as error:
            if len(squares) == 1:
                results[next(iter(squares))] = error
                return {}
            alone = [self._search({number: square}, results) for number, square in squares.items()]
            return {number: neighbors for one in alone for number, neighbors in one.items()}
        rows = zip(squares, found.ids, found.scores, strict=True)
        return {number: neighbors_of(self._index, ids, scores) for number, ids, scores in rows}

    def _search_apart(
        self,
        same: SameSource,
        squares: dict[int, tuple[np.ndarray, np.ndarray]],
        results: list[Any],
        origins: Sequence[Origin | None],
    ) -> dict[int, list[Neighbor]]:
        """Search each query alone, among the photos that are not of its own source."""

        def read(ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
            scenes = self.scenes.get(ids)
            return scenes.positions, scenes.photos

        contexts = {}
        for number, square in squares.items():
            query = self._index, square, self._count, same, origins[number]
            try:
                found = search_apart(*query, focus=self._focus, allowed=self._allowed, read=read)
            except CeretError as error:
                results[number] = error
                continue
            contexts[number] = neighbors_of(self._index, found.ids[0], found.scores[0])
        return contexts

    @property
    def _focus(self) -> float | None:
        assert not isinstance(self._settings.focus, str), "resolved before"
        return self._settings.focus

    def _expected(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        squares: dict[int, tuple[np.ndarray, np.ndarray]],
        contexts: dict[int, list[Neighbor]],
        results: list[Any],
    ) -> dict[int, np.ndarray]:
        """Return the network's fills of the queries that were found, float32 (S, S, 3) at the index's size; one call for all."""
        network = self._network_fill
        if network is None:
            return {}
        ready: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number in contexts:
            try:
                square = squares[number]
                if square[1].shape != (network.size, network.size):
                    square = square_query(photos[number], holes[number], network.size)
                network.check(square[1], resized=holes[number].shape != square[1].shape)
                ready[number] = square
            except CeretError as error:
                results[number] = error
        if not ready:
            return {}
        return dict(zip(ready, network.fills(list(ready.values()), self._index.manifest.size), strict=True))

    def rank(self, query: Query) -> Ranking:
        """Order the neighbours by the settings' `rerank`; a re-rank leaves out those that cannot be read."""
        if self._settings.rerank == "none":
            return Ranking([Ranked(neighbor) for neighbor in query.neighbors], ())
        scenes = self.scenes.get([neighbor.id for neighbor in query.neighbors])
        if not len(scenes.photos):
            return Ranking([], scenes.dropped)
        found = [query.neighbors[position] for position in scenes.positions]
        photos = query.seen(scenes.photos)
        if self._guide is None:
            order = rims = rim_distance(query.square, photos, rim_weights(query.square_hole))
            scores = [{"rim": float(rim)} for rim in rims]
        else:
            assert query.expected is not None, "made for every query that is ranked"
            guided = self._guide.scores(query.square, query.square_hole, query.expected, photos)
            order = guided.score
            scores = [{"rim": float(r), "content": float(c)} for r, c in zip(guided.rim, guided.content, strict=True)]
        ranked = [Ranked(neighbor, each) for neighbor, each in zip(found, scores, strict=True)]
        return Ranking([ranked[i] for i in np.argsort(order, kind="stable")], scenes.dropped)

    def more(self, query: Query) -> str:
        """Return the settings that would place scenes beyond the query's neighbours, "" where there are none left."""
        return "aligned" if len(query.neighbors) == self._count < self._searched else ""

    def opened(self, neighbor: Neighbor, query: Query) -> np.ndarray:
        """Return a scene uint8 (h, w, 3) to fill a photo from, at its own size; PhotoError where it cannot be read.

        A photo that has the index's size and shape gets the scene as the index saw it, at that size.
        """
        size = self._index.manifest.size
        if query.hole.shape != (size, size):
            return query.seen(self._index.read_photo(neighbor.record).pixels)
        found = self.scenes.get([neighbor.id])
        if found.dropped:
            raise PhotoError(found.dropped[0])
        return query.seen(found.photos[0])


def _about(index: PhotoIndex) -> dict[str, Any]:
    """What a result says of its index: path, features, size, hole protocol, and the hash of its manifest."""
    manifest = index.manifest
    return {
        "path": str(index.path),
        "features": manifest.descriptor,
        "size": manifest.size,
        "hole": manifest.hole,
        "manifest_sha256": manifest.sha256,
    }
