"""Filling a photo from another of its scenes, without searching and placing them again."""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ce_retrieval.completion.rerank.candidates import open_scene
from ce_retrieval.completion.rerank.query import Query
from ce_retrieval.completion.result import Completion, refilled
from ce_retrieval.completion.scenes.compose import Solvers, at_full_size, compose_scenes, domain_solvers, seam_map
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.ranking import Scored
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import Bools, Floats, Photo, grey_as_rgb
from ce_retrieval.retrieval.neighbor import Neighbor

_NONE = np.zeros((0, 0, 3), np.uint8)


@dataclass(frozen=True)
class SceneTaking:
    """What the method `scenes` keeps of a photo for `Completion.take`; made by `scene_taking`.

    Attributes
    ----------
    index : the scenes are read from it once more.
    photo, hole : uint8 (H, W, 3) and bool (H, W), those that were given, and no copies of them.
    region : at the working size.
    kept : the candidates, without what only their ranking reads.
    corrections : float32 (N, 3) each, those of `kept` in the N px of `square_hole`, 0 beside it; None: none.
    square_hole : bool (S, S), the hole at the index's size.
    grey, mixed : as the query and the settings have them.
    solvers : of the completer, as long as there is one.
    """

    index: PhotoIndex
    photo: Photo
    hole: Bools
    region: Region
    kept: Sequence[Scored]
    corrections: Sequence[Floats | None]
    square_hole: Bools
    grey: bool
    mixed: bool
    solvers: weakref.ref[Solvers]

    def __call__(self, done: Completion, pick: int) -> Completion:
        """Return a completion from these scenes, filled from another one; errors as `filled`."""
        return refilled(done, pick, *self.filled(pick))

    def filled(self, pick: int) -> tuple[Photo, np.ndarray | None]:
        """Return the photo filled from one of the scenes, the first: 1, and its seam, as in `Completion`.

        PhotoError where the scene has vanished or changed.
        """
        number, dropped = pick - 1, Dropped("")
        scored = self.kept[number]._replace(correction=self._correction(number))
        solvers = self.solvers() or domain_solvers()
        for one in compose_scenes(self.region, [scored], self._opened, solvers, self.mixed, 1, dropped):
            seam = seam_map(self.region, one, self.hole) if self.region.reach else None
            return at_full_size(self.region, one, self.photo, self.hole), seam
        raise PhotoError(dropped.lines[0])

    def _opened(self, neighbor: Neighbor) -> Photo:
        scene = open_scene(self.index, PhotoCache(self.index, 0, 1), neighbor, self.hole.shape)
        return grey_as_rgb(scene) if self.grey else scene

    def _correction(self, number: int) -> Floats | None:
        inside = self.corrections[number]
        if inside is None:
            return None
        whole = np.zeros((*self.square_hole.shape, 3), np.float32)
        whole[self.square_hole] = inside
        return whole


def scene_taking(
    index: PhotoIndex, query: Query, region: Region, kept: Sequence[Scored], *, mixed: bool, solvers: Solvers
) -> SceneTaking:
    """Return what fills a photo that was searched from any of the scenes `kept`."""
    corrections = [
        None if one.correction is None else np.asarray(one.correction[query.square_hole], np.float32) for one in kept
    ]
    slim = [
        one._replace(fitted=one.fitted._replace(look=_NONE, square=_NONE, whole=_NONE), correction=None) for one in kept
    ]
    about = query.photo, query.hole, region, slim, corrections, query.square_hole
    return SceneTaking(index, *about, query.grey, mixed, weakref.ref(solvers))
