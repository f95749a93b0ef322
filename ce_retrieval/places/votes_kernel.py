"""The compiled loops of the search by local features. This module imports numba: import it only where votes are counted.

Every function runs on one thread and without the interpreter lock.
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
def matches(starts: Any, signatures: Any, cells: Any, wanted: Any, most: int) -> Any:
    """Compare the features of a query with the lists of its cells.

    Parameters
    ----------
    starts, signatures : of an `InvertedFile`
    cells, wanted : int64, uint64 (n, k)
        Cells of each feature of the query, and its signature in each.
    most : int
        Bits in which signatures may differ.

    Returns
    -------
    int32 (m, 3): feature of the query, place in the file, bits that differ.
    """
    size = 0
    for feature in range(cells.shape[0]):
        for number in range(cells.shape[1]):
            size += starts[cells[feature, number] + 1] - starts[cells[feature, number]]
    found = np.empty((size, 3), np.int32)
    count = 0
    for feature in range(cells.shape[0]):
        for number in range(cells.shape[1]):
            signature = wanted[feature, number]
            for place in range(starts[cells[feature, number]], starts[cells[feature, number] + 1]):
                bits = signature ^ signatures[place]
                bits -= (bits >> np.uint64(1)) & np.uint64(0x5555555555555555)
                bits = (bits & np.uint64(0x3333333333333333)) + ((bits >> np.uint64(2)) & np.uint64(0x3333333333333333))
                bits = (bits + (bits >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
                differing = (bits * np.uint64(0x0101010101010101)) >> np.uint64(56)
                if differing <= most:
                    found[count, 0] = feature
                    found[count, 1] = place
                    found[count, 2] = differing
                    count += 1
    return found[:count].copy()


@_compiled
def best_votes(ids: Any, turns: Any, zooms: Any, weights: Any, shape: Any, votes: Any) -> None:
    """Set the votes float32 (N,) of photos: the most that agree in turn and zoom.

    Parameters
    ----------
    ids : int64 (m,), ascending
        Photo of each match.
    turns, zooms : float32 (m,)
        In bins; turns of shape[0] bins go round, zooms lie within shape[1].
    weights : float32 (m,)
    """
    bins = np.zeros(shape, np.float32)
    start = 0
    while start < len(ids):
        end = start
        bins[:] = 0
        while end < len(ids) and ids[end] == ids[start]:
            turn, zoom = int(np.floor(turns[end])), int(np.floor(zooms[end]))
            right, down = turns[end] - turn, zooms[end] - zoom
            for a in range(2):
                for b in range(2):
                    z = min(max(zoom + b, 0), shape[1] - 1)
                    share = (right if a else 1 - right) * (down if b else 1 - down)
                    bins[(turn + a) % shape[0], z] += share * weights[end]
            end += 1
        most = np.float32(0)
        for t in range(shape[0]):
            for z in range(shape[1] - 1):
                both = (t + 1) % shape[0]
                total = bins[t, z] + bins[t, z + 1] + bins[both, z] + bins[both, z + 1]
                most = max(most, total)
        votes[ids[start]] = most
        start = end
