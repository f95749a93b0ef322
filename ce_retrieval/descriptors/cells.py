"""Grids of cells: their boxes and sums, the weight that a hole leaves to each cell, the check of a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.errors import DescriptorError, SettingsError
from ce_retrieval.settings import FOCUS

EMPTY = 0.5  # mid-grey: the colour of a cell without a visible pixel
LARGEST = 65504.0  # of float16, in which an index stores features


def square_boxes(start: NDArray[Any], stop: NDArray[Any]) -> NDArray[np.int32]:
    """Return the boxes of a square grid of n x n cells, row by row: int32 (n * n, 4), y0, x0, y1, x1 in px, half-open.

    start, stop: (n,), whole numbers of px: where the rows start and stop. The columns are the same.
    """
    y0, x0 = (a.ravel() for a in np.meshgrid(start, start, indexing="ij"))
    y1, x1 = (a.ravel() for a in np.meshgrid(stop, stop, indexing="ij"))
    return np.stack([y0, x0, y1, x1], axis=1).astype(np.int32)


def grid_boxes(rows: int, footprint: int, stride: int) -> NDArray[np.int32]:
    """Return `square_boxes` of cells of `footprint` px a side that start every `stride` px."""
    start = np.arange(rows) * stride
    return square_boxes(start, start + footprint)


def check_batch(spec: str, size: int, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> None:
    """Raise `DescriptorError` unless photos are uint8 (B, size, size, 3) and holes None or bool (B, size, size)."""
    _expect(spec, "photos", photos, np.dtype(np.uint8), (size, size, 3), "resize them to the descriptor's size")
    if holes is None:
        return
    _expect(spec, "holes", holes, np.dtype(bool), (size, size), "resize them with resize_hole")
    if len(holes) != len(photos):
        raise DescriptorError(f"{spec}: {len(holes)} holes for {len(photos)} photos: give one hole per photo, or none")


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


def cell_means(photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None, grid: int) -> NDArray[np.float32]:
    """Return the mean colour of the visible pixels of each cell, `EMPTY` where there are none; from exact integer sums.

    photos uint8 (B, S, S, 3), S a multiple of `grid`, and holes bool (B, S, S) or None -> float32 (B, grid * grid, 3) in [0, 1].
    """
    if holes is None:
        pixels = (photos.shape[1] // grid) ** 2
        return cell_sums(photos, grid) / np.float32(255 * pixels)
    visible = ~holes
    sums = cell_sums(photos * visible[..., None], grid)
    counts = cell_sums(visible.view(np.uint8)[..., None], grid)
    means = sums / np.maximum(counts * np.float32(255), np.float32(1))
    return np.where(counts > 0, means, np.float32(EMPTY))


def cell_sums(values: NDArray[np.uint8], grid: int) -> NDArray[np.float32]:
    """Return the sums over each cell: uint8 (B, S, S, C) -> float32 (B, grid * grid, C), exact for cells up to 256 px."""
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
    """Return the visible share of each cell's footprint.

    Parameters
    ----------
    boxes : int32 (G, 4)
        y0, x0, y1, x1 in px, half-open.
    hole : bool (S, S)
        True = missing.

    Returns
    -------
    float32 (G,)
        In [0, 1]: exactly 1 where no pixel is missing, exactly 0 where all are.
    """
    missing = np.zeros((hole.shape[0] + 1, hole.shape[1] + 1), np.int64)
    missing[1:, 1:] = hole.cumsum(axis=0).cumsum(axis=1)
    y0, x0, y1, x1 = boxes.T
    inside = missing[y1, x1] - missing[y0, x1] - missing[y1, x0] + missing[y0, x0]
    area = (y1 - y0).astype(np.int64) * (x1 - x0)
    return ((area - inside) / area).astype(np.float32)


def hole_distance(boxes: NDArray[np.int32], hole: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the Euclidean distance in px from each cell's centre to the nearest missing pixel of `hole`: float64 (G,).

    A pixel lies at its integer coordinates, so the centre of a cell of even side lies halfway between pixels. A distance
    transform of the pixel grid would round these centres; the two passes of a separable transform, taken at the centres
    alone, are exact.
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
    """Return the weight of each cell in the hole-aware distance.

    A cell weighs its visible share, or 0 where that is under `min_share`, times exp(-distance / focus). A descriptor that
    predicts what lies under a hole adds `hidden` times the hidden share.

    Parameters
    ----------
    descriptor : Descriptor
    hole : bool (S, S) or None
        S is the descriptor's size; None for a whole photo, where every weight is 1.
    focus : float or None
        Distance in px, between a cell's centre and the nearest missing pixel, over which the weight falls by a factor of
        e; None for no fall.

    Returns
    -------
    float32 (G,)
        In [0, 1], at least one above 0.

    Raises
    ------
    SettingsError
        The focus is not a positive number, is too small, or has no hole to lie around.
    DescriptorError
        The hole has another size, or leaves no cell.
    """
    if focus is not None:
        FOCUS.check("`focus`", focus)
    size = descriptor.size
    if hole is not None and (hole.shape != (size, size) or hole.dtype != np.bool_):
        raise DescriptorError(
            f"{descriptor.spec}: the hole is {hole.dtype} {hole.shape}, expected bool ({size}, {size}): resize it with "
            "resize_hole"
        )
    if hole is None or not hole.any():
        if focus is not None:
            raise SettingsError("`focus` needs a hole, and nothing is missing: give a hole or no focus")
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
        # Only ratios of weights matter: far cells may round to 0, but not all of them.
        weights = (weights * np.exp(-distance / focus)).astype(np.float32)
        if not weights.any():
            raise SettingsError(f"`focus` {focus} px is so small that every cell's weight vanishes: raise it")
    hidden = np.float32(descriptor.hidden)
    return weights + hidden * (1 - share) if hidden else weights


def _remedy(hole: NDArray[np.bool_]) -> str:
    """Say what to index for this hole bool (S, S): the coarsest thumbnail, from 16 cells a side, that sees any of the photo."""
    size = len(hole)
    for grid in (n for n in range(16, size + 1) if size % n == 0):
        if (visible_share(grid_boxes(grid, size // grid, size // grid), hole) >= 0.5).any():
            return f"with a descriptor of smaller cells, such as thumbnail:{grid}"
    return f"photos at more than {size} px, where this hole leaves nothing visible"
