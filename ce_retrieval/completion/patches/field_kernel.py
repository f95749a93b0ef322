"""The compiled loops of `patchmatch`. Imports numba: import this module only in functions that search for patches.

Every function is compiled to run without the interpreter lock and works on one range of patches or pixels, on one thread. Callers
give each thread its own ranges; the result does not depend on which thread takes which.

Flat arrays with unsigned indices keep the innermost loops free of checks that would prevent their vectorisation.
Machine code is cached beside this file, or in the user's cache folder if this one is not writable.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit

from ce_retrieval.completion.patches.pyramid import CHANNELS, PATCH

ROW = 32  # values in a copied row: the 28 of 7 pixels, and 4 of weight 0 to fill up whole vectors


def _compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    # Sums may be reordered, to be vectorised; NaN and infinity keep their meaning.
    relaxed = {"reassoc", "contract", "nsz"}
    try:
        return njit(nogil=True, cache=True, fastmath=relaxed)(function)
    except RuntimeError:  # numba has no folder to cache machine code in: compile in each process
        return njit(nogil=True, fastmath=relaxed)(function)


@_compiled
def _mixed(state: Any) -> Any:
    """The output function of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): uint64 -> uint64, a counter-based generator."""
    z = np.uint64(state)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


@_compiled
def _copy_patch(target: Any, weight: Any, at: Any, width: Any, row: Any, patch: Any, weights: Any) -> None:
    """Copy the patch at `at` and its weights, in rows of `row` values; values beyond the patch keep their weight 0."""
    for i in range(PATCH):
        a = np.uint64(i * row)
        b = np.uint64((at + i * width) * CHANNELS)
        for k in range(PATCH * CHANNELS):
            step = np.uint64(k)
            patch[a + step] = target[b + step]
            weights[a + step] = weight[b + step]


@_compiled
def _distance(patch: Any, weights: Any, row: Any, canvas: Any, source: Any, canvas_width: Any, limit: Any) -> Any:
    """Return the weighted squared difference of a copied patch and the canvas' patch at `source`; stop beyond `limit`."""
    total = np.float32(0)
    for i in range(PATCH):
        a = np.uint64(i * row)
        b = np.uint64((source + i * canvas_width) * CHANNELS)
        part = np.float32(0)
        # A loop of a length unknown to the compiler is vectorised; one of a known length is unrolled into scalars.
        for k in range(row):
            step = np.uint64(k)
            difference = patch[a + step] - np.float32(canvas[b + step])
            part += weights[a + step] * difference * difference
        total += part
        if total >= limit:
            return total
    return total


@_compiled
def costs(
    places: Any,
    first: int,
    last: int,
    field: Any,
    cost: Any,
    target: Any,
    weight: Any,
    width: int,
    canvas: Any,
    canvas_width: int,
    row: int,
) -> None:
    """Write the distance of each of `places[first:last]` from its source in `field` to `cost`."""
    patch, weights = np.zeros(PATCH * row, np.float32), np.zeros(PATCH * row, np.float32)
    for n in range(first, last):
        at = places[n]
        _copy_patch(target, weight, at, width, row, patch, weights)
        cost[at] = _distance(patch, weights, row, canvas, np.int64(field[at]), canvas_width, np.float32(np.inf))


@_compiled
def improve(
    places: Any,
    first: int,
    last: int,
    backwards: bool,
    field: Any,
    before: Any,
    cost: Any,
    target: Any,
    weight: Any,
    width: int,
    canvas: Any,
    valid: Any,
    canvas_width: int,
    row: int,
    key: Any,
) -> None:
    """Run one PatchMatch pass (Barnes et al. 2009, section 3.2: propagation, random search) over `places[first:last]`.

    Parameters
    ----------
    places : int64, flat first pixels of the patches, ascending
    backwards : whether to visit them in descending order
    field, cost : int32 (a canvas pixel, -1 = none) and float32, flat; updated in place
    before : `field` before the pass, read for neighbours in other bands
    target, weight : float32, flat; the window and the weights of its values
    width, canvas_width : px
    canvas : uint8, flat; each patch in it is followed by a pixel, in its row or the next
    valid : uint8, flat; 1 where a patch of the canvas may begin
    row : `ROW`
    key : uint64, another for every pass
    """
    canvas_height = len(valid) // canvas_width
    lowest, highest = places[first], places[last - 1]
    step = -1 if backwards else 1
    patch, weights = np.zeros(PATCH * row, np.float32), np.zeros(PATCH * row, np.float32)
    for turn in range(last - first):
        at = places[last - 1 - turn] if backwards else places[first + turn]
        _copy_patch(target, weight, at, width, row, patch, weights)
        best: Any = np.int64(field[at])
        best_cost = cost[at]
        for axis in range(2):
            beside = at - step if axis == 0 else at - step * width
            if beside < 0 or beside >= len(field):
                continue
            near = np.int64(field[beside]) if lowest <= beside <= highest else np.int64(before[beside])
            if near < 0:
                continue
            candidate = near + (step if axis == 0 else step * canvas_width)
            # A step over the canvas' side lands on an invalid place: each row ends with some.
            if candidate != best and 0 <= candidate < len(valid) and valid[candidate]:
                found = _distance(patch, weights, row, canvas, candidate, canvas_width, best_cost)
                if found < best_cost:
                    best, best_cost = candidate, found
        state = key + np.uint64(at) * np.uint64(0x9E3779B97F4A7C15)
        reach = max(canvas_height, canvas_width)
        while reach >= 1:
            state += np.uint64(0xD1B54A32D192ED03)
            bits = _mixed(state)
            y, x = best // canvas_width, best % canvas_width
            top, bottom = max(y - reach, 0), min(y + reach, canvas_height - 1)
            left, right = max(x - reach, 0), min(x + reach, canvas_width - 1)
            down = np.int64(((bits >> np.uint64(32)) * np.uint64(bottom - top + 1)) >> np.uint64(32))
            along = np.int64(((bits & np.uint64(0xFFFFFFFF)) * np.uint64(right - left + 1)) >> np.uint64(32))
            candidate = (top + down) * canvas_width + left + along
            if valid[candidate]:
                found = _distance(patch, weights, row, canvas, candidate, canvas_width, best_cost)
                if found < best_cost:
                    best, best_cost = candidate, found
            reach //= 2
        field[at] = best
        cost[at] = best_cost


@_compiled
def vote(
    holes: Any, first: int, last: int, field: Any, share: Any, width: int, canvas: Any, canvas_width: int, target: Any
) -> None:
    """Set each missing pixel `holes[first:last]` of `target` to the mean, weighted by `share`, of the patches over it.

    Parameters
    ----------
    holes : int64, flat pixels of the window
    field : int32, flat; -1 where no patch begins
    share : float32, flat; over 0 where one does
    width, canvas_width : px
    canvas : uint8, flat
    target : float32, flat; written
    """
    for n in range(first, last):
        at = holes[n]
        row, col = at // width, at % width
        total = np.float32(0)
        one = two = three = four = np.float32(0)
        for i in range(min(PATCH, row + 1)):
            for j in range(min(PATCH, col + 1)):
                place = np.uint64(at - i * width - j)
                source = np.int64(field[place])
                if source >= 0:
                    part = share[place]
                    pixel = np.uint64((source + i * canvas_width + j) * CHANNELS)
                    total += part
                    one += part * np.float32(canvas[pixel])
                    two += part * np.float32(canvas[pixel + np.uint64(1)])
                    three += part * np.float32(canvas[pixel + np.uint64(2)])
                    four += part * np.float32(canvas[pixel + np.uint64(3)])
        target[at * CHANNELS] = one / total
        target[at * CHANNELS + 1] = two / total
        target[at * CHANNELS + 2] = three / total
        target[at * CHANNELS + 3] = four / total
