"""Searches for contexts whose neighbours are measured: with a hole that is left out, or with a hole that is painted over."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ce_retrieval.evaluation.queries import Queries, unserved
from ce_retrieval.evaluation.settings import LeftOut
from ce_retrieval.holes.strategies import fill_mean
from ce_retrieval.metrics import Floats, precision_at_k
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.retrieval.search import default_focus, described_contexts

CHUNK = 50  # photos that are searched for as one batch
TIMED_K = 20  # neighbours of the searches that are timed
DEPTH = 1000  # neighbours that are looked at
PRECISIONS = (1, 5, 10, 20)
RECALLS = (100, 1000)
AWARE, BLIND = "hole-aware", "hole-blind"


class Ranking(NamedTuple):
    """The nearest photos of each query.

    Attributes
    ----------
    ids : int64 (Q, depth), nearest first.
    seconds : float
        A query, searched in batches for TIMED_K neighbours: description and search.
    """

    ids: np.ndarray
    seconds: float


@dataclass(frozen=True)
class ContextSearch:
    """A way to search for contexts.

    Attributes
    ----------
    index : PhotoIndex
    blind : bool
        The hole is filled with the photo's mean colour, and the photo taken as whole; else the hole is left out.
    """

    index: PhotoIndex
    blind: bool = False

    @property
    def features(self) -> str:
        """The features that it compares; with the hole protocol of the index, unless that describes whole photos."""
        manifest = self.index.manifest
        return manifest.descriptor + ("" if manifest.hole == "none" else f", indexed with hole {manifest.hole}")

    @property
    def way(self) -> str:
        """Return AWARE or BLIND."""
        return BLIND if self.blind else AWARE

    def refused(self, queries: Queries) -> dict[int, LeftOut]:
        """Return, by row, the queries whose hole it cannot serve."""
        descriptor = self.index.descriptor
        return unserved(queries, self.index, [(descriptor, default_focus(descriptor))])

    def rank(self, queries: Queries, done: Callable[[int, int], None]) -> Ranking:
        """Return the DEPTH nearest photos to each query, or all of a smaller collection."""
        photos, holes = queries.photos, queries.holes
        depth, timed = min(DEPTH, len(self.index)), min(TIMED_K, len(self.index))
        found, seconds = [np.empty((0, depth), np.int64)], 0.0
        for start in range(0, len(photos), CHUNK):
            part = slice(start, start + CHUNK)
            if not start:  # what is loaded by the first search is not timed
                self.index.search(*self._described(photos[:1], holes[:1]), timed)
            begun = time.perf_counter()
            described = self._described(photos[part], holes[part])
            self.index.search(*described, timed)
            seconds += time.perf_counter() - begun
            found.append(self.index.search(*described, depth).ids)
            done(min(start + CHUNK, len(photos)), len(photos))
        return Ranking(np.concatenate(found), seconds / max(1, len(photos)))

    def nearest(self, queries: Queries, k: int) -> np.ndarray:
        """Return the k nearest photos to each query, or all of a smaller collection, int64 (Q, k)."""
        return self.index.search(*self._described(queries.photos, queries.holes), min(k, len(self.index))).ids

    def _described(self, photos: np.ndarray, holes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if self.blind:
            return described_contexts(self.index, fill_mean(photos, holes), np.zeros_like(holes), None)
        return described_contexts(self.index, photos, holes, default_focus(self.index.descriptor))


def kind_measures(labels: np.ndarray, collection: np.ndarray, ids: np.ndarray) -> dict[str, Floats]:
    """Return how many of the nearest photos are of a query's kind, float64 (Q,) in [0, 1] by the name of the measure.

    Parameters
    ----------
    labels, collection : texts (Q,) and (N,)
        Of the queries and of the collection's photos; "" for none.
    ids : int64 (Q, depth)

    Returns
    -------
    "P@k": the share among the k nearest. "recall@k": the share of all photos of that kind that is among the k nearest.
    "mAP@depth": the mean of the precisions at each right photo, over as many as there could be. NaN for a query without a
    label, and recall and mAP also for one whose label no photo of the collection has.
    """
    depth = ids.shape[1]
    found = collection[ids]
    measures = {f"P@{k}": precision_at_k(labels, found[:, :k]) for k in PRECISIONS if k <= depth}
    right = (found == labels[:, None]) & (labels != "")[:, None]
    known, counts = np.unique(collection, return_counts=True)
    of_label = dict(zip(known.tolist(), counts.tolist(), strict=True))
    totals = np.array([of_label.get(label, 0) if label else 0 for label in labels.tolist()])
    with np.errstate(invalid="ignore"):
        for k in sorted({min(k, depth) for k in RECALLS}):
            measures[f"recall@{k}"] = np.where(totals, right[:, :k].sum(axis=1) / np.maximum(totals, 1), np.nan)
        precisions = right.cumsum(axis=1) / np.arange(1, depth + 1)
        sums = (precisions * right).sum(axis=1)
        measures[f"mAP@{depth}"] = np.where(totals, sums / np.maximum(np.minimum(totals, depth), 1), np.nan)
    return measures


def ranks_of(originals: np.ndarray, ids: np.ndarray, same: np.ndarray) -> Floats:
    """Return the place at which each search found its original, float64 (A,), from 1; infinite where it did not.

    Parameters
    ----------
    originals : int64 (A,)
    ids : int64 (A, depth)
    same : int64 (N,)
        A number of each photo of the collection, equal for photos of the same bytes: each of these counts as the original.
    """
    hits = same[ids] == same[originals][:, None]
    return np.where(hits.any(axis=1), hits.argmax(axis=1) + 1.0, np.inf)


def copy_measures(ranks: Floats) -> dict[str, Floats]:
    """Return what the places of the originals are measured by, float64 (A,) each."""
    return {"first": (ranks == 1) * 1.0, "first 10": (ranks <= 10) * 1.0, "1 / rank": 1 / ranks}
