"""What descriptors share: grids of cells, the weight that a hole leaves to each cell, and the check of a batch of photos."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import DescriptorError

if TYPE_CHECKING:
    from ce_retrieval.descriptors.base import Descriptor


def grid_boxes(rows: int, footprint: int, stride: int) -> NDArray[np.int32]:
    """Boxes of a square grid of ``rows`` x ``rows`` cells, row by row.

    Returns int32 (rows * rows, 4): y0, x0, y1, x1 in pixels, half-open; cell (r, c) starts at (r * stride, c * stride).
    """
    start = np.arange(rows, dtype=np.int32) * stride
    y, x = (a.ravel() for a in np.meshgrid(start, start, indexing="ij"))
    return np.stack([y, x, y + footprint, x + footprint], axis=1).astype(np.int32)


def check_batch(spec: str, size: int, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> None:
    """Raise `DescriptorError` unless photos are uint8 (B, size, size, 3) and holes None or bool (B, size, size)."""
    _expect(spec, "photos", photos, np.dtype(np.uint8), (size, size, 3), "resize them to the descriptor's size")
    if holes is None:
        return
    _expect(spec, "holes", holes, np.dtype(bool), (size, size), "resize them with masks.resize_hole")
    if len(holes) != len(photos):
        raise DescriptorError(f"{spec}: {len(holes)} holes for {len(photos)} photos: give one hole a photo, or none")


def _expect(spec: str, name: str, array: Any, dtype: np.dtype[Any], tail: tuple[int, ...], remedy: str) -> None:
    if (
        not isinstance(array, np.ndarray)
        or array.dtype != dtype
        or array.ndim != 1 + len(tail)
        or array.shape[1:] != tail
    ):
        got = f"{array.dtype} {array.shape}" if isinstance(array, np.ndarray) else type(array).__name__
        wanted = ", ".join(str(n) for n in ("B", *tail))
        raise DescriptorError(f"{spec}: {name} are {got}, expected {dtype} ({wanted}): {remedy}")


def cell_means(
    photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None, grid: int, empty: float = 0.0
) -> NDArray[np.float32]:
    """Mean colour of the visible pixels of each cell of a ``grid`` x ``grid`` partition of the photos.

    photos: uint8 (B, S, S, 3), S a multiple of ``grid``; holes: bool (B, S, S) or None. Returns float32
    (B, grid * grid, 3) in [0, 1]; a cell without a visible pixel holds ``empty``. The sums are exact integers.
    """
    if holes is None:
        pixels = (photos.shape[1] // grid) ** 2
        return cell_sums(photos, grid) / np.float32(255 * pixels)
    visible = ~holes
    sums = cell_sums(photos * visible[..., None], grid)
    counts = cell_sums(visible.view(np.uint8)[..., None], grid)
    means = sums / np.maximum(counts * np.float32(255), np.float32(1))
    return np.where(counts > 0, means, np.float32(empty))


def cell_sums(values: NDArray[np.uint8], grid: int) -> NDArray[np.float32]:
    """Sums over each cell: uint8 (B, S, S, C) -> float32 (B, grid * grid, C), exact up to 256-pixel cells."""
    batch, size, _, channels = values.shape
    side = size // grid
    # Whole rows are added first (long contiguous runs), then the few columns of a cell (long strided runs).
    rows = values.reshape(batch, grid, side, size * channels)
    sums: NDArray[Any] = rows[:, :, 0].astype(np.uint16 if side <= 16 else np.uint32)
    for row in range(1, side):
        sums += rows[:, :, row]
    runs = sums.reshape(batch * grid * grid, side * channels)
    out = np.empty((batch * grid * grid, channels), np.float32)
    for channel in range(channels):
        total: NDArray[Any] = runs[:, channel].copy()
        for column in range(1, side):
            total += runs[:, column * channels + channel]
        out[:, channel] = total
    return out.reshape(batch, grid * grid, channels)


def visible_share(boxes: NDArray[np.int32], hole: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Share of each cell's footprint that is not missing.

    boxes: int32 (G, 4) y0, x0, y1, x1, half-open; hole: bool (S, S), True = missing. Returns float32 (G,) in [0, 1],
    exactly 1 where no pixel is missing and exactly 0 where all are.
    """
    missing = np.zeros((hole.shape[0] + 1, hole.shape[1] + 1), np.int64)
    missing[1:, 1:] = hole.cumsum(axis=0).cumsum(axis=1)
    y0, x0, y1, x1 = boxes.T
    inside = missing[y1, x1] - missing[y0, x1] - missing[y1, x0] + missing[y0, x0]
    area = (y1 - y0).astype(np.int64) * (x1 - x0)
    return ((area - inside) / area).astype(np.float32)


def hole_distance(boxes: NDArray[np.int32], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Euclidean distance in pixels from each cell's centre to the nearest hole pixel.

    A pixel lies at its integer coordinates, so the centre of a cell of even side lies half-way between pixels. Exact
    (the two passes of a separable distance transform, at the centres alone; a transform of the pixel grid would have to
    round the centres). boxes: int32 (G, 4); hole: bool (S, S) with at least one True. Returns float64 (G,).
    """
    rows, row_of = np.unique((boxes[:, 0] + boxes[:, 2] - 1) / 2, return_inverse=True)
    columns, column_of = np.unique((boxes[:, 1] + boxes[:, 3] - 1) / 2, return_inverse=True)
    used = np.flatnonzero(hole.any(axis=1))  # rows that hold a hole pixel
    x = np.arange(hole.shape[1], dtype=np.float64)
    along = np.empty((len(columns), len(used)))
    for i, column in enumerate(columns):
        along[i] = np.where(hole[used], (x - column) ** 2, np.inf).min(axis=1)
    across = (rows[:, None] - used[None, :]) ** 2
    squared = np.array([(across + line).min(axis=1) for line in along])  # (columns, rows)
    distance: NDArray[np.float64] = np.sqrt(squared[column_of, row_of])
    return distance


def cell_weights(
    descriptor: Descriptor, hole: NDArray[np.bool_] | None, focus: float | None = None
) -> NDArray[np.float32]:
    """Weight of each cell in the hole-aware distance: visible share, 0 under ``min_share``, times exp(-distance / focus).

    descriptor: gives boxes and min_share; hole: bool (size, size), True = missing, or None for a whole photo (all weights 1);
    focus: pixels at the descriptor's size over which the weight falls by e, or None for no fall with the distance between a
    cell's centre and the nearest hole pixel. Where the descriptor knows what to expect under a hole (its attribute
    ``hidden``), a cell has that weight besides for its hidden share. Returns float32 (G,) in [0, 1], at least one of them
    positive.

    Raises `DescriptorError` for a hole of another size, a focus that is not a positive number or has no hole to lie around,
    and a hole that leaves no cell.
    """
    if focus is not None and not (math.isfinite(focus) and focus > 0):
        raise DescriptorError(f"focus is {focus}, expected a positive number of pixels")
    size = descriptor.size
    if hole is not None and (hole.shape != (size, size) or hole.dtype != np.bool_):
        raise DescriptorError(
            f"{descriptor.spec}: the hole is {hole.dtype} {hole.shape}, expected bool ({size}, {size}): resize it with "
            "masks.resize_hole"
        )
    if hole is None or not hole.any():
        if focus is not None:
            raise DescriptorError("focus needs a hole to lie around, and nothing is missing: give a hole or no focus")
        return np.ones(descriptor.cells, np.float32)
    share = visible_share(descriptor.boxes, hole)
    weights = np.where(share < descriptor.min_share, np.float32(0), share)
    if not weights.any():
        raise DescriptorError(
            f"{descriptor.spec}: the hole leaves none of the {descriptor.cells} cells visible enough to compare: make the hole "
            f"smaller, or index {_remedy(hole)}"
        )
    if focus is not None:
        distance = hole_distance(descriptor.boxes, hole)
        # Only ratios of weights matter, but far cells at a tiny focus may round to 0, and all of them must not.
        weights = (weights * np.exp(-distance / focus)).astype(np.float32)
        if not weights.any():
            raise DescriptorError(f"focus of {focus} px is so small that every cell's weight vanishes: raise it")
    expected = np.float32(getattr(descriptor, "hidden", 0.0))
    return weights + expected * (1 - share) if expected else weights


def _remedy(hole: NDArray[np.bool_]) -> str:
    """How to index so that a hole bool (S, S) leaves something to compare: the coarsest of fine thumbnails that see any of it."""
    size = len(hole)
    for grid in (n for n in range(16, size + 1) if size % n == 0):
        if (visible_share(grid_boxes(grid, size // grid, size // grid), hole) >= 0.5).any():
            return f"with a descriptor of smaller cells, such as thumbnail:{grid}"
    return f"photos at more than {size} px, where this hole leaves nothing visible"
