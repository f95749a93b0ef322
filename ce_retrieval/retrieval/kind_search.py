"""Search by kind: how alike the photos of an index are to a query in what sort of place they show."""

from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.errors import DescriptorError, NoKindError
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.retrieval.query import protocol_hole, square_query

if TYPE_CHECKING:
    from indexes.base import SearchResult


def kind_similarity(index: PhotoIndex, photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """Return the cosine similarity in kind of every photo of an index to a query.

    The vectors are read segment by segment, so memory does not grow with the index by more than the result.

    Parameters
    ----------
    index : PhotoIndex
    photo : uint8 (H, W, 3)
        Of any size; at the index's size it is used as it is.
    hole : bool (H, W)
        True = missing; nothing under it is looked at. It may be empty.

    Returns
    -------
    float32 (N,)
        In [-1, 1]; position = id.

    Raises
    ------
    NoKindError
        The index has no kind features, or their weights are missing or have changed; or the hole leaves too little of the
        photo to tell its kind.
    PhotoIndexError
        The index takes only centre holes and this is another one.
    CorruptIndexError
        A file of the index has been damaged since it was opened.
    """
    kind = index.kind
    square, missing = square_query(photo, hole, index.manifest.size)
    seen, missing = square_query(square, protocol_hole(index, missing), kind.size)
    try:
        query = kind.describe(seen[None], missing[None] if missing.any() else None)[0]
    except DescriptorError as error:
        raise NoKindError(str(error)) from error
    from indexes.halves import widen

    similarity = np.empty(len(index), np.float32)
    start = 0
    for vectors in index.kinds():
        # Not by BLAS, whose threads wait for each other on a busy machine.
        similarity[start : start + len(vectors)] = np.einsum("nc,c->n", widen(vectors), query)
        start += len(vectors)
    return similarity


def nearest_kinds(similarity: np.ndarray, k: int, allowed: np.ndarray | None = None) -> "SearchResult":
    """Return the k photos most alike in kind: squared distances of unit vectors (1, k) and ids (1, k), ties by id.

    similarity float32 (N,) of `kind_similarity`; allowed bool (N,), the photos that may be found, at least k; None allows all.
    """
    from indexes.base import SearchResult

    ids = np.arange(len(similarity)) if allowed is None else np.flatnonzero(allowed)
    found = similarity[ids]
    if k < len(ids):  # all that are as alike as the k-th, so that ties do not depend on the partition
        least = np.partition(found, len(ids) - k)[len(ids) - k]
        ids, found = ids[found >= least], found[found >= least]
    order = np.lexsort((ids, -found))[:k]
    distances = np.maximum(2 - 2 * found[order], 0)
    return SearchResult(distances[None].astype(np.float32), ids[order][None])
