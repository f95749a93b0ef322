"""Colour thumbnail: the mean colour of each cell of a square grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.cells import cell_means, check_batch, grid_boxes
from ce_retrieval.errors import DescriptorError

DEFAULT_GRID = 32


class Thumbnail:
    """Mean RGB of ``grid`` x ``grid`` cells, in [0, 1] less 0.5 (small norms keep the lifted inner product precise).

    With holes, a cell's mean is that of its visible pixels, so no hidden pixel enters; a cell that the hole covers
    altogether is 0 (mid-grey). The tiny images of Torralba, Fergus, Freeman, "80 Million Tiny Images" (2008), without
    their per-image normalisation of mean and norm.
    """

    min_share = 0.5
    channels = 3

    def __init__(self, size: int, grid: int = DEFAULT_GRID):
        if size % grid:
            grids = ", ".join(str(n) for n in range(1, size + 1) if size % n == 0)
            raise DescriptorError(
                f"thumbnail:{grid}: {grid} cells do not divide photos of {size} px: take thumbnail:N with N one of {grids}"
            )
        self.spec = "thumbnail" if grid == DEFAULT_GRID else f"thumbnail:{grid}"
        self.size = size
        self.grid = grid
        self.cells = grid * grid
        self.boxes = grid_boxes(grid, size // grid, size // grid)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """uint8 (B, S, S, 3), holes bool (B, S, S) or None -> float32 (B, grid * grid, 3) in [-0.5, 0.5]."""
        check_batch(self.spec, self.size, photos, holes)
        means = cell_means(np.ascontiguousarray(photos), holes, self.grid, empty=0.5)
        means -= np.float32(0.5)
        return means


def make_thumbnail(argument: str | None, size: int) -> Thumbnail:
    """``thumbnail`` or ``thumbnail:GRID``; `DescriptorError` for a grid that is no positive number or does not fit."""
    if argument is None:
        return Thumbnail(size)
    if not (argument.isascii() and argument.isdigit() and int(argument) > 0):
        raise DescriptorError(f"thumbnail:{argument}: expected a number of cells a side, as in thumbnail:16")
    return Thumbnail(size, int(argument))
