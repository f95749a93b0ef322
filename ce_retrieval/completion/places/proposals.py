"""What the other photos of a place propose for a hole: each is laid over it by the planes that it shares with the photo.

O. Whyte, J. Sivic, A. Zisserman, "Get Out of my Picture! Internet-based Inpainting", BMVC 2009, sections 3 and 4: a proposal for
each homography of each photo, its colours adjusted by gain and bias. Deviations: homographies are fitted to the matches around
the hole and aligned with the pixels there; proposals are judged by the detail that they share with these pixels.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.places.views import View
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.scenes.seam import PAPER_SIDE
from ce_retrieval.pixels import Bools, Floats, Photo, distance_from, resize_area, to_bytes, to_grey
from ce_retrieval.places.alignment import Aligner, Warped, warped
from ce_retrieval.places.local_features import LocalFeatures
from ce_retrieval.places.matching import Matrix, guided_matches, transformed
from ce_retrieval.places.planes import Plane, is_view, local_plane, scale_at

VIEWS = 8  # that are laid over the hole: those with the most matches
KEPT = 8  # proposals
OF_A_VIEW = 2  # planes of one photo
ALIGNED = 10  # proposals that are aligned with the pixels around the hole: those that agree best before
LEAST_BEFORE = 0.1  # agreement of those
CLEARLY = 0.1  # agreement by which a proposal must be worse to be one of another plane
SAME = 1.0  # px of the region: proposals of one photo that differ by less are one
LEAST_SHOWN = 0.02  # share of the hole that a proposal shows
GUIDED = 0.012  # of the other photo's long side: how far from a plane further matches are sought
LOCAL = 1.2  # the reach of a local fit, in half the hole's longer side
AROUND = 2.5  # how far around the hole matches are sought for it, in the same
LEAST_MATCHES = 8  # of a local fit
COARSER = 1.5  # px of a scene for one of the region from which the scene is reduced first
RING = 40.0  # px of a photo 1024 px long: colours are adjusted by the pixels so near the hole
SMOOTH = 2.0  # px: colours are compared after a blur, since small errors of place would weaken contrast
GAINS = (0.3, 3.0)
ROUNDS = 10  # of the fit of colours: fewer leave the pixels of a passer-by their pull


@dataclass(frozen=True, eq=False)
class Proposal:
    """What a photo shows where the hole is.

    Attributes
    ----------
    view : the photo.
    homography : float64 (3, 3)
        from (x, y) in px of the photo with the hole, at its own size, to those of the other.
    inliers : matches on the plane.
    values : float32 (h, w, 3) in [0, 255]
        over the region's box, in the colours of the photo with the hole.
    shown : bool (h, w)
        where the other photo shows anything.
    agreement : correlation of the detail of both around the hole, at most 1.
    another_plane : whether it agrees with a part of what surrounds the hole that the best proposal does not show.
    colours : float32 (2, 3)
        gain and bias of the channels.
    """

    view: View
    homography: Matrix
    inliers: int
    values: Floats
    shown: Bools
    agreement: float
    colours: Floats
    another_plane: bool = False


class _Place(NamedTuple):
    """A plane of a view over the region, before alignment."""

    view: View
    scene: Photo  # at about the region's scale
    homography: Matrix  # from px of the region to px of `scene`
    inliers: int
    agreement: float


class Proposer:
    """Lays other photos over one region.

    Parameters
    ----------
    region : of the hole.
    features : of the photo with the hole, in px of its own size.
    """

    def __init__(self, region: Region, features: LocalFeatures) -> None:
        self._region, self._features = region, features
        distance = distance_from(region.hole)
        grey = to_grey(region.photo)
        grey[region.hole] = 0
        self._aligner = Aligner(grey, region.context, distance)
        reach = RING * max(region.working.hole.shape) / PAPER_SIDE
        self._ring = region.context & (distance <= max(reach, 6.0))
        rows, cols = region.working.factor
        y0, x0, _, _ = region.box
        # From px of the region to px of the photo at its own size.
        self._to_photo = np.array([[cols, 0, x0 * cols], [0, rows, y0 * rows], [0, 0, 1.0]])
        ys, xs = np.nonzero(region.hole)
        self._bounds = np.array(
            [[x, y] for x in (xs.min(), xs.max() + 1) for y in (ys.min(), ys.max() + 1)], np.float64
        )
        self._centre = self._bounds.mean(axis=0)
        self._half = max(np.ptp(self._bounds, axis=0)) / 2

    def proposals(self, views: Sequence[View], workers: int) -> list[Proposal]:
        """Return at most KEPT proposals, those that agree best with the photo first.

        views : those with the most matches first.
        """
        with ThreadPoolExecutor(workers) as pool:
            places = [place for found in pool.map(self._places, views[:VIEWS]) for place in found]
            places.sort(key=lambda place: -place.agreement)
            found = [one for group in pool.map(self._proposal, places[:ALIGNED]) for one in group]
        found.sort(key=lambda one: -one.agreement)
        kept: list[Proposal] = []
        for one in found:
            if len(kept) < KEPT and not any(self._same(one, other) for other in kept):
                kept.append(one)
        return [kept[0], *(self._judged(one, kept[0]) for one in kept[1:])] if kept else []

    def _judged(self, one: Proposal, best: Proposal) -> Proposal:
        """Return a proposal that says whether it shows another plane than the best one."""
        if one.agreement >= best.agreement - CLEARLY:
            return one
        pictures = (Warped(to_grey(to_bytes(each.values / np.float32(255))), each.shown) for each in (best, one))
        return replace(one, another_plane=self._aligner.complements(*pictures))

    def _same(self, one: Proposal, other: Proposal) -> bool:
        """Return whether two proposals lay one photo over the hole in the same place."""
        if one.view is not other.view:
            return False
        at = [transformed(each.homography @ self._to_photo, self._bounds) for each in (one, other)]
        scale = scale_at(one.homography @ self._to_photo, (float(self._centre[0]), float(self._centre[1])))
        return bool(np.abs(at[0] - at[1]).max() < SAME * scale)

    def _places(self, view: View) -> list[_Place]:
        """Return the planes of a view that may show the hole, the best OF_A_VIEW."""
        places = []
        usable = [plane for plane in view.planes if is_view(plane.homography @ self._to_photo, self._bounds)]
        for homography, inliers in (plane for found in usable for plane in (found, *self._local(view, found))):
            to_scene = homography @ self._to_photo
            if not is_view(to_scene, self._bounds):
                continue
            scene, to_scene = reduced(view.photo, to_scene, self._centre)
            over = warped(scene, to_scene, self._region.size)
            if over.shown[self._region.hole].mean() < LEAST_SHOWN:
                continue
            agreement = self._aligner.agreement(to_grey(over.pixels), over.shown)
            if agreement >= LEAST_BEFORE:
                places.append(_Place(view, scene, to_scene, inliers, agreement))
        places.sort(key=lambda place: -place.agreement)
        return places[:OF_A_VIEW]

    def _local(self, view: View, plane: Plane) -> list[Plane]:
        """Return the plane fitted anew to the matches around the hole, if there are enough."""
        centre = self._to_photo[:2, :2] @ self._centre + self._to_photo[:2, 2]
        half = self._half * max(self._region.working.factor)
        near = np.linalg.norm(self._features.points - centre, axis=1) <= AROUND * half
        found = guided_matches(
            _some(self._features, near), view.features, plane.homography, GUIDED * max(view.photo.shape)
        )
        if len(found.mine) < LEAST_MATCHES:
            return []
        return [local_plane(found, plane, (float(centre[0]), float(centre[1])), LOCAL * half)]

    def _proposal(self, place: _Place) -> list[Proposal]:
        """Return the proposal of a place, aligned where that makes it agree better; none where it shows too little."""
        found = [place.homography]
        refined = self._aligner.refined(to_grey(place.scene), place.homography)
        if refined is not None and is_view(refined, self._bounds):
            found.append(refined)
        best: tuple[float, Matrix, Warped] | None = None
        for homography in found:
            over = warped(place.scene, homography, self._region.size)
            agreement = self._aligner.agreement(to_grey(over.pixels), over.shown)
            if best is None or agreement > best[0]:
                best = agreement, homography, over
        assert best is not None, "one was there"
        agreement, homography, over = best
        if over.shown[self._region.hole].mean() < LEAST_SHOWN:
            return []
        colours = matched_colours(over.pixels, self._region.photo, self._ring & over.shown)
        values = over.pixels * colours[0] + colours[1]
        grown = np.array(place.view.photo.shape[:2]) / place.scene.shape[:2]
        whole = np.diag([grown[1], grown[0], 1.0]) @ homography @ np.linalg.inv(self._to_photo)
        return [Proposal(place.view, whole / whole[2, 2], place.inliers, values, over.shown, agreement, colours)]


def _some(features: LocalFeatures, rows: Bools) -> LocalFeatures:
    points, diameters, angles, descriptors, size = features
    return LocalFeatures(points[rows], diameters[rows], angles[rows], descriptors[rows], size)


def reduced(scene: Photo, homography: Matrix, centre: Floats) -> tuple[Photo, Matrix]:
    """Return a scene at about the scale of the region, by means over areas, and the homography to it."""
    scale = scale_at(homography, (float(centre[0]), float(centre[1])))
    if scale < COARSER:
        return scene, homography
    height, width = scene.shape[:2]
    small = resize_area(scene, (max(1, round(height / scale)), max(1, round(width / scale))))
    return small, np.diag([small.shape[1] / width, small.shape[0] / height, 1.0]) @ homography


def matched_colours(theirs: Photo, mine: Photo, where: Bools) -> Floats:
    """Return gain and bias float32 (2, 3) that bring the colours of one photo to those of another.

    Pixels that do not fit, such as those of a passer-by, count little. Not least squares of one on the other, which would
    weaken the contrast by what does not fit: the gain is the ratio of their deviations, where they correlate.
    """
    import cv2

    colours = np.array([[1.0] * 3, [0.0] * 3], np.float32)
    if np.count_nonzero(where) < 16:
        return colours
    shares = where.astype(np.float32)
    total = cv2.GaussianBlur(shares, (0, 0), SMOOTH)[where][:, None] + np.float32(1e-3)
    x, y = (
        cv2.GaussianBlur(photo.astype(np.float32) * shares[..., None], (0, 0), SMOOTH)[where] / total
        for photo in (theirs, mine)
    )
    for channel in range(3):
        colours[:, channel] = _line(x[:, channel].astype(np.float64), y[:, channel].astype(np.float64))
    return colours


def _line(x: Floats, y: Floats) -> tuple[float, float]:
    trust = np.ones_like(x)
    gain = bias = 0.0
    for _ in range(ROUNDS):
        trust /= trust.sum()
        mean_x, mean_y = np.sum(trust * x), np.sum(trust * y)  # not by BLAS, see `Aligner`
        from_x, from_y = x - mean_x, y - mean_y
        spread_x, spread_y = np.sum(trust * from_x**2), np.sum(trust * from_y**2)
        together = np.sum(trust * from_x * from_y)
        if together > 0.5 * np.sqrt(spread_x * spread_y):
            gain = np.sqrt(spread_y / (spread_x + 1e-9))
        else:
            gain = together / (spread_x + 1e-9)
        gain = float(np.clip(gain, *GAINS))
        bias = float(mean_y - gain * mean_x)
        errors = y - bias - gain * x
        spread = 1.48 * np.median(np.abs(errors)) + 1
        trust = 1 / (1 + (errors / (2 * spread)) ** 2) ** 2  # Geman-McClure
    return gain, bias
