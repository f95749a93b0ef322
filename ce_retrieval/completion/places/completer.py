"""Method `places`: a hole is filled from other photos of the same place, and from nothing else.

O. Whyte, J. Sivic, A. Zisserman, "Get Out of my Picture! Internet-based Inpainting", BMVC 2009. The steps, each in a module
of its own: the photos to look at (`finder`), those that share planes with the photo (`views`), what each shows of the hole
(`proposals`), which of them fills each pixel (`merge`), seam and blend (`filler`). These modules name the deviations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.completer import Completer
from ce_retrieval.completion.places.finder import Place, PlaceFinder
from ce_retrieval.completion.places.others import OtherPhotos
from ce_retrieval.completion.places.placed import fill_from_places
from ce_retrieval.completion.rerank.candidates import CandidateFinder, about_index, resolved
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.settings import PlacementSettings, PlaceSettings
from ce_retrieval.errors import CeretError, PhotoError, SettingsError, counted
from ce_retrieval.photo_index import Origin, PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import Bools, Photo
from ce_retrieval.retrieval.neighbor import Neighbor
from ce_retrieval.retrieval.query import check_query


class _Photo(NamedTuple):
    photo: Photo
    hole: Bools
    origin: Origin | None
    scenes: Sequence[Neighbor]


class PlaceCompleter(Completer[_Photo]):
    """Completes photos from other photos of the same place.

    Parameters
    ----------
    index : photos among which those of the place are searched; None: `others` are given.
    settings : None for the defaults.
    others : photos of the place; they go before those of the index.
    scenes : decoded photos of the index to share with others.
    workers : threads in all; None for all cores.

    Raises
    ------
    SettingsError : neither an index nor others.
    """

    method = "places"

    def __init__(
        self,
        index: PhotoIndex | None = None,
        settings: PlaceSettings | None = None,
        *,
        others: OtherPhotos | None = None,
        scenes: PhotoCache | None = None,
        workers: int | None = None,
    ) -> None:
        if index is None and others is None:
            raise SettingsError("`method` places needs other photos of the place: give `others`, an `index`, or both")
        super().__init__(settings or PlaceSettings(), workers)
        self.others = others.about if others else None
        self.about = about_index(index) if index is not None else None
        self.notes = others.notes if others else []
        self._places = PlaceFinder(others, index, self.settings)
        self._scenes: CandidateFinder | None = None
        if index is not None and not self._places.knows_places:
            shared = {one.name for one in fields(PlaceSettings)} & {one.name for one in fields(PlacementSettings)}
            given = {name: getattr(self.settings, name) for name in shared}
            wanted = resolved(PlacementSettings(rerank="none", **given), index)
            self._scenes = CandidateFinder(index, wanted, least=1, fill="blend", scenes=scenes, workers=self.workers)

    def _prepare(
        self, photos: Sequence[np.ndarray], holes: Sequence[np.ndarray], origins: Sequence[Origin | None]
    ) -> Sequence[_Photo | CeretError]:
        """Search the scenes of an index without local features for all photos as one batch."""
        results: list[Any] = []
        for photo, hole, origin in zip(photos, holes, origins, strict=True):
            try:
                check_query(photo, hole)
                results.append(_Photo(photo, hole, origin, ()))
            except CeretError as error:
                results.append(error)
        if self._scenes:
            ready = [row for row, one in enumerate(results) if isinstance(one, _Photo)]
            queries = self._scenes.queries(
                [photos[row] for row in ready], [holes[row] for row in ready], [origins[row] for row in ready]
            )
            for row, query in zip(ready, queries, strict=True):
                results[row] = query if isinstance(query, CeretError) else results[row]._replace(scenes=query.neighbors)
        return results

    def _fill(self, ready: _Photo, candidate_fills: bool, workers: int) -> Completion:
        photo, hole, origin, scenes = ready
        settings = self.settings
        place, placed = fill_from_places(self._places, photo, hole, origin, scenes, settings, workers)
        if placed is None:
            raise PhotoError(f"{nothing_shown(place)}; or set `method` to auto, which fills by other means")
        if (hole & ~placed.covered).any():
            share = (hole & ~placed.covered).sum() / hole.sum()
            raise PhotoError(
                f"{share:.0%} of the hole is in no other photo of the place: give more photos, mark a smaller hole, or set "
                "`method` to auto, which fills the rest by other means"
            )
        return Completion(
            best=placed.picture,
            hole=hole,
            settings=settings,
            method=self.method,
            candidates=placed.candidates,
            neighbors=placed.neighbors,
            thumbnails=placed.thumbnails,
            index=self.about,
            others=self.others,
            seam=placed.seam if settings.seam else None,
            dropped=tuple(place.found.lost),
            lost=tuple(place.found.lost),
            copies=tuple(place.found.copies),
            grey=place.grey,
            parts=placed.parts,
            notes=(placed.note,),
        )


def nothing_shown(place: Place) -> str:
    """Return why no photo fills a hole as one of its place, and what to do for one that does."""
    if not len(place.features.points):
        return "no photo of the same place can be told: what is left of the photo has no detail: mark a smaller hole"
    if place.found.views:
        count = counted(len(place.found.views), "photo", "shows", "show")
        return f"{count} the place, but not what surrounds the hole: give others"
    if place.found.copies:
        return (
            "every other photo of the place is a copy of the photo: give others, or set `allow_same_photo` (what was removed "
            "may come back)"
        )
    if place.found.lost:
        lost = counted(len(place.found.lost), "photo")
        return f"no other photo shows this place, but {lost} could not be read, the first: {place.found.lost[0]}"
    return "no other photo shows this place: give photos of it"
