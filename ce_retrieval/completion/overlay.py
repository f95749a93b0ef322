"""Method `retrieval`: the best scenes are laid over the photo as wholes, and pasted or blended into its hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, sections 3 to 5. Deviation: no local
alignment and no seam; method `scenes` has both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ce_retrieval.completion.blend.paste import Blender, insert, scene_patch
from ce_retrieval.completion.candidate import Candidate, copy_line
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.rerank.candidates import CandidateFinder, resolved
from ce_retrieval.completion.rerank.query import Query, Ranked
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.settings import DEFAULT_K, RetrievalSettings
from ce_retrieval.errors import CeretError, PhotoError, SamePhotoError
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import crop, hole_box, to_unit


class RetrievalCompleter(Completer[Query]):
    """Completes photos from one index; keeps decoded scenes and factorised holes, so that many photos go fast.

    Parameters
    ----------
    index : the photos to fill from.
    settings : None for the defaults.
    scenes : decoded photos of the index to share with others; by default its own, up to 1 GB.
    workers : threads; None for all cores.

    Raises
    ------
    SettingsError : `k` is larger than the index.
    CheckpointError, CeretError : weights or torch are missing for a guided re-rank.
    """

    method = "retrieval"

    def __init__(
        self,
        index: PhotoIndex,
        settings: RetrievalSettings | None = None,
        *,
        scenes: PhotoCache | None = None,
        workers: int | None = None,
    ) -> None:
        settings = resolved(settings or RetrievalSettings(), index)
        self._k = min(DEFAULT_K, len(index)) if settings.k is None else settings.k
        index.check_k(self._k)
        super().__init__(replace(settings, k=self._k), workers)
        self.index = index
        self._finder = CandidateFinder(
            index, self.settings, least=self._k, fill=settings.fill, scenes=scenes, workers=self.workers
        )
        self.about, self.network = self._finder.about, self._finder.network
        self._blender = Blender()

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[Query | CeretError]:
        return self._finder.queries(photos, holes, origins)

    def _fill(self, ready: Query, candidate_fills: bool, workers: int) -> Completion:
        """Fill the photo from the k best scenes, opened at their own resolution; the next one replaces an unreadable one."""
        query, ranked = ready, self._finder.rank(ready, listed=self._k)
        averages = self.settings.fill == "mean"
        box = hole_box(query.hole, margin=1)  # all that a fill depends on
        inner = crop(box)
        total: np.ndarray | None = None
        kept: list[Ranked] = []
        fills: list[np.ndarray] = []
        dropped, copies = list(ranked.dropped), list(ranked.copies)
        for candidate in ranked.order:
            if len(kept) == self._k:
                break
            if averages or candidate_fills or total is None:
                try:
                    scene = self._finder.opened(candidate.neighbor, query)
                except SamePhotoError as error:
                    copies.append(str(error))
                    continue
                except PhotoError as error:
                    dropped.append(str(error))
                    continue
                fill = self._filled(query.photo[inner], query.hole[inner], scene_patch(scene, query.hole.shape, box))
                if candidate_fills:
                    fills.append(insert(query.photo, query.hole, inner, fill))
                total = fill if total is None else total + fill if averages else total
            kept.append(candidate)
        if total is None:
            raise _nothing_left(dropped, copies)
        used = len(kept) if averages else 1
        return Completion(
            best=insert(query.photo, query.hole, inner, total / used),
            hole=query.hole,
            settings=self.settings,
            method=self.method,
            candidates=[
                Candidate.of(
                    candidate.neighbor,
                    rank=rank,
                    scores=candidate.scores,
                    total=None,
                    share=1 / used if rank <= used else 0.0,
                    offset=(0, 0),
                    scale=(
                        query.hole.shape[0] / candidate.neighbor.record.height,
                        query.hole.shape[1] / candidate.neighbor.record.width,
                    ),
                )
                for rank, candidate in enumerate(kept, start=1)
            ],
            neighbors=[candidate.neighbor for candidate in kept],
            index=self.about,
            network=self.network,
            fills=fills,
            dropped=(*dropped, *map(copy_line, copies)),
            lost=tuple(dropped),
            copies=tuple(copies),
            grey=query.grey,
        )

    def _filled(self, photo: np.ndarray, hole: np.ndarray, patch: np.ndarray) -> np.ndarray:
        """Return the fill float32 (h, w, 3) in [0, 1] of a crop of a photo from a scene's patch, uint8 (h, w, 3)."""
        source = to_unit(patch)
        return source if self.settings.fill == "paste" else self._blender.blend(source, photo, hole)


def _nothing_left(lost: list[str], copies: list[str]) -> PhotoError:
    count = len(lost) + len(copies)
    if not copies:
        return PhotoError(f"none of the {count} nearest scenes can be read, the first: {lost[0]}")
    rest = f" or cannot be read, the first: {lost[0]}" if lost else ""
    return PhotoError(
        f"every one of the {count} nearest scenes is a copy of the photo itself, as {copies[0]}{rest}: index others, or set "
        "`allow_same_photo`"
    )
