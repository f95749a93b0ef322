"""Completion by patches: of the photo itself and of scenes that were blended into it, from a fill to begin with.

D. Pathak et al., "Context Encoders", CVPR 2016, abstract: a prediction "as initialization for non-parametric methods"; the
method is that of `patchmatch`. A scene is used as it looks after its blend into the photo: patches of its own colours would
lie in islands with visible outlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.network import network_query
from ce_retrieval.completion.patches.patchmatch import complete_by_patches
from ce_retrieval.completion.patches.pyramid import PATCH
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scenes.completer import Composites, SceneCompleter
from ce_retrieval.completion.settings import PatchSettings, PlacementSettings, SceneSettings
from ce_retrieval.completion.working_size import Working, enlarged_values, enlarged_window, working_photo
from ce_retrieval.errors import PhotoError, SettingsError
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import resize, to_bytes, to_unit
from ce_retrieval.retrieval.query import check_query

# How many patches the hole is across at the coarsest scale: a fill that shows something is refined, and not begun anew.
SMOOTH_START, DETAILED_START = 2.5, 12.0


class _Photo(NamedTuple):
    photo: np.ndarray
    hole: np.ndarray
    origin: Origin | None


class PatchCompleter(Completer[_Photo]):
    """Completes photos by patches; every known pixel is kept.

    Parameters
    ----------
    index : where further sources of patches come from; None: the photo alone.
    settings : None for the defaults.
    scenes : decoded photos of the index to share with others; None: its own.
    workers : threads in all; None for all cores.

    Raises
    ------
    SettingsError : the start "scene" without an index.
    CheckpointError, CeretError : weights or torch are missing for the start "network" or a guided re-rank.

    Notes
    -----
    A photo larger than the setting `side` is filled at that size, and the fill is enlarged.
    """

    method = "patchmatch"

    def __init__(
        self,
        index: PhotoIndex | None = None,
        settings: PatchSettings | None = None,
        *,
        scenes: PhotoCache | None = None,
        workers: int | None = None,
    ) -> None:
        settings = settings or PatchSettings()
        if settings.start == "scene" and index is None:
            raise SettingsError(
                "`start` is 'scene', which needs an `index`: give one, or set `start` to smooth or network"
            )
        if settings.start == "auto":
            settings = replace(settings, start="smooth" if index is None else "scene")
        super().__init__(settings, workers)
        self._scenes: SceneCompleter | None = None
        if index is not None:
            self._scenes = SceneCompleter(index, _scene_settings(settings), scenes=scenes, workers=self.workers)
            shared = {name: getattr(self._scenes.settings, name) for name in ("focus", "aligned", "terms")}
            self.settings = replace(settings, **shared)
            self.about, self.network, self.notes = self._scenes.about, self._scenes.network, self._scenes.notes
        self._network = NetworkFill(settings.weights) if settings.start == "network" else None
        if self._network:
            self.network = self._network.about

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[_Photo]:
        return [_Photo(*each) for each in zip(photos, holes, origins, strict=True)]

    def _fill(self, ready: _Photo, candidate_fills: bool, workers: int) -> Completion:
        photo, hole, origin = ready
        check_query(photo, hole)
        working = working_photo(photo, hole, self.settings.side)
        found: Composites | None = None
        if self._scenes:
            found = self._scenes.composites(photo, hole, origin)
            working = found.working
        _check_room(working, hole)
        pictures = found.small if found else ()
        scale = SMOOTH_START if self.settings.start == "smooth" else DETAILED_START
        filled = complete_by_patches(
            working.photo,
            working.hole,
            self._start(photo, hole, working, pictures),
            sources=pictures[: self.settings.sources],
            rng=np.random.default_rng(self.settings.seed),
            start=scale,
            workers=workers,
        )
        return Completion(
            best=_brought_back(photo, hole, working, filled),
            hole=hole,
            settings=self.settings,
            method=self.method,
            # Patches come from the photo and from any of these scenes: their shares are unknown.
            candidates=[replace(candidate, share=0.0) for candidate in found.candidates] if found else (),
            index=self.about,
            network=self.network,
            dropped=found.dropped if found else (),
            lost=found.lost if found else (),
            copies=found.copies if found else (),
            grey=found.grey if found else False,
            expected=found.expected if found else None,
        )

    def _start(
        self, photo: np.ndarray, hole: np.ndarray, working: Working, pictures: Sequence[np.ndarray]
    ) -> np.ndarray:
        """The fill to begin with, uint8 or float32 (h, w, 3) of the working size."""
        if self.settings.start == "scene":
            return pictures[0]
        if self._network is None:
            return to_bytes(PoissonSolver(working.hole).smooth(to_unit(working.photo)))
        square = network_query(self._network, photo, hole)
        (filled,) = self._network.fills([square], self._network.size)
        return resize(filled, (working.hole.shape[0], working.hole.shape[1]))


def _check_room(working: Working, hole: np.ndarray) -> None:
    """Raise PhotoError where the working size has no room for a patch; a photo of its own size has been checked."""
    height, width = working.hole.shape
    if min(height, width) < PATCH:
        raise PhotoError(
            f"the photo is {hole.shape[1]}x{hole.shape[0]} px, and {width}x{height} at the size it is worked on at: patches "
            f"need {PATCH}x{PATCH} px or more; raise that size (by larger scenes in the index, or `side`), or use "
            "`method` scenes"
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


def _scene_settings(settings: PatchSettings) -> SceneSettings:
    """Return how scenes are found and blended for these settings: every known pixel is kept."""
    wanted = max(1, settings.sources)
    shared = {entry.name: getattr(settings, entry.name) for entry in fields(PlacementSettings)}
    return SceneSettings(**shared, top=wanted, pick=1, seam=0.0, places="none")
