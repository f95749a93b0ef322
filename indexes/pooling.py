"""Grids pooled to at most 8 x 8 groups of cells, and lifted: short vectors whose inner products rank by hole-aware distance.

Within a group P all cells x_g are replaced by their mean m:

    sum_g w_g |q_g - x_g|^2  ~  const - 2 (sum_P w_g q_g) . m + (sum_P w_g) |m|^2.

So the query's own cells and weights are summed, not averaged: only the photos lose detail. The norm is that of the mean: the
mean of the norms |x_g|^2 counts detail against a photo that a query with detail may share, and ranks worse. The channels of
a group are cut into parts [m ; SCALE * |m|^2], which are quantised one by one.
"""

import math

import numpy as np

from indexes.base import EngineError
from indexes.halves import widen

SIDE = 8  # groups a side, at most
SCALE = 0.5  # of the norm in a part: a quantiser then spends more of its codes on the channels


class Pooling:
    """Where the cells of a square grid go when they are pooled.

    Parameters
    ----------
    cells, channels : int
        G, a square number of at least 4, row by row; C.
    parts : int
        Parts into which the channels of a group are cut, 1 to C.

    Attributes
    ----------
    groups : int
        Groups of cells; those at the far edges are smaller where the cells do not divide evenly.
    parts : int
    width : int
        Numbers a part: its channels, padded with zeros to those of the widest, and the norm.
    dimension : int
        Of the pooled vectors: groups * parts * width.
    code_bytes : int
        Of the 4-bit codes of a vector, one for each part of a group.

    Raises
    ------
    EngineError
        The grid is not square or has one cell, or the channels cannot be cut into these parts.
    """

    def __init__(self, cells: int, channels: int, parts: int) -> None:
        side = math.isqrt(max(cells, 0))
        if side * side != cells or side < 2:
            raise EngineError(
                f"a grid of {cells} cells cannot be pooled: expected n x n cells with n of 2 or more; search it exactly"
            )
        if not 1 <= parts <= channels:
            raise EngineError(f"{channels} channels cannot be cut into {parts} parts: expected 1 to {channels}")
        self.cells, self.channels, self.parts = cells, channels, parts
        self._side, self._pool = side, -(-side // SIDE)
        self._groups_a_side = -(-side // self._pool)
        self.groups = self._groups_a_side**2
        self._cuts = [(int(part[0]), int(part[-1]) + 1) for part in np.array_split(np.arange(channels), parts)]
        self.width = max(stop - start for start, stop in self._cuts) + 1
        self.dimension = self.groups * parts * self.width
        self.code_bytes = -(-self.groups * parts // 2)
        self._sizes = self._sums(np.ones((1, cells, 1), np.float32))

    def photos(self, grids: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Return the vectors float32 (N, dimension) to store for grids (N, G, C) of any float type, less `origin` (G, C)."""
        # A copy in float32, which is then worked on in place.
        wide = widen(grids) if grids.dtype == np.float16 else grids.astype(np.float32)
        wide -= np.float32(origin)
        means = self._sums(wide) / self._sizes
        out = np.zeros((len(grids), self.groups, self.parts, self.width), np.float32)
        for part, (start, stop) in enumerate(self._cuts):
            mean = means[:, :, start:stop]
            out[:, :, part, : stop - start] = mean
            out[:, :, part, -1] = SCALE * np.square(mean).sum(axis=2)
        return out.reshape(len(grids), self.dimension)

    def queries(self, grids: np.ndarray, weights: np.ndarray, origin: np.ndarray) -> np.ndarray:
        """Return the vectors float32 (B, dimension) to search with, for grids (B, G, C), weights (B, G), less `origin`."""
        weighted = weights[:, :, None].astype(np.float32) * np.subtract(grids, np.float32(origin), dtype=np.float32)
        sums = 2 * self._sums(weighted)
        out = np.zeros((len(grids), self.groups, self.parts, self.width), np.float32)
        for part, (start, stop) in enumerate(self._cuts):
            out[:, :, part, : stop - start] = sums[:, :, start:stop]
        out[..., -1] = -self.weights(weights)[:, :, None] / SCALE
        return out.reshape(len(grids), self.dimension)

    def means(self, vectors: np.ndarray) -> np.ndarray:
        """Return the means alone float32 (N, groups * parts * (width - 1)) of vectors of `photos` (N, dimension)."""
        return vectors.reshape(len(vectors), self.groups * self.parts, self.width)[:, :, :-1].reshape(len(vectors), -1)

    def weights(self, weights: np.ndarray) -> np.ndarray:
        """Return the summed weight of each group float32 (B, groups) for cell weights (B, G)."""
        return self._sums(weights[:, :, None].astype(np.float32))[:, :, 0]

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sums over the cells of each group float32 (N, groups, C) of values float32 (N, G, C)."""
        count, _, channels = values.shape
        square = values.reshape(count, self._side, self._side, channels)
        out = np.zeros((count, self._groups_a_side, self._groups_a_side, channels), np.float32)
        for row in range(self._pool):
            for column in range(self._pool):
                part = square[:, row :: self._pool, column :: self._pool]
                out[:, : part.shape[1], : part.shape[2]] += part
        return out.reshape(count, self.groups, channels)
