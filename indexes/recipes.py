"""Recipes: the ways to search a collection, what each takes, and which one suits.

- `exact`: all grids in memory as float32, measured one by one.
- `pooled`: codes in memory, the candidates that they name measured on the stored grids (`indexes.pooled`).
- `lists`: the same with the codes in lists, of which a query scans a part (`indexes.lists`).
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass

from indexes.base import EngineError
from indexes.lists import MOST_LISTS
from indexes.pooling import Pooling

EXACT, POOLED, LISTS = "exact", "pooled", "lists"
MANY, VERY_MANY = 100_000, 3_000_000  # photos from which on codes, and lists of them, are used, if nothing else is said
# Bytes of vectors and of codes that a core scans in a second, and the seconds in which the candidates of a query are read and
# measured. They are rough, say what to expect, and decide nothing.
EXACT_RATE, CODE_RATE, SECOND_PASS = 2.5e9, 9e9, 10e-3
LISTED = 0.25  # share of the lists that a query scans, between those of wide holes and of small ones
ID = 8  # bytes that a list keeps for each photo beside its codes
# The recall@10 to promise for an effort: below the least of holes of 8 px to half the photo among a million photos
# (benchmarks/results/scale.md).
RECALLS = ((0.94, 0.5), (0.98, 1.0), (0.99, 2.0), (0.995, 4.0))
LIST_RECALLS = ((0.9, 0.5), (0.97, 1.0), (0.99, 2.0), (0.995, 4.0))


@dataclass(frozen=True)
class Recipe:
    """A way to search, and what it takes.

    Attributes
    ----------
    name : str
        EXACT, POOLED or LISTS.
    parts : int
        Codes for each group of cells; 0 where there are none.
    lists : int
        Into which the codes are divided; 0 where they are not.
    effort : float
        Factor on the candidates that are measured; 0 where all are.
    memory : int
        Bytes for the collection.
    seconds : float
        To expect for a query on this machine's cores.
    recall : float
        Share of the ten nearest that is to be expected, for holes of any size.
    """

    name: str
    parts: int
    lists: int
    effort: float
    memory: int
    seconds: float
    recall: float


def recipes(count: int, cells: int, channels: int, recall: float, cores: int | None = None) -> tuple[Recipe, ...]:
    """Return the recipes that there are for `count` grids (G, C), of which at least this share of the nearest is wanted.

    cores : of the machine; None: as many as it has.
    """
    cores = cores or os.cpu_count() or 1
    vectors = 4 * count * cells * (channels + 1)
    found = [Recipe(EXACT, 0, 0, 0.0, vectors, vectors / EXACT_RATE / cores, 1.0)]
    side = math.isqrt(cells)
    if side * side == cells and side > 1:
        parts = default_parts(channels)
        # And a checksum of each grid.
        size = Pooling(cells, channels, parts).code_bytes
        scan = count * size / CODE_RATE / cores
        expected, effort = _least(RECALLS, recall)
        found.append(Recipe(POOLED, parts, 0, effort, count * (size + 4), scan + effort * SECOND_PASS, expected))
        if lists := default_lists(count):
            expected, effort = _least(LIST_RECALLS, recall)
            seconds, memory = LISTED * scan + effort * SECOND_PASS, count * (size + 4 + ID)
            found.append(Recipe(LISTS, parts, lists, effort, memory, seconds, expected))
    return tuple(found)


def default_lists(count: int) -> int:
    """Return into how many lists the codes of a collection are divided: about the square root of its size; 0 for none."""
    lists = min(1 << (math.isqrt(count).bit_length() - 1), MOST_LISTS) if count else 0
    return lists if lists > 1 else 0


def _least(promised: Sequence[tuple[float, float]], recall: float) -> tuple[float, float]:
    """Return the recall that is promised, and its effort: the least that is enough, else the most."""
    return next((one for one in promised if one[0] >= recall), promised[-1])


def default_parts(channels: int) -> int:
    """Return into how many parts the channels of a group are cut: two channels to a code."""
    return math.ceil(channels / 2)


def choose(possible: Sequence[Recipe], count: int, recall: float, max_memory: int, name: str | None = None) -> Recipe:
    """Return the recipe that suits a collection.

    Parameters
    ----------
    possible : of `recipes`, the exact one first.
    count : int
        Grids of the collection.
    recall : float
        Least share of the ten nearest that a search is to find, in (0, 1].
    max_memory : int
        Bytes for the collection, at most.
    name : str or None
        The recipe to take; None: the exact one below MANY photos, then codes, in lists from VERY_MANY on; where it does not fit,
        the first that does.

    Raises
    ------
    EngineError
        There is no recipe of that name for these grids, or none fits; the message says the least memory that can do.
    """
    named = [one for one in possible if name in (None, one.name)]
    if not named:
        raise EngineError(
            f"there is no recipe {name!r} for these features: a search by codes needs a square grid of cells, and lists more "
            f"than three photos; take {' or '.join(one.name for one in possible)}"
        )
    good = [one for one in named if name or one.recall >= recall]
    fitting = [one for one in good if one.memory <= max_memory]
    if not fitting:
        least = min(good, key=lambda one: one.memory)
        raise EngineError(
            f"`max_memory` {max_memory >> 20}MB is too little to search {count:,} photos: give at least "
            f"{megabytes(least.memory)} (recipe {least.name}, recall {least.recall:g})"
            + (", or a lower `recall`" if not name and least.recall > 0.98 and len(possible) > 1 else "")
            + (", or another `recipe`" if any(one.memory <= max_memory for one in possible) else "")
        )
    suits = EXACT if count < MANY else POOLED if count < VERY_MANY else LISTS
    return sorted(fitting, key=lambda one: one.name != suits)[0]


def megabytes(size: int) -> str:
    """Return the least whole number of megabytes (2**20 bytes) that hold so many bytes, as `max_memory` is typed."""
    return f"{-(-size >> 20)}MB"
