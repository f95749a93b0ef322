"""Context nearest neighbours: a photo with a hole -> the photos of an index whose surroundings are most alike.

D. Pathak et al., "Context Encoders: Feature Learning by Inpainting" (2016), section 5.1 and Figure 8, there with AlexNet and
HOG features; here with any descriptor.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.descriptors import Descriptor, cell_weights
from ce_retrieval.errors import DescriptorError, FilterError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import Origin, PhotoIndex, SameSource, allowed_photos
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.places.search import most_votes, place_votes
from ce_retrieval.retrieval.kind_search import kind_similarity, nearest_kinds
from ce_retrieval.retrieval.neighbor import Neighbor, neighbors_of
from ce_retrieval.retrieval.query import check_photo, check_query, check_whole, hinted, protocol_hole, square_query
from ce_retrieval.settings import Range, check_focus

if TYPE_CHECKING:
    from indexes.base import SearchResult

# Ids -> positions int64 (n,) of those that could be read, and their photos at the index's size, uint8 (n, S, S, 3).
Reader = Callable[[Sequence[int]], tuple[np.ndarray, np.ndarray]]
# k, photos that may be found as bool (N,) or None -> those found.
Search = Callable[[int, np.ndarray | None], "SearchResult"]

DEFAULT_K = 20
FEATURES = Range(choices=("index", "kind", "places"))  # to search by

# Length in px of the index's photo size over which a cell's weight falls by e away from the hole; None: it does not fall.
# Chosen on held-out photos by the L2 of a pasted centre (docs/results.md, Focus).
DEFAULT_FOCUS: dict[str, float | None] = {
    "encoder:cells": 16.0,
    "encoder:fill": 8.0,
    "gist": None,
    "hog": None,
    "thumbnail": 8.0,
}


def default_focus(descriptor: Descriptor) -> float | None:
    """Return the focus in px that was measured as best for a descriptor.

    None, no focus, if none was measured or if every cell sees the same part of the photo: then all cells are equally far
    from the hole.
    """
    if (descriptor.boxes == descriptor.boxes[0]).all():
        return None
    name, _, argument = descriptor.spec.partition(":")
    return DEFAULT_FOCUS.get(f"{name}:{argument.partition(':')[0]}", DEFAULT_FOCUS.get(name))


def search_contexts(
    index: PhotoIndex,
    photos: np.ndarray,
    holes: np.ndarray,
    k: int,
    *,
    focus: float | None = None,
    allowed: np.ndarray | None = None,
) -> "SearchResult":
    """Find the k nearest contexts of each photo of a batch.

    Parameters
    ----------
    index : PhotoIndex
    photos : uint8 (B, S, S, 3)
        At the index's size; see `square_query`.
    holes : bool (B, S, S)
        True = missing.
    k : int
        1 to the number of photos that may be found.
    focus : float or None
        px; cells are weighted by exp(-distance from the hole / focus). None: by visibility alone.
    allowed : bool (N,) or None
        Photos of the index that may be found; None allows all.

    Returns
    -------
    Squared distances (B, k) and ids (B, k), nearest first.

    Raises
    ------
    SettingsError
        k is out of range.
    PhotoIndexError
        The index takes only centre holes and this is another one.
    DescriptorError
        A hole leaves no cell visible.
    """
    return index.search(*described_contexts(index, photos, holes, focus), k, allowed)


def described_contexts(
    index: PhotoIndex, photos: np.ndarray, holes: np.ndarray, focus: float | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return what `PhotoIndex.search` takes of a batch: descriptors and weights of cells; as `search_contexts`."""
    holes = np.stack([protocol_hole(index, hole) for hole in holes])
    of_hole = {hole.tobytes(): hole for hole in holes}  # most batches share one hole
    weights = {key: cell_weights(index.descriptor, hole, focus) for key, hole in of_hole.items()}
    described = index.descriptor.describe(photos, holes if holes.any() else None)  # as whole photos of the index
    return described, np.stack([weights[hole.tobytes()] for hole in holes])


def search_apart(
    index: PhotoIndex,
    query: tuple[np.ndarray, np.ndarray],
    k: int,
    same: SameSource,
    origin: Origin | None,
    *,
    focus: float | None = None,
    allowed: np.ndarray | None = None,
    read: Reader | None = None,
    search: Search | None = None,
) -> "SearchResult":
    """Find the k nearest contexts of one query among photos that do not come from its own source.

    Left out are photos of the query's folder, photos with the same bytes, and near-duplicates of its visible part, mirrored
    ones too (`photos.near_duplicates`). Near-duplicates are looked for among the photos found; the search is repeated
    without them until there are none. A photo that cannot be read any more is not compared, so it may be found.

    Parameters
    ----------
    index : PhotoIndex
    query : (photo, hole)
        uint8 (S, S, 3) and bool (S, S) at the index's size.
    k : int
        At least 1; fewer are returned if fewer are left.
    same : SameSource
        Of `index`.
    origin : Origin or None
        The query's file, None if it has none.
    focus, allowed
        As in `search_contexts`.
    read : Reader or None
        Reads photos of the index at its size; None decodes them from their sources.
    search : Search or None
        By other features, which `focus` does not concern; None: by those of the index.

    Returns
    -------
    Squared distances (1, n) and ids (1, n), nearest first, n <= k.

    Raises
    ------
    FilterError
        No photo is left. Otherwise as `search_contexts`.
    """
    allowed = np.ones(len(index), bool) if allowed is None else allowed.copy()
    if origin is not None:
        allowed &= ~same.photos(origin)
    looked_at: set[int] = set()
    search = search or _near_hole(index, query, focus)
    while count := min(k, int(np.count_nonzero(allowed))):
        found = search(count, allowed)
        new = [i for i in found.ids[0].tolist() if i not in looked_at]
        positions, photos = read(new) if read else _decoded(index, new)
        copies = np.array(new, np.int64)[positions[near_duplicates(*query, photos)]]
        if not len(copies):
            return found
        allowed[copies] = False
        looked_at.update(new)
    raise nothing_apart(index, "leave out `exclude_same_source`")


def _search(index: PhotoIndex, photo: np.ndarray, hole: np.ndarray, features: str) -> Search | None:
    """Return the search for a photo of any size by kind or by place; None by the features of the index."""
    if features == "kind":
        similarity = kind_similarity(index, *square_query(photo, hole, index.manifest.size))
        return lambda k, allowed: nearest_kinds(similarity, k, allowed)
    if features == "places":
        votes = place_votes(index, photo, hole)
        return lambda k, allowed: _nearest_places(votes, k, allowed)
    return None


def _nearest_places(votes: np.ndarray, k: int, allowed: np.ndarray | None) -> "SearchResult":
    """Return the photos with the most votes, fewer than k where fewer have one, and 1 / (1 + votes) as their distances."""
    from indexes.base import SearchResult

    found = most_votes(votes, k, allowed)
    return SearchResult((1 / (1 + found.scores))[None], found.ids[None])


def _near_hole(index: PhotoIndex, query: tuple[np.ndarray, np.ndarray], focus: float | None) -> Search:
    """Return the search for a query at the index's size by the features of the index."""
    photo, hole = query
    return lambda k, allowed: search_contexts(index, photo[None], hole[None], k, focus=focus, allowed=allowed)


def nothing_apart(index: PhotoIndex, remedy: str) -> FilterError:
    """Return the error for a query for which `search_apart` has no photo."""
    return FilterError(
        f"every photo of {index.path} that may be found is from the query's own folder or a near-duplicate of it: {remedy}, "
        "or index others"
    )


def _decoded(index: PhotoIndex, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Read photos as a `Reader` does, each from its source."""
    found = PhotoCache(index, max_bytes=0, workers=os.cpu_count() or 1).get(ids)
    return found.positions, found.photos


def find_neighbors(
    index: PhotoIndex,
    photo: np.ndarray,
    hole: np.ndarray | None = None,
    k: int | None = None,
    *,
    features: str = "index",
    focus: float | str | None = "auto",
    where: str | None = None,
    apart_from: str | Path | None = None,
) -> list[Neighbor]:
    """Find the k nearest contexts of one photo with a hole, or the k photos most like a whole one, nearest first.

    Parameters
    ----------
    index : PhotoIndex
    photo : uint8 (H, W, 3)
    hole : bool (H, W) or None
        True = missing. None: the photo is whole; if it is in the index, it is the first (unless `apart_from` is given).
    k : int or None
        1 to the number of photos in the index; None: DEFAULT_K, or all of a smaller index.
    features : str
        "index": what the index was built with, near the hole; "kind": what sort of place the photos show
        (`kind_search.kind_similarity`); "places": local features, which photos of the same place share
        (`places.search.place_votes`).
    focus : float, None or "auto"
        As in `search_contexts`; "auto": the best for the index's features (`default_focus`). Not used without a hole, by
        kind or by places.
    where : str or None
        Find only photos for which this holds, as in "licence == 'CC0' and width >= 1024" (`photo_index.where`).
    apart_from : path or None
        The photo's file: find no photo of its folder and no near-duplicate of it (`search_apart`).

    Returns
    -------
    k neighbours; fewer if `where` or `apart_from` leaves fewer. By places, only those that share a local feature.

    Raises
    ------
    PhotoError, MaskError
        As `check_query`.
    SettingsError
        k is out of range, focus or features is another word, or a focus is given for a search by kind or places, or for a
        whole photo.
    FilterError
        `where` is not an expression, or no photo is left.
    PhotoIndexError, DescriptorError
        As `search_contexts`, and for a whole photo where the index takes only centre holes; by kind as `kind_similarity`; by
        places as `place_votes`.
    """
    if hole is None:
        check_photo(photo)
    else:
        check_query(photo, hole)
    check_focus(focus)
    FEATURES.check("`features`", features)
    if features != "index" and focus not in (None, "auto"):
        why = "a kind is one vector for all of a photo" if features == "kind" else "local features may lie anywhere"
        raise SettingsError(f"`focus` is {focus}, but {why}: give no focus")
    k = min(DEFAULT_K, len(index)) if k is None else k
    index.check_k(k)
    if hole is None:
        check_whole(index)
        hole = np.zeros(photo.shape[:2], bool)
        focus = None if focus == "auto" else focus
    if isinstance(focus, str):
        focus = default_focus(index.descriptor)
    query = square_query(photo, hole, index.manifest.size)
    allowed = allowed_photos(index, where)
    try:
        search = _search(index, photo, hole, features)
        if apart_from is None:
            count = k if allowed is None else min(k, int(np.count_nonzero(allowed)))
            found = (search or _near_hole(index, query, focus))(count, allowed)
        else:
            origin = Origin.of(apart_from)
            same = SameSource(index)
            found = search_apart(index, query, k, same, origin, focus=focus, allowed=allowed, search=search)
    except (DescriptorError, PhotoIndexError) as error:
        raise hinted(error, hole) from error
    return neighbors_of(index, found.ids[0], found.scores[0])
