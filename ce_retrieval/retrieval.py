"""Context nearest neighbours: a photo with a hole -> the photos of a collection whose surroundings are most alike.

Pathak et al. 2016, section 5.1 and Figure 8, there with AlexNet and HOG features; here with any descriptor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from ce_retrieval.descriptors import Descriptor, cell_weights
from ce_retrieval.errors import DescriptorError, MaskError, PhotoError, PhotoIndexError
from ce_retrieval.mask_files import polarity_hint
from ce_retrieval.masks import resize_hole
from ce_retrieval.photo_index import PhotoIndex, PhotoRecord, check_side

if TYPE_CHECKING:
    from indexes.base import SearchResult

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
    """Raise PhotoError or MaskError unless photo (H, W, 3) and hole (H, W) can make a query."""
    height, width = photo.shape[:2]
    if hole.shape != (height, width):
        raise MaskError(
            f"the hole is {hole.shape[1]}x{hole.shape[0]}, the photo {width}x{height}: give a mask of the photo's size"
        )
    check_side(width, height)
    if not hole.any():
        raise MaskError("the hole is empty: mark the missing pixels white (or use --invert-mask if they are dark)")
    if hole.all():
        raise MaskError(_with_hint("the hole leaves nothing of the photo visible", hole))


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
    index: PhotoIndex, photos: np.ndarray, holes: np.ndarray, k: int, *, focus: float | None = None
) -> "SearchResult":
    """Find the k nearest contexts of each of a batch of photos at the index's size.

    photos: uint8 (B, S, S, 3); holes: bool (B, S, S); focus: px, weights fall as exp(-distance from the hole / focus).
    Returns scores (B, k), squared distances, and ids (B, k), nearest first. PhotoIndexError: k out of range, or a hole
    that is not the one of a `--hole center` index; DescriptorError: a hole that leaves no cell visible.
    """
    holes = np.stack([protocol_hole(index, hole) for hole in holes])
    of_hole = {hole.tobytes(): hole for hole in holes}  # most batches share one
    weights = {key: _weights(index.descriptor, hole, focus) for key, hole in of_hole.items()}
    grids = index.descriptor.describe(photos, holes)
    return index.search(grids, np.stack([weights[hole.tobytes()] for hole in holes]), k)


def _weights(descriptor: Descriptor, hole: np.ndarray, focus: float | None) -> np.ndarray:
    try:
        return cell_weights(descriptor, hole, focus)
    except DescriptorError as error:
        raise DescriptorError(_with_hint(str(error), hole)) from error


def _with_hint(message: str, hole: np.ndarray) -> str:
    """Add to a message about a hole that the mask may have been read the wrong way round, if that is likely."""
    hint = polarity_hint(hole)
    return f"{message}; {hint}" if hint else message


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
        message = (
            f"{index.path} was built with --hole center: a query's hole must be the central part of half the photo's "
            "height and width; build an index with --hole none for other holes"
        )
        raise PhotoIndexError(_with_hint(message, hole))
    return hole | center


def find_neighbors(
    index: PhotoIndex, photo: np.ndarray, hole: np.ndarray, k: int, *, focus: float | None = None
) -> list[Neighbor]:
    """Find the k nearest contexts of one photo uint8 (H, W, 3) with a hole bool (H, W), nearest first.

    Raises as `search_contexts`, and MaskError or PhotoError as `check_query`.
    """
    check_query(photo, hole)
    square, square_hole = square_query(photo, hole, index.manifest.size)
    found = search_contexts(index, square[None], square_hole[None], k, focus=focus)
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
