"""The scenes that may fill a hole: searched in an index by context, then ordered at the index's size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ce_retrieval.completion.rerank.network_guided import NetworkGuide
from ce_retrieval.completion.rerank.own_photo import OwnPhoto
from ce_retrieval.completion.rerank.query import Query, Ranked, Ranking
from ce_retrieval.completion.rerank.rim import rim_distance, rim_weights
from ce_retrieval.completion.rerank.scene_search import SceneSearch
from ce_retrieval.completion.settings import PLACED, PLACED_OF_KIND, PlacementSettings, SearchSettings
from ce_retrieval.completion.stages import SEARCH, tell
from ce_retrieval.errors import CeretError, NoKindError, PhotoError, SamePhotoError
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import is_grey
from ce_retrieval.retrieval.neighbor import Neighbor
from ce_retrieval.retrieval.query import check_query, hinted, square_query
from ce_retrieval.retrieval.search import default_focus

CACHE_BYTES = 1 << 30

Settings = TypeVar("Settings", bound=SearchSettings)


def resolved(settings: Settings, index: PhotoIndex) -> Settings:
    """Return the settings with what is best for the index in place of the focus "auto" and of an `aligned` of None."""
    changes: dict[str, Any] = {}
    if settings.focus == "auto":
        changes["focus"] = default_focus(index.descriptor)
    if isinstance(settings, PlacementSettings) and settings.aligned is None:
        of_kind = knows_kinds(settings, index) and settings.rerank == "guided"
        changes["aligned"] = PLACED_OF_KIND if of_kind else PLACED
    return replace(settings, **changes)


def knows_kinds(settings: SearchSettings, index: PhotoIndex) -> bool:
    """Whether candidates are chosen by kind: the settings ask for it, and the index holds it, made by weights that are there."""
    try:
        return settings.by_kind and index.kind is not None
    except NoKindError:
        return False


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
    notes : (path, line) where kind plays no part though the settings ask for it.

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
        self.about: dict[str, Any] = about_index(index)
        guided = settings.rerank == "guided"
        self._network_fill = NetworkFill(settings.weights) if guided else None
        self._guide = NetworkGuide(fill=fill) if guided else None
        self.network: dict[str, Any] | None = self._network_fill.about if self._network_fill else None
        self.scenes = scenes or PhotoCache(index, CACHE_BYTES, workers)
        self._search = SceneSearch(index, settings, self.scenes, least)
        self.notes = self._search.notes

    def queries(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> list[Query | CeretError]:
        """Search for all photos as one batch; an error of one takes its place and spares the others.

        origins: the photos' files, by which their copies are known; None: by their pixels alone.
        """
        tell(SEARCH)
        results: list[Any] = [None] * len(photos)
        squares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (photo, hole) in enumerate(zip(photos, holes, strict=True)):
            try:
                check_query(photo, hole)
                squares[number] = square_query(photo, hole, self._index.manifest.size)
            except CeretError as error:
                results[number] = error
        contexts = self._search.neighbors(photos, holes, squares, results, origins)
        for number in squares.keys() - contexts.keys():
            results[number] = hinted(results[number], holes[number])
        expected = self._expected(photos, holes, squares, contexts, results)
        guarded = not self._settings.allow_same_photo
        for number in expected if self._network_fill else contexts:
            query = Query(
                photo=photos[number],
                hole=holes[number],
                square=squares[number][0],
                square_hole=squares[number][1],
                expected=expected.get(number),
                neighbors=contexts[number],
                grey=is_grey(photos[number], holes[number]),
                own=OwnPhoto(photos[number], holes[number], squares[number], origins[number]) if guarded else None,
                origin=origins[number],
            )
            if query.expected is not None:
                query = replace(query, expected=query.seen(query.expected))
            results[number] = query
        return results

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

    def rank(self, query: Query, *, listed: int = 0) -> Ranking:
        """Order the neighbours by the settings' `rerank`, without copies of the photo and those that cannot be read.

        Without a re-rank so many are looked at that the first `listed` are not copies: `opened` refuses the others.
        """
        if self._settings.rerank == "none":
            copies = self._copies_among_first(query, listed)
            order = [Ranked(neighbor) for neighbor in query.neighbors if neighbor.id not in copies]
            return Ranking(order, (), tuple(copies.values()))
        scenes = self.scenes.get([neighbor.id for neighbor in query.neighbors])
        found = [query.neighbors[position] for position in scenes.positions]
        copies = self._copies(query, found, scenes.photos)
        kept = [row for row, neighbor in enumerate(found) if neighbor.id not in copies]
        if not kept:
            return Ranking([], scenes.dropped, tuple(copies.values()))
        photos = scenes.photos if len(kept) == len(found) else scenes.photos[kept]
        best = self._ordered(query, [found[row] for row in kept], query.seen(photos))
        return Ranking(best, scenes.dropped, tuple(copies.values()))

    def _ordered(self, query: Query, neighbors: Sequence[Neighbor], photos: np.ndarray) -> list[Ranked]:
        """Order neighbours by their photos uint8 (n, S, S, 3)."""
        if self._guide is None:
            order = rims = rim_distance(query.square, photos, rim_weights(query.square_hole))
            scores = [{"rim": float(rim)} for rim in rims]
        else:
            assert query.expected is not None, "made for every query that is ranked"
            guided = self._guide.scores(query.square, query.square_hole, query.expected, photos)
            order = guided.score
            scores = [{"rim": float(r), "content": float(c)} for r, c in zip(guided.rim, guided.content, strict=True)]
        ranked = [Ranked(neighbor, each) for neighbor, each in zip(neighbors, scores, strict=True)]
        return [ranked[i] for i in np.argsort(order, kind="stable")]

    @staticmethod
    def _copies(query: Query, neighbors: Sequence[Neighbor], photos: np.ndarray) -> dict[int, str]:
        """Return the names of those scenes uint8 (n, S, S, 3) that are copies of the photo, by their id."""
        if query.own is None:
            return {}
        found = query.own.among(neighbors, photos)
        return {neighbor.id: neighbor.name for neighbor, is_copy in zip(neighbors, found, strict=True) if is_copy}

    def _copies_among_first(self, query: Query, listed: int) -> dict[int, str]:
        """Return as `_copies` those that are nearer than the first `listed` neighbours that are not copies."""
        copies: dict[int, str] = {}
        looked_at = 0
        while query.own and (part := query.neighbors[looked_at : listed + len(copies)]):
            looked_at += len(part)
            scenes = self.scenes.get([neighbor.id for neighbor in part])
            copies |= self._copies(query, [part[position] for position in scenes.positions], scenes.photos)
        return copies

    def most_alike(self, query: Query, count: int) -> list[Neighbor]:
        """Return the neighbours that are most alike in kind, most first, without copies of the photo; none without kinds."""
        known = [neighbor for neighbor in query.neighbors if neighbor.kind is not None]
        first = sorted(known, key=lambda neighbor: -(neighbor.kind or 0.0))[: 2 * count]
        scenes = self.scenes.get([neighbor.id for neighbor in first])
        found = [first[position] for position in scenes.positions]
        copies = self._copies(query, found, scenes.photos) if found else {}
        return [neighbor for neighbor in found if neighbor.id not in copies][:count]

    def more(self, query: Query) -> str:
        """Return the settings that would place scenes beyond the query's neighbours, "" where there are none left."""
        return "aligned" if len(query.neighbors) == self._search.count < self._search.searched else ""

    def opened(self, neighbor: Neighbor, query: Query) -> np.ndarray:
        """Return a scene uint8 (h, w, 3) to fill a photo from (`open_scene`).

        Raises
        ------
        PhotoError : the scene cannot be read.
        SamePhotoError : it is the photo itself, or a copy of it.
        """
        scene = open_scene(self._index, self.scenes, neighbor, query.hole.shape)
        if query.own and query.own.is_copy(neighbor, scene):
            raise SamePhotoError(neighbor.name)
        return query.seen(scene)


def open_scene(index: PhotoIndex, scenes: PhotoCache, neighbor: Neighbor, shape: tuple[int, ...]) -> np.ndarray:
    """Return a scene uint8 (h, w, 3) for a photo of the shape (H, W), at its own size; PhotoError where it cannot be read.

    A photo that has the index's size and shape gets the scene as the index saw it, at that size, from `scenes`.
    """
    size = index.manifest.size
    if shape != (size, size):
        return index.read_photo(neighbor.record).pixels
    found = scenes.get([neighbor.id])
    if found.dropped:
        raise PhotoError(found.dropped[0])
    return found.photos[0]


def about_index(index: PhotoIndex) -> dict[str, Any]:
    """Return what a result says of its index: path, features, size, hole protocol, and the hash of its manifest."""
    manifest = index.manifest
    return {
        "path": str(index.path),
        "features": manifest.descriptor,
        "size": manifest.size,
        "hole": manifest.hole,
        "manifest_sha256": manifest.sha256,
    }
