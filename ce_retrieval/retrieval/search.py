"""Context nearest neighbours: a photo with a hole -> the photos of a collection whose surroundings are most alike.

Pathak et al. 2016, section 5.1 and Figure 8, there with AlexNet and HOG features; here with any descriptor.
"""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ce_retrieval.descriptors import Descriptor, cell_weights
from ce_retrieval.errors import CeretError, DescriptorError, FilterError, MaskError, PhotoError, PhotoIndexError
from ce_retrieval.holes.files import polarity_hint
from ce_retrieval.holes.strategies import resize_hole
from ce_retrieval.photo_index import Origin, PhotoIndex, PhotoRecord, SameSource, allowed_photos, check_side
from ce_retrieval.photos.near_duplicates import near_duplicates
from ce_retrieval.retrieval.query import check_arrays

if TYPE_CHECKING:
    from indexes.base import SearchResult

# Ids -> which of them could be read, int64 (n,), and those photos at the index's size, uint8 (n, S, S, 3).
Reader = Callable[[Sequence[int]], tuple[np.ndarray, np.ndarray]]

# How fast a cell's weight falls with its distance from the hole, in pixels of the index's photo size; None: not at all.
# Chosen on held-out photos by the L2 of a pasted centre (docs/evaluation.md).
DEFAULT_FOCUS: dict[str, float | None] = {
    "encoder:cells": 16.0,
    "encoder:fill": 8.0,
    "gist": None,
    "hog": None,
    "thumbnail": 8.0,
}


@dataclass(frozen=True)
class Neighbor:
    """A photo of the collection near a query.

    rank: from 1; distance: mean squared difference of descriptor cells, weighted by visibility and focus (`indexes.masked`);
    name: path, or container::key.
    """

    rank: int
    id: int
    distance: float
    name: str
    record: PhotoRecord


def default_focus(descriptor: Descriptor) -> float | None:
    """Return the focus in pixels that does best for a descriptor; None, for none, also where it has not been measured.

    Nor is there a focus where every cell sees the same part of the photo: all are as far from the hole.
    """
    if (descriptor.boxes == descriptor.boxes[0]).all():
        return None
    name, _, argument = descriptor.spec.partition(":")
    return DEFAULT_FOCUS.get(f"{name}:{argument.partition(':')[0]}", DEFAULT_FOCUS.get(name))


def check_query(photo: np.ndarray, hole: np.ndarray) -> None:
    """Raise PhotoError or MaskError unless photo uint8 (H, W, 3) and hole bool (H, W) can make a query."""
    check_arrays(photo, hole)
    height, width = photo.shape[:2]
    if hole.shape != (height, width):
        raise MaskError(
            f"the hole is {hole.shape[1]}x{hole.shape[0]}, the photo {width}x{height}: give a mask of the photo's size"
        )
    check_side(width, height)
    if not hole.any():
        raise MaskError("the hole is empty: mark the missing pixels white (or use --invert-mask if they are dark)")
    if hole.all():
        raise hinted(MaskError("the hole leaves nothing of the photo visible"), hole)


def square_query(photo: np.ndarray, hole: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Resize a photo uint8 (H, W, 3) and its hole (H, W) to size x size, whatever the shape, bicubic.

    A pixel is in the new hole where any part of it was hidden; there the new photo is 0. The filter sees known pixels
    alone: hidden ones have no weight, and the weights of the others are scaled to sum to 1 (normalised convolution:
    Knutsson and Westin 1993). Out of the filter's reach of the hole that is bit for bit the plain resize, which the
    photos of an index went through. A photo that has the size already is returned as it is.
    """
    if photo.shape[:2] == (size, size):
        return photo, hole
    square_hole = resize_hole(hole, size)
    known = np.where(hole[:, :, None], np.uint8(0), photo)
    square = _resized(known, size)
    # A visible pixel lies on known ones, so their weights sum to far more than 0 there; some are negative.
    weights = _resized((~hole).astype(np.float32), size)
    near = (np.abs(weights - 1) > 1e-5) & ~square_hole
    for channel in range(3):
        sums = _resized(known[:, :, channel].astype(np.float32), size)[near]
        square[near, channel] = np.clip(np.rint(sums / weights[near]), 0, 255)
    square[square_hole] = 0
    return square, square_hole


def _resized(values: np.ndarray, size: int) -> np.ndarray:
    return np.array(Image.fromarray(values).resize((size, size), Image.Resampling.BICUBIC))


def search_contexts(
    index: PhotoIndex,
    photos: np.ndarray,
    holes: np.ndarray,
    k: int,
    *,
    focus: float | None = None,
    allowed: np.ndarray | None = None,
) -> "SearchResult":
    """Find the k nearest contexts of each of a batch of photos at the index's size.

    photos: uint8 (B, S, S, 3); holes: bool (B, S, S); focus: px, weights fall as exp(-distance from the hole / focus);
    allowed: bool (N,), the photos of the index that may be found, None for all.
    Returns scores (B, k), squared distances, and ids (B, k), nearest first. PhotoIndexError: k out of range, or a hole
    that is not the one of a `--hole center` index; DescriptorError: a hole that leaves no cell visible.
    """
    holes = np.stack([protocol_hole(index, hole) for hole in holes])
    of_hole = {hole.tobytes(): hole for hole in holes}  # most batches share one
    weights = {key: cell_weights(index.descriptor, hole, focus) for key, hole in of_hole.items()}
    grids = index.descriptor.describe(photos, holes)
    return index.search(grids, np.stack([weights[hole.tobytes()] for hole in holes]), k, allowed)


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
) -> "SearchResult":
    """Find the k nearest contexts (fewer where fewer are left) of one query that are not of its own source.

    query: photo uint8 (S, S, 3) and hole bool (S, S) at the index's size; origin: the query's file, None where it has none.
    Left out are the photos of its folder, those with its bytes, and near-duplicates of it, mirrored ones too, by what is
    visible (`photos.near_duplicates`): whatever is found is looked at, and the search repeated without the near-duplicates.
    What cannot be read any more cannot be looked at. read: how to look at photos, by default from the index's sources.
    Returns scores and ids (1, k). FilterError where none is left; else as `search_contexts`.
    """
    allowed = np.ones(len(index), bool) if allowed is None else allowed.copy()
    if origin is not None:
        allowed &= ~same.photos(origin)
    looked_at: set[int] = set()
    while count := min(k, int(np.count_nonzero(allowed))):
        found = search_contexts(index, query[0][None], query[1][None], count, focus=focus, allowed=allowed)
        new = [i for i in found.ids[0].tolist() if i not in looked_at]
        positions, photos = read(new) if read else _read_squares(index, new)
        copies = np.array(new, np.int64)[positions[near_duplicates(*query, photos)]]
        if not len(copies):
            return found
        allowed[copies] = False
        looked_at.update(new)
    raise FilterError(f"no photo of {index.path} is left without those of the query's own source: allow them")


def _read_squares(index: PhotoIndex, ids: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Return which photos can be read, int64 (n,), and those at the index's size, uint8 (n, S, S, 3)."""
    size = index.manifest.size

    def read(record: PhotoRecord) -> np.ndarray | None:
        try:
            return index.read_photo(record, size).pixels
        except PhotoError:
            return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        photos = list(pool.map(read, index.records(ids)))
    found = [position for position, photo in enumerate(photos) if photo is not None]
    pixels = [photo for photo in photos if photo is not None]
    return np.array(found, np.int64), np.stack(pixels) if pixels else np.empty((0, size, size, 3), np.uint8)


def hinted(error: CeretError, hole: np.ndarray) -> CeretError:
    """Return the error of a search with a hint, where the photo's own hole says that its mask may have been inverted."""
    hint = polarity_hint(hole) if isinstance(error, DescriptorError | PhotoIndexError | MaskError) else ""
    return type(error)(f"{error}; {hint}") if hint else error


def protocol_hole(index: PhotoIndex, hole: np.ndarray) -> np.ndarray:
    """Return the hole (S, S) to describe a query with: its own and, in a `--hole center` index, the centre.

    There its own hole must be the centre. One pixel of rounding is allowed, since a mask drawn at another size need not
    fall on the index's pixels; what is hidden beyond the centre stays hidden.
    """
    center = index.protocol_hole
    if center is None:
        return hole
    rows = np.flatnonzero(center.any(axis=1))
    first, last = rows[0], rows[-1]
    outer = np.zeros_like(center)
    outer[first - 1 : last + 2, first - 1 : last + 2] = True
    inner = np.zeros_like(center)
    inner[first + 1 : last, first + 1 : last] = True
    if (hole & ~outer).any() or (inner & ~hole).any():
        raise PhotoIndexError(
            f"{index.path} was built with --hole center: a query's hole must be the central part of half the photo's "
            "height and width; build an index with --hole none for other holes"
        )
    return hole | center


def find_neighbors(
    index: PhotoIndex,
    photo: np.ndarray,
    hole: np.ndarray,
    k: int,
    *,
    focus: float | None = None,
    where: str | None = None,
    apart_from: str | Path | None = None,
) -> list[Neighbor]:
    """Find the k nearest contexts of one photo uint8 (H, W, 3) with a hole bool (H, W), nearest first.

    where: find photos alone for which this holds, as in "licence == 'CC0' and width >= 1024" (`photo_index.where`).
    apart_from: the photo's file: find none of its folder, and no near-duplicate of it (`search_apart`). With either there
    may be fewer than k. Raises as `search_contexts`, MaskError or PhotoError as `check_query`, and FilterError where
    `where` is no expression or no photo is left.
    """
    check_query(photo, hole)
    if not 1 <= k <= len(index):
        raise PhotoIndexError(f"k is {k}, but {index.path} holds {len(index)} photos: choose 1 to {len(index)}")
    query = square_query(photo, hole, index.manifest.size)
    allowed = allowed_photos(index, where)
    try:
        if apart_from is None:
            count = k if allowed is None else min(k, int(np.count_nonzero(allowed)))
            found = search_contexts(index, query[0][None], query[1][None], count, focus=focus, allowed=allowed)
        else:
            origin = Origin.of(apart_from)
            found = search_apart(index, query, k, SameSource(index), origin, focus=focus, allowed=allowed)
    except (DescriptorError, PhotoIndexError) as error:
        raise hinted(error, hole) from error
    return neighbors_of(index, found.ids[0], found.scores[0])


def neighbors_of(index: PhotoIndex, ids: Sequence[int] | np.ndarray, distances: np.ndarray) -> list[Neighbor]:
    """Return the neighbours with these ids and distances, ranked as they stand."""
    pairs = enumerate(zip(ids, distances, index.records(ids), strict=True), start=1)
    return [Neighbor(rank, int(i), float(d), index.name_of(record), record) for rank, (i, d, record) in pairs]


def neighbor_photos(
    index: PhotoIndex, neighbors: Sequence[Neighbor], side: int
) -> tuple[list[tuple[Neighbor, np.ndarray]], list[str]]:
    """Open the neighbours to look at: uint8 (h, w, 3), of their own shape, shrunk to at most `side` px a side.

    Returns those that can be read, and one line for each that vanished or changed since it was indexed.
    """
    opened, dropped = [], []
    for neighbor in neighbors:
        try:
            image = Image.fromarray(index.read_photo(neighbor.record).pixels)
        except PhotoError as error:
            dropped.append(str(error))
            continue
        image.thumbnail((side, side), Image.Resampling.BICUBIC)
        opened.append((neighbor, np.asarray(image)))
    return opened, dropped
