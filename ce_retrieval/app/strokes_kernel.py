"""The compiled loops that draw a painting. Imports numba: import this module only in functions that draw.

A pixel (x, y) covers [x, x + 1) x [y, y + 1); a shape takes the pixels whose centres lie in it. Every function runs on one
thread and without the interpreter lock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no writable folder for machine code: compile in each process
        return njit(nogil=True)(function)


@_compiled
def within(x: Any, y: Any, ax: Any, ay: Any, bx: Any, by: Any, radius: Any) -> Any:
    """Return whether the distance of (x, y) from the segment from a to b is at most `radius`."""
    dx, dy = bx - ax, by - ay
    px, py = x - ax, y - ay
    along, length = px * dx + py * dy, dx * dx + dy * dy
    if along <= 0.0 or length == 0.0:
        return px * px + py * py <= radius * radius
    if along >= length:
        qx, qy = x - bx, y - by
        return qx * qx + qy * qy <= radius * radius
    across = px * dy - py * dx
    return across * across <= radius * radius * length


@_compiled
def span(y: Any, ax: Any, ay: Any, bx: Any, by: Any, radius: Any, width: Any) -> Any:
    """Return (first, end): the pixels of the row with centres at height y that are within `radius` of the segment.

    Within the radius of a segment is a convex set, so a row meets it in one interval: that of the two discs at its ends
    and of the rectangle between them. The roots are rounded, so the ends are put right by `within`.
    """
    left, right = np.inf, -np.inf
    for cx, cy in ((ax, ay), (bx, by)):
        half = radius * radius - (y - cy) * (y - cy)
        if half >= 0.0:
            left = min(left, cx - np.sqrt(half))
            right = max(right, cx + np.sqrt(half))
    dx, dy = bx - ax, by - ay
    length = np.sqrt(dx * dx + dy * dy)
    if length > 0.0 and dy != 0.0:
        # |(x - ax) dy - (y - ay) dx| <= radius length, and 0 <= (x - ax) dx + (y - ay) dy <= length^2
        middle, reach = ax + (y - ay) * dx / dy, abs(radius * length / dy)
        low, high = middle - reach, middle + reach
        if dx != 0.0:
            one, other = ax - (y - ay) * dy / dx, ax + (length * length - (y - ay) * dy) / dx
            low, high = max(low, min(one, other)), min(high, max(one, other))
        if low <= high and (dx != 0.0 or min(ay, by) <= y <= max(ay, by)):
            left, right = min(left, low), max(right, high)
    if left > right:
        return 0, 0
    first = int(max(0.0, np.ceil(left - 0.5)))
    end = int(min(float(width), np.floor(right - 0.5) + 1.0))
    while first > 0 and within(first - 0.5, y, ax, ay, bx, by, radius):
        first -= 1
    while first < end and not within(first + 0.5, y, ax, ay, bx, by, radius):
        first += 1
    while end < width and end > first and within(end + 0.5, y, ax, ay, bx, by, radius):
        end += 1
    while end > first and not within(end - 0.5, y, ax, ay, bx, by, radius):
        end -= 1
    return first, end


@_compiled
def draw_runs(row: Any, starts: Any, low: Any, high: Any, value: Any) -> Any:
    """Set the pixels of a row, bool (W,), that are in any span: `starts` int32 (W + 1,) says how many start at a pixel, less
    those that end before it. All spans are in [low, high]; `starts` is 0 thereafter.
    """
    inside, begun = 0, low
    for x in range(low, high + 1):
        if starts[x] != 0:
            if inside == 0:
                begun = x
            inside += starts[x]
            starts[x] = 0
            if inside == 0:
                row[begun:x] = value


@_compiled
def draw_stroke(hole: Any, points: Any, radius: Any, value: Any) -> Any:
    """Set the pixels within `radius` of a line: bool (H, W), float64 (N, 2) as (x, y) with N of at least 2, in place.

    The spans of all segments in a row are united before they are drawn, so strokes that go to and fro cost no more.
    """
    height, width = hole.shape
    segments = len(points) - 1
    starts = np.zeros(width + 1, np.int32)
    top = max(0.0, np.floor(points[:, 1].min() - radius - 0.5))
    bottom = min(float(height), np.ceil(points[:, 1].max() + radius + 0.5))
    for row in range(int(top), int(bottom)):
        y = row + 0.5
        low, high = width, 0
        for k in range(segments):
            ay, by = points[k, 1], points[k + 1, 1]
            if min(ay, by) - radius > y or max(ay, by) + radius < y:
                continue
            first, end = span(y, points[k, 0], ay, points[k + 1, 0], by, radius, width)
            if first < end:
                starts[first] += 1
                starts[end] -= 1
                low, high = min(low, first), max(high, end)
        draw_runs(hole[row], starts, low, high, value)


@_compiled
def in_ellipse(x: Any, y: Any, cx: Any, cy: Any, a2: Any, b2: Any) -> Any:
    """Return whether (x, y) is in the ellipse of this centre and these squares of its half axes, or on its border."""
    dx, dy = x - cx, y - cy
    return dx * dx * b2 + dy * dy * a2 <= a2 * b2


@_compiled
def draw_ellipse(hole: Any, x0: Any, y0: Any, x1: Any, y1: Any, value: Any) -> Any:
    """Set the pixels of the ellipse in a box: bool (H, W), in place. As in `span`, rounded ends are put right."""
    height, width = hole.shape
    a2, b2 = ((x1 - x0) / 2) ** 2, ((y1 - y0) / 2) ** 2
    cx, cy = (x0 + x1) / 2, (y0 + y1) / 2
    for row in range(int(max(0.0, np.floor(y0))), int(min(float(height), np.ceil(y1)))):
        y = row + 0.5
        half = np.sqrt(max(0.0, a2 * (1.0 - (y - cy) * (y - cy) / b2)))
        first = int(min(float(width), max(0.0, np.ceil(cx - half - 1.5))))
        end = int(max(0.0, min(float(width), np.floor(cx + half + 1.5))))
        while first < end and not in_ellipse(first + 0.5, y, cx, cy, a2, b2):
            first += 1
        while end > first and not in_ellipse(end - 0.5, y, cx, cy, a2, b2):
            end -= 1
        hole[row, first:end] = value


@_compiled
def grown(hole: Any, pixels: Any) -> Any:
    """Return the pixels within `pixels` of one of the hole, by the distance of centres: bool (H, W) -> bool (H, W).

    A run of hole pixels in one row reaches a row that is d away as a run that is floor(sqrt(pixels^2 - d^2)) longer at
    both ends, in whole numbers throughout.
    """
    height, width = hole.shape
    found = np.zeros((height, width), np.bool_)
    reach = np.empty(pixels + 1, np.int64)
    for d in range(pixels + 1):
        square = pixels * pixels - d * d
        reach[d] = int(np.sqrt(square))
        while reach[d] * reach[d] > square:
            reach[d] -= 1
        while (reach[d] + 1) * (reach[d] + 1) <= square:
            reach[d] += 1
    first = np.zeros(height + 1, np.int64)  # of the runs in each row
    edges = run_edges(hole, first)
    starts = np.zeros(width + 1, np.int32)
    for row in range(height):
        low, high = width, 0
        for other in range(max(0, row - pixels), min(height, row + pixels + 1)):
            more = reach[abs(other - row)]
            for k in range(first[other], first[other + 1], 2):
                left, end = max(0, edges[k] - more), min(width, edges[k + 1] + more)
                starts[left] += 1
                starts[end] -= 1
                low, high = min(low, left), max(high, end)
        draw_runs(found[row], starts, low, high, True)
    return found


@_compiled
def run_edges(hole: Any, first: Any) -> Any:
    """Return start and end of each run of True in the rows of bool (H, W), one after the other; write into `first` (H + 1,)
    where those of each row begin.
    """
    height, width = hole.shape
    count = 0
    for row in range(height):
        before = False
        for x in range(width):
            count += hole[row, x] != before
            before = hole[row, x]
        count += before
        first[row + 1] = count
    edges = np.empty(count, np.int64)
    k = 0
    for row in range(height):
        before = False
        for x in range(width):
            if hole[row, x] != before:
                edges[k] = x
                k += 1
                before = hole[row, x]
        if before:
            edges[k] = width
            k += 1
    return edges
