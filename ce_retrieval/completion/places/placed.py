"""A hole filled part by part from other photos of its place, and what is said of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from PIL import Image

from ce_retrieval.completion.auto.part import FilledPart
from ce_retrieval.completion.candidate import Candidate
from ce_retrieval.completion.parts import parts_of
from ce_retrieval.completion.places.filler import PlaceFill, fill_from_views
from ce_retrieval.completion.places.finder import Place, PlaceFinder
from ce_retrieval.completion.places.proposals import Proposal
from ce_retrieval.completion.places.taking import place_taking
from ce_retrieval.completion.result import Completion
from ce_retrieval.completion.scenes.compose import THUMBNAIL
from ce_retrieval.completion.scenes.compose import thumbnail as _small
from ce_retrieval.errors import MaskError, some
from ce_retrieval.photo_index import Origin
from ce_retrieval.pixels import Bools, Photo, hole_box, to_bytes
from ce_retrieval.places.alignment import warped
from ce_retrieval.retrieval.neighbor import Neighbor

if TYPE_CHECKING:
    from ce_retrieval.completion.scenes.taking import SceneTaking

PARTS = 6  # of a hole that are filled one by one; more are filled as one
PLACES = "places"


class Placed(NamedTuple):
    """What other photos of the place make of a photo.

    Attributes
    ----------
    picture : uint8 (H, W, 3)
    covered : bool (H, W)
        what they show of the hole; the rest of `picture` under the hole is to be filled by other means.
    seam : uint8 (H, W), as `Completion.seam`.
    parts : what each part was filled by.
    candidates, neighbors, thumbnails : as in `Completion`: the proposals, those that fill the most first.
    """

    picture: Photo
    covered: Bools
    seam: np.ndarray
    parts: Sequence[FilledPart]
    candidates: Sequence[Candidate]
    neighbors: Sequence[Neighbor]
    thumbnails: Sequence[Photo]

    @property
    def note(self) -> str:
        """A line for the user."""
        names = list(dict.fromkeys(one.photo for one in self.candidates if one.share))
        what = "1 photo" if len(names) == 1 else f"{len(names)} photos"
        return f"filled from {what} of the same place: {some(names)}"


def fill_from_places(
    finder: PlaceFinder,
    photo: Photo,
    hole: Bools,
    origin: Origin | None,
    scenes: Sequence[Neighbor],
    settings: Any,
    workers: int,
) -> tuple[Place, Placed | None]:
    """Fill a hole from the first source that shows any of it; return what is known of the place, and the fill.

    Parameters
    ----------
    photo, hole, origin, scenes : as in `PlaceFinder.places`.
    settings : with `side`, `seam` and `top`.
    """
    for place in finder.places(photo, hole, origin, scenes, workers):
        placed = _fill(photo, hole, place, side=settings.side, seam=settings.seam, top=settings.top, workers=workers)
        if placed is not None:
            return place, placed
    return place, None


def _fill(photo: Photo, hole: Bools, place: Place, *, side: int, seam: float, top: int, workers: int) -> Placed | None:
    """Fill the parts of a hole that other photos of the place show; None where none does."""
    parts = parts_of(hole)
    done: list[PlaceFill] = []
    picture, whole_seam, covered = photo, np.zeros(hole.shape, np.uint8), np.zeros(hole.shape, bool)
    for part in parts if len(parts) <= PARTS else [hole]:
        try:
            # What else is hidden may not be aligned with: it counts as part of the hole there.
            found = fill_from_views(
                picture,
                part,
                place.found.views,
                place.features,
                hidden=hole & ~covered,
                side=side,
                seam=seam,
                workers=workers,
            )
        except MaskError:  # nothing is left of the photo at that size
            continue
        if found is not None and found.covered.any():
            done.append(found)
            picture, covered = found.picture, covered | found.covered
            whole_seam = np.maximum(whole_seam, found.seam)
    if not done:
        return None
    shares = _shares(done)
    chosen = sorted(shares, key=lambda one: (-shares[one], -one.agreement))[:top]
    candidates = [_candidate(number, one, shares[one]) for number, one in enumerate(chosen, start=1)]
    return Placed(
        picture,
        covered,
        whole_seam,
        [_part(fill) for fill in done],
        candidates,
        [one.view.neighbor for one in chosen],
        [_thumbnail(photo, hole, one) for one in chosen],
    )


def led_by_place(
    done: Completion, placed: Placed, settings: Any, photo: Photo, scenes: SceneTaking | None, *, candidate_fills: bool
) -> Completion:
    """Return a completion from scenes with the fill from the place as its first candidate.

    Parameters
    ----------
    done : with scenes as candidates, made for a `pick` one less, or without any.
    placed : what shows all of the hole.
    settings : of the whole, with its `pick`.
    photo : as it was given.
    scenes : fills from the scenes of `done`, None where there are none.
    candidate_fills : as in `Completer.complete_many`.
    """
    first = replace(placed.candidates[0], rank=1)
    picked = settings.pick == 1
    further = [replace(one, rank=one.rank + 1, share=0.0 if picked else one.share) for one in done.candidates]
    return replace(
        done,
        best=placed.picture if picked else done.best,
        settings=settings,
        seam=(placed.seam if settings.seam else None) if picked else done.seam,
        candidates=[first if picked else replace(first, share=0.0), *further],
        neighbors=[placed.neighbors[0], *done.neighbors],
        thumbnails=[_small(placed.picture), *done.thumbnails],
        fills=[placed.picture, *done.fills] if candidate_fills else (),
        parts=placed.parts if picked else (),
        notes=(placed.note, *done.notes) if picked else done.notes,
        taking=place_taking(photo, placed, done, seam=bool(settings.seam), scenes=scenes),
    )


def _shares(done: Sequence[PlaceFill]) -> dict[Proposal, float]:
    """Return all proposals, by their identity, and the share of all filled pixels that comes from each."""
    pixels: dict[Proposal, float] = {}
    total = sum(int(fill.covered.sum()) for fill in done)
    for fill in done:
        used = {id(one): share for one, share in fill.used}
        for one in fill.proposals:
            pixels[one] = used.get(id(one), 0.0) * int(fill.covered.sum()) / total
    return pixels


def _candidate(number: int, one: Proposal, share: float) -> Candidate:
    return Candidate.of(
        one.view.neighbor,
        rank=number,
        context_rank=None,
        context_distance=None,
        scores={"agreement": one.agreement, "inliers": float(one.inliers)},
        total=None,
        share=share,
        offset=None,
        scale=None,
        homography=one.homography.tolist(),
    )


def _part(fill: PlaceFill) -> FilledPart:
    best = fill.used[0][0]
    evidence = {
        "agreement": best.agreement,
        "inliers": float(best.inliers),
        "photos": float(len({id(one.view) for one, _ in fill.used})),
    }
    scene, *more = (_candidate(number, *used) for number, used in enumerate(fill.used, start=1))
    return FilledPart(hole_box(fill.part), int(fill.covered.sum()), PLACES, None, evidence, scene, more)


def _thumbnail(photo: Photo, hole: Bools, one: Proposal) -> Photo:
    """Return the photo with what a proposal shows laid over the hole, with a longer side of at most THUMBNAIL px."""
    share = min(1.0, THUMBNAIL / max(hole.shape))
    size = max(1, round(hole.shape[0] * share)), max(1, round(hole.shape[1] * share))
    small = np.array(Image.fromarray(photo).resize(size[::-1], Image.Resampling.BOX))
    hidden = np.array(Image.fromarray(hole).resize(size[::-1], Image.Resampling.NEAREST))
    grown = np.diag([hole.shape[1] / size[1], hole.shape[0] / size[0], 1.0])
    over = warped(one.view.photo, one.homography @ grown, size).pixels
    small[hidden] = to_bytes((over[hidden] * one.colours[0] + one.colours[1]) / np.float32(255))
    return small
