"""The evaluation: hold out the hole of photos whose truth is known, fill it by every method, measure the fills.

The protocol of Pathak et al. 2016, Table 1, with more measures; docs/evaluation.md has every convention.
"""

import os
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.completion.rerank.rim import rim_of
from ce_retrieval.errors import EvaluationError
from ce_retrieval.evaluation.collection import NearestByPixels, indexes_for, read_collection
from ce_retrieval.evaluation.fills import Filler
from ce_retrieval.evaluation.leaks import Leak, LeakGuard
from ce_retrieval.evaluation.methods import Method, parse_methods
from ce_retrieval.evaluation.queries import Queries, read_queries, unserved
from ce_retrieval.evaluation.settings import EvaluationSettings, LeftOut, Progress
from ce_retrieval.figures import show_hole
from ce_retrieval.metrics import SSIM_WINDOW, Floats, Summary, measure, precision_at_k, summarise
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.retrieval.search import default_focus, search_contexts
from ce_retrieval.storage import make_folder

SCENE_BYTES = 1 << 30  # decoded photos of the collection that are kept
MEASURED_AT_ONCE = 16  # photos


@dataclass(frozen=True)
class MethodResult:
    """A method's figures: their summary, P@k (None where photos have no labels or the method finds no neighbours),
    seconds a photo, and every measure of every photo.
    """

    method: Method
    summary: Summary
    precision: float | None
    seconds: float
    photos: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    names: the photos measured, by every method; leaks: queries with near-duplicates; unreadable, unserved: queries left out
    because they could not be read, or because a method could not fill them. `sheet`: rows of pictures (photo with hole,
    each method's fill, truth), with their names.
    """

    settings: EvaluationSettings
    names: Sequence[str]
    results: Sequence[MethodResult]
    leaks: Sequence[Leak]
    unreadable: Sequence[LeftOut]
    unserved: Sequence[LeftOut]
    about: Mapping[str, Any]
    sheet: Sequence[Sequence[np.ndarray]]
    sheet_names: Sequence[str]


def evaluate(
    photos: Sequence[str | Path],
    index: PhotoIndex,
    out: str | Path,
    settings: EvaluationSettings,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure methods on photos, filled from the collection of `index`, at the index's size.

    Photos are resized to size x size before their hole is cut, so truth and fill have the same pixels. A descriptor other
    than the index's is given an index of its own at `out`/FEATURES.ceret, built once from the same sources. What one method
    cannot serve is left out for all. The figures depend on seed, photos and index alone, whatever the order of the methods.
    EvaluationError: unknown method or mask strategy, no query left, a collection that changed; StorageError; the errors of
    searching and of building an index.
    """
    report = progress or (lambda what, done, total: None)
    size = index.manifest.size
    if size < SSIM_WINDOW:
        raise EvaluationError(
            f"{index.path} is of size {size}: SSIM needs {SSIM_WINDOW} px or more, index at that size"
        )
    methods = parse_methods(settings.methods, size, index.manifest.hole)
    make_folder(Path(out))
    queries, unreadable = read_queries(photos, size, settings, report)
    networks = _networks(methods, settings)
    refused = _refused(queries, index, methods, networks.values())
    queries = queries.only(np.array([row for row in range(len(queries)) if row not in refused]))
    indexes = indexes_for({m.base: None for m in methods if m.kind == "features"}, index, Path(out), report)
    scenes = PhotoCache(index, SCENE_BYTES, os.cpu_count() or 1)
    scan = _scan(index, scenes, queries, methods, settings, report)
    kept = _without_leaks(queries, scan.leaks, settings, index)
    nearest = {name: search.ids[kept] for name, search in scan.searches.items()}
    run = _Run(queries.only(kept), indexes, scenes, nearest, settings)
    for method in methods:
        run.measure(method, scan.seconds.get(method.base, 0.0), report)
    names, results, failed, (sheet, sheet_names) = run.finish()
    left_out = [*refused.values(), *failed]
    about = _about(index, indexes, networks)
    leaks = list(scan.leaks.values())
    return Evaluation(settings, names, results, leaks, unreadable, left_out, about, sheet, sheet_names)


def _networks(methods: Sequence[Method], settings: EvaluationSettings) -> dict[str, NetworkFill]:
    """Return the networks of all methods by their weights, "" for those of the package: they are loaded before any work."""
    own = {method.base for method in methods if method.kind == "network"}
    guided = {"" for method in methods if method.rerank == "guided"}
    names = {name or settings.weights or "" for name in own | guided}
    return {name: NetworkFill(name or None) for name in sorted(names)}


def _refused(
    queries: Queries, index: PhotoIndex, methods: Sequence[Method], networks: Iterable[NetworkFill]
) -> dict[int, LeftOut]:
    """Return the queries that a method cannot serve; EvaluationError, before anything is measured, if that is all."""
    searches = [(method.descriptor, method.focus) for method in methods if method.descriptor]
    resolved = [(d, default_focus(d) if focus == "auto" else focus) for d, focus in searches]
    refused = unserved(
        queries, index, [(d, focus) for d, focus in resolved if not isinstance(focus, str)], list(networks)
    )
    if len(refused) == len(queries):
        first = next(iter(refused.values()))
        raise EvaluationError(f"none of the {len(queries)} photos can be measured; {first.name}: {first.reason}")
    return refused


@dataclass(frozen=True)
class _Scan:
    """What one pass over the collection's photos found; seconds: what each search by pixels took per query."""

    leaks: dict[int, Leak]
    searches: dict[str, NearestByPixels]
    seconds: dict[str, float]


def _scan(
    index: PhotoIndex,
    scenes: PhotoCache,
    queries: Queries,
    methods: Sequence[Method],
    settings: EvaluationSettings,
    report: Progress,
) -> _Scan:
    guard = LeakGuard(queries.names, queries.photos)
    regions = {"oracle": lambda hole: hole, "ring": lambda hole: rim_of(hole, settings.ring)}
    wanted = {method.base for method in methods if method.kind == "pixels"}
    searches = {
        name: NearestByPixels(queries.photos, np.stack([regions[name](hole) for hole in queries.holes]))
        for name in sorted(wanted)
    }
    seconds = dict.fromkeys(searches, 0.0)
    for ids, photos in read_collection(index, scenes, report):
        guard.feed(ids, photos)
        for name, search in searches.items():
            start = time.perf_counter()
            search.feed(ids, photos)
            seconds[name] += (time.perf_counter() - start) / len(queries)
    return _Scan(guard.leaks(index, scenes), searches, seconds)


def _without_leaks(
    queries: Queries, leaks: Mapping[int, Leak], settings: EvaluationSettings, index: PhotoIndex
) -> np.ndarray:
    kept = [row for row in range(len(queries)) if settings.keep_leaks or row not in leaks]
    if not kept:
        raise EvaluationError(
            f"all {len(leaks)} photos have near-duplicates in {index.path}: give other photos, or set keep_leaks"
        )
    return np.array(kept)


class _Run:
    """The queries that are measured, and what the methods measured so far made of them."""

    def __init__(
        self,
        queries: Queries,
        indexes: Mapping[str, PhotoIndex],
        scenes: PhotoCache,
        nearest: Mapping[str, np.ndarray],
        settings: EvaluationSettings,
    ) -> None:
        self._queries, self._indexes, self._settings = queries, indexes, settings
        self._filler = Filler(queries, indexes, scenes, nearest, settings)
        self._shown = np.sort(np.random.default_rng(settings.seed).permutation(len(queries))[: settings.sheet_rows])
        self._measured: list[tuple[Method, dict[str, Floats], float]] = []
        self._precisions: dict[tuple[str, Any], Floats | None] = {}
        self._columns: list[np.ndarray] = []
        self._failed: dict[int, LeftOut] = {}

    def measure(self, method: Method, search_seconds: float, report: Progress) -> None:
        """Fill the queries by a method and measure the fills; search_seconds: what it has cost a photo before."""
        filled = self._filler.fill(method, lambda done, total: report(f"filling by {method.name}", done, total))
        for row, reason in filled.failed.items():
            self._failed.setdefault(row, LeftOut(self._queries.names[row], f"{method.name}: {reason}"))
        if method.kind == "features" and (method.base, method.focus) not in self._precisions:
            self._precisions[method.base, method.focus] = self._precision(method)
        seconds = search_seconds + filled.seconds / len(self._queries)
        self._measured.append((method, _measured(self._queries, filled.photos), seconds))
        self._columns.append(filled.photos[self._shown])

    def finish(self) -> tuple[list[str], list[MethodResult], list[LeftOut], tuple[list[list[np.ndarray]], list[str]]]:
        """Return names, results, what failed, and the sheet with its names: all of the photos that no method failed on."""
        queries = self._queries
        kept = np.array([row for row in range(len(queries)) if row not in self._failed], np.int64)
        if not len(kept):
            first = next(iter(self._failed.values()))
            raise EvaluationError(f"none of the {len(queries)} photos could be filled; {first.name}: {first.reason}")
        results = []
        for method, measured, seconds in self._measured:
            of_kept = {name: values[kept] for name, values in measured.items()}
            shares = self._precisions.get((method.base, method.focus))
            labelled = shares[kept][~np.isnan(shares[kept])] if shares is not None else np.empty(0)
            precision = float(labelled.mean()) if len(labelled) else None
            results.append(MethodResult(method, summarise(**of_kept), precision, seconds, of_kept))
        places = [place for place, row in enumerate(self._shown) if row not in self._failed]
        sheet = [self._sheet_row(place) for place in places]
        names = [queries.names[row] for row in kept]
        return names, results, list(self._failed.values()), (sheet, [queries.names[self._shown[p]] for p in places])

    def _precision(self, method: Method) -> Floats | None:
        """Return the share of each query's k nearest contexts with its label; None without labels to compare."""
        index, queries, k = self._indexes[method.base], self._queries, self._settings.precision_k
        if k > len(index) or not (set(queries.labels) & set(index.labels)) - {""}:
            return None
        focus = default_focus(index.descriptor) if method.focus == "auto" else method.focus
        assert not isinstance(focus, str), "only `auto` is a word"
        found = search_contexts(index, queries.photos, queries.holes, k, focus=focus)
        return precision_at_k(np.array(queries.labels), np.array(index.labels)[found.ids])

    def _sheet_row(self, place: int) -> list[np.ndarray]:
        row = self._shown[place]
        photo = self._queries.photos[row]
        return [show_hole(photo, self._queries.holes[row]), *(column[place] for column in self._columns), photo]


def _measured(queries: Queries, fills: np.ndarray) -> dict[str, Floats]:
    """Measure on all cores: the filters of SSIM run outside the interpreter's lock."""
    parts = [slice(start, start + MEASURED_AT_ONCE) for start in range(0, len(queries), MEASURED_AT_ONCE)]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(lambda part: measure(queries.photos[part], fills[part], queries.holes[part]), parts))
    return {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}


def _about(index: PhotoIndex, indexes: Mapping[str, PhotoIndex], networks: Mapping[str, NetworkFill]) -> dict[str, Any]:
    """What a reader needs to know to read the figures: region, range, averaging, timing, collection, versions."""
    manifest = index.manifest
    held = SCENE_BYTES // (3 * manifest.size**2)
    decoded = "" if held >= len(index) else f" but for scenes beyond the {held} that are held in memory"
    return {
        "region": "hole pixels, all channels",
        "range": "[0, 1]; L1 and L2 in percent",
        "averaging": "L1, L2, SSIM: mean over photos; psnr: mean of each photo's PSNR; sharpness: median over photos",
        "seconds": "wall clock a photo on all cores: search, re-rank and fill, with the index loaded; oracle and ring include "
        f"the comparison with every photo; decoding the collection is not included{decoded}",
        "threads": os.cpu_count(),
        "size": manifest.size,
        "collection": {"index": str(index.path), "photos": len(index), "hole": manifest.hole},
        "features": sorted({manifest.descriptor, *indexes}),
        "networks": [network.about for network in networks.values()],
        "libraries": dict(manifest.libraries),
    }
