"""Histograms of oriented gradients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import check_batch, grid_boxes
from ce_retrieval.errors import SettingsError, cut

CELL = 8
ORIENTATIONS = 9


class Hog(Descriptor):
    """Histograms of 9 orientations in cells of 8 px, normalised by L2-Hys over blocks.

    A cell of the descriptor is a block of `side` x `side` histograms: 2 (spec ``hog``) or 1 (``hog:cells``). At 128 px
    these are 15 x 15 blocks of 36 channels, or 16 x 16 of 9.

    Notes
    -----
    Dalal & Triggs, "Histograms of Oriented Gradients for Human Detection" (2005). Equal within 1e-5, on uint8 photos, to
    ``skimage.feature.hog(photo, orientations=9, pixels_per_cell=(8, 8), cells_per_block=(side, side),
    block_norm="L2-Hys", channel_axis=-1)``, with its deviations from the paper: votes are not interpolated between bins
    and cells, blocks have no Gaussian window, and gradients are 0 at the photo's border. Where the gradients of two
    channels have equal magnitudes the first channel wins; scikit-image compares rounded ones.

    With a hole, the hole is first filled with the mean colour of the visible pixels. Normalisation mixes all pixels of a
    block, so a 2x2 block that touches the hole has weight 0 (`min_share` 1); single cells count from half visible. Leak:
    gradients look one pixel beyond a cell, so a cell beside the hole sees the step to the mean colour.
    """

    def __init__(self, size: int, side: int = 2):
        self.spec = "hog" if side == 2 else "hog:cells"
        rows = size // CELL - side + 1
        if rows < 1:
            raise SettingsError(
                f"{self.spec}: photos of {size} px are too small: use a `size` of at least {CELL * side} px"
            )
        self.size = size
        self.side = side
        self.cells = rows * rows
        self.channels = side * side * ORIENTATIONS
        self.boxes = grid_boxes(rows, CELL * side, CELL)
        self.min_share = 1.0 if side == 2 else 0.5
        self._bin_of = _orientation_bins()

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, G, C) in [0, 1]."""
        from ce_retrieval.descriptors.hog_kernel import cell_histograms, normalised_blocks

        check_batch(self.spec, self.size, photos, holes)
        if holes is not None:
            from ce_retrieval.holes.strategies import fill_mean

            photos = fill_mean(photos, holes)
        histograms = cell_histograms(np.ascontiguousarray(photos), self._bin_of)
        blocks: NDArray[np.float32] = normalised_blocks(histograms, self.side)
        return blocks


def _orientation_bins() -> NDArray[np.uint8]:
    """Return the bin of every gradient of an 8-bit photo: uint8 (511, 511), at [row gradient + 255, column gradient + 255].

    Gradients are integers, so the table is exact: it evaluates the reference's float64 expression for each of them.
    """
    gradient = np.arange(-255.0, 256.0)
    degrees = np.arctan2(gradient[:, None], gradient[None, :]) * (180 / np.pi) % 180
    return (degrees // (180 / ORIENTATIONS)).astype(np.uint8)


def make_hog(argument: str | None, size: int) -> Hog:
    """Make ``hog`` or ``hog:cells``; SettingsError for another argument or photos smaller than one block."""
    if argument is None:
        return Hog(size, side=2)
    if argument == "cells":
        return Hog(size, side=1)
    raise SettingsError(f"{cut(f'hog:{argument}')}: expected hog (2x2 blocks) or hog:cells (single cells)")
