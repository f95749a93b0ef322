"""Method `auto`: each part of a hole is filled by what suits it best.

What other photos of the same place show of the hole is filled from them. Of the rest, a photo's own patches fill every part
first, which takes little time. Wide parts are then filled from scenes too, and a score without the truth (`choice`) says which
fill stays; a scene that equals the photo next to the hole shows the very place, and stays as it is. Deviation from what the
methods do alone: scenes are searched once for the whole hole, and each part has its own best scene among those found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from functools import cached_property
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.auto.choice import (
    AFTER,
    BEFORE,
    NARROW,
    OWN_KIND,
    SAME_KIND,
    UNLIKE,
    WIDE,
    WORTH,
    scene_wins,
)
from ce_retrieval.completion.auto.evidence import FIRST, Evidence, of_fill, of_kind, of_photo, of_scene, of_shape
from ce_retrieval.completion.auto.part import FilledPart
from ce_retrieval.completion.auto.work import Work
from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.network import NetworkCompleter
from ce_retrieval.completion.parts import parts_of
from ce_retrieval.completion.patches.completer import DETAILED_START, PatchCompleter
from ce_retrieval.completion.patches.patchmatch import complete_by_patches
from ce_retrieval.completion.places.completer import nothing_shown
from ce_retrieval.completion.places.finder import PlaceFinder
from ce_retrieval.completion.places.others import OtherPhotos
from ce_retrieval.completion.places.placed import fill_from_places
from ce_retrieval.completion.rerank.query import Query
from ce_retrieval.completion.rerank.rim import SAME_PLACE
from ce_retrieval.completion.rerank.scene_search import HIDDEN
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import AutoSettings, NetworkSettings, PatchSettings, SceneSettings
from ce_retrieval.errors import CeretError, MaskError, PhotoError
from ce_retrieval.models.requirements import missing_packages
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import Bools, Photo, hole_box
from ce_retrieval.retrieval.query import check_query

KIND = "kind"  # the kind features that the models were fitted on; others have similarities of their own scale
PARTS = 4  # of a hole that are filled from scenes, at most: the widest
PATCHES, SCENES, BOTH, NETWORK = "patchmatch", "scenes", "scenes+patchmatch", "network"
WITHOUT_INDEX = (
    "without an `index` the photo's own patches fill every hole: an index of photos of such places adds scenes"
)


class _Photo(NamedTuple):
    photo: Photo
    hole: Bools
    parts: Sequence[Bools]
    origin: Origin | None
    query: Query | CeretError | None = None  # None: no part is wide enough for scenes


class AutoCompleter(Completer[_Photo]):
    """Completes photos by the method that suits each part of the hole.

    Parameters
    ----------
    index : the photos to fill from; None: the photo's own patches fill.
    settings : None for the defaults.
    others : other photos of the place; they go before all else.
    scenes : decoded photos of the index to share with others; None: its own.
    workers : threads in all; None for all cores.

    Raises
    ------
    CheckpointError : weights are missing for a guided re-rank.

    Notes
    -----
    Without torch scenes are ordered by their rim, unless `weights` are given. The network fills where there is neither a scene
    nor a whole patch to copy from; it is loaded when that happens.
    """

    method = "auto"

    def __init__(
        self,
        index: PhotoIndex | None = None,
        settings: AutoSettings | None = None,
        *,
        others: OtherPhotos | None = None,
        scenes: PhotoCache | None = None,
        workers: int | None = None,
    ) -> None:
        settings = settings or AutoSettings()
        notes: list[tuple[str, str]] = []
        if index is not None and settings.rerank == "guided" and not settings.weights and (lacks := missing_packages()):
            settings = replace(settings, rerank="rim")
            lacking = " and ".join(lacks)
            notes.append(
                (str(index.path), f"scenes are ordered without a network: pip install {' '.join(lacks)}, for {lacking}")
            )
        super().__init__(settings, workers)
        self._scenes: SceneCompleter | None = None
        self._judged = False  # whether the models know what a similarity in kind means
        self._lock = Lock()
        self.others = others.about if others else None
        notes += others.notes if others else []
        self._places: PlaceFinder | None = None
        if settings.places == "auto" and (others or index):
            self._places = PlaceFinder(others, index, settings)
        if index is None and not others:
            notes.append((self.method, WITHOUT_INDEX))
        if index is not None:
            self._scenes = SceneCompleter(index, _scene_settings(settings), scenes=scenes, workers=self.workers)
            found = self._scenes.settings
            self.settings = replace(settings, focus=found.focus, aligned=found.aligned, terms=found.terms)
            self.about, self.network = self._scenes.about, self._scenes.network
            kind = index.manifest.kind
            self._judged = kind is not None and kind.descriptor == KIND
            notes += self._scenes.notes
        self.notes = notes
        if index is None and settings.weights:  # a wrong file is named before any work
            self.network = self._network.network

    @cached_property
    def _network(self) -> NetworkCompleter:
        return NetworkCompleter(NetworkSettings(fill="blend", weights=self.settings.weights), workers=self.workers)

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[_Photo | CeretError]:
        """Take the holes apart, and search scenes for all photos with a wide part as one batch."""
        results: list[Any] = []
        for photo, hole, origin in zip(photos, holes, origins, strict=True):
            try:
                check_query(photo, hole)
                results.append(_Photo(photo, hole, parts_of(hole), origin))
            except CeretError as error:
                results.append(error)
        wide = [row for row, one in enumerate(results) if isinstance(one, _Photo) and self._wide(one)]
        if self._scenes and wide:
            queries = self._scenes.queries(
                [photos[row] for row in wide], [holes[row] for row in wide], [origins[row] for row in wide]
            )
            for row, query in zip(wide, queries, strict=True):
                results[row] = results[row]._replace(query=query)
        return results

    def _wide(self, ready: _Photo) -> list[int]:
        """Return the numbers of the parts that scenes may fill, widest first."""
        widths = {number: of_shape(ready.hole, part)["width"] for number, part in enumerate(ready.parts)}
        return sorted((n for n, width in widths.items() if width > NARROW), key=lambda n: -widths[n])[:PARTS]

    def _fill(self, ready: _Photo, candidate_fills: bool, workers: int) -> Completion:
        work = Work(ready.photo, np.zeros(ready.hole.shape, np.uint8))
        whole, ready = ready, self._by_places(ready, work, workers)
        if not ready.parts:
            return self._completion(whole.hole, work)
        refused = self._by_patches(ready, work, workers)
        if refused:  # then nothing but the hole as a whole can be filled
            ready = ready._replace(parts=[ready.hole])
        if self._scenes and (ready.query is not None or refused):
            self._by_scenes(ready, work, workers, instead=refused is not None)
        if refused and not work.filled:
            self._by_network(ready, work, refused)
        return self._completion(whole.hole, work)

    def _by_places(self, ready: _Photo, work: Work, workers: int) -> _Photo:
        """Fill what other photos of the place show; return the photo with what they do not show as its hole."""
        if self._places is None:
            return ready
        scenes = ready.query.neighbors if isinstance(ready.query, Query) else ()
        about = ready.photo, ready.hole, ready.origin, scenes
        work.place, placed = fill_from_places(self._places, *about, self.settings, workers)
        if placed is None:
            if self.others is not None:
                work.notes.append(f"the other photos do not fill it: {nothing_shown(work.place)}")
            return ready
        work.placed, work.picture, work.seam = placed, placed.picture, placed.seam
        work.notes.append(placed.note)
        rest = ready.hole & ~placed.covered
        return ready._replace(photo=placed.picture, hole=rest, parts=parts_of(rest) if rest.any() else [])

    def _by_patches(self, ready: _Photo, work: Work, workers: int) -> CeretError | None:
        """Fill all parts by the photo's own patches; return the error where that cannot be done."""
        settings = PatchSettings(start="smooth", side=self.settings.side, seed=self.settings.seed)
        try:
            work.picture = PatchCompleter(None, settings, workers=workers).complete(ready.photo, ready.hole).best
        except (PhotoError, MaskError) as error:
            return error
        for number, part in enumerate(ready.parts):
            evidence = of_shape(ready.hole, part) | of_photo(ready.photo, ready.hole, part)
            work.filled[number] = _part(part, PATCHES, 1 - BEFORE.chance(evidence), evidence)
        return None

    def _by_scenes(self, ready: _Photo, work: Work, workers: int, *, instead: bool) -> None:
        """Fill the wide parts from scenes where these look better than patches; instead: there are no patches."""
        assert self._scenes is not None, "asked before"
        query = ready.query
        if query is None:
            (query,) = self._scenes.queries([ready.photo], [ready.hole], [ready.origin])
        if isinstance(query, CeretError):
            work.notes.append(f"no scene fills it: {query}")
            return
        kind = of_kind(self._scenes.most_alike(query, FIRST)) if self._judged else {}
        if self._judged and not kind and self.settings.by_kind:
            work.notes.append(HIDDEN)
        if kind and kind["alike"] < UNLIKE and kind["nearest"] < SAME_KIND:
            work.notes.append(_unlike(kind["nearest"]))
        patched = work.picture
        for number in [0] if instead else self._wide(ready):
            before = {**(work.filled[number].evidence if number in work.filled else {}), **kind}
            if not instead and BEFORE.chance(before) < WORTH and before.get("nearest", 0.0) < SAME_KIND:
                work.filled[number] = _part(ready.parts[number], PATCHES, 1 - BEFORE.chance(before), before)
                continue
            try:
                done = self._scenes.fill(query.for_part(work.picture, ready.parts[number]), workers)
            except CeretError as error:
                work.notes.append(f"no scene fills it: {error}")
                return
            self._choose(ready, work, number, before, patched, done, workers, instead=instead)

    def _choose(
        self,
        ready: _Photo,
        work: Work,
        number: int,
        before: Evidence,
        patched: Photo,
        done: Completion,
        workers: int,
        *,
        instead: bool,
    ) -> None:
        """Keep the better of two fills of a part: patches, or what scenes made of it."""
        part = ready.parts[number]
        evidence = (
            of_shape(ready.hole, part) | before | of_scene(done.candidates, done.neighbors if self._judged else ())
        )
        for name, filled in (("patches", patched), ("scenes", done.best)):
            looks = of_fill(ready.photo, ready.hole, part, filled)
            evidence |= {f"{what}_{name}": value for what, value in looks.items()}
        there = done.candidates[0].scores.get("rim", np.inf) < SAME_PLACE
        if not (instead or there or scene_wins(evidence)):
            work.filled[number] = _part(part, PATCHES, 1 - AFTER.chance(evidence), evidence)
            done = replace(done, candidates=[replace(one, share=0.0) for one in done.candidates])
        else:
            sure = OWN_KIND.chance(evidence) if "kind" in evidence else None
            work.picture, method = done.best, SCENES
            stays = instead or there or evidence["width"] >= WIDE
            if not stays and max(part.shape) <= self.settings.side:
                work.picture, method = refined(done.best, part, self.settings.seed, workers), BOTH
            if done.seam is not None:
                work.seam = np.maximum(work.seam, done.seam)
            work.filled[number] = _part(part, method, sure, evidence, done.candidates[0])
        work.scenes = work.scenes or done

    def _by_network(self, ready: _Photo, work: Work, refused: CeretError) -> None:
        """Fill the hole by the network; raise why patches cannot fill it where the network cannot either."""
        try:
            with self._lock:
                network = self._network
            work.picture = network.complete(ready.photo, ready.hole).best
        except CeretError as error:
            raise type(refused)(f"{refused}; nor can the network: {error}") from error
        work.filled[0] = _part(ready.hole, NETWORK, None, of_shape(ready.hole, ready.hole))

    def _completion(self, hole: Bools, work: Work) -> Completion:
        made = work.completion(hole, self.settings, self.method)
        return replace(made, index=self.about, others=self.others, network=self.network)


def refined(filled: Photo, part: Bools, seed: int, workers: int) -> Photo:
    """Return a photo that a scene filled, with that part made anew from patches of the scene's fill and of the photo."""
    rng = np.random.default_rng(seed)
    return complete_by_patches(filled, part, filled, sources=[filled], rng=rng, start=DETAILED_START, workers=workers)


def _part(part: Bools, method: str, confidence: float | None, evidence: Evidence, scene: Any = None) -> FilledPart:
    return FilledPart(hole_box(part), int(part.sum()), method, confidence, dict(evidence), scene)


def _unlike(alike: float) -> str:
    return (
        f"the collection holds nothing alike (similarity in kind {alike:.2f} at best): index more photos of such places, or set "
        "`method` to patchmatch or network"
    )


def _scene_settings(settings: AutoSettings) -> SceneSettings:
    """Return how scenes are found, placed and blended for these settings."""
    shared = {entry.name for entry in fields(SceneSettings)} & {entry.name for entry in fields(AutoSettings)}
    # Other photos of the place have gone before.
    return SceneSettings(**{name: getattr(settings, name) for name in shared - {"places"}}, places="none")
