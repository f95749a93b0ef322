"""Photos that an index has more than once: files with the same bytes, and near-duplicates."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from ce_retrieval.photo_index import PhotoIndex, PhotoRecord
from ce_retrieval.photo_index.columns import numbers_of
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.settings import WORKERS

NEIGHBOURS = 10  # nearest photos with which each is compared
AT_ONCE = 32  # photos searched for in one call
CACHE_BYTES = 256 << 20  # of decoded photos


@dataclass(frozen=True)
class Duplicate:
    """A photo of a group of duplicates.

    Attributes
    ----------
    id : int
        Position in the index.
    name : str
    record : PhotoRecord
    exact : bool
        Whether an earlier photo of the group has the same bytes.
    """

    id: int
    name: str
    record: PhotoRecord
    exact: bool


@dataclass(frozen=True)
class Duplicates:
    """What `find_duplicates` found.

    Attributes
    ----------
    groups : tuple of tuple of Duplicate
        Each of at least two photos, the one of most pixels first; groups by their lowest id.
    compared : int
        Pairs of photos whose pixels were compared.
    dropped : tuple of str
        One line for each photo that vanished or changed since it was indexed; its pixels were not compared.
    """

    groups: tuple[tuple[Duplicate, ...], ...]
    compared: int
    dropped: tuple[str, ...]


def find_duplicates(
    index: PhotoIndex,
    *,
    near: bool = True,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Duplicates:
    """Find the photos that an index has more than once, as groups.

    Two photos are duplicates if their files have the same bytes, or if they are near-duplicates (`photos.near_duplicates`):
    the same view recompressed, resized, slightly cropped or shot again. A photo is compared with its NEIGHBOURS nearest by
    the features of the index; so a mirrored copy is found only where these lie near it. Duplicates of duplicates belong to one
    group.

    Parameters
    ----------
    index : PhotoIndex
    near : bool
        False: by bytes alone, which reads no photo.
    workers : int or None
        Threads that decode; None: one a core.
    progress : callable or None
        Called with the photos done and the photos in total.

    Raises
    ------
    SettingsError
        `workers` is out of range.
    CorruptIndexError
        A file of the index has been damaged since it was opened.
    """
    if workers is not None:
        WORKERS.check("`workers`", workers)
    contents = numbers_of(index.column("sha256").combine_chunks().dictionary_encode().indices)
    _, first, which = np.unique(contents, return_index=True, return_inverse=True)
    same_as = first[which]  # the lowest id with these bytes
    group_of = same_as.copy()
    compared, dropped = 0, tuple[str, ...]()
    if near:
        compared, dropped = _join_near(index, group_of, workers or os.cpu_count() or 1, progress)
    group_of = group_of[same_as]
    return Duplicates(_groups(index, group_of, same_as), compared, dropped)


def _join_near(
    index: PhotoIndex, group_of: np.ndarray, workers: int, progress: Callable[[int, int], None] | None
) -> tuple[int, tuple[str, ...]]:
    """Join the groups of near-duplicates in place; return how many pairs were compared, and what could not be read.

    group_of : int64 (N,), the lowest id of each photo's group; one that is its own group's lowest stands for all of the same
    bytes.
    """
    alone = group_of == np.arange(len(group_of))
    whole = np.zeros((index.manifest.size, index.manifest.size), bool)
    cache = PhotoCache(index, CACHE_BYTES, workers)
    compared, total = 0, int(np.count_nonzero(alone))
    dropped: dict[str, None] = {}
    parent = {int(one): int(one) for one in np.flatnonzero(alone)}
    nearest = np.full((len(alone), NEIGHBOURS + 1), -1, np.int64)
    for done, (one, ids) in enumerate(_nearest(index, alone), start=1):
        nearest[one, : len(ids)] = ids
        # A pair is compared once: those of lower ids have had their turn.
        new = [other for other in ids.tolist() if other > one or (other < one and one not in nearest[other])]
        found = cache.get([one, *new])
        dropped |= dict.fromkeys(found.dropped)
        if len(found.positions) > 1 and found.positions[0] == 0:
            compared += len(found.positions) - 1
            copies = near_duplicates(found.photos[0], whole, found.photos[1:])
            for position in found.positions[1:][copies]:
                _join(parent, one, new[position - 1])
        if progress:
            progress(done, total)
    for one in parent:
        group_of[one] = _top(parent, one)
    return compared, tuple(dropped)


def _nearest(index: PhotoIndex, alone: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the id of each photo that a mask bool (N,) marks, and the ids of the marked ones nearest to it, itself too."""
    weights = np.ones((AT_ONCE, index.manifest.cells), np.float32)
    k = min(NEIGHBOURS + 1, int(np.count_nonzero(alone)))
    start = 0
    for grids in index.grids():
        rows = np.flatnonzero(alone[start : start + len(grids)])
        for begin in range(0, len(rows), AT_ONCE):
            some = rows[begin : begin + AT_ONCE]
            found = index.search(grids[some].astype(np.float32), weights[: len(some)], k, alone)
            yield from zip((start + some).tolist(), found.ids, strict=True)
        start += len(grids)


def _top(parent: dict[int, int], one: int) -> int:
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


def _join(parent: dict[int, int], one: int, other: int) -> None:
    low, high = sorted((_top(parent, one), _top(parent, other)))
    parent[high] = low


def _groups(index: PhotoIndex, group_of: np.ndarray, same_as: np.ndarray) -> tuple[tuple[Duplicate, ...], ...]:
    """Return the groups of more than one photo, given the lowest id of each photo's group, and of those with its bytes."""
    order = np.argsort(group_of, kind="stable")
    starts = np.flatnonzero(np.diff(group_of[order], prepend=-1))
    groups = []
    for ids in np.split(order, starts[1:]):
        if len(ids) < 2:
            continue
        rows = sorted(zip(ids.tolist(), index.records(ids), strict=True), key=lambda row: -row[1].width * row[1].height)
        seen: set[int] = set()
        group = []
        for one, record in rows:
            group.append(Duplicate(one, index.name_of(record), record, int(same_as[one]) in seen))
            seen.add(int(same_as[one]))
        groups.append(tuple(group))
    return tuple(groups)
