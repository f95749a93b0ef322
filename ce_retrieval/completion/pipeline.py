"""From a photo with a hole to the filled photo: search, re-rank, fill.

After Hays and Efros, "Scene Completion Using Millions of Photographs" (2007), sections 3 to 5. Deviations: scenes are laid
over the photo as wholes, without local alignment and without a seam.
"""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.decoder import DecoderFill
from ce_retrieval.completion.guided import Guide
from ce_retrieval.completion.insertion import Blender, box_around, insert
from ce_retrieval.completion.result import Candidate, Completion
from ce_retrieval.completion.rim import rim_distance, rim_weights
from ce_retrieval.completion.scenes import SceneCache, scene_patch
from ce_retrieval.completion.settings import FILLS, RERANKS, CompletionSettings
from ce_retrieval.errors import CeretError, PhotoError, PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.retrieval import Neighbor, check_query, default_focus, neighbors_of, search_contexts, square_query

CACHE_BYTES = 1 << 30


class _Ranked(NamedTuple):
    """Neighbours in the order in which they may fill, and why others may not."""

    order: Sequence["_Place"]
    dropped: tuple[str, ...]


class _Place(NamedTuple):
    """A neighbour, and what the re-rank has measured of it: its distances in the rim and of its content."""

    neighbor: Neighbor
    rim: float | None = None
    content: float | None = None


class Completer:
    """Completes photos from one index; keeps decoded scenes and factorised holes, so that many photos go fast.

    scenes: the decoded scenes to share with others; by default its own, of up to CACHE_BYTES. workers: threads. about,
    network: what its results say of the index, and of the weights of a guided re-rank (else None).

    PhotoIndexError: settings out of range; CheckpointError, CeretError: weights, or torch, are missing for a guided re-rank.
    """

    def __init__(
        self,
        index: PhotoIndex,
        settings: CompletionSettings | None = None,
        *,
        scenes: SceneCache | None = None,
        workers: int | None = None,
    ) -> None:
        settings = settings or CompletionSettings()
        _check_settings(settings, index)
        if settings.focus == "auto":
            settings = replace(settings, focus=default_focus(index.descriptor))
        self.index, self.settings = index, settings
        self.workers = workers or os.cpu_count() or 1
        self.about: dict[str, Any] | None = _about(index)
        guided = settings.rerank == "guided"
        self._decoder = DecoderFill(settings.weights) if guided else None
        self._guide = Guide(settings.guided, settings.rim, blended=settings.fill != "paste") if guided else None
        self.network: dict[str, Any] | None = self._decoder.about if self._decoder else None
        self._scenes = scenes or SceneCache(index, CACHE_BYTES, self.workers)
        self._blender = Blender()

    def complete(self, photo: np.ndarray, hole: np.ndarray, *, candidate_fills: bool = False) -> Completion:
        """Fill the hole bool (H, W) of a photo uint8 (H, W, 3).

        candidate_fills: also fill the photo from each candidate alone. MaskError, PhotoError as `check_query`;
        PhotoError where none of the nearest scenes can be read; the errors of `search_contexts`.
        """
        result = self.complete_many([photo], [hole], candidate_fills=candidate_fills)[0]
        if isinstance(result, CeretError):
            raise result
        return result

    def complete_many(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], *, candidate_fills: bool = False
    ) -> list[Completion | CeretError]:
        """Complete several photos, searched as one batch; an error of one takes its place and spares the others."""
        results: list[Completion | CeretError | None] = [None] * len(photos)
        squares: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for number, (photo, hole) in enumerate(zip(photos, holes, strict=True)):
            try:
                check_query(photo, hole)
                squares[number] = square_query(photo, hole, self.index.manifest.size)
            except CeretError as error:
                results[number] = error
        contexts = self._search(squares, results)
        expected = self._expected(photos, holes, squares, contexts, results) if self._decoder else {}

        def finish(number: int) -> None:
            try:
                ranked = self._rank(*squares[number], contexts[number], expected.get(number))
                results[number] = self._fill(photos[number], holes[number], ranked, candidate_fills)
            except CeretError as error:
                results[number] = error

        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(finish, expected if self._decoder else contexts))
        return [result for result in results if result is not None]

    def _search(
        self, squares: dict[int, tuple[np.ndarray, np.ndarray]], results: list[Completion | CeretError | None]
    ) -> dict[int, list[Neighbor]]:
        """Search all queries in one batch; where one of them is refused, each alone, so that the others are served."""
        if not squares:
            return {}
        k = min(max(self.settings.k, self.settings.candidates), len(self.index))
        focus = self.settings.focus
        assert not isinstance(focus, str), "resolved by __init__"
        photos, holes = (np.stack(arrays) for arrays in zip(*squares.values(), strict=True))
        try:
            found = search_contexts(self.index, photos, holes, k, focus=focus)
        except CeretError as error:
            if len(squares) == 1:
                results[next(iter(squares))] = error
                return {}
            alone = [self._search({number: square}, results) for number, square in squares.items()]
            return {number: neighbors for one in alone for number, neighbors in one.items()}
        rows = zip(squares, found.ids, found.scores, strict=True)
        return {number: neighbors_of(self.index, ids, scores) for number, ids, scores in rows}

    def _expected(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        squares: dict[int, tuple[np.ndarray, np.ndarray]],
        numbers: Iterable[int],
        results: list[Completion | CeretError | None],
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
        mirror = self.settings.guided.mirror
        fills = self._decoder.fills(list(ready.values()), self.index.manifest.size, mirror=mirror)
        return dict(zip(ready, fills, strict=True))

    def _rank(
        self, square: np.ndarray, square_hole: np.ndarray, neighbors: list[Neighbor], expected: np.ndarray | None
    ) -> _Ranked:
        """Order the candidates by the rim or the guide, if asked for; those that cannot be read are left out then."""
        if self.settings.rerank == "none":
            return _Ranked([_Place(neighbor) for neighbor in neighbors], ())
        scenes = self._scenes.get([neighbor.id for neighbor in neighbors])
        if not len(scenes.photos):
            return _Ranked([], scenes.dropped)
        found = [neighbors[position] for position in scenes.positions]
        if self._guide is None:
            rims = rim_distance(square, scenes.photos, rim_weights(square_hole, self.settings.rim))
            places = [_Place(neighbor, float(rim)) for neighbor, rim in zip(found, rims, strict=True)]
            return _Ranked([places[i] for i in np.argsort(rims, kind="stable")], scenes.dropped)
        assert expected is not None, "made for every query that is ranked"
        contexts = np.array([neighbor.distance for neighbor in found])
        scores = self._guide.scores(square, square_hole, expected, scenes.photos, contexts)
        places = [_Place(n, float(rim), float(c)) for n, rim, c in zip(found, scores.rim, scores.content, strict=True)]
        return _Ranked([places[i] for i in np.argsort(scores.score, kind="stable")], scenes.dropped)

    def _fill(self, photo: np.ndarray, hole: np.ndarray, ranked: _Ranked, candidate_fills: bool) -> Completion:
        """Fill the photo from the k best scenes, opened at their own resolution; one that cannot be read gives way."""
        averages, k = self.settings.fill == "mean", self.settings.k
        box = box_around(hole)
        inner = (slice(box[0], box[2]), slice(box[1], box[3]))
        total: np.ndarray | None = None
        fills: list[np.ndarray] = []
        kept: list[_Place] = []
        dropped = list(ranked.dropped)
        for place in ranked.order:
            if len(kept) == k:
                break
            if averages or candidate_fills or total is None:
                try:
                    scene = self._scene(place.neighbor, photo.shape[:2])
                except PhotoError as error:
                    dropped.append(str(error))
                    continue
                fill = self._filled(photo[inner], hole[inner], scene_patch(scene, photo.shape[:2], box))
                if candidate_fills:
                    fills.append(insert(photo, hole, inner, fill))
                total = fill if total is None else total + fill if averages else total
            kept.append(place)
        if total is None:
            raise PhotoError(f"none of the {len(dropped)} nearest scenes can be read, the first: {dropped[0]}")
        used = len(kept) if averages else 1
        return Completion(
            best=insert(photo, hole, inner, total / used),
            hole=hole,
            candidates=[
                _candidate(rank, place, 1 / used if rank <= used else 0.0, photo.shape)
                for rank, place in enumerate(kept, start=1)
            ],
            neighbors=[place.neighbor for place in kept],
            settings=self.settings,
            index=self.about,
            network=self.network,
            fills=fills,
            dropped=tuple(dropped),
        )

    def _scene(self, neighbor: Neighbor, shape: tuple[int, ...]) -> np.ndarray:
        """Return a scene to lay over a photo of `shape`: its own pixels, or those at the index's size if that is it."""
        size = self.index.manifest.size
        if shape != (size, size):
            return self.index.read_photo(neighbor.record).pixels
        found = self._scenes.get([neighbor.id])
        if found.dropped:
            raise PhotoError(found.dropped[0])
        return found.photos[0]

    def _filled(self, photo: np.ndarray, hole: np.ndarray, patch: np.ndarray) -> np.ndarray:
        """Return the fill float32 (h, w, 3) in [0, 1] of a crop of a photo from a scene's patch, uint8 (h, w, 3)."""
        source = patch.astype(np.float32) / np.float32(255)
        if self.settings.fill == "paste":
            return source
        return self._blender.blend(source, photo, hole)


def _check_settings(settings: CompletionSettings, index: PhotoIndex) -> None:
    for name, value, choices in (("rerank", settings.rerank, RERANKS), ("fill", settings.fill, FILLS)):
        if value not in choices:
            raise PhotoIndexError(f"{name} {value!r} is unknown: choose one of {', '.join(choices)}")
    for name, number in (("k", settings.k), ("candidates", settings.candidates), ("rim", settings.rim)):
        if number < 1:
            raise PhotoIndexError(f"{name} is {number}: expected 1 or more")
    if settings.k > len(index):
        raise PhotoIndexError(
            f"k is {settings.k}, but {index.path} holds {len(index)} photos: choose 1 to {len(index)}"
        )


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


def _candidate(rank: int, place: _Place, share: float, shape: tuple[int, ...]) -> Candidate:
    neighbor, record = place.neighbor, place.neighbor.record
    return Candidate(
        rank=rank,
        photo=neighbor.name,
        sha256=record.sha256,
        label=record.label,
        caption=record.caption,
        licence=record.licence,
        context_rank=neighbor.rank,
        context_distance=neighbor.distance,
        rim_distance=place.rim,
        content_distance=place.content,
        share=share,
        offset=(0, 0),
        scale=(shape[0] / record.height, shape[1] / record.width),
    )
