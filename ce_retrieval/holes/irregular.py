"""Irregular holes: brush strokes of any area up to 0.6 of the photo, equally often in each of six ranges.

Each stroke is a walk of a round brush. Strokes are drawn one after the other until the hole has its area, to the pixel, so
the last one may end anywhere.

Notes
-----
The ranges of area are those of G. Liu et al., "Image Inpainting for Irregular Holes Using Partial Convolutions" (2018); the
walks follow J. Yu et al., "Free-Form Image Inpainting with Gated Convolution" (2019), algorithm 1. Deviations: the numbers
of the walk are ours, and the holes of Liu et al. come from a file of masks that were found in videos.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.pixels import Bools

Uniforms = NDArray[np.float64]

AREAS = (0.01, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6)  # ends of the ranges: shares of the photo's pixels
STROKES, STEPS = 30, 8  # at most; of each stroke
RADIUS = (0.02, 0.08)  # of the brush; this and the length of a step are shares of the photo's side
LENGTH = (0.04, 0.2)
TURN = np.pi / 3  # largest, between two steps
DRAWS = 2 + STROKES * (4 + 2 * STEPS)


def irregular_holes(uniforms: Uniforms, size: int) -> Bools:
    """Return the holes bool (B, size, size) for uniform numbers in [0, 1), (B, DRAWS)."""
    return np.array([_hole(one, size) for one in uniforms]).reshape(-1, size, size)


def area_range(share: float) -> tuple[float, float]:
    """Return the range of AREAS that a hole of this share of the photo's pixels lies in; the widest above all."""
    ranges = list(itertools.pairwise(AREAS))
    return next((one for one in ranges if share <= one[1]), ranges[-1])


def _hole(uniforms: Uniforms, size: int) -> Bools:
    low, high = list(itertools.pairwise(AREAS))[int(uniforms[0] * (len(AREAS) - 1))]
    least, most = int(np.floor(low * size * size)) + 1, max(int(high * size * size), 1)
    count = min(least, most) + int(uniforms[1] * max(most - least + 1, 1))
    when = _painted(uniforms[2:].reshape(STROKES, -1), size, min(count, most))
    first = np.argsort(when, axis=None, kind="stable")[: min(count, most)]
    hole = np.zeros(size * size, bool)
    hole[first] = True
    return hole.reshape(size, size)


def _painted(strokes: Uniforms, size: int, count: int) -> Uniforms:
    """Return when each pixel (size, size) is first painted, in steps; at least `count` pixels have a finite time.

    Where all strokes together paint fewer, the pixels around them follow in the order of their distance.
    """
    when = np.full((size, size), np.inf)
    step = 0
    for stroke in strokes:
        for start, end, radius in _steps(stroke, size):
            _paint(when, start, end, radius, step)
            step += 1
        if np.count_nonzero(np.isfinite(when)) >= count:
            return when
    from scipy.ndimage import distance_transform_edt

    return np.where(np.isfinite(when), when, step + distance_transform_edt(np.isinf(when)))


def _steps(stroke: Uniforms, size: int) -> list[tuple[Uniforms, Uniforms, float]]:
    """Return (start, end, radius) of each step of a stroke, in px, (x, y); the photo's edges throw a walk back."""
    place, angle = size * stroke[:2], 2 * np.pi * stroke[2]
    radius = max(size * (RADIUS[0] + (RADIUS[1] - RADIUS[0]) * stroke[3]), 0.75)  # a pixel at least, wherever it stands
    found = []
    for turn, length in stroke[4:].reshape(STEPS, 2):
        angle += TURN * (2 * turn - 1)
        way = np.array([np.cos(angle), np.sin(angle)])
        end = place + size * (LENGTH[0] + (LENGTH[1] - LENGTH[0]) * length) * way
        way[(end < 0) | (end > size)] *= -1
        angle, end = np.arctan2(way[1], way[0]), size - np.abs(size - np.abs(end))
        found.append((place, end, radius))
        place = end
    return found


def _paint(when: Uniforms, start: Uniforms, end: Uniforms, radius: float, step: int) -> None:
    """Write into `when` (size, size), in place, the time at which a step of the brush reaches a pixel's centre first."""
    size = len(when)
    low = np.maximum(np.floor(np.minimum(start, end) - radius).astype(int), 0)
    high = np.minimum(np.ceil(np.maximum(start, end) + radius).astype(int), size)
    x, y = np.arange(low[0], high[0]) + 0.5, np.arange(low[1], high[1])[:, None] + 0.5
    way = end - start
    length = float(way @ way)
    along = np.clip(((x - start[0]) * way[0] + (y - start[1]) * way[1]) / length, 0, 1) if length else 0 * (x + y)
    away = ((x - start[0] - along * way[0]) ** 2 + (y - start[1] - along * way[1]) ** 2) / radius**2
    part = when[low[1] : high[1], low[0] : high[0]]
    # The end of a hole is round: of pixels that are reached at one time, the nearer come first.
    np.minimum(part, np.where(away <= 1, step + 0.9 * along + 0.1 * away, np.inf), out=part)
