"""Measuring the fills of every method on the same photos: those that no method failed on."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from ce_retrieval.errors import EvaluationError, SettingsError, counted, shown
from ce_retrieval.evaluation.fills import Material, fill_queries
from ce_retrieval.evaluation.kernel_distance import kernel_distances
from ce_retrieval.evaluation.methods import KEPT, Method
from ce_retrieval.evaluation.perceptual import Judged
from ce_retrieval.evaluation.queries import Queries
from ce_retrieval.evaluation.settings import LeftOut, Metric, Progress
from ce_retrieval.evaluation.watch import Cost
from ce_retrieval.metrics import PHOTO_METRICS, Floats, Summary, measure, precision_at_k, summarise
from ce_retrieval.photo_index import findable
from ce_retrieval.retrieval.search import search_contexts

MEASURED_AT_ONCE = 16  # photos
PRECISION_K = 10  # neighbours that P@k looks at
KIND = ("kind@1", f"kind@{KEPT}")


@dataclass(frozen=True)
class MethodResult:
    """A method's figures.

    Attributes
    ----------
    summary : over all photos.
    precision : P@k; None where photos have no labels or the method finds no neighbours.
    kind : by name, "kind@1" and "kind@20", means over the photos for which they are defined (`kind_shares`). One is missing
        where it is defined for none.
    perceptual : by layer, means over all photos; empty where it was not measured.
    cost : seconds a photo, and what else filling cost.
    photos : every measure of every photo, float64 (Q,) by name; NaN where it is undefined.
    """

    method: Method
    summary: Summary
    precision: float | None
    kind: Mapping[str, float]
    perceptual: Mapping[str, float]
    cost: Cost
    photos: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Fills:
    """What a method made of the queries.

    Attributes
    ----------
    method : Method
    pixels : uint8 (N, 3), under the hole of each query in turn, row by row.
    kind : as `kind_shares` returns them.
    cost : seconds a query, and what else filling cost.
    failed : by row, why a query could not be filled.
    """

    method: Method
    pixels: np.ndarray
    kind: dict[str, Floats]
    cost: Cost
    failed: dict[int, str]


@dataclass(frozen=True)
class Measures:
    """What is measured of fills.

    Attributes
    ----------
    values : every error of every query, float64 (Q,) by name.
    judged : what a network makes of the fills; None: not measured.
    """

    values: dict[str, Floats]
    judged: Judged | None


Measured = tuple[Fills, Measures]


def fill_by(material: Material, method: Method, report: Progress, *, spent: float) -> Fills:
    """Fill the queries by a method; spent: seconds a query that a search by pixels took before."""
    queries = material.queries
    filled = fill_queries(material, method, lambda done, total: report(f"filling by {method.name}", done, total))
    cost = filled.cost._replace(seconds=spent + filled.cost.seconds / len(queries))
    kind = kind_shares(queries.labels, material.labels, filled.labels)
    return Fills(method, filled.photos[queries.holes], kind, cost, filled.failed)


def measure_fills(material: Material, fills: Fills) -> Measures:
    """Measure what a method made."""
    queries, judge = material.queries, material.perceptual
    photos = queries.photos.copy()
    photos[queries.holes] = fills.pixels
    return Measures(_values(queries, photos, material.metrics), judge.compare(queries, photos) if judge else None)


def kind_shares(
    queries: Sequence[str], collection: Sequence[str], scenes: Mapping[int, Sequence[str]]
) -> dict[str, Floats]:
    """Return how many of the scenes that a photo was filled from have its label, float64 (Q,) in [0, 1] each.

    Parameters
    ----------
    queries, collection : labels of the queries and of the collection's photos; "" for none.
    scenes : by row of the queries, the labels of its scenes, best first.

    Returns
    -------
    "kind@1" of the best scene, and "kind@20" of all its scenes, unless no photo has more than one. NaN for a photo without
    a label or a scene. Empty where queries and collection share no label.
    """
    if not (set(queries) & set(collection)) - {""}:
        return {}
    shares = np.full((2, len(queries)), np.nan)
    for row, labels in scenes.items():
        if queries[row] and labels:
            right = [label == queries[row] for label in labels]
            shares[:, row] = right[0], np.mean(right)
    names = KIND if any(len(labels) > 1 for labels in scenes.values()) else KIND[:1]
    found = dict(zip(names, shares[: len(names)], strict=True))
    return {name: share for name, share in found.items() if not np.isnan(share).all()}


def _values(queries: Queries, fills: np.ndarray, metrics: Mapping[str, Metric]) -> dict[str, Floats]:
    """Measure on all cores: the filters of SSIM run outside the interpreter's lock. `metrics` run in this thread."""
    parts = [slice(start, start + MEASURED_AT_ONCE) for start in range(0, len(queries), MEASURED_AT_ONCE)]
    material = [(queries.photos[part], fills[part], queries.holes[part]) for part in parts]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        measured = list(pool.map(lambda arrays: measure(*arrays), material))
    values = {name: np.concatenate([part[name] for part in measured]) for name in measured[0]}
    return values | {name: np.concatenate([_own(name, of, *each) for each in material]) for name, of in metrics.items()}


def _own(name: str, metric: Metric, truth: np.ndarray, fill: np.ndarray, hole: np.ndarray) -> Floats:
    """Return what a user's measure says of photos; SettingsError where that is not one number a photo."""
    found = np.asarray(metric(truth, fill, hole))
    if found.shape != (len(truth),) or found.dtype.kind not in "fiu":
        raise SettingsError(
            f"the metric {shown(name)} returned {found.dtype} {found.shape} for {len(truth)} photos: expected one number each"
        )
    return found.astype(np.float64)


def failures(queries: Queries, fills: Sequence[Fills]) -> dict[int, LeftOut]:
    """Return, by row, the queries that a method could not fill; EvaluationError where these are all."""
    failed: dict[int, LeftOut] = {}
    for one in fills:
        for row, reason in one.failed.items():
            failed.setdefault(row, LeftOut(queries.names[row], f"{one.method.name}: {reason}"))
    if len(failed) == len(queries):
        first = next(iter(failed.values()))
        raise EvaluationError(f"none of {counted(len(queries), 'photo')} could be filled; {first.name}: {first.reason}")
    return failed


def results_of(
    material: Material,
    measured: Sequence[Measured],
    failed: Mapping[int, LeftOut],
    known: Callable[[Method, Callable[[], Floats]], Floats] | None = None,
) -> list[MethodResult]:
    """Return the figures of each method over the queries that no method failed on.

    known : gives the shares P@k of a search where they are known, and else calls what computes them.
    """
    kept = np.array([row for row in range(len(material.queries)) if row not in failed])
    # Methods with the same features and focus share their search.
    judge = material.perceptual
    truth = judge.truth(material.queries)[kept] if judge else None
    searches = {_search(one.method): one.method for one, _ in measured if one.method.descriptor}
    precisions = {key: _precision(material, method, kept, known) for key, method in searches.items()}
    results = []
    for one, of in measured:
        values = {name: of_all[kept] for name, of_all in of.values.items()}
        kind = {name: share[kept] for name, share in one.kind.items()}
        means = {name: float(np.nanmean(share)) for name, share in kind.items() if not np.isnan(share).all()}
        distances: dict[str, float] = {}
        photos = {**values, **kind}
        if judge and truth is not None and of.judged is not None:
            each = of.judged.distances[kept]
            distances = dict(zip(judge.layers, each.mean(axis=0).tolist(), strict=True))
            photos["perceptual"] = each.mean(axis=1)
            photos["kid"] = 1000 * kernel_distances(truth, of.judged.features[kept])
        precision = precisions[_search(one.method)] if one.method.descriptor else None
        summary = summarise(**{name: values[name] for name in PHOTO_METRICS})
        results.append(MethodResult(one.method, summary, precision, means, distances, one.cost, photos))
    return results


def _search(method: Method) -> tuple[str, float | None]:
    return method.features, method.focus


def _precision(
    material: Material,
    method: Method,
    kept: np.ndarray,
    known: Callable[[Method, Callable[[], Floats]], Floats] | None,
) -> float | None:
    """Return P@k of a method by features, the mean over the queries with a label; None without labels to compare."""
    index, queries = material.indexes[method.features], material.queries
    if findable(index) < PRECISION_K or not (set(queries.labels) & set(index.labels)) - {""}:
        return None

    def compute() -> Floats:
        found = search_contexts(index, queries.photos, queries.holes, PRECISION_K, focus=method.focus)
        return precision_at_k(np.array(queries.labels), np.array(index.labels)[found.ids])

    shares = (known(method, compute) if known else compute())[kept]
    labelled = shares[~np.isnan(shares)]
    return float(labelled.mean()) if len(labelled) else None
