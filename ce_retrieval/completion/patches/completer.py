"""Completion by patches: of the photo itself and of scenes that were blended into it, from a fill to begin with.

D. Pathak et al., "Context Encoders", CVPR 2016, abstract: a prediction "as initialization for non-parametric methods"; the
method is that of `patchmatch`. A scene is used as it looks after its blend into the photo: patches of its own colours would
lie in islands with visible outlines.
"""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.network import DecoderFill, compose
from ce_retrieval.completion.patches.patchmatch import PatchMatchSettings, complete_by_patches
from ce_retrieval.completion.patches.pyramid import PATCH
from ce_retrieval.completion.result import Completion, SceneCandidate, only
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import STARTS, PatchSettings
from ce_retrieval.completion.working_size import Working, enlarged_values, enlarged_window, resize_values, working_photo
from ce_retrieval.errors import CeretError, PhotoError, PhotoIndexError
from ce_retrieval.photo_index import Origin, Origins, PhotoIndex
from ce_retrieval.pixels import to_bytes, to_unit
from ce_retrieval.retrieval.query import check_query

# How many patches the hole is across at the coarsest scale: a fill that shows something is refined, and not begun anew.
SMOOTH_START, DETAILED_START = 2.5, 12.0


class PatchCompleter:
    """Completes photos by patches; used as a `SceneCompleter` is.

    index: where further sources come from; None: the photo alone. workers: threads in all: photos go in parallel, and one
    alone is worked on by all.

    Every known pixel is kept. A photo larger than `side` is filled at that size, and the fill is enlarged.
    PhotoIndexError: settings out of range, or the start "scene" without an index; CheckpointError, CeretError: weights, or
    torch, are missing for the start "encoder".
    """

    def __init__(
        self, index: PhotoIndex | None = None, settings: PatchSettings | None = None, *, workers: int | None = None
    ) -> None:
        settings = settings or PatchSettings()
        _check_settings(settings, index)
        if settings.start == "auto":
            settings = replace(settings, start="smooth" if index is None else "scene")
        self.workers = workers or os.cpu_count() or 1
        self._scenes: SceneCompleter | None = None
        if index is not None:
            wanted = max(settings.sources, 1 if settings.start == "scene" else 0)
            found = replace(settings.scenes, top=max(1, wanted), pick=1, seam=0.0, side=settings.side)
            self._scenes = SceneCompleter(index, found, workers=self.workers)
            settings = replace(settings, scenes=self._scenes.settings)
        self._decoder = DecoderFill(settings.weights) if settings.start == "encoder" else None
        self.settings = settings
        self.about: dict[str, Any] | None = self._scenes.about if self._scenes else None
        of_scenes = self._scenes.network if self._scenes else None
        self.network: dict[str, Any] | None = self._decoder.about if self._decoder else of_scenes

    def complete(self, photo: np.ndarray, hole: np.ndarray, *, origin: Origin | None = None) -> Completion:
        """Fill the hole bool (H, W) of a photo uint8 (H, W, 3).

        origin: as in `complete_many`. MaskError, PhotoError as `complete_by_patches` and, with an index, as
        `SceneCompleter.complete`.
        """
        return only(self.complete_many([photo], [hole], origins=[origin]))

    def complete_many(
        self,
        photos: Sequence[np.ndarray],
        holes: Sequence[np.ndarray],
        *,
        candidate_fills: bool = False,
        origins: Origins = None,
    ) -> list[Completion | CeretError]:
        """Complete several photos; an error of one takes its place and spares the others.

        origins: their files, for the setting `exclude_same_source` of the scenes. candidate_fills: PhotoIndexError, for
        there is one fill of all sources together.
        """
        if candidate_fills:
            raise PhotoIndexError("patches make one fill of all sources together: complete by `scenes` for candidates")
        at_once = max(1, min(self.workers, len(photos)))

        def fill(number: int) -> Completion | CeretError:
            try:
                origin = origins[number] if origins else None
                return self._fill(photos[number], holes[number], origin, max(1, self.workers // at_once))
            except CeretError as error:
                return error

        with ThreadPoolExecutor(at_once) as pool:
            return list(pool.map(fill, range(len(photos))))

    def _fill(self, photo: np.ndarray, hole: np.ndarray, origin: Origin | None, threads: int) -> Completion:
        check_query(photo, hole)
        candidates: Sequence[SceneCandidate] = ()
        pictures: Sequence[np.ndarray] = ()
        dropped: tuple[str, ...] = ()
        lost: tuple[str, ...] = ()
        grey, expected = False, None
        working = working_photo(photo, hole, self.settings.side)
        if self._scenes:
            found = self._scenes.composites(photo, hole, origin)
            working, candidates, pictures, dropped = found.working, found.candidates, found.small, found.dropped
            lost, grey, expected = found.lost, found.grey, found.expected
        _check_room(working, hole)
        scale = SMOOTH_START if self.settings.start == "smooth" else DETAILED_START
        filled = complete_by_patches(
            working.photo,
            working.hole,
            self._start(photo, hole, working, pictures),
            sources=pictures[: self.settings.sources],
            rng=np.random.default_rng(self.settings.seed),
            settings=PatchMatchSettings(start=scale, threads=threads),
        )
        return Completion(
            best=_brought_back(photo, hole, working, filled),
            hole=hole,
            # Patches come from the photo and from any of these: no share can be told.
            candidates=[replace(candidate, share=0.0) for candidate in candidates],
            neighbors=(),
            settings=self.settings,
            index=self.about,
            network=self.network,
            dropped=dropped,
            lost=lost,
            grey=grey,
            expected=expected,
            method="patchmatch",
        )

    def _start(
        self, photo: np.ndarray, hole: np.ndarray, working: Working, pictures: Sequence[np.ndarray]
    ) -> np.ndarray:
        """The fill to begin with, uint8 or float32 (h, w, 3) of the working size."""
        if self.settings.start == "scene":
            return pictures[0]
        if self._decoder is None:
            return to_bytes(PoissonSolver(working.hole).smooth(to_unit(working.photo)))
        square, square_hole = self._decoder.square(photo, hole)
        predicted = compose(square[None], square_hole[None], self._decoder.predict(square[None], square_hole[None]))[0]
        return resize_values(predicted, (working.hole.shape[0], working.hole.shape[1]))


def _check_room(working: Working, hole: np.ndarray) -> None:
    """Raise PhotoError where the working size has no room for a patch; a photo of its own size has been checked."""
    height, width = working.hole.shape
    if min(height, width) < PATCH:
        raise PhotoError(
            f"the photo is {hole.shape[1]}x{hole.shape[0]} px, and {width}x{height} at the size it is worked on at: patches "
            f"need {PATCH}x{PATCH} px or more; raise that size (by larger scenes in the index, or the setting side), or "
            "complete by scenes"
        )


def _brought_back(photo: np.ndarray, hole: np.ndarray, working: Working, filled: np.ndarray) -> np.ndarray:
    """Put a fill of the working size into the photo's hole; enlarged, linear, where that is smaller."""
    if working.whole:
        return filled
    height, width = working.hole.shape
    window = enlarged_window((0, 0, height, width), working.factor, (hole.shape[0], hole.shape[1]))
    everywhere = np.ones_like(working.hole)
    values = enlarged_values(filled.astype(np.float32), everywhere, working.factor, window, (0.0, 0.0))
    result = photo.copy()
    result[hole] = np.clip(np.rint(values[hole]), 0, 255).astype(np.uint8)
    return result


def _check_settings(settings: PatchSettings, index: PhotoIndex | None) -> None:
    if settings.start not in STARTS:
        raise PhotoIndexError(f"start {settings.start!r} is unknown: choose one of {', '.join(STARTS)}")
    if settings.start == "scene" and index is None:
        raise PhotoIndexError("the start scene needs an index: give one, or start from smooth or encoder")
    if settings.sources < 0 or settings.side < 16:
        raise PhotoIndexError(f"sources {settings.sources}, side {settings.side}: expected 0 or more, and 16 or more")
