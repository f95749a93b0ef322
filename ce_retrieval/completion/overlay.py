"""From a photo with a hole to the filled photo: search, re-rank, fill.

After Hays and Efros, "Scene Completion Using Millions of Photographs" (2007), sections 3 to 5. Deviations: scenes are laid
over the photo as wholes, without local alignment and without a seam; `scene_completion` has both.
"""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ce_retrieval.completion.blend.paste import Blender, box_around, insert, scene_patch
from ce_retrieval.completion.rerank.candidates import CandidateFinder, Place, Query, resolved
from ce_retrieval.completion.result import Candidate, Completion, only
from ce_retrieval.completion.settings import FILLS, CompletionSettings
from ce_retrieval.errors import CeretError, PhotoError, PhotoIndexError
from ce_retrieval.photo_index import Origin, Origins, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache


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
        scenes: PhotoCache | None = None,
        workers: int | None = None,
    ) -> None:
        settings = settings or CompletionSettings()
        _check_settings(settings, index)
        self.index, self.settings = index, resolved(settings, index)
        self.workers = workers or os.cpu_count() or 1
        self._finder = CandidateFinder(
            index,
            self.settings,
            least=settings.k,
            fill=settings.fill,
            scenes=scenes,
            workers=self.workers,
        )
        self.about: dict[str, Any] | None = self._finder.about
        self.network: dict[str, Any] | None = self._finder.network
        self._blender = Blender()

    def complete(
        self, photo: np.ndarray, hole: np.ndarray, *, candidate_fills: bool = False, origin: Origin | None = None
    ) -> Completion:
        """Fill the hole bool (H, W) of a photo uint8 (H, W, 3).

        candidate_fills: also fill the photo from each candidate alone; origin: as in `complete_many`. MaskError, PhotoError
        as `check_query`; PhotoError where none of the nearest scenes can be read; the errors of `search_contexts`.
        """
        return only(self.complete_many([photo], [hole], candidate_fills=candidate_fills, origins=[origin]))

    def complete_many(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        *,
        candidate_fills: bool = False,
        origins: Origins = None,
    ) -> list[Completion | CeretError]:
        """Complete several photos, searched as one batch; an error of one takes its place and spares the others.

        origins: their files, for the setting `exclude_same_source`.
        """

        def fill(number: int, query: Query) -> Completion:
            return self._fill(photos[number], holes[number], query, candidate_fills)

        return self._finder.each(photos, holes, fill, self.workers, origins)

    def _fill(self, photo: np.ndarray, hole: np.ndarray, query: Query, candidate_fills: bool) -> Completion:
        """Fill the photo from the k best scenes, opened at their own resolution; one that cannot be read gives way."""
        ranked = self._finder.rank(query)
        averages, k = self.settings.fill == "mean", self.settings.k
        box = box_around(hole)
        inner = (slice(box[0], box[2]), slice(box[1], box[3]))
        total: np.ndarray | None = None
        fills: list[np.ndarray] = []
        kept: list[Place] = []
        dropped = list(ranked.dropped)
        for place in ranked.order:
            if len(kept) == k:
                break
            if averages or candidate_fills or total is None:
                try:
                    scene = self._finder.opened(place.neighbor, query, photo.shape)
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
            lost=tuple(dropped),
            grey=query.grey,
        )

    def _filled(self, photo: np.ndarray, hole: np.ndarray, patch: np.ndarray) -> np.ndarray:
        """Return the fill float32 (h, w, 3) in [0, 1] of a crop of a photo from a scene's patch, uint8 (h, w, 3)."""
        source = patch.astype(np.float32) / np.float32(255)
        if self.settings.fill == "paste":
            return source
        return self._blender.blend(source, photo, hole)


def _check_settings(settings: CompletionSettings, index: PhotoIndex) -> None:
    if settings.fill not in FILLS:
        raise PhotoIndexError(f"fill {settings.fill!r} is unknown: choose one of {', '.join(FILLS)}")
    if settings.k < 1:
        raise PhotoIndexError(f"k is {settings.k}: expected 1 or more")
    if settings.k > len(index):
        raise PhotoIndexError(
            f"k is {settings.k}, but {index.path} holds {len(index)} photos: choose 1 to {len(index)}"
        )


def _candidate(rank: int, place: Place, share: float, shape: tuple[int, ...]) -> Candidate:
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
