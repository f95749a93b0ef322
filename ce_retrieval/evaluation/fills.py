"""Filling every query by a method, timed; a photo that one method cannot fill spares the others."""

import os
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.network import DecoderCompleter
from ce_retrieval.completion.overlay import Completer
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.settings import CompletionSettings, DecoderSettings, SceneSettings
from ce_retrieval.errors import CeretError
from ce_retrieval.evaluation.classical import baseline
from ce_retrieval.evaluation.methods import Method
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
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
            "features": self._by_features,
            "decoder": self._by_decoder,
            "baseline": self._by_baseline,
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

    def _by_features(self, method: Method, filled: Filled) -> Iterator[int]:
        index, queries = self._indexes[method.base], self._queries
        completer: Completer | SceneCompleter
        if method.fill == "scenes":
            completer = SceneCompleter(index, self._scene_settings(method), scenes=self._scenes)
        else:
            completer = Completer(index, self._completion(method, len(index)), scenes=self._scenes)
        focus = completer.settings.focus
        assert not isinstance(focus, str), "resolved by the completer"
        search_contexts(index, queries.photos[:1], queries.holes[:1], 1, focus=focus)
        yield 0
        yield from self._complete(completer, filled)

    def _by_decoder(self, method: Method, filled: Filled) -> Iterator[int]:
        weights = method.base or self._settings.weights
        settings = DecoderSettings(fill=method.fill, mirror=self._settings.guided.mirror, weights=weights)
        completer = DecoderCompleter(settings)
        completer.complete_many([self._queries.photos[0]], [self._queries.holes[0]])
        yield 0
        yield from self._complete(completer, filled)

    def _complete(self, completer: Completer | DecoderCompleter | SceneCompleter, filled: Filled) -> Iterator[int]:
        queries = self._queries
        for start in range(0, len(queries), CHUNK):
            part = slice(start, start + CHUNK)
            results = completer.complete_many(list(queries.photos[part]), list(queries.holes[part]))
            for row, result in enumerate(results, start):
                if isinstance(result, CeretError):
                    filled.failed[row] = str(result)
                else:
                    filled.photos[row] = result.best
            yield len(results)

    def _completion(self, method: Method, count: int) -> CompletionSettings:
        settings = self._settings
        return CompletionSettings(
            k=min(settings.k, count) if method.fill == "mean" else 1,
            rerank=method.rerank,
            fill=method.fill,
            focus=method.focus,
            candidates=min(settings.candidates, count),
            rim=settings.rim,
            guided=settings.guided,
            weights=settings.weights,
        )

    def _scene_settings(self, method: Method) -> SceneSettings:
        settings = self._settings
        return replace(
            settings.scenes,
            rerank=method.rerank,
            focus=method.focus,
            candidates=settings.candidates,
            rim=settings.rim,
            guided=settings.guided,
            weights=settings.weights,
            seam=0.0,
            top=1,
            pick=1,
        )

    def _by_baseline(self, method: Method, filled: Filled) -> Iterator[int]:
        """Photos with the same hole go together, in parts of CHUNK, on all cores."""
        fill, queries = baseline(method.base), self._queries
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
                    source, photo = (
                        pixels.astype(np.float32) / np.float32(255) for pixels in (scene, queries.photos[row])
                    )
                    blend = solver.blend(source[None], photo)[0]
                    scene = np.clip(np.rint(blend * 255), 0, 255).astype(np.uint8)
                filled.photos[row, hole] = scene[hole]
            yield len(rows)
