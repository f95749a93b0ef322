"""Filling every query by a method, timed; a photo that one method cannot fill spares the others."""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.methods import make_completer
from ce_retrieval.errors import CeretError
from ce_retrieval.evaluation.classical import CLASSICAL
from ce_retrieval.evaluation.methods import KEPT, Method, completion_settings, network_of
from ce_retrieval.evaluation.perceptual import Perceptual
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import EvaluationSettings, Metric
from ce_retrieval.evaluation.watch import Cost, watched
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import to_bytes, to_unit
from ce_retrieval.retrieval.search import search_contexts

CHUNK = 50  # photos filled as one batch

Done = Callable[[int, int], None]  # photos filled, photos in all


@dataclass(frozen=True)
class Material:
    """The queries that are measured, and what they are filled from.

    Attributes
    ----------
    indexes : by features.
    labels : of the collection's photos, by id; "" for none.
    scenes : photos of the collection; their ids are those of every index.
    nearest : int64 (Q,) by the name of a search by pixels
        ids of the photos that it found.
    perceptual : measures the fills by a network.
    metrics : the user's own measures, by name.
    """

    queries: Queries
    indexes: Mapping[str, PhotoIndex]
    labels: Sequence[str]
    scenes: PhotoCache
    nearest: Mapping[str, np.ndarray]
    perceptual: Perceptual | None
    metrics: Mapping[str, Metric]
    settings: EvaluationSettings


@dataclass
class Filled:
    """The fills of a method.

    Attributes
    ----------
    photos : uint8 (Q, S, S, 3)
    failed : by row, why a photo could not be filled.
    labels : by row, the labels of the scenes that it was filled from, best first, KEPT at most; "" for none.
    cost : of all fills together.
    """

    photos: np.ndarray
    failed: dict[int, str] = field(default_factory=dict)
    labels: dict[int, list[str]] = field(default_factory=dict)
    cost: Cost = field(default=Cost(0.0, 0.0, 0.0))


def fill_queries(material: Material, method: Method, done: Done) -> Filled:
    """Fill every query by a method; the cost leaves out what is made once for all queries, but for its memory."""
    ways = {"completion": _by_completion, "classical": _by_classical, "pixels": _from_scenes}
    filled = Filled(material.queries.photos.copy())
    steps = ways[method.kind](material, method, filled)

    def all_steps() -> None:
        count = 0
        for more in steps:
            count += more
            done(count, len(material.queries))

    _, filled.cost = watched(all_steps)
    return filled


# Each way makes what serves all queries when it is called. It returns an iterator that fills: the number of photos, a step.


def _by_completion(material: Material, method: Method, filled: Filled) -> Iterator[int]:
    """Fill by a method of `completion.methods`, photos in parts of CHUNK."""
    queries = material.queries
    index = material.indexes[method.features] if method.features else None
    settings = completion_settings(method, material.settings, len(material.labels))
    completer = make_completer(method.base, index, settings=settings, scenes=material.scenes)
    # The first use makes more (the lifted vectors, the network's kernels): that is not timed either.
    if index is not None:
        search_contexts(index, queries.photos[:1], queries.holes[:1], 1, focus=method.focus)
    elif network_of(method, settings) is not None:
        completer.complete_many([queries.photos[0]], [queries.holes[0]])

    def work(start: int) -> int:
        part = slice(start, start + CHUNK)
        results = completer.complete_many(list(queries.photos[part]), list(queries.holes[part]))
        for row, result in enumerate(results, start):
            if isinstance(result, CeretError):
                filled.failed[row] = str(result)
            else:
                filled.photos[row] = result.best
                filled.labels[row] = [candidate.label for candidate in result.candidates[:KEPT]]
        return len(results)

    return map(work, range(0, len(queries), CHUNK))


def _by_classical(material: Material, method: Method, filled: Filled) -> Iterator[int]:
    """Fill photos with the same hole together, in parts of CHUNK, on all cores."""
    fill, queries = CLASSICAL[method.base], material.queries
    parts = [rows[start : start + CHUNK] for rows in queries.by_hole() for start in range(0, len(rows), CHUNK)]

    def work(rows: np.ndarray) -> int:
        try:
            filled.photos[rows] = fill(queries.photos[rows], queries.holes[rows[0]])
        except CeretError as error:
            filled.failed.update((int(row), str(error)) for row in rows)
        return len(rows)

    def steps() -> Iterator[int]:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(work, parts)

    return steps()


def _from_scenes(material: Material, method: Method, filled: Filled) -> Iterator[int]:
    """Fill each photo from the one scene that a search by pixels found, pasted or blended."""
    queries, ids, labels = material.queries, material.nearest[method.base], material.labels

    def work(rows: np.ndarray) -> int:
        hole = queries.holes[rows[0]]
        solver = PoissonSolver(hole) if method.settings["fill"] == "blend" else None
        for row in rows:
            found = material.scenes.get([ids[row]])
            if found.dropped:
                filled.failed[int(row)] = found.dropped[0]
                continue
            scene = found.photos[0]
            if solver:
                scene = to_bytes(solver.blend(to_unit(scene)[None], to_unit(queries.photos[row]))[0])
            filled.photos[row, hole] = scene[hole]
            filled.labels[int(row)] = [labels[ids[row]]]
        return len(rows)

    return map(work, queries.by_hole())
