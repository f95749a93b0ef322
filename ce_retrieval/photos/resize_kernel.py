"""The compiled loops of `resizing`. This module imports numba: import it only where many photos are resized.

Every function runs on one thread and without the interpreter lock, so callers may use several threads. Machine code is
kept beside this file, or in the user's cache folder where this one is not writable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

BITS = 22  # of the fraction of a weight, as in Pillow's Resample.c
_HALF = np.int32(1 << (BITS - 1))
_BLOCK = 8  # rows that are turned together, so that both sides stay in the cache


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no writable folder for machine code: compile in each process
        return njit(nogil=True)(function)


@_compiled
def _weighted(lines: Any, first: Any, weights: Any, out: Any) -> None:
    """Write weighted sums of uint8 lines (n, m) to out (r, m): line k of sum i is `first`[i] + k, its weight `weights`[i, k]."""
    sums = np.empty(lines.shape[1], np.int32)
    for row in range(len(first)):
        sums[:] = _HALF
        for k in range(weights.shape[1]):
            weight = weights[row, k]
            if weight != 0:
                line = lines[first[row] + k]
                for i in range(len(sums)):
                    sums[i] += np.int32(line[i]) * weight
        target = out[row]
        for i in range(len(sums)):
            target[i] = np.uint8(min(max(sums[i] >> BITS, 0), 255))


@_compiled
def _turned(pixels: Any) -> Any:
    """Return uint32 (h, w) transposed."""
    height, width = pixels.shape
    out = np.empty((width, height), np.uint32)
    for start in range(0, height, _BLOCK):
        end = min(start + _BLOCK, height)
        for x in range(width):
            for y in range(start, end):
                out[x, y] = pixels[y, x]
    return out


@_compiled
def resampled(pixels: Any, left: Any, across: Any, top: Any, down: Any) -> Any:
    """Resize pixels of four bytes, uint32 (h, w), of which three count: uint8 (len(top), len(left), 3).

    Columns first, and rounded to bytes in between, as Pillow does. left, top: int64, the first pixel of each sum; across,
    down: int32, the weights.
    """
    rows, columns = len(top), len(left)
    narrow = np.empty((columns, 4 * pixels.shape[0]), np.uint8)
    _weighted(_turned(pixels).view(np.uint8), left, across, narrow)
    done = np.empty((rows, 4 * columns), np.uint8)
    _weighted(_turned(narrow.view(np.uint32)).view(np.uint8), top, down, done)
    out = np.empty((rows, columns, 3), np.uint8)
    for y in range(rows):
        for x in range(columns):
            for channel in range(3):
                out[y, x, channel] = done[y, 4 * x + channel]
    return out
