"""One pass over the collection's photos: near-duplicates of the queries, and the searches by pixels."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from ce_retrieval.completion.rerank.rim import rim_of
from ce_retrieval.evaluation.collection import NearestByPixels, read_collection
from ce_retrieval.evaluation.leaks import Leak, LeakGuard
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.reuse import KeptFiles, of_index, of_queries
from ce_retrieval.evaluation.settings import Progress
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache

RING = 8  # px, width of the flat ring that the search `ring` compares

REGIONS: Mapping[str, Callable[[np.ndarray], np.ndarray]] = {
    "oracle": lambda hole: hole,
    "ring": lambda hole: rim_of(hole, RING),
}


@dataclass(frozen=True)
class Scan:
    """What a pass found.

    Attributes
    ----------
    leaks : by row of the queries.
    nearest : int64 (Q,) by the name of a search by pixels
        ids of the photos that it found.
    seconds : what each search took per query.
    """

    leaks: Mapping[int, Leak]
    nearest: Mapping[str, np.ndarray]
    seconds: Mapping[str, float]


def scan_collection(
    index: PhotoIndex,
    scenes: PhotoCache,
    queries: Queries,
    searched: Sequence[str],
    allowed: np.ndarray | None,
    report: Progress,
    files: KeptFiles | None,
) -> Scan:
    """Compare the queries with every photo of the collection, and search by pixels.

    Parameters
    ----------
    searched : keys of REGIONS.
    allowed : bool (N,), the photos that searches may find; None: all.
    files : where what an earlier pass found is kept; None: nowhere.
    """
    part = None if allowed is None else np.flatnonzero(allowed).tolist()
    key = ["scan", of_index(index), *of_queries(queries), list(searched), part if searched else None]
    if files and (kept := files.get(key)):
        told, arrays = kept
        leaks = {int(row): Leak(**leak) for row, leak in told["leaks"].items()}
        return Scan(leaks, {name: arrays[name] for name in searched}, told["seconds"])
    found = _scan(index, scenes, queries, searched, allowed, report)
    if files:
        told = {"leaks": {row: asdict(leak) for row, leak in found.leaks.items()}, "seconds": found.seconds}
        files.put(key, told, found.nearest)
    return found


def _scan(
    index: PhotoIndex,
    scenes: PhotoCache,
    queries: Queries,
    searched: Sequence[str],
    allowed: np.ndarray | None,
    report: Progress,
) -> Scan:
    guard = LeakGuard(queries.names, queries.photos)
    searches = {
        name: NearestByPixels(queries.photos, np.stack([REGIONS[name](hole) for hole in queries.holes]))
        for name in searched
    }
    seconds = dict.fromkeys(searches, 0.0)
    for ids, photos in read_collection(index, scenes, report):
        guard.feed(ids, photos)
        if allowed is not None:
            ids, photos = ids[allowed[ids]], photos[allowed[ids]]
        for name, search in searches.items():
            start = time.perf_counter()
            search.feed(ids, photos)
            seconds[name] += (time.perf_counter() - start) / len(queries)
    return Scan(guard.leaks(index, scenes), {name: search.ids for name, search in searches.items()}, seconds)
