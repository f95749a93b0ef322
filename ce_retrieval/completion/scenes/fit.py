"""Fitting scenes into one photo's hole: each is placed by its local context, cut along its best seam, and scored.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, sections 4 and 5. Deviation: a scene much
larger than the photo is first brought down so that at its smallest scale it just covers the photo, for a pixel of it should
show about as much as one of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.rerank.candidates import Ranked
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.placement import REFERENCE_SIDE, ContextSettings, LocalContext, Placement
from ce_retrieval.completion.scenes.placement_features import resized
from ce_retrieval.completion.scenes.seam import GROWTH
from ce_retrieval.completion.scenes.seam_domain import bounded_seams, seam_domain
from ce_retrieval.completion.scenes.terms import GIST_SIDE
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.completion.working_size import Working, sampled
from ce_retrieval.errors import CeretError, MaskError, PhotoError

CHUNK = 16  # scenes held at a time
LOOK = 32  # px, side of what near-duplicates are told by

Photo = NDArray[np.uint8]
Bools = NDArray[np.bool_]
# A ranking term of one's own: (what the scene shows, photo, hole), of the context's box -> a distance, lower is better.
Term = Callable[[Photo, Photo, Bools], float]


class Fitted(NamedTuple):
    """A scene in its place.

    box: (y0, x0, y1, x1) px of the scene as it was opened, what it shows over the context's box; size: (h, w) of it; taken:
    bits of the seam over the context's box; scores: terms of the ranking, more of which come later; look: uint8 (LOOK, LOOK,
    3), what lies over the hole's box; square: uint8 (S, S, 3), the photo with the scene over the context's box, at the
    index's size; whole: uint8 (GIST_SIDE, GIST_SIDE, 3), the scene as a whole.
    """

    place: Ranked
    placement: Placement
    size: tuple[int, int]
    box: tuple[float, float, float, float]
    taken: NDArray[np.uint8]
    scores: dict[str, float]
    look: Photo
    square: Photo
    whole: Photo


class SceneFitter:
    """Fits scenes into one photo at its working size.

    Attributes:
        box: (y0, x0, y1, x1) of the hole with its context; photo, hole: their parts in it.
        domain: bool, in the box, the hole and all known pixels that a seam may take (`seam_domain`): those within the
            settings' `seam`, and around what is thinner than that no farther than half its thickness.
        reach: px of the working size, how far that is at most.

    MaskError: a seam would reach all of the photo.

    Memory: CHUNK scenes, and for each that is kept an eighth of a byte a pixel of the box, 15 kB, and 3 bytes a pixel
    at the index's size.
    """

    def __init__(self, working: Working, settings: SceneSettings, terms: Mapping[str, Term], square_size: int) -> None:
        self._working, self._settings, self._terms, self._square_size = working, settings, terms, square_size
        self._context = LocalContext(working.photo, working.hole, ContextSettings(frame=True))
        self.box = y0, x0, y1, x1 = self._context.box
        self.photo, self.hole = working.photo[y0:y1, x0:x1], working.hole[y0:y1, x0:x1]
        side = max(working.hole.shape)
        # The context goes on for one pixel at least beyond the seam, which a blend hangs on.
        reach = min(round(settings.seam * side / REFERENCE_SIDE), int(self._context.radius) - 1)
        self.domain = seam_domain(self.hole, reach)
        if self.domain.all():
            height, width = working.hole.shape
            raise MaskError(
                f"every known pixel lies next to the hole, within reach of a seam of {settings.seam:g} px, at the "
                f"{width}x{height} px that this photo is worked on at: nothing would be left of it; set seam to 0, or mark a "
                "smaller hole"
            )
        growth = GROWTH * max(self.hole.shape) / side  # per px of the box, as the seam takes it
        self._seams = bounded_seams(self.hole, self.domain, growth=growth)
        self.reach = self._seams.reach
        rows, cols = np.flatnonzero(self.hole.any(axis=1)), np.flatnonzero(self.hole.any(axis=0))
        self._inner = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))

    def fit_all(
        self, places: Sequence[Ranked], opened: Callable[[Ranked], Photo], limit: int, workers: int, dropped: Dropped
    ) -> list[Fitted]:
        """Open, place, cut and score the first `limit` scenes that can be read, on so many threads.

        opened: reads a scene uint8 (h, w, 3), or raises PhotoError; dropped: gets the others up to there. Returns those that
        fit, in the order given.
        """
        fitted: list[Fitted] = []
        start = read = 0

        def open_one(place: Ranked) -> tuple[Photo, tuple[int, int]] | PhotoError:
            try:
                scene = opened(place)
            except PhotoError as error:
                return error
            return self._brought_down(scene), (scene.shape[0], scene.shape[1])

        with ThreadPoolExecutor(workers) as pool:
            while chunk := places[start : start + min(CHUNK, limit - read)]:
                start += len(chunk)
                ready = []
                for place, found in zip(chunk, pool.map(open_one, chunk), strict=True):
                    if isinstance(found, PhotoError):
                        dropped.lose(str(found))
                    else:
                        ready.append((place, *found))
                read += len(ready)
                placements = self._context.place_many([scene for _, scene, _ in ready], workers)
                jobs = []
                for (place, scene, size), placement in zip(ready, placements, strict=True):
                    if isinstance(placement, Placement):
                        jobs.append((place, scene, size, placement))
                    else:
                        dropped.refuse(f"{place.neighbor.name}: {placement.reason}")
                for one in pool.map(lambda job: self._fit(*job), jobs):
                    if isinstance(one, Fitted):
                        fitted.append(one)
                    else:
                        dropped.refuse(one)
        return fitted

    def _brought_down(self, scene: Photo) -> Photo:
        height, width = scene.shape[:2]
        covers = max(self._working.hole.shape[0] / height, self._working.hole.shape[1] / width)
        smallest = min(self._context.settings.scales)
        factor = covers / smallest
        # What one more step of the search would reach is left as it is: resampling costs sharpness.
        return scene if factor > smallest else resized(scene, (round(height * factor), round(width * factor)))

    def _fit(self, place: Ranked, scene: Photo, size: tuple[int, int], placement: Placement) -> Fitted | str:
        """Cut and score one placed scene; a line that says why it cannot be used."""
        there = self._in_scene(placement, (scene.shape[0], scene.shape[1]))
        patch = sampled(scene, there, self._shape)
        try:
            seam = self._seams.find(self.photo, patch)
        except CeretError as error:
            return f"{place.neighbor.name}: {error}"
        scores = {
            "scene": place.neighbor.distance,
            "context": placement.ssd,
            "texture": placement.texture,
            "seam": seam.cost,
        }
        for name, term in self._terms.items():
            scores[name] = float(term(patch, self.photo, self.hole))
        return Fitted(
            place=place,
            placement=placement,
            size=size,
            box=self._in_scene(placement, size),
            taken=np.packbits(seam.taken),
            scores=scores,
            look=_look(patch[self._inner]),
            square=self._square(patch),
            whole=resized(scene, (GIST_SIDE, GIST_SIDE)),
        )

    @property
    def _shape(self) -> tuple[int, int]:
        return self.hole.shape[0], self.hole.shape[1]

    def _in_scene(self, placement: Placement, size: tuple[int, int]) -> tuple[float, float, float, float]:
        """The context's box in px of the scene at the size (h, w)."""
        rows, cols = size[0] / placement.size[0], size[1] / placement.size[1]
        y0, x0, y1, x1 = placement.box
        return y0 * rows, x0 * cols, y1 * rows, x1 * cols

    def _square(self, patch: Photo) -> Photo:
        from PIL import Image

        y0, x0, y1, x1 = self.box
        canvas = self._working.photo.copy()
        canvas[y0:y1, x0:x1] = patch
        size = self._square_size
        if canvas.shape[:2] == (size, size):
            return canvas
        return np.asarray(Image.fromarray(canvas).resize((size, size), Image.Resampling.BICUBIC))

    def taken(self, fitted: Fitted) -> Bools:
        """The pixels of the context's box that come from the scene."""
        return np.unpackbits(fitted.taken, count=self.hole.size).astype(bool).reshape(self.hole.shape)


def _look(patch: Photo) -> Photo:
    """Means over areas, so that grain counts little; small ones as they are."""
    size = (min(LOOK, patch.shape[0]), min(LOOK, patch.shape[1]))
    return resized(patch, size)
