"""Exact hole-aware search of a stream of grids, in memory for a block of them: what other searches are measured by."""

from collections.abc import Iterable

import numpy as np

from indexes.base import EngineError, SearchResult
from indexes.masked import lift, lift_queries


def exhaustive_search(blocks: Iterable[np.ndarray], grids: np.ndarray, weights: np.ndarray, k: int) -> SearchResult:
    """Return the k nearest of all grids in the blocks to each query, nearest first.

    Parameters
    ----------
    blocks : iterable of float (n, G, C)
        The collection; ids count through all blocks.
    grids : float (B, G, C)
    weights : float (B, G)
        In [0, 1], each row with a positive sum.
    k : int

    Returns
    -------
    Squared distances (B, k) and ids (B, k). Inner products of float32 are summed, so distances that are small against the
    norms have lost digits, and of two that are nearly equal either may come first.

    Raises
    ------
    EngineError
        The blocks hold fewer than k grids.
    """
    best = SearchResult(np.empty((len(grids), 0), np.float32), np.empty((len(grids), 0), np.int64))
    origin: np.ndarray | None = None
    start = 0
    for block in blocks:
        if origin is None:
            origin = block.mean(axis=0, dtype=np.float32)
            centred = np.subtract(grids, origin, dtype=np.float32)
            lifted = lift_queries(centred, np.asarray(weights, np.float32))
        scores = lifted @ lift(block, origin).T
        ids = np.broadcast_to(np.arange(start, start + len(block)), scores.shape)
        scores, ids = np.concatenate([best.scores, scores], axis=1), np.concatenate([best.ids, ids], axis=1)
        if scores.shape[1] > k:
            kept = np.argpartition(-scores, k - 1, axis=1)[:, :k]
            scores, ids = np.take_along_axis(scores, kept, 1), np.take_along_axis(ids, kept, 1)
        best = SearchResult(scores, ids)
        start += len(block)
    if origin is None or start < k:
        raise EngineError(f"k is {k}, but there are {start} grids: ask for at most as many")
    sums = weights.sum(axis=1)
    own = np.einsum("bg,bgc,bgc->b", weights, centred, centred)
    distances = np.maximum((own[:, None] - best.scores) / sums[:, None], 0).astype(np.float32)
    order = np.lexsort((best.ids, distances))
    return SearchResult(np.take_along_axis(distances, order, 1), np.take_along_axis(best.ids, order, 1))
