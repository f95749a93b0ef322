"""The planes that two photos of a place share: homographies that many matches agree on.

D. Barath, J. Noskova, M. Ivashechkin, J. Matas, "MAGSAC++, a fast, reliable and accurate robust estimator", CVPR 2020 (OpenCV's
USAC_MAGSAC), one plane after the other. Near the hole a plane is fitted anew to the matches there, weighted by their distance
from it: J. Zaragoza, T. Chin, M. Brown, D. Suter, "As-projective-as-possible image stitching with moving DLT", CVPR 2013, with
one point in place of a grid of them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ce_retrieval.places.matching import Matches, Matrix, transformed

LEAST = 10  # inliers of a plane: fewer agree by chance, as the windows of two house fronts do
NOISE = 0.004  # largest error of an inlier, in sides of the photo that it is measured in
ITERATIONS, SURE = 5000, 0.999
ROUNDS = 8  # of the local fit
FAR = 0.02  # least weight of a match in it, so that few matches near the hole do not bend the plane
SCALES = (1 / 8, 8.0)  # allowed scales of the other photo, px of it for one of this, at the hole
STRETCH = 6.0  # most that it may be stretched there in one direction more than in another


class Plane(NamedTuple):
    """A plane that two photos show.

    Attributes
    ----------
    homography : float64 (3, 3)
        from (x, y) in px of the photo to those of the other.
    inliers : matches that agree on it.
    """

    homography: Matrix
    inliers: int


def planes(found: Matches, size: tuple[int, int], most: int, *, least: int = LEAST) -> list[Plane]:
    """Return at most `most` planes, those with the most matches first.

    size: (H, W) of the other photo; least: matches of a plane.
    """
    import cv2

    tolerance = max(1.0, NOISE * max(size))
    mine, theirs = found
    shared: list[Plane] = []
    while len(shared) < most and len(mine) >= least:
        try:
            homography, inlier = cv2.findHomography(
                mine, theirs, cv2.USAC_MAGSAC, tolerance, maxIters=ITERATIONS, confidence=SURE
            )
        except cv2.error:  # no four points that are not on a line
            break
        if homography is None:
            break
        agrees = inlier.ravel() > 0
        if agrees.sum() < least or not np.isfinite(homography).all() or homography[2, 2] == 0:
            break
        shared.append(Plane(homography / homography[2, 2], int(agrees.sum())))
        mine, theirs = mine[~agrees], theirs[~agrees]
    return sorted(shared, key=lambda plane: -plane.inliers)


def local_plane(found: Matches, plane: Plane, centre: tuple[float, float], reach: float) -> Plane:
    """Return a plane fitted to the matches around a place (x, y) of the photo.

    reach: px, standard deviation of the weights. Matches that another plane made are outvoted (Geman-McClure's weights).
    """
    weights = np.maximum(np.exp(-((found.mine - centre) ** 2).sum(axis=1) / (2 * reach**2)), FAR)
    to_mine, to_theirs = _normalised(found.mine, weights), _normalised(found.theirs, weights)
    mine = np.column_stack([found.mine, np.ones(len(found.mine))]) @ to_mine.T
    theirs = transformed(to_theirs, found.theirs)
    homography = plane.homography
    for _ in range(ROUNDS):
        errors = np.linalg.norm(transformed(homography, found.mine) - found.theirs, axis=1)
        trust = weights / (1 + np.minimum(errors / 2, 1e3) ** 2) ** 2
        depth = (mine @ (to_theirs @ homography @ np.linalg.inv(to_mine)).T)[:, 2]
        scaled = mine * (np.sqrt(trust) / np.maximum(np.abs(depth), 1e-6))[:, None]
        rows = np.zeros((2 * len(mine), 9))
        rows[::2, :3], rows[::2, 6:] = scaled, -scaled * theirs[:, :1]
        rows[1::2, 3:6], rows[1::2, 6:] = scaled, -scaled * theirs[:, 1:]
        solution = np.linalg.eigh(rows.T @ rows)[1][:, 0].reshape(3, 3)
        homography = np.linalg.inv(to_theirs) @ solution @ to_mine
        if abs(homography[2, 2]) < 1e-12:
            return plane
        homography /= homography[2, 2]
    return Plane(homography, plane.inliers)


def is_view(homography: Matrix, points: Matrix) -> bool:
    """Return whether a camera can show the surroundings of these points (n, 2) so: not mirrored, turned inside out or folded."""
    places = np.column_stack([points, np.ones(len(points))]) @ homography.T
    if not (places[:, 2] > 0).all():
        return False
    for x, y in points:
        jacobian = _jacobian(homography, x, y)
        large, small = np.linalg.svd(jacobian, compute_uv=False)
        if np.linalg.det(jacobian) <= 0 or large > STRETCH * small:
            return False
        if not SCALES[0] < np.sqrt(large * small) < SCALES[1]:
            return False
    return True


def scale_at(homography: Matrix, point: tuple[float, float]) -> float:
    """Return how many px of the other photo there are for one of this photo at (x, y)."""
    return float(np.sqrt(abs(np.linalg.det(_jacobian(homography, *point)))))


def _jacobian(homography: Matrix, x: float, y: float) -> Matrix:
    u, v, w = homography @ (x, y, 1.0)
    rows = homography[:2, :2] - np.outer((u, v), homography[2, :2]) / w
    return np.asarray(rows / w)


def _normalised(points: Matrix, weights: Matrix) -> Matrix:
    """Return the similarity that moves points to weighted mean 0 and mean square 2: R. Hartley, TPAMI 1997."""
    mean = (points * weights[:, None]).sum(axis=0) / weights.sum()
    spread = np.sqrt((weights[:, None] * (points - mean) ** 2).sum() / weights.sum() / 2) + 1e-9
    return np.array([[1 / spread, 0, -mean[0] / spread], [0, 1 / spread, -mean[1] / spread], [0, 0, 1]])
