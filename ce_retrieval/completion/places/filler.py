"""Filling a hole from the views of its place: proposals, their labels, seam and blend, at the photo's own size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.places.merge import NOWHERE, Merged, merged
from ce_retrieval.completion.places.proposals import Proposal, Proposer, reduced
from ce_retrieval.completion.places.views import View
from ce_retrieval.completion.result import FROM_SCENE, SHIFTED
from ce_retrieval.completion.scenes.region import RADIUS, Region, region_of
from ce_retrieval.completion.scenes.seam import GROWTH, PAPER_SIDE, SeamFinder
from ce_retrieval.completion.working_size import enlarged_mask, enlarged_values, enlarged_window, working_photo
from ce_retrieval.pixels import Bools, Box, Floats, Photo, crop, hole_box, resize_area, to_bytes, to_unit
from ce_retrieval.places.alignment import warped
from ce_retrieval.places.local_features import LocalFeatures

LEAST_RADIUS = 32.0  # px of the working size: small photos have little else to align by
# A region of more is worked on at a smaller size, but not below that side: its time grows with its pixels, and the photos are
# aligned to a fraction of a pixel anyway.
MOST_PIXELS, LEAST_SIDE = 200_000, 256.0
SURE = 0.5  # agreement of the best proposal from which a photo certainly shows the place
LEAST_AGREES = 0.35  # agreement of the others
SLIVER = 5  # px: what no photo shows of a hole is left to other methods where it is wider


class PlaceFill(NamedTuple):
    """A part of a hole filled from other photos of its place.

    Attributes
    ----------
    picture : uint8 (H, W, 3)
        the filled photo, at its own size.
    part : bool (H, W)
    covered : bool (H, W)
        what they show of it.
    seam : uint8 (H, W), as `Completion.seam`.
    used : the proposals that fill it, and the share of `covered` that each fills; the largest first.
    proposals : all that were considered, those that agree best first.
    """

    picture: Photo
    part: Bools
    covered: Bools
    seam: np.ndarray
    used: Sequence[tuple[Proposal, float]]
    proposals: Sequence[Proposal]


def fill_from_views(
    photo: Photo,
    hole: Bools,
    views: Sequence[View],
    features: LocalFeatures,
    *,
    hidden: Bools,
    side: int,
    seam: float,
    workers: int,
) -> PlaceFill | None:
    """Fill a hole from the views that agree with the photo around it; None where none certainly does.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), True = missing.
    views : of its place.
    features : of the photo.
    hidden : bool (H, W)
        all that is missing of the photo: neither compared nor taken beyond the hole.
    side : px, the longest side at which the photo is worked on.
    seam : as `SceneSettings.seam`.

    Raises
    ------
    MaskError : as `working_photo` and `region_of`.
    """
    region = _without(_region(photo, hole, side, seam), hidden)
    found = Proposer(region, features).proposals(views, workers)
    if not found or found[0].agreement < SURE:
        return None
    proposals = [one for one in found if one.agreement >= LEAST_AGREES or one.another_plane]
    picture = merged(region, proposals)
    growth = GROWTH * max(region.size) / max(region.working.hole.shape)
    composite = to_bytes(picture.values)
    unseen = region.domain & ~region.hole & (picture.label == NOWHERE)
    composite[unseen] = region.photo[unseen]
    taken = SeamFinder(region.hole, region.domain, growth=growth).find(region.photo, composite).taken
    blend = PoissonSolver(region.domain).compose(
        to_unit(composite)[None], to_unit(region.photo), taken[None], region.hole, workers=workers
    )
    return _at_full_size(photo, hole, region, proposals, picture, taken, blend.fills[0])


def _region(photo: Photo, hole: Bools, side: float, seam: float) -> Region:
    """Return the region of a hole, at a working size that keeps it below MOST_PIXELS."""
    while True:
        working = working_photo(photo, hole, side)
        side = min(side, max(working.hole.shape))
        region = region_of(working, seam, radius=max(RADIUS, LEAST_RADIUS * PAPER_SIDE / side))
        if region.hole.size <= MOST_PIXELS or side <= LEAST_SIDE:
            return region
        side = max(LEAST_SIDE, 0.99 * side * (MOST_PIXELS / region.hole.size) ** 0.5)


def _without(region: Region, hidden: Bools) -> Region:
    """Return a region without what else is hidden of the photo."""
    size = region.working.hole.shape[0], region.working.hole.shape[1]
    other = (resize_area(hidden.astype(np.float32), size) > 0)[crop(region.box)] & ~region.hole
    return region._replace(context=region.context & ~other, domain=region.domain & ~other)


def _at_full_size(
    photo: Photo,
    hole: Bools,
    region: Region,
    proposals: Sequence[Proposal],
    picture: Merged,
    taken: Bools,
    values: Floats,
) -> PlaceFill:
    """Bring a blend (h, w, 3) over a region to the photo's own size: its scenes are sampled once, from their own pixels."""
    window, label, from_scene, domain = _window(region, picture.label, taken, hole)
    filled = photo.copy()
    inner = filled[crop(window)]
    if region.working.whole:
        inner[domain] = to_bytes(values[domain])
    else:
        _sample(inner, label, from_scene, region, proposals, picture, window, values)
        shifted = domain & ~from_scene
        if shifted.any():
            added = _enlarged(region, values - to_unit(region.photo), ~taken, window)
            inner[shifted] = to_bytes(to_unit(inner[shifted]) + added[shifted])
    seam = np.zeros(hole.shape, np.uint8)
    seam[crop(window)][domain] = SHIFTED
    seam[crop(window)][from_scene] = FROM_SCENE
    labels = np.full(hole.shape, NOWHERE, np.int8)
    labels[crop(window)] = label
    covered = hole & ~_wide(hole & (labels == NOWHERE))
    counts = np.bincount(labels[covered & (labels >= 0)], minlength=len(proposals))
    order = [n for n in np.argsort(-counts, kind="stable").tolist() if counts[n]]
    return PlaceFill(
        filled, hole, covered, seam, [(proposals[n], float(counts[n] / counts.sum())) for n in order], proposals
    )


def _window(
    region: Region, label: NDArray[np.int8], taken: Bools, hole: Bools
) -> tuple[Box, NDArray[np.int8], Bools, Bools]:
    """Return the region's box at the photo's size; there the labels, the pixels from scenes, and those of the domain."""
    working = region.working
    if working.whole:
        return region.box, label, taken, region.domain
    window = enlarged_window(region.box, working.factor, (hole.shape[0], hole.shape[1]))
    inner = hole[crop(window)]

    def enlarged(part: NDArray[Any]) -> NDArray[Any]:
        frame = np.zeros(working.hole.shape, part.dtype)
        frame[crop(region.box)] = part
        return enlarged_mask(frame, working.factor, window)

    if not region.reach:  # a hole pixel of the working size may cover known pixels: they stay
        return window, enlarged(label), inner, inner
    return window, enlarged(label), enlarged(taken) | inner, enlarged(region.domain) | inner


def _sample(
    inner: Photo,
    label: NDArray[np.int8],
    from_scene: Bools,
    region: Region,
    proposals: Sequence[Proposal],
    picture: Merged,
    window: Box,
    values: Floats,
) -> None:
    """Fill the pixels `from_scene` of a window of the photo: each from its photo, with what the blend adds to it."""
    largest = max(_largest(picture.label), 0)
    shown = np.where(picture.label == NOWHERE, largest, picture.label)
    wanted = np.where(label == NOWHERE, largest, label)
    for number, one in enumerate(proposals):
        where = from_scene & (wanted == number)
        if not where.any():
            continue
        inside = hole_box(where)
        y0, x0 = window[0] + inside[0], window[1] + inside[1]
        y1, x1 = window[0] + inside[2], window[1] + inside[3]
        to_photo = np.array([[1.0, 0, x0], [0, 1.0, y0], [0, 0, 1.0]])
        scene, homography = reduced(one.view.photo, one.homography @ to_photo, np.array([(x1 - x0) / 2, (y1 - y0) / 2]))
        part = where[crop(inside)]
        pixels = warped(scene, homography, part.shape).pixels[part]
        colours = (pixels * one.colours[0] + one.colours[1]) / np.float32(255)
        added = _enlarged(region, values - one.values / np.float32(255), shown == number, (y0, x0, y1, x1))
        inner[where] = to_bytes(colours + added[part])


def _largest(label: NDArray[np.int8]) -> int:
    """Return the label of most pixels."""
    found = label[label >= 0]
    return int(np.bincount(found).argmax()) if len(found) else NOWHERE


def _enlarged(region: Region, values: Floats, where: Bools, window: Box) -> Floats:
    """Return values of the region's box, of the pixels `where` alone, at each pixel of a window of the photo."""
    corner = (region.box[0] * region.working.factor[0], region.box[1] * region.working.factor[1])
    return enlarged_values(values, where, region.working.factor, window, corner)


def _wide(part: Bools) -> Bools:
    """Return the pixels of a part less what is narrower than SLIVER px."""
    import cv2

    square = np.ones((SLIVER, SLIVER), np.uint8)
    return np.asarray(cv2.morphologyEx(part.astype(np.uint8), cv2.MORPH_OPEN, square) > 0)
