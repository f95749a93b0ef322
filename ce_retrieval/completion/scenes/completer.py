"""Method `scenes`: the best of many scenes is placed, cut along a seam and blended into the photo, at the photo's own size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007. The steps, each in a module of its own:
search (`rerank.candidates`; there by GIST and colour, here by any descriptor), working size, the region of the hole (`region`),
placement and cut of the scenes (`fit`, with `placement` and `seam`), their order (`ranking`, with `terms`), blend (`compose`).
These modules name the deviations.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.places.finder import PlaceFinder
from ce_retrieval.completion.places.placed import Placed, fill_from_places, led_by_place
from ce_retrieval.completion.rerank.candidates import CandidateFinder, knows_kinds, resolved
from ce_retrieval.completion.rerank.query import Query
from ce_retrieval.completion.rerank.scene_search import HIDDEN
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scenes.compose import (
    Composite,
    at_full_size,
    at_working_size,
    compose_scenes,
    domain_solvers,
    placed,
    seam_map,
    thumbnail,
)
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.fit import Term, fit_scenes
from ce_retrieval.completion.scenes.ranking import Order, SceneRanker, Scored, term_weights
from ce_retrieval.completion.scenes.region import Region, region_of
from ce_retrieval.completion.scenes.taking import SceneTaking, scene_taking
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.completion.working_size import Working, working_photo
from ce_retrieval.errors import CeretError, PhotoError
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.retrieval.neighbor import Neighbor


class Composites(NamedTuple):
    """What the best scenes make of a photo, best first.

    Attributes
    ----------
    candidates : with their provenance.
    small : uint8 (h, w, 3) each
        the photo filled from each at the working size.
    working : the photo at that size.
    dropped, lost, copies, grey, expected : as in `Completion`.
    """

    candidates: Sequence[Candidate]
    small: Sequence[np.ndarray]
    working: Working
    dropped: tuple[str, ...]
    lost: tuple[str, ...]
    copies: tuple[str, ...]
    grey: bool
    expected: str | None


class _Blends(NamedTuple):
    """A photo after the method's steps; `composites` blends the best scenes while it is read."""

    region: Region
    order: Order
    composites: Iterator[Composite]
    dropped: Dropped


class SceneCompleter(Completer[Query]):
    """Completes photos from the scenes of one index; keeps factorised holes, so that many photos with one mask go fast.

    Parameters
    ----------
    index : the photos to fill from.
    settings : None for the defaults.
    scenes : decoded photos of the index to share with others, used where photos have the index's size.
    workers : threads in all; None for all cores.
    terms : further ranking terms by name (`fit.Term`); `settings.terms` holds their weights, 1 where it does not.

    Raises
    ------
    SettingsError : the weight of an unknown term, or a further term with the name of one that exists.
    CheckpointError, CeretError : weights or torch are missing for a guided re-rank.

    Notes
    -----
    Memory of a photo under way, besides itself and its results: that of `fit_scenes`, and 12 bytes a pixel of the index's
    size and a thumbnail for each of the `top`; while blending about 150 bytes a pixel of the hole with its context, for each
    thread. Held between photos: decoded scenes at the index's size, up to 1 GB, and the solvers of the last four holes.
    """

    method = "scenes"

    def __init__(
        self,
        index: PhotoIndex,
        settings: SceneSettings | None = None,
        *,
        scenes: PhotoCache | None = None,
        workers: int | None = None,
        terms: Mapping[str, Term] | None = None,
    ) -> None:
        settings = resolved(settings or SceneSettings(), index)
        self._terms = dict(terms or {})
        self._by_kind = knows_kinds(settings, index)
        super().__init__(replace(settings, terms=term_weights(settings, self._terms, by_kind=self._by_kind)), workers)
        assert self.settings.aligned is not None, "resolved"
        self.index, self._aligned = index, self.settings.aligned
        self._finder = CandidateFinder(
            index, self.settings, least=self._aligned, fill="blend", scenes=scenes, workers=self.workers
        )
        self.about, self.network, self.notes = self._finder.about, self._finder.network, self._finder.notes
        self._solvers = domain_solvers()
        self._ranker = SceneRanker(self.settings)
        self._places = PlaceFinder(None, index, self.settings) if self.settings.places == "auto" else None

    def composites(self, photo: np.ndarray, hole: np.ndarray, origin: Origin | None = None) -> Composites:
        """Return the photo filled from each of the `top` scenes at the working size, as material for other methods.

        origin: as in `complete_many`. Errors as `complete`.
        """
        (query,) = self._prepare([photo], [hole], [origin])
        if isinstance(query, CeretError):
            raise query
        region, order, composites, dropped = self._blends(query, self.workers)
        kept, small = [], []
        for one in composites:
            kept.append(one.scored)
            small.append(at_working_size(region, one))
        if not kept:
            raise dropped.nothing_left()
        return Composites(
            candidates=self._candidates(region, kept, self.settings.pick),
            small=small,
            working=region.working,
            dropped=tuple(dropped.lines),
            lost=tuple(dropped.lost),
            copies=tuple(dropped.copies),
            grey=query.grey,
            expected=order.expected,
        )

    def queries(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[Query | CeretError]:
        """Search scenes for all photos as one batch; an error of one takes its place."""
        return self._finder.queries(photos, holes, origins)

    def most_alike(self, query: Query, count: int) -> list[Neighbor]:
        """Return the scenes found that are most alike in kind, most first, without copies of the photo; none without kinds."""
        return self._finder.most_alike(query, count)

    def fill(self, query: Query, workers: int) -> Completion:
        """Return the completion of a photo that was searched; errors as `complete`."""
        return self._fill(query, False, workers)

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[Query | CeretError]:
        return self.queries(photos, holes, origins)

    def _fill(self, ready: Query, candidate_fills: bool, workers: int) -> Completion:
        placed = self._placed(ready, workers)
        if placed is None:
            return self._from_scenes(ready, candidate_fills, workers, self.settings)[0]
        # What holds of the result without any scene.
        done = Completion(
            best=placed.picture,
            hole=ready.hole,
            settings=self.settings,
            method=self.method,
            index=self.about,
            network=self.network,
            grey=ready.grey,
        )
        if self.settings.top == 1:
            return led_by_place(done, placed, self.settings, ready.photo, None, candidate_fills=candidate_fills)
        settings = replace(self.settings, top=self.settings.top - 1, pick=max(1, self.settings.pick - 1))
        scenes = None
        try:
            done, scenes = self._from_scenes(ready, candidate_fills, workers, settings)
        except PhotoError:  # no scene fits, but the place does
            if self.settings.pick > 1:
                raise
        return led_by_place(done, placed, self.settings, ready.photo, scenes, candidate_fills=candidate_fills)

    def _placed(self, query: Query, workers: int) -> Placed | None:
        """Return what other photos of the place make of a photo, where they show all of the hole."""
        if self._places is None:
            return None
        about = query.photo, query.hole, query.origin, query.neighbors
        _, placed = fill_from_places(self._places, *about, self.settings, workers)
        return None if placed is None or (query.hole & ~placed.covered).any() else placed

    def _from_scenes(
        self, ready: Query, candidate_fills: bool, workers: int, settings: SceneSettings
    ) -> tuple[Completion, SceneTaking]:
        """Fill a photo from scenes; return also what fills it from another one. settings: with another `top` and `pick`."""
        region, order, composites, dropped = self._blends(ready, workers)
        kept: list[Scored] = []
        thumbnails, fills, best, seam = [], [], None, None
        for one in composites:
            if len(kept) == settings.top:
                break
            kept.append(one.scored)
            thumbnails.append(thumbnail(at_working_size(region, one)))
            picked = len(kept) == settings.pick
            if picked or candidate_fills:
                filled = at_full_size(region, one, ready.photo, ready.hole)
                if candidate_fills:
                    fills.append(filled)
                if picked:
                    best, seam = filled, seam_map(region, one, ready.hole)
        if not kept:
            raise dropped.nothing_left()
        if best is None:
            raise dropped.too_few(settings.pick, len(kept), cut=order.cut)
        taking = scene_taking(self.index, ready, region, kept, mixed=self.settings.mixed, solvers=self._solvers)
        done = Completion(
            best=best,
            hole=ready.hole,
            candidates=self._candidates(region, kept, settings.pick),
            neighbors=[scored.fitted.neighbor for scored in kept],
            settings=self.settings,
            index=self.about,
            network=self.network,
            fills=fills,
            dropped=tuple(dropped.lines),
            lost=tuple(dropped.lost),
            copies=tuple(dropped.copies),
            grey=ready.grey,
            expected=order.expected,
            notes=(HIDDEN,) if self._by_kind and ready.neighbors[0].kind is None else (),
            method=self.method,
            seam=seam if region.reach else None,
            thumbnails=thumbnails,
            taking=taking,
        )
        return done, taking

    def _blends(self, query: Query, workers: int) -> _Blends:
        """Carry out the method's steps for one photo that was searched."""
        settings, dropped = self.settings, Dropped(self._finder.more(query))
        opened = partial(self._finder.opened, query=query)
        scenes = self._scenes(query, dropped)
        working = working_photo(query.photo, query.hole, self._side(query, scenes))
        region = region_of(working, settings.seam)
        fitted = fit_scenes(
            region, scenes, opened, self._terms, self._aligned, self.index.manifest.size, workers, dropped
        )
        order = self._ranker.order(query, region, fitted, dropped)
        composites = compose_scenes(region, order.best, opened, self._solvers, settings.mixed, workers, dropped)
        return _Blends(region, order, composites, dropped)

    def _scenes(self, query: Query, dropped: Dropped) -> Sequence[Neighbor]:
        """Return the scenes to place: all that were found; of a re-rank the first `aligned`, and others in place of lost ones."""
        if self._aligned >= len(query.neighbors):
            return query.neighbors
        ranking = self._finder.rank(query)
        dropped.lose(*ranking.dropped)
        dropped.lose_copies(*ranking.copies)
        if not ranking.order:
            raise dropped.nothing_left()
        return [ranked.neighbor for ranked in ranking.order]

    def _side(self, query: Query, scenes: Sequence[Neighbor]) -> float:
        """Return the side of the working size that the scenes allow: their median long side, or the settings' bound."""
        size = self.index.manifest.size
        if query.hole.shape == (size, size):
            return size
        sides = [max(scene.record.width, scene.record.height) for scene in scenes[: self._aligned]]
        return min(self.settings.side, statistics.median(sides))

    def _candidates(self, region: Region, kept: Sequence[Scored], pick: int) -> list[Candidate]:
        candidates = []
        for number, scored in enumerate(kept, start=1):
            offset, scale = placed(region, scored.fitted)
            candidates.append(
                Candidate.of(
                    scored.fitted.neighbor,
                    rank=number,
                    scores=scored.scores,
                    total=scored.total,
                    share=1.0 if number == pick else 0.0,
                    offset=offset,
                    scale=scale,
                )
            )
        return candidates
