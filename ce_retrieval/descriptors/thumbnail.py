"""Colour thumbnail: the mean colour of each cell of a square grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import EMPTY, cell_means, check_batch, grid_boxes
from ce_retrieval.errors import SettingsError, cut

DEFAULT_GRID = 32


class Thumbnail(Descriptor):
    """Mean RGB of each cell in [0, 1], less 0.5: small norms keep the lifted inner product precise.

    `grid` is the number of cells per side; it divides the side of the photos.

    Notes
    -----
    The tiny images of Torralba, Fergus, Freeman, "80 Million Tiny Images" (2008). Deviation: without their normalisation
    of each image's mean and norm.

    With a hole, the mean is over the visible pixels of a cell; a cell without any is 0 (mid-grey).
    """

    min_share = 0.5
    channels = 3

    def __init__(self, size: int, grid: int = DEFAULT_GRID):
        if size % grid:
            grids = ", ".join(str(n) for n in range(1, size + 1) if size % n == 0)
            raise SettingsError(
                f"{cut(f'thumbnail:{grid}')}: these cells do not divide photos of {size} px: use thumbnail:N with N one of "
                f"{grids}"
            )
        self.spec = "thumbnail" if grid == DEFAULT_GRID else f"thumbnail:{grid}"
        self.size = size
        self.grid = grid
        self.cells = grid * grid
        self.boxes = grid_boxes(grid, size // grid, size // grid)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, grid * grid, 3) in [-0.5, 0.5]."""
        check_batch(self.spec, self.size, photos, holes)
        means = cell_means(np.ascontiguousarray(photos), holes, self.grid)
        means -= np.float32(EMPTY)
        return means


def make_thumbnail(argument: str | None, size: int) -> Thumbnail:
    """Make ``thumbnail`` or ``thumbnail:GRID``; SettingsError for a grid that is not a positive number or does not fit."""
    if argument is None:
        return Thumbnail(size)
    if not (argument.isascii() and argument.isdigit() and len(argument) < 5 and int(argument) > 0):
        raise SettingsError(
            f"{cut(f'thumbnail:{argument}')}: expected a number of cells per side that divides {size}, as in thumbnail:16"
        )
    return Thumbnail(size, int(argument))
