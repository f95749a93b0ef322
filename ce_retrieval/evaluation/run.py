"""The evaluation: cut a hole into photos whose truth is known, fill it by every method, measure the fills.

The protocol of Pathak et al. 2016, Table 1, with more measures; docs/evaluation.md has every convention.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import EvaluationError, counted
from ce_retrieval.evaluation.collection import drawn_photos, indexes_for
from ce_retrieval.evaluation.comparison import check_names
from ce_retrieval.evaluation.fills import Material
from ce_retrieval.evaluation.leaks import Leak
from ce_retrieval.evaluation.measuring import MethodResult, failures, fill_by, measure_fills, results_of
from ce_retrieval.evaluation.method_names import parse_methods
from ce_retrieval.evaluation.methods import Method, completion_settings, network_of
from ce_retrieval.evaluation.perceptual import Perceptual
from ce_retrieval.evaluation.place import SHEET_ROWS, check_place
from ce_retrieval.evaluation.queries import Queries, read_queries, unserved
from ce_retrieval.evaluation.reuse import KeptFiles, KeptMethods
from ce_retrieval.evaluation.scan import scan_collection
from ce_retrieval.evaluation.seen import seen_by
from ce_retrieval.evaluation.settings import EvaluationSettings, LeftOut, Metric, Progress
from ce_retrieval.figures import show_hole
from ce_retrieval.metrics import SSIM_WINDOW
from ce_retrieval.models.network_fill import NetworkFill
from ce_retrieval.photo_index import PhotoIndex, allowed_photos, restricted
from ce_retrieval.photo_index.photo_cache import PhotoCache

SCENE_BYTES = 1 << 30  # decoded photos of the collection that are kept


@dataclass(frozen=True)
class Evaluation:
    """All that was measured.

    Attributes
    ----------
    queries : the photos measured, with their holes, the same for every method.
    results : in the order of the methods.
    fills : what each method made of them, in the same order: uint8 (N, 3), the pixels under the hole of each photo in turn.
    leaks : queries with near-duplicates in the collection.
    unreadable : queries whose file could not be read.
    unserved : queries that a method could not fill.
    about : what a reader needs to know to read the figures.
    drawn : rows of the photos on the sheets, drawn by the seed.
    areas : float64 (Q,)
        The hole of each photo, as a share of its pixels.
    passed_over : (path, line) for each kind of file that was not taken for a query photo.
    """

    settings: EvaluationSettings
    queries: Queries
    results: Sequence[MethodResult]
    fills: Sequence[np.ndarray]
    leaks: Sequence[Leak]
    unreadable: Sequence[LeftOut]
    unserved: Sequence[LeftOut]
    about: Mapping[str, Any]
    drawn: Sequence[int]
    areas: np.ndarray
    passed_over: Sequence[tuple[str, str]] = ()

    @property
    def names(self) -> Sequence[str]:
        """The names of the photos measured."""
        return self.queries.names

    def pictures(self, row: int) -> list[np.ndarray]:
        """Return the pictures of a photo: with its hole, each method's fill, the truth; uint8 (S, S, 3) each."""
        photo, hole = self.queries.photos[row], self.queries.holes[row]
        start = np.count_nonzero(self.queries.holes[:row])
        filled = [photo.copy() for _ in self.fills]
        for picture, pixels in zip(filled, self.fills, strict=True):
            picture[hole] = pixels[start : start + np.count_nonzero(hole)]
        return [show_hole(photo, hole), *filled, photo]

    def only(self, rows: Sequence[int]) -> Evaluation:
        """Return the evaluation with these photos alone, by increasing rows; the figures of the methods stay those of all."""
        kept = np.zeros(len(self.names), bool)
        kept[rows] = True
        pixels = np.repeat(kept, self.queries.holes.sum(axis=(1, 2)))
        return replace(
            self,
            queries=self.queries.only(np.array(rows)),
            fills=[filled[pixels] for filled in self.fills],
            drawn=np.flatnonzero(np.isin(rows, self.drawn)).tolist(),
            areas=self.areas[kept],
        )


def evaluate(
    photos: Sequence[str | Path],
    index: PhotoIndex,
    out: str | Path,
    settings: EvaluationSettings,
    progress: Progress | None = None,
    *,
    reuse: Path | None = None,
    metrics: Mapping[str, Metric] | None = None,
    scenes: PhotoCache | None = None,
) -> Evaluation:
    """Measure methods on photos, filled from the collection of an index, at the index's size.

    Parameters
    ----------
    photos : files, folders or archives of the query photos.
    index : the collection to fill from.
    out : folder of the indexes of further features, OUT/FEATURES.ceret; each is built once.
    progress : called with (what is under way, done, in all).
    reuse : folder of methods that were measured before; those of which nothing has changed are taken from it, others put into it.
    metrics : own measures of fills, by names of their own; a column each, the mean over photos. With `reuse`, what was measured
        is taken up again as long as the source code of the function itself is the same.
    scenes : decoded photos of the index, to share among evaluations; None: its own.

    Raises
    ------
    SettingsError : unknown method or masks, a metric of a name that is taken or that returns something else, or a layer that
        the network of `perceptual` lacks.
    DescriptorError : the network of `perceptual` or its sidecar cannot be used.
    EvaluationError : the index is too small for SSIM, the collection has changed, or no query is left to measure.
    StorageError : `out` cannot be written, or holds a file in the place of a result that ceret did not write.
    CeretError : the errors of reading photos and masks, of searching, and of building an index.

    Notes
    -----
    Photos are resized to the index's size before their hole is cut, so that truth and fill have the same pixels. What one
    method cannot fill is left out for all. The figures depend on the seed, the photos and the index, not on the order of
    the methods.
    """
    report = progress or (lambda what, done, total: None)
    own = dict(metrics or {})
    check_names(own)
    allowed = drawn_photos(index, settings)
    methods = _methods(settings, restricted(index, allowed))
    check_place(Path(out))
    judge = Perceptual(settings.perceptual) if settings.perceptual is not None else None
    queries, unreadable, passed_over = read_queries(photos, index.manifest.size, settings, report, Path(out))
    networks = _networks(methods, settings, len(index))
    refused = _refused(queries, index, methods, networks.values())
    queries = queries.only(np.array([row for row in range(len(queries)) if row not in refused]))
    indexes = indexes_for([method.features for method in methods if method.features], index, Path(out), report)
    indexes = {name: restricted(one, allowed) for name, one in indexes.items()}
    scenes = scenes or PhotoCache(index, SCENE_BYTES, os.cpu_count() or 1)
    files = KeptFiles(reuse) if reuse else None
    searched = sorted({method.base for method in methods if method.kind == "pixels"})
    scan = scan_collection(index, scenes, queries, searched, allowed, report, files)
    clean = _without_leaks(queries, scan.leaks, settings, index)
    nearest = {name: ids[clean] for name, ids in scan.nearest.items()}
    material = Material(queries.only(clean), indexes, index.labels, scenes, nearest, judge, own, settings)
    about = _about(index, indexes, networks, judge) | {"seen": seen_by(material, methods)}
    kept = KeptMethods(files, material, index, networks, about) if files else None
    measured = []
    for method in methods:
        fill = partial(fill_by, material, method, report, spent=scan.seconds.get(method.base, 0.0))
        fills = kept.fills(method, fill) if kept else fill()
        measure = partial(measure_fills, material, fills)
        measured.append((fills, kept.measures(fills, measure) if kept else measure()))
    failed = failures(material.queries, [fills for fills, _ in measured])
    served = np.array([row not in failed for row in range(len(clean))])
    filled = material.queries.only(np.flatnonzero(served))
    pixels = np.repeat(served, material.queries.holes.sum(axis=(1, 2)))
    drawn = np.random.default_rng(settings.seed).permutation(len(filled))[:SHEET_ROWS]
    return Evaluation(
        settings=settings,
        queries=filled,
        results=results_of(material, measured, failed, kept.shares if kept else None),
        fills=[fills.pixels[pixels] for fills, _ in measured],
        leaks=list(scan.leaks.values()),
        unreadable=unreadable,
        unserved=[*refused.values(), *failed.values()],
        about=about,
        drawn=sorted(drawn.tolist()),
        areas=filled.holes.mean(axis=(1, 2)),
        passed_over=passed_over,
    )


def _methods(settings: EvaluationSettings, index: PhotoIndex) -> list[Method]:
    size = index.manifest.size
    if size < SSIM_WINDOW:
        raise EvaluationError(
            f"{index.path} is of size {size}: SSIM needs {SSIM_WINDOW} px or more, index at a larger size"
        )
    methods = parse_methods(settings.methods, size, index.manifest.hole, index.manifest.descriptor)
    for method in methods:
        if method.kind == "completion":
            allowed_photos(index, completion_settings(method, settings, len(index)).get("where"))
    return methods


def _networks(methods: Sequence[Method], settings: EvaluationSettings, photos: int) -> dict[str, NetworkFill]:
    """Return the networks of all methods by their weights, "" for those of the package: they are loaded before any work."""
    completions = [method for method in methods if method.kind == "completion"]
    used = (network_of(method, completion_settings(method, settings, photos)) for method in completions)
    return {name: NetworkFill(name or None) for name in sorted({name for name in used if name is not None})}


def _refused(
    queries: Queries, index: PhotoIndex, methods: Sequence[Method], networks: Iterable[NetworkFill]
) -> dict[int, LeftOut]:
    """Return, by row, the queries that a method cannot fill; EvaluationError where these are all."""
    searches = [(method.descriptor, method.focus) for method in methods if method.descriptor]
    refused = unserved(queries, index, searches, list(networks))
    if len(refused) == len(queries):
        first = next(iter(refused.values()))
        raise EvaluationError(f"none of {counted(len(queries), 'photo')} can be measured; {first.name}: {first.reason}")
    return refused


def _without_leaks(
    queries: Queries, leaks: Mapping[int, Leak], settings: EvaluationSettings, index: PhotoIndex
) -> np.ndarray:
    kept = [row for row in range(len(queries)) if settings.keep_leaks or row not in leaks]
    if not kept:
        raise EvaluationError(
            f"every photo ({len(leaks)}) has near-duplicates in {index.path}: give other photos, or set `keep_leaks`"
        )
    return np.array(kept)


def _about(
    index: PhotoIndex,
    indexes: Mapping[str, PhotoIndex],
    networks: Mapping[str, NetworkFill],
    judge: Perceptual | None,
) -> dict[str, Any]:
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
        "memory": "most resident memory of the whole process while the method fills, with index, queries and collection, MB",
        "threads": os.cpu_count(),
        "size": manifest.size,
        "collection": {"index": str(index.path), "photos": len(index), "hole": manifest.hole},
        "features": sorted({manifest.descriptor, *indexes}),
        "networks": [network.about for network in networks.values()],
        "perceptual": judge.about if judge else None,
        "libraries": dict(manifest.libraries),
    }
