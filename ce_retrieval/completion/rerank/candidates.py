"""The scenes that may fill a hole: searched in an index by context, and ordered by what is seen at its size.

After Hays and Efros, "Scene Completion Using Millions of Photographs" (2007), section 3.
"""

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from ce_retrieval.completion.network import DecoderFill
from ce_retrieval.completion.rerank.guided import Guide
from ce_retrieval.completion.rerank.rim import rim_distance, rim_weights
from ce_retrieval.completion.settings import RERANKS, SearchSettings
from ce_retrieval.errors import CeretError, PhotoError, PhotoIndexError
from ce_retrieval.photo_index import Origin, Origins, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import grey_as_rgb, is_grey
from ce_retrieval.retrieval.query import check_query, hinted, square_query
from ce_retrieval.retrieval.search import Neighbor, default_focus, neighbors_of, search_apart, search_contexts

CACHE_BYTES = 1 << 30

Settings = TypeVar("Settings", bound=SearchSettings)
Result = TypeVar("Result")


class Query(NamedTuple):
    """A photo uint8 (S, S, 3) and its hole bool (S, S) at the index's size; expected: float32 (S, S, 3), the network's fill
    of a guided re-rank, else None; neighbors: its nearest contexts, nearest first; grey: all that is known of the photo is
    grey, so scenes are seen, and fill, in grey.
    """

    square: np.ndarray
    hole: np.ndarray
    expected: np.ndarray | None
    neighbors: Sequence[Neighbor]
    grey: bool = False

    def seen(self, pixels: np.ndarray) -> np.ndarray:
        """Return pixels of scenes, or of what a network expects, (..., 3) as they are for this photo: in its kind of colour."""
        return grey_as_rgb(pixels) if self.grey and len(pixels) else pixels


class Ranked(NamedTuple):
    """Neighbours in the order in which they may fill, and why others may not."""

    order: Sequence["Place"]
    dropped: tuple[str, ...]


class Place(NamedTuple):
    """A neighbour, and what the re-rank has measured of it: its distances in the rim and of its content."""

    neighbor: Neighbor
    rim: float | None = None
    content: float | None = None


def resolved(settings: Settings, index: PhotoIndex) -> Settings:
    """Return the settings with the focus that is best for the index, checked; PhotoIndexError where one is out of range."""
    if settings.rerank not in RERANKS:
        raise PhotoIndexError(f"rerank {settings.rerank!r} is unknown: choose one of {', '.join(RERANKS)}")
    for name, number in (("candidates", settings.candidates), ("rim", settings.rim)):
        if number < 1:
            raise PhotoIndexError(f"{name} is {number}: expected 1 or more")
    return replace(settings, focus=default_focus(index.descriptor)) if settings.focus == "auto" else settings


class CandidateFinder:
    """Finds and orders the scenes for photos, many at a time.

    settings: of `resolved`; least: how many neighbours there must be at least; fill: what follows, one of FILLS.
    scenes: decoded photos at the index's size. about, network: what results say of the index, and of the weights of a guided
    re-rank (else None).

    CheckpointError, CeretError: weights, or torch, are missing for a guided re-rank. FilterError: `where` is no expression, or
    no photo passes.
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
        self._decoder = DecoderFill(settings.weights) if guided else None
        self._guide = Guide(settings.guided, settings.rim, fill=fill) if guided else None
        self.network: dict[str, Any] | None = self._decoder.about if self._decoder else None
        self.scenes = scenes or PhotoCache(index, CACHE_BYTES, workers)

    def each(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        work: Callable[[int, Query], Result],
        workers: int,
        origins: Origins = None,
    ) -> list[Result | CeretError]:
        """Search for all photos as one batch, and return what `work` makes of each number and query, on worker threads.

        origins: the files that the photos come from, read where `exclude_same_source` is set.
        An error of one, of the search or of `work`, takes its place and spares the others.
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
            contexts = self._search_apart(self._same, squares, results, origins or [None] * len(photos))
        for number in squares.keys() - contexts.keys():
            results[number] = hinted(results[number], holes[number])
        expected = self._expected(photos, holes, squares, contexts, results) if self._decoder else {}

        def finish(number: int) -> None:
            try:
                grey = is_grey(photos[number], holes[number])
                query = Query(*squares[number], expected.get(number), contexts[number], grey)
                if query.expected is not None:
                    query = query._replace(expected=query.seen(query.expected))
                results[number] = work(number, query)
            except CeretError as error:
                results[number] = error

        with ThreadPoolExecutor(workers) as pool:
            list(pool.map(finish, expected if self._decoder else contexts))
        return results

    def _search(
        self, squares: dict[int, tuple[np.ndarray, np.ndarray]], results: list[Any]
    ) -> dict[int, list[Neighbor]]:
        """Search all queries in one batch; where one of them is refused, each alone, so that the others are served."""
        if not squares:
            return {}
        focus = self._settings.focus
        assert not isinstance(focus, str), "resolved before"
        photos, holes = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        try:
            found = search_contexts(self._index, photos, holes, self._count, focus=focus, allowed=self._allowed)
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
        focus = self._settings.focus
        assert not isinstance(focus, str), "resolved before"

        def read(ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
            scenes = self.scenes.get(ids)
            return scenes.positions, scenes.photos

        contexts = {}
        for number, square in squares.items():
            wanted = self._index, square, self._count, same, origins[number]
            try:
                found = search_apart(*wanted, focus=focus, allowed=self._allowed, read=read)
            except CeretError as error:
                results[number] = error
                continue
            contexts[number] = neighbors_of(self._index, found.ids[0], found.scores[0])
        return contexts

    def _expected(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        squares: dict[int, tuple[np.ndarray, np.ndarray]],
        numbers: Iterable[int],
        results: list[Any],
    ) -> dict[int, np.ndarray]:
        """Return what the network makes of these queries, float32 (S, S, 3) at the index's size; one call for all."""
        assert self._decoder is not None
        ready: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number in numbers:
            try:
                ready[number] = self._decoder.square(photos[number], holes[number], squares[number])
            except CeretError as error:
                results[number] = error
        if not ready:
            return {}
        mirror = self._settings.guided.mirror
        fills = self._decoder.fills(list(ready.values()), self._index.manifest.size, mirror=mirror)
        return dict(zip(ready, fills, strict=True))

    def rank(self, query: Query) -> Ranked:
        """Order the neighbours by the rim or the guide, if asked for; those that cannot be read are left out then."""
        if self._settings.rerank == "none":
            return Ranked([Place(neighbor) for neighbor in query.neighbors], ())
        scenes = self.scenes.get([neighbor.id for neighbor in query.neighbors])
        if not len(scenes.photos):
            return Ranked([], scenes.dropped)
        found = [query.neighbors[position] for position in scenes.positions]
        photos = query.seen(scenes.photos)
        if self._guide is None:
            rims = rim_distance(query.square, photos, rim_weights(query.hole, self._settings.rim))
            places = [Place(neighbor, float(rim)) for neighbor, rim in zip(found, rims, strict=True)]
            return Ranked([places[i] for i in np.argsort(rims, kind="stable")], scenes.dropped)
        assert query.expected is not None, "made for every query that is ranked"
        contexts = np.array([neighbor.distance for neighbor in found])
        scores = self._guide.scores(query.square, query.hole, query.expected, photos, contexts)
        places = [Place(n, float(rim), float(c)) for n, rim, c in zip(found, scores.rim, scores.content, strict=True)]
        return Ranked([places[i] for i in np.argsort(scores.score, kind="stable")], scenes.dropped)

    def more(self, query: Query) -> str:
        """Return the settings that would have scenes beyond the query's neighbours placed, "" where there are none."""
        return "aligned (and candidates)" if len(query.neighbors) == self._count < self._searched else ""

    def opened(self, neighbor: Neighbor, query: Query, shape: tuple[int, ...]) -> np.ndarray:
        """Return a scene uint8 (h, w, 3) to fill a photo of `shape` from, at its own size; at the index's for a photo of that
        size and shape, whatever the scene's was. PhotoError where it cannot be read.
        """
        size = self._index.manifest.size
        if shape[:2] != (size, size):
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
