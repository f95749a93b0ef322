"""Filling every query by a method, timed; a photo that one method cannot fill spares the others."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.methods import make_completer
from ce_retrieval.errors import CeretError
from ce_retrieval.evaluation.classical import CLASSICAL
from ce_retrieval.evaluation.methods import Method
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.pixels import to_bytes, to_unit
from ce_retrieval.retrieval.search import search_contexts

CHUNK = 50  # photos filled as one batch

Done = Callable[[int, int], None]  # photos filled, photos in all


@dataclass
class Filled:
    """What a method made of the queries: photos uint8 (Q, S, S, 3), by row why one could not be filled, seconds in all."""

    photos: np.ndarray
    failed: dict[int, str] = field(default_factory=dict)
    seconds: float = 0.0


class Filler:
    """Fills the queries by one method after the other.

    indexes: by descriptor; scenes: photos of the collection, whose ids are those of every index; nearest: ids (Q,) of the
    photos that a search by pixels has found, by the search's name.
    """

    def __init__(
        self,
        queries: Queries,
        indexes: Mapping[str, PhotoIndex],
        scenes: PhotoCache,
        nearest: Mapping[str, np.ndarray],
        settings: EvaluationSettings,
    ) -> None:
        self._queries, self._indexes, self._scenes = queries, indexes, scenes
        self._nearest, self._settings = nearest, settings
        self._groups = queries.by_hole()

    def fill(self, method: Method, done: Done) -> Filled:
        """Fill every query; the seconds are those of the filling alone, with the index loaded and searched once before."""
        ways = {
            "features": self._by_completion,
            "network": self._by_completion,
            "patches": self._by_completion,
            "classical": self._by_classical,
            "pixels": self._from_scenes,
        }
        filled = Filled(self._queries.photos.copy())
        steps = ways[method.kind](method, filled)
        next(steps)  # what is made once for all queries
        count = 0
        start = time.perf_counter()
        for more in steps:
            count += more
            done(count, len(self._queries))
        filled.seconds = time.perf_counter() - start
        return filled

    def _by_completion(self, method: Method, filled: Filled) -> Iterator[int]:
        """Fill by a method of `completion.methods`, photos in parts of CHUNK."""
        index = self._indexes[method.base] if method.kind == "features" else None
        completer = make_completer(method.completion, index, settings=self._settings_of(method), scenes=self._scenes)
        queries = self._queries
        # What is made at the first use (the lifted vectors, the network's kernels) is not timed.
        if index is not None:
            search_contexts(index, queries.photos[:1], queries.holes[:1], 1, focus=completer.settings.focus)
        elif method.kind == "network":
            completer.complete_many([queries.photos[0]], [queries.holes[0]])
        yield 0
        for start in range(0, len(queries), CHUNK):
            part = slice(start, start + CHUNK)
            results = completer.complete_many(list(queries.photos[part]), list(queries.holes[part]))
            for row, result in enumerate(results, start):
                if isinstance(result, CeretError):
                    filled.failed[row] = str(result)
                else:
                    filled.photos[row] = result.best
            yield len(results)

    def _settings_of(self, method: Method) -> dict[str, Any]:
        """Return the settings of the completion method; every known pixel is kept."""
        settings = self._settings
        if method.kind == "network":
            return {"fill": method.fill, "weights": method.base or settings.weights}
        if method.kind == "patches":
            return {}
        search: dict[str, Any] = {
            "rerank": method.rerank,
            "focus": method.focus,
            "candidates": settings.candidates,
            "weights": settings.weights if method.rerank == "guided" else None,
        }
        if method.completion == "retrieval":
            k = min(settings.k, len(self._indexes[method.base])) if method.fill == "mean" else 1
            return {**search, "k": k, "fill": method.fill}
        kept = {"seam": 0.0, "top": 1} if method.completion == "scenes" else {}
        return {**search, "aligned": settings.aligned, **kept}

    def _by_classical(self, method: Method, filled: Filled) -> Iterator[int]:
        """Photos with the same hole go together, in parts of CHUNK, on all cores."""
        fill, queries = CLASSICAL[method.base], self._queries
        parts = [rows[start : start + CHUNK] for rows in self._groups for start in range(0, len(rows), CHUNK)]

        def work(rows: np.ndarray) -> int:
            try:
                filled.photos[rows] = fill(queries.photos[rows], queries.holes[rows[0]])
            except CeretError as error:
                filled.failed.update((int(row), str(error)) for row in rows)
            return len(rows)

        yield 0
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            yield from pool.map(work, parts)

    def _from_scenes(self, method: Method, filled: Filled) -> Iterator[int]:
        """Fill each photo from the one scene that was found for it, pasted or blended."""
        queries, ids = self._queries, self._nearest[method.base]
        yield 0
        for rows in self._groups:
            hole = queries.holes[rows[0]]
            solver = PoissonSolver(hole) if method.fill == "blend" else None
            for row in rows:
                found = self._scenes.get([ids[row]])
                if found.dropped:
                    filled.failed[int(row)] = found.dropped[0]
                    continue
                scene = found.photos[0]
                if solver:
                    scene = to_bytes(solver.blend(to_unit(scene)[None], to_unit(queries.photos[row]))[0])
                filled.photos[row, hole] = scene[hole]
            yield len(rows)
