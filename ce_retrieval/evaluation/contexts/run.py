"""Context nearest neighbours, measured: how often they are of the photo's kind, and whether copies find their originals.

D. Pathak et al., "Context Encoders" (2016), section 5.1, showed such neighbours (Figure 8). docs/evaluation.md has
the measures.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.descriptors import make_descriptor, protocol_spec
from ce_retrieval.errors import EvaluationError, SettingsError, counted
from ce_retrieval.evaluation.collection import check_same_photos, indexes_for, read_collection
from ce_retrieval.evaluation.contexts.altered import Altered, altered_copies
from ce_retrieval.evaluation.contexts.holes import Served, drawing_of, with_holes
from ce_retrieval.evaluation.contexts.picture import PictureRow, check_shown, picture_rows
from ce_retrieval.evaluation.contexts.place import check_context_place
from ce_retrieval.evaluation.contexts.search import ContextSearch, copy_measures, kind_measures, ranks_of
from ce_retrieval.evaluation.contexts.settings import SQUARE, ContextSettings
from ce_retrieval.evaluation.leaks import Leak, LeakGuard
from ce_retrieval.evaluation.queries import Queries, read_queries
from ce_retrieval.evaluation.run import SCENE_BYTES
from ce_retrieval.evaluation.settings import LeftOut, Progress
from ce_retrieval.metrics import Floats
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache


@dataclass(frozen=True)
class ContextResult:
    """The figures of a search under one kind of holes.

    Attributes
    ----------
    hole : kind of holes.
    features, way : of the search.
    kind : float64 (Q,) by measure, of the queries (`kind_measures`); empty where no label is shared with the collection.
    copies : float64 (A,) by measure, of the altered copies (`copy_measures`).
    seconds : a query.
    """

    hole: str
    features: str
    way: str
    kind: Mapping[str, Floats]
    copies: Mapping[str, Floats]
    seconds: float


@dataclass(frozen=True)
class ContextEvaluation:
    """All that was measured.

    Attributes
    ----------
    results : by hole, then by search.
    names, copied : by hole, the photos and the altered copies that every search was measured on.
    picture : rows of the picture of Figure 8, under the hole `picture_hole`.
    leaks : queries with near-duplicates in the collection.
    unreadable, unserved : queries that were left out.
    chance : what the first figures would be by chance, by measure.
    about : what a reader needs to know to read the figures.
    passed_over : (path, line) for each kind of file that was not taken for a query photo.
    """

    settings: ContextSettings
    results: Sequence[ContextResult]
    names: Mapping[str, Sequence[str]]
    copied: Mapping[str, Sequence[str]]
    picture: Sequence[PictureRow]
    picture_hole: str
    leaks: Sequence[Leak]
    unreadable: Sequence[LeftOut]
    unserved: Sequence[LeftOut]
    chance: Mapping[str, float]
    about: Mapping[str, Any]
    passed_over: Sequence[tuple[str, str]] = ()


def measure_contexts(
    photos: Sequence[str | Path],
    indexes: Sequence[PhotoIndex],
    out: str | Path,
    settings: ContextSettings,
    progress: Progress | None = None,
) -> ContextEvaluation:
    """Measure the nearest contexts of photos, at the indexes' size.

    Parameters
    ----------
    photos : files, folders or archives of the query photos.
    indexes : of the same photos, one a descriptor or hole protocol. The first is the collection.
    out : folder of the indexes of further features, OUT/FEATURES.ceret, built as for `evaluate`.
    progress : called with (what is under way, done, in all).

    Raises
    ------
    SettingsError : a value is unknown or out of range, or indexes do not go together.
    EvaluationError : the collection has changed, a photo for the picture is not there, or no query is left to measure.
    StorageError : `out` cannot be written, or holds a file in the place of a result that ceret did not write.
    CeretError : the errors of reading photos and masks, of searching, and of building an index.

    Notes
    -----
    What one search cannot serve under a kind of holes is left out for all. One that serves nothing there has no figures.
    """
    report = progress or (lambda what, done, total: None)
    out, index = Path(out), indexes[0]
    check_context_place(out)
    specs = _specs(settings, index)
    _check_together(indexes)
    read = settings.drawing("center")
    queries, unreadable, passed_over = read_queries(photos, index.manifest.size, read, report, out)
    chosen = check_shown(settings.shown, queries)
    searches = _searches([*indexes, *indexes_for(specs, index, out, report).values()], settings)
    leaks = _leaks(queries, index, report)
    clean = [row for row in range(len(queries)) if settings.keep_leaks or row not in leaks]
    if not clean:
        raise EvaluationError(
            f"every photo ({len(leaks)}) has near-duplicates in {index.path}: give other photos, or set `keep_leaks`"
        )
    shown = queries.only(chosen)
    queries = queries.only(np.array(clean))
    altered = altered_copies(index, settings.altered, settings.seed, report)
    size, kinds = index.manifest.size, settings.kinds()
    served = {hole: Served(hole, drawing_of(hole, settings, size), queries, altered, searches) for hole in kinds}
    of_picture = served.get(f"{SQUARE} 0.5", served[kinds[0]])
    if not len(shown):
        rows = np.random.default_rng(settings.seed).permutation(len(of_picture.queries))[: settings.rows]
        shown = of_picture.queries.only(np.sort(rows))
    picture = picture_rows(with_holes(shown, of_picture.draw), of_picture.searches, settings.k)
    return ContextEvaluation(
        settings=settings,
        results=[one for kind in served.values() for one in _results(kind, index, report)],
        names={hole: kind.queries.names for hole, kind in served.items()},
        copied={hole: kind.altered.queries.names for hole, kind in served.items()},
        picture=picture,
        picture_hole=of_picture.hole,
        leaks=list(leaks.values()),
        unreadable=unreadable,
        unserved=[one for kind in served.values() for one in kind.left_out],
        chance=_chance(queries, index),
        about=_about(searches, queries, altered),
        passed_over=passed_over,
    )


def _specs(settings: ContextSettings, index: PhotoIndex) -> list[str]:
    """Return the further descriptors in their one spelling; the errors of making them."""
    manifest = index.manifest
    given = (make_descriptor(protocol_spec(one, manifest.hole), manifest.size).spec for one in settings.features)
    return [spec for spec in dict.fromkeys(given) if spec != manifest.descriptor]


def _check_together(indexes: Sequence[PhotoIndex]) -> None:
    """Raise an error unless indexes are of the same photos and size, and each has other features or another hole protocol."""
    first, seen = indexes[0], set()
    for one in indexes:
        manifest = one.manifest
        if manifest.size != first.manifest.size:
            raise SettingsError(
                f"`index` {one.path} is of size {manifest.size}, and {first.path} of {first.manifest.size}: give "
                "indexes of one size"
            )
        if (manifest.descriptor, manifest.hole) in seen:
            raise SettingsError(
                f"`index` {one.path} has the features and the hole protocol of another one: give it once"
            )
        seen.add((manifest.descriptor, manifest.hole))
        check_same_photos(one, first, "index the same sources for each")


def _searches(indexes: Sequence[PhotoIndex], settings: ContextSettings) -> list[ContextSearch]:
    """Return the searches to measure; an index with the hole protocol "center" cannot be searched blindly."""
    searches = dict[tuple[str, bool], ContextSearch]()
    for index in indexes:
        ways = (False, True) if settings.blind and index.manifest.hole == "none" else (False,)
        for blind in ways:
            one = ContextSearch(index, blind)
            searches.setdefault((one.features, blind), one)
    return list(searches.values())


def _leaks(queries: Queries, index: PhotoIndex, report: Progress) -> dict[int, Leak]:
    """Return, by row, the queries with a near-duplicate in the collection."""
    guard = LeakGuard(queries.names, queries.photos)
    scenes = PhotoCache(index, SCENE_BYTES, os.cpu_count() or 1)
    for ids, photos in read_collection(index, scenes, report):
        guard.feed(ids, photos)
    return guard.leaks(index, scenes)


def _results(served: Served, index: PhotoIndex, report: Progress) -> list[ContextResult]:
    """Search for all photos and copies under one kind of holes, by each search."""
    labels, collection = np.array(served.queries.labels), np.array(index.labels)
    shared = bool((set(served.queries.labels) & set(index.labels)) - {""})
    same = np.unique(index.column("sha256").to_numpy(zero_copy_only=False), return_inverse=True)[1]
    found = []
    for one in served.searches:
        told = f"{served.hole}: {one.features}, {one.way}"
        ranking = one.rank(served.queries, partial(report, told))
        copies = dict[str, Floats]()
        if len(served.altered.queries):
            ids = one.rank(served.altered.queries, partial(report, f"{told}, copies")).ids
            copies = copy_measures(ranks_of(served.altered.ids, ids, same))
        kind = kind_measures(labels, collection, ranking.ids) if shared else {}
        found.append(ContextResult(served.hole, one.features, one.way, kind, copies, ranking.seconds))
    return found


def _chance(queries: Queries, index: PhotoIndex) -> dict[str, float]:
    """Return P@k by chance: the mean share of the collection that has a query's label; empty where no label is shared."""
    labels = np.array(index.labels)
    shares = [float((labels == label).mean()) for label in queries.labels if label]
    return {"P@k": float(np.mean(shares))} if any(shares) else {}


def _about(searches: Sequence[ContextSearch], queries: Queries, altered: Altered) -> dict[str, Any]:
    """What a reader needs to know to read the figures: collection, indexes, versions, hashes."""
    index = searches[0].index
    manifests = {one.features: one.index for one in searches}
    return {
        "size": index.manifest.size,
        "collection": {"index": str(index.path), "photos": len(index)},
        "indexes": {
            name: {
                "path": str(one.path),
                "hole": one.manifest.hole,
                "recipe": one.manifest.recipe,
                "weights_sha256": one.manifest.weights_sha256,
                "manifest_sha256": one.manifest.sha256,
                "libraries": dict(one.manifest.libraries),
            }
            for name, one in manifests.items()
        },
        "photos": counted(len(queries), "photo"),
        "photos_sha256": hashlib.sha256(queries.photos.tobytes()).hexdigest(),
        "copies_sha256": hashlib.sha256(altered.queries.photos.tobytes()).hexdigest(),
        "threads": os.cpu_count(),
    }
