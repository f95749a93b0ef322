"""Histograms of oriented gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.cells import check_batch, grid_boxes
from ce_retrieval.errors import DescriptorError

CELL = 8
ORIENTATIONS = 9


class Hog:
    """Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection" (2005): 9 orientations, cells of 8 px, L2-Hys.

    ``side`` is the number of histogram cells along a block: 2 (spec ``hog``) or 1 (``hog:cells``). Every block is one cell of
    the descriptor, in the sense of a grid of comparable places: at 128 px 15 x 15 blocks of 36 channels, or 16 x 16 of 9.

    Equal to ``skimage.feature.hog(photo, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(side, side),
    block_norm="L2-Hys", channel_axis=-1)`` on uint8 photos, to 1e-5, including its deviations from the paper: no
    interpolation of votes between bins and cells, no Gaussian window over a block, and gradients 0 at the photo's border.
    Where two channels' gradients have equal magnitudes the first channel wins; scikit-image compares rounded ones.

    With holes, the hole is first filled with the mean colour of the photo's visible pixels. Normalisation mixes all pixels
    of a block, so a 2x2 block that touches the hole counts for nothing (min_share 1); single cells count from half
    visible. What leaks: the gradient looks one pixel beyond a cell, so a cell that only borders the hole sees the
    step from its own pixels to the mean colour along that border.
    """

    def __init__(self, size: int, side: int = 2):
        self.spec = "hog" if side == 2 else "hog:cells"
        rows = size // CELL - side + 1
        if rows < 1:
            raise DescriptorError(
                f"{self.spec}: photos of {size} px are too small: take a size of at least {CELL * side} px"
            )
        self.size = size
        self.side = side
        self.cells = rows * rows
        self.channels = side * side * ORIENTATIONS
        self.boxes = grid_boxes(rows, CELL * side, CELL)
        self.min_share = 1.0 if side == 2 else 0.5
        self._bin_of = _orientation_bins()

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """uint8 (B, S, S, 3), holes bool (B, S, S) or None -> float32 (B, G, C) in [0, 1]. Safe to call from many threads."""
        from ce_retrieval.descriptors.hog_kernel import cell_histograms, normalised_blocks

        check_batch(self.spec, self.size, photos, holes)
        if holes is not None:
            from ce_retrieval.holes.strategies import fill_mean

            photos = fill_mean(photos, holes)
        histograms = cell_histograms(np.ascontiguousarray(photos), self._bin_of)
        blocks: NDArray[np.float32] = normalised_blocks(histograms, self.side)
        return blocks


def _orientation_bins() -> NDArray[np.uint8]:
    """Bin of every gradient of an 8-bit photo: uint8 (511, 511), at [row gradient + 255, column gradient + 255].

    The gradients are integers, so the reference's own float64 expression, taken once for all of them, makes bins exact.
    """
    gradient = np.arange(-255.0, 256.0)
    degrees = np.arctan2(gradient[:, None], gradient[None, :]) * (180 / np.pi) % 180
    return (degrees // (180 / ORIENTATIONS)).astype(np.uint8)


def make_hog(argument: str | None, size: int) -> Hog:
    """``hog`` or ``hog:cells``; `DescriptorError` for another argument or photos smaller than one block."""
    if argument is None:
        return Hog(size, side=2)
    if argument == "cells":
        return Hog(size, side=1)
    raise DescriptorError(f"hog:{argument}: expected hog (2x2 blocks) or hog:cells (single cells)")
