"""Aligning another photo of a place with the pixels around a hole, to a fraction of a pixel.

B. Lucas, T. Kanade, "An iterative image registration technique", IJCAI 1981, for a homography: Gauss-Newton from coarse to
fine, on the detail of both photos divided by the contrast around it, so that light and shadow do not pull it away. Deviations:
pixels count by how near they are to the hole, and those that disagree (another plane, a passer-by) count little.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ce_retrieval.pixels import Bools, Floats
from ce_retrieval.places.matching import Matrix, transformed

LEVELS = ((4.0, 6), (2.0, 6), (1.0, 8))  # blur (px) and most steps
NEIGHBOURHOOD = 25  # px, side of the square by whose contrast detail is divided
NO_DETAIL = 4.0  # grey levels: fainter detail is noise and counts little
NEAR = 25.0  # px over which the weight of a pixel falls to 1/e with its distance from the hole
MOST = 20.0  # px: a corner that moves more has been led astray
STILL = 0.02  # px: smaller steps end a level
LEAST = 200  # known px that both show
# Another plane: the share of the surroundings that it must fit, how far such a part reaches (px), and the agreement there of
# its picture, at least, and of the best one, at most.
LEAST_PART, PART, SHOWS, SHOWS_NOT = 0.15, 6.0, 0.6, 0.1
BLUR = 0.7  # px, of the pictures whose agreement is measured: the grain of two cameras differs


class Warped(NamedTuple):
    """What another photo shows over a region.

    Attributes
    ----------
    pixels : uint8 (h, w, ...)
    shown : bool (h, w)
        where it shows anything.
    """

    pixels: np.ndarray
    shown: Bools


def warped(scene: np.ndarray, homography: Matrix, size: tuple[int, int]) -> Warped:
    """Return what a scene uint8 (h, w) or (h, w, 3) shows over a region of the size (H, W).

    homography: from (x, y) in px of the region to those of the scene; corners of pixels have whole numbers.
    """
    import cv2

    between = _SHIFT @ homography @ np.linalg.inv(_SHIFT)
    inverse = cv2.WARP_INVERSE_MAP
    pixels = cv2.warpPerspective(
        scene, between, size[::-1], flags=cv2.INTER_CUBIC | inverse, borderMode=cv2.BORDER_REPLICATE
    )
    ones = np.full(scene.shape[:2], 255, np.uint8)
    shown = cv2.warpPerspective(ones, between, size[::-1], flags=cv2.INTER_LINEAR | inverse) > 250
    return Warped(pixels, shown)


_SHIFT = np.array([[1.0, 0.0, -0.5], [0.0, 1.0, -0.5], [0.0, 0.0, 1.0]])  # from corners to centres of pixels


class Aligner:
    """Aligns other photos with the known pixels of a region.

    Parameters
    ----------
    grey : uint8 (h, w)
        the region's photo.
    known : bool (h, w)
        pixels that may be compared.
    distance : float32 (h, w)
        px, from the hole.
    """

    def __init__(self, grey: np.ndarray, known: Bools, distance: Floats) -> None:
        height, width = grey.shape
        self._known, self._weights = known, np.exp(-distance / NEAR).astype(np.float32)
        self._photo = grey.astype(np.float32)
        self._details = [_detail(_blurred(self._photo, known, blur), known) for blur, _ in LEVELS]
        self._unit = max(height, width) / 2
        # From normalised coordinates, about [-1, 1], to px of the region.
        self._frame = np.array([[self._unit, 0, width / 2], [0, self._unit, height / 2], [0, 0, 1.0]])
        rows, cols = np.mgrid[:height, :width].astype(np.float32) + np.float32(0.5)
        self._x, self._y = (cols - width / 2) / np.float32(self._unit), (rows - height / 2) / np.float32(self._unit)
        self._corners = np.array([[x, y] for x in (0.0, width) for y in (0.0, height)])

    def refined(self, scene: np.ndarray, homography: Matrix) -> Matrix | None:
        """Return a better homography from the region to a scene uint8 (h, w) in grey; None where they do not align."""
        import cv2

        scene = scene.astype(np.float32)
        ones = np.ones(scene.shape, np.uint8)
        size, flags = self._known.shape[::-1], cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        correction = np.eye(3)
        for (blur, steps), photo in zip(LEVELS, self._details, strict=True):
            for _ in range(steps):
                between = _SHIFT @ self._corrected(homography, correction) @ np.linalg.inv(_SHIFT)
                theirs = cv2.warpPerspective(scene, between, size, flags=flags, borderMode=cv2.BORDER_REPLICATE)
                shown = cv2.warpPerspective(ones, between, size, flags=cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP) > 0
                both = self._known & shown
                if np.count_nonzero(both) < LEAST:
                    return None
                step = self._step(photo, _detail(_blurred(theirs, both, blur), both), both)
                if step is None:
                    return None
                correction = correction @ np.array(
                    [[1 + step[2], step[4], step[0]], [step[3], 1 + step[5], step[1]], [step[6], step[7], 1]]
                )
                correction /= correction[2, 2]
                if np.abs(step[:6]).max() * self._unit < STILL:
                    break
            moved = transformed(self._moved(correction), self._corners) - self._corners
            if not np.abs(moved).max() <= MOST:
                return None
        return self._corrected(homography, correction)

    def agreement(self, theirs: np.ndarray, shown: Bools) -> float:
        """Return how well what another photo shows, grey uint8 (h, w), agrees with the known pixels: a correlation, at most 1."""
        both = self._known & shown
        if np.count_nonzero(both) < LEAST:
            return 0.0
        mine, other = (_detail(_blurred(grey, both, BLUR), both) for grey in (self._photo, theirs.astype(np.float32)))
        return self._correlation(mine, other, both)

    def complements(self, best: Warped, other: Warped) -> bool:
        """Return whether another picture, grey, shows a part of the surroundings that the best one does not: another plane."""
        details = [_detail(_blurred(self._photo, self._known, BLUR), self._known)]
        for one in (best, other):
            both = self._known & one.shown
            details.append(_detail(_blurred(one.pixels.astype(np.float32), both, BLUR), both))
        both = self._known & best.shown & other.shown
        errors = [_blurred(np.abs(detail - details[0]), both, PART) for detail in details[1:]]
        better = both & (errors[1] < errors[0])
        if self._weights[better].sum() < LEAST_PART * self._weights[self._known].sum():
            return False
        theirs, ours = (self._correlation(details[0], detail, better) for detail in (details[2], details[1]))
        return theirs >= SHOWS and ours <= SHOWS_NOT

    def _correlation(self, mine: Floats, theirs: Floats, where: Bools) -> float:
        """Return the weighted correlation of two pictures of detail where they are compared, -1 to 1."""
        weights = self._weights[where] / self._weights[where].sum()
        one, other = (values[where] - np.sum(weights * values[where]) for values in (mine, theirs))
        scale = float(np.sqrt(np.sum(weights * one**2) * np.sum(weights * other**2)))
        return float(np.sum(weights * one * other)) / scale if scale > 1e-3 else 0.0

    def _moved(self, correction: Matrix) -> Matrix:
        return np.asarray(self._frame @ correction @ np.linalg.inv(self._frame))

    def _corrected(self, homography: Matrix, correction: Matrix) -> Matrix:
        both = homography @ self._moved(correction)
        return np.asarray(both / both[2, 2])

    def _step(self, mine: Floats, theirs: Floats, both: Bools) -> Matrix | None:
        """Return the eight changes of the correction, and those of gain and bias, that bring the details together."""
        import cv2

        across = cv2.Scharr(theirs, cv2.CV_32F, 1, 0, scale=self._unit / 32)
        down = cv2.Scharr(theirs, cv2.CV_32F, 0, 1, scale=self._unit / 32)
        inner = cv2.erode(both.view(np.uint8), np.ones((3, 3), np.uint8), borderValue=0) > 0
        x, y, gx, gy, values = (part[inner] for part in (self._x, self._y, across, down, theirs))
        if len(x) < LEAST:
            return None
        along = -(gx * x + gy * y)
        slopes = np.stack([gx, gy, gx * x, gy * x, gx * y, gy * y, along * x, along * y, values, np.ones_like(x)])
        errors = mine[inner] - values
        spread = 1.48 * float(np.median(np.abs(errors))) + 1e-6
        trust = self._weights[inner] / (1 + (errors / (2 * spread)) ** 2)
        # Not by BLAS, whose threads wait for each other on a busy machine.
        rows = np.vstack([slopes, errors[None]])
        products = cv2.gemm(slopes * trust, rows, 1, None, 0, flags=cv2.GEMM_2_T).astype(np.float64)
        normal, right = products[:, :-1], products[:, -1]
        normal += np.eye(len(normal)) * 1e-6 * np.trace(normal) / len(normal)
        try:
            return np.linalg.solve(normal, right)
        except np.linalg.LinAlgError:  # nothing but plain areas
            return None


def _blurred(grey: Floats, known: Bools, blur: float) -> Floats:
    """Blur a picture by a Gaussian over its known pixels alone."""
    import cv2

    shares = known.astype(np.float32)
    sums = cv2.GaussianBlur(grey * shares, (0, 0), blur)
    return sums / np.maximum(cv2.GaussianBlur(shares, (0, 0), blur), np.float32(1e-3))


def _detail(grey: Floats, known: Bools) -> Floats:
    """Return a picture less the mean around each pixel, divided by the contrast there, by its known pixels alone."""
    import cv2

    shares, square = known.astype(np.float32), (NEIGHBOURHOOD, NEIGHBOURHOOD)
    count = np.maximum(cv2.blur(shares, square), np.float32(1e-3))
    detail = grey - cv2.blur(grey * shares, square) / count
    variance = cv2.blur(detail * detail * shares, square) / count
    return detail / np.sqrt(np.maximum(variance, 0) + NO_DETAIL**2)
