"""The compiled loops of `hog`. This module imports numba: import it only where HOG is computed.

Every function runs on one thread and without the interpreter lock, so callers may use several threads. Machine code is
kept beside this file, or in the user's cache folder where this one is not writable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

CELL = 8
BINS = 9
_REACH = 255  # gradients of 8-bit photos are integers in [-255, 255]


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # numba found no writable folder for machine code: compile in each process
        return njit(nogil=True)(function)


@_compiled
def cell_histograms(photos: Any, bin_of: Any) -> Any:
    """Sum the gradients: uint8 (B, S, S, 3), uint8 (511, 511) bin of gradient (row, column) -> float32 (B, S // 8, S // 8, 9)."""
    batch, size = photos.shape[0], photos.shape[1]
    cells = size // CELL
    used = cells * CELL
    out = np.zeros((batch, cells, cells, BINS), np.float32)
    squares = np.empty(used, np.int32)
    downs = np.empty(used, np.int32)
    rights = np.empty(used, np.int32)
    magnitudes = np.empty(used, np.float32)
    for b in range(batch):
        for y in range(used):
            # The gradient is 0 along an axis at that axis' two borders.
            above, below = (y, y) if y == 0 or y == size - 1 else (y - 1, y + 1)
            up, down, here = photos[b, above], photos[b, below], photos[b, y]
            for x in range(used):
                if x == 0 or x == size - 1:
                    left, right = x, x
                else:
                    left, right = x - 1, x + 1
                best = best_down = best_right = np.int32(-1)  # the first channel is always taken
                for c in range(3):
                    g_down = np.int32(down[x, c]) - np.int32(up[x, c])
                    g_right = np.int32(here[right, c]) - np.int32(here[left, c])
                    square = g_down * g_down + g_right * g_right
                    if square > best:
                        best, best_down, best_right = square, g_down, g_right
                squares[x], downs[x], rights[x] = best, best_down, best_right
            for x in range(used):
                magnitudes[x] = np.sqrt(np.float32(squares[x])) * np.float32(1 / (CELL * CELL))
            row = out[b, y // CELL]
            for x in range(used):
                row[x // CELL, bin_of[downs[x] + _REACH, rights[x] + _REACH]] += magnitudes[x]
    return out


@_compiled
def normalised_blocks(histograms: Any, side: int) -> Any:
    """Normalise by L2-Hys: float32 (B, n, n, 9) -> blocks of `side` x `side` cells, float32 (B, m * m, side * side * 9)."""
    batch, cells = histograms.shape[0], histograms.shape[1]
    rows = cells - side + 1
    width = side * BINS
    tiny = np.float32(1e-10)  # the reference's epsilon 1e-5, squared
    out = np.empty((batch, rows * rows, side * width), np.float32)
    for b in range(batch):
        flat = histograms[b].reshape(cells, cells * BINS)
        for r in range(rows):
            for c in range(rows):
                block = out[b, r * rows + c]
                total = tiny
                for i in range(side):
                    for j in range(width):
                        value = flat[r + i, c * BINS + j]
                        block[i * width + j] = value
                        total += value * value
                scale = np.float32(1) / np.sqrt(total)
                total = tiny
                for j in range(side * width):
                    value = min(block[j] * scale, np.float32(0.2))
                    block[j] = value
                    total += value * value
                scale = np.float32(1) / np.sqrt(total)
                for j in range(side * width):
                    block[j] *= scale
    return out
