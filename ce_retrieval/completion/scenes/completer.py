"""Scene completion in full: candidates, local context, seam, blend, ranking, at the photo's own resolution.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007. The steps, each of them a module: search
(`candidates`; there GIST and colour, here any descriptor), placement (`local_context`), cut (`seam`), blend (`poisson`), order
(`scene_ranking`: the sum of the normalised scene, context, texture and seam distances, and of those of `scene_terms`).
Deviations are named in these modules.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.rerank.candidates import CandidateFinder, Query, Ranked, resolved
from ce_retrieval.completion.result import Candidate, Completion
from ce_retrieval.completion.scenes.compose import Composed, Composer, domain_solvers
from ce_retrieval.completion.scenes.dropped import Dropped, too_few
from ce_retrieval.completion.scenes.fit import Fitted, SceneFitter, Term
from ce_retrieval.completion.scenes.ranking import SceneRanker, term_weights
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.completion.working_size import Working, working_photo
from ce_retrieval.errors import CeretError, PhotoError
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache

# Weight of the pull to what is wanted of a blend, a px of the index's size: over more than 1 / sqrt(PULL) px it is reached.
PULL = 0.8


class Composites(NamedTuple):
    """What came of the best scenes, best first.

    candidates: with their provenance; small: the photo filled from each, uint8 (h, w, 3) at the working size; working: the
    photo at that size; dropped, lost, grey, expected: as in `Completion`.
    """

    candidates: Sequence[Candidate]
    small: Sequence[np.ndarray]
    working: Working
    dropped: tuple[str, ...]
    lost: tuple[str, ...]
    grey: bool
    expected: str | None


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
    Memory of a photo under way, besides itself and its results: 16 scenes, what `SceneFitter` keeps of each that fits, and
    12 bytes a pixel of the index's size and a thumbnail for each of the `top`; while blending about 150 bytes a pixel of
    the hole with its context, for each thread. Held between photos: decoded scenes at the index's size, up to 1 GB, and
    the solvers of the last four holes.
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
        super().__init__(replace(settings, terms=term_weights(settings, self._terms)), workers)
        self.index = index
        self._finder = CandidateFinder(
            index, self.settings, least=settings.aligned, fill="blend", scenes=scenes, workers=self.workers
        )
        self.about, self.network = self._finder.about, self._finder.network
        self._solvers = domain_solvers()
        self._ranker = SceneRanker(self.settings)

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[Query | CeretError]:
        return self._finder.queries(photos, holes, origins)

    def _fill(self, ready: Query, candidate_fills: bool, workers: int) -> Completion:
        return _Photo(self, ready, workers).complete(candidate_fills)

    def composites(self, photo: np.ndarray, hole: np.ndarray, origin: Origin | None = None) -> Composites:
        """Return the photo filled from each of the `top` scenes at the working size, as material for other methods.

        origin: as in `complete_many`. Errors as `complete`.
        """
        (query,) = self._prepare([photo], [hole], [origin])
        if isinstance(query, CeretError):
            raise query
        return _Photo(self, query, self.workers).composites()


class _Photo:
    """One photo on its way."""

    def __init__(self, completer: SceneCompleter, query: Query, workers: int) -> None:
        photo, hole = query.photo, query.hole
        self._completer, self._settings = completer, completer.settings
        self._hole, self._query, self._workers = hole, query, workers
        self._dropped = Dropped()
        places = self._places()
        self._working = working_photo(photo, hole, self._side(places[: self._settings.aligned]))
        self._fitter = SceneFitter(self._working, self._settings, completer._terms, completer.index.manifest.size)
        fitted = self._fitter.fit_all(places, self._opened, self._settings.aligned, workers, self._dropped)
        tried = len(fitted) + len(self._dropped.lines)
        self._more = "aligned" if tried < len(query.neighbors) else completer._finder.more(query)
        if not fitted:
            raise self._dropped.nothing_left(more=self._more)
        self._ordered = completer._ranker.order(query, self._working.photo, self._working.hole, fitted, self._dropped)
        pull = 0.0 if self._ordered.wanted is None else self._pull()
        self._composer = Composer(
            photo, hole, self._working, self._fitter, completer._solvers, pull, mixed=self._settings.mixed
        )

    def complete(self, candidate_fills: bool) -> Completion:
        """Blend the best scenes, and fill the photo from the one that is picked."""
        kept, best, seam = [], None, None
        thumbnails, fills = [], []
        for composed, total, scene in self._composed():
            kept.append((composed.fitted, total))
            picked = len(kept) == self._settings.pick
            thumbnails.append(self._composer.thumbnail(self._composer.small(composed)))
            if picked or candidate_fills:
                filled = self._composer.filled(composed, scene)
                if candidate_fills:
                    fills.append(filled)
                if picked:
                    best, seam = filled, self._composer.seam(composed)
        if not kept:
            raise self._dropped.nothing_left(more=self._more)
        if best is None:
            raise too_few(self._settings.pick, len(kept), cut=self._ordered.cut, more=self._more)
        return Completion(
            best=best,
            hole=self._hole,
            candidates=self._candidates(kept),
            neighbors=[fitted.place.neighbor for fitted, _ in kept],
            settings=self._settings,
            index=self._completer.about,
            network=self._completer.network,
            fills=fills,
            dropped=tuple(self._dropped.lines),
            lost=tuple(self._dropped.lost),
            grey=self._query.grey,
            expected=self._ordered.expected,
            method="scenes",
            seam=seam if self._fitter.reach else None,
            thumbnails=thumbnails,
        )

    def composites(self) -> Composites:
        """Blend the best scenes at the working size."""
        kept, small = [], []
        for composed, total, _ in self._composed():
            kept.append((composed.fitted, total))
            small.append(self._composer.small(composed))
        if not kept:
            raise self._dropped.nothing_left(more=self._more)
        dropped, lost = tuple(self._dropped.lines), tuple(self._dropped.lost)
        grey, expected = self._query.grey, self._ordered.expected
        return Composites(self._candidates(kept), small, self._working, dropped, lost, grey, expected)

    def _places(self) -> Sequence[Ranked]:
        """The scenes to place, all that were found; of a re-rank the first `aligned`, and others in place of lost ones."""
        if self._settings.aligned >= len(self._query.neighbors):
            return [Ranked(neighbor) for neighbor in self._query.neighbors]
        ranked = self._completer._finder.rank(self._query)
        self._dropped.lose(*ranked.dropped)
        if not ranked.order:
            raise self._dropped.nothing_left(more=self._completer._finder.more(self._query))
        return ranked.order

    def _side(self, places: Sequence[Ranked]) -> float:
        """The size that the scenes allow: their median long side, or the settings' bound."""
        size = self._completer.index.manifest.size
        if self._hole.shape == (size, size):
            return size
        sides = [max(place.neighbor.record.width, place.neighbor.record.height) for place in places]
        return min(self._settings.side, statistics.median(sides))

    def _pull(self) -> float:
        """The weight of the pull to what is wanted, PULL at the index's size, at the working size."""
        height, width = self._working.hole.shape
        return PULL * self._completer.index.manifest.size**2 / (height * width)

    def _opened(self, place: Ranked) -> np.ndarray:
        return self._completer._finder.opened(place.neighbor, self._query)

    def _composed(self) -> Iterator[tuple[Composed, float, np.ndarray]]:
        """Yield (composed, total, scene) of the best scenes, as many at a time as there are threads."""
        step, ordered = max(2, self._workers), self._ordered
        for start in range(0, len(ordered.fitted), step):
            ready, scenes = [], []
            for place in range(start, min(start + step, len(ordered.fitted))):
                try:
                    scenes.append(self._opened(ordered.fitted[place].place))
                    ready.append(place)
                except PhotoError as error:  # it was there a moment ago
                    self._dropped.lose(str(error))
            if ready:
                wanted = [] if ordered.wanted is None else [ordered.wanted[place] for place in ready]
                fitted = [ordered.fitted[place] for place in ready]
                composed = self._composer.compose(fitted, scenes, wanted, self._workers)
                yield from zip(composed, [ordered.totals[place] for place in ready], scenes, strict=True)

    def _candidates(self, kept: Sequence[tuple[Fitted, float]]) -> list[Candidate]:
        candidates = []
        for number, (fitted, total) in enumerate(kept, start=1):
            offset, scale = self._composer.place(fitted)
            candidates.append(
                Candidate.of(
                    fitted.place.neighbor,
                    rank=number,
                    scores=fitted.scores,
                    total=total,
                    share=1.0 if number == self._settings.pick else 0.0,
                    offset=offset,
                    scale=scale,
                )
            )
        return candidates
