"""The photo as a network completes it: colours and texture of what is visible, and of what is to be expected elsewhere.

With it context search becomes reconstruction-guided search: cells under the hole are compared too, a query's with what its
network expects there, and so the real patch nearest to that is found among all photos of a collection, in one search.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.cells import cell_means, cell_sums, check_batch, grid_boxes
from ce_retrieval.descriptors.threads import in_chunks, thread_count
from ce_retrieval.errors import CheckpointError, DescriptorError

if TYPE_CHECKING:
    from ce_retrieval.models.shipped import Weights

CELL = 8  # px; the low-pass that a decoder's fill, which is a mean, is good for
HIDDEN = 0.5  # weight of a cell under the hole; one beside it has exp(-distance / focus)
TEXTURE = 0.08  # what a factor of e in texture counts as, in units of [0, 1] colour
FLAT = 0.005  # mean difference of neighbouring pixels; texture below it is noise
TYPICAL = 0.06  # of photos: the logarithm is taken relative to it, so that norms stay small


class Reconstruction:
    """Mean RGB less 0.5, and log texture, of cells of 8 px of the photo with its hole filled by the network's decoder.

    Pathak et al. 2016, section 3: the decoder's fill is the mean of what may be there, right about low frequencies only,
    so a cell holds no more than these. Texture is the mean absolute difference of neighbouring visible pixels; under the
    hole, where the fill is smooth but the world is not, it is the harmonic continuation of the texture around.

    Spec ``encoder:fill[:CHECKPOINT]``. A photo without a hole needs no network. ``hidden`` is the weight of cells under
    the hole (`cells.cell_weights`). Deviation: the paper compares features of the encoder; this compares its prediction.
    """

    channels = 4
    min_share = 0.0
    hidden = HIDDEN
    libraries = ("torch",)

    def __init__(self, weights: Weights, size: int, *, shipped: bool) -> None:
        from ce_retrieval.descriptors.encoder import network_memory

        self.spec = "encoder:fill" if shipped else f"encoder:fill:{weights.path}"
        if size != weights.network.config.size:
            needed = weights.network.config.size
            raise DescriptorError(
                f"{self.spec}: its network takes photos of {needed} px, not {size}: use size {needed} (--size {needed})"
            )
        if size % CELL:
            raise DescriptorError(
                f"{self.spec}: cells of {CELL} px do not divide photos of {size} px: name another layer, as in encoder:context"
            )
        self.size, self.weights, self.weights_sha256 = size, weights, weights.sha256
        self._threads = thread_count()
        self.memory, self.photo_memory = network_memory(weights.network)
        self.grid = size // CELL
        self.cells = self.grid**2
        self.boxes = grid_boxes(self.grid, CELL, CELL)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """uint8 (B, S, S, 3), holes bool (B, S, S) or None -> float32 (B, G, 4), norms of order 1 at the most.

        DescriptorError: a hole that covers a photo, or reaches outside the part that the network predicts.
        """
        check_batch(self.spec, self.size, photos, holes)
        out = np.empty((len(photos), self.cells, 4), np.float32)
        texture = _texture(np.ascontiguousarray(photos), holes, self.grid)
        if holes is None or not holes.any():
            out[..., :3] = cell_means(np.ascontiguousarray(photos), None, self.grid)
        else:
            self._check(holes)
            in_chunks(len(photos), lambda part: self._fill(photos[part], holes[part], out[part]), self._threads)
            _extend(texture, self.grid)
        out[..., :3] -= np.float32(0.5)
        out[..., 3] = np.float32(TEXTURE) * np.log((texture + np.float32(FLAT)) / np.float32(TYPICAL + FLAT))
        return out

    def _check(self, holes: NDArray[np.bool_]) -> None:
        from ce_retrieval.models.inference import predicted_part

        if holes.all(axis=(1, 2)).any():
            raise DescriptorError(f"{self.spec}: a hole leaves its network nothing to see: make the hole smaller")
        if (holes & ~predicted_part(self.weights.network)).any():
            name = self.weights.network.config.architecture
            raise DescriptorError(
                f"{self.spec}: the hole reaches outside the central half, all that {name} predicts: use other weights or "
                "another layer"
            )

    def _fill(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
        from ce_retrieval.models.inference import predict_photos

        predicted = predict_photos(self.weights.network, photos, holes)
        if not np.isfinite(predicted).all():
            raise CheckpointError(
                f"{self.weights.path}: predicts values that are no colours: damaged, use other weights"
            )
        filled = np.where(holes[..., None], predicted.clip(0, 1), photos.astype(np.float32) / np.float32(255))
        cells = filled.reshape(len(photos), self.grid, CELL, self.grid, CELL, 3).mean(axis=(2, 4))
        out[..., :3] = cells.reshape(len(photos), self.cells, 3)


def _texture(photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None, grid: int) -> NDArray[np.float32]:
    """Mean absolute difference of neighbouring pixels, in [0, 1]: float32 (B, grid * grid), NaN where none is visible.

    A pixel is paired with the one below and the one to the right; pairs with a hidden pixel are left out. What leaves the
    photo counts as no difference, which only the last row and column of cells notice.
    """
    down, right = np.zeros_like(photos), np.zeros_like(photos)
    for target, one, other in (
        (down[:, :-1], photos[:, :-1], photos[:, 1:]),
        (right[:, :, :-1], photos[:, :, :-1], photos[:, :, 1:]),
    ):
        np.subtract(np.maximum(one, other), np.minimum(one, other), out=target)
    if holes is None:
        pairs = np.full((len(photos), grid * grid), 2.0 * CELL * CELL, np.float32)
    else:
        seen = ~holes
        both_down, both_right = seen.copy(), seen.copy()
        both_down[:, :-1] &= seen[:, 1:]
        both_right[:, :, :-1] &= seen[:, :, 1:]
        down *= both_down[..., None]
        right *= both_right[..., None]
        counts = [cell_sums(both.view(np.uint8)[..., None], grid)[..., 0] for both in (both_down, both_right)]
        pairs = counts[0] + counts[1]
    total = (cell_sums(down, grid) + cell_sums(right, grid)).sum(axis=2)
    with np.errstate(invalid="ignore", divide="ignore"):
        return total / (pairs * np.float32(255 * 3))


def _extend(texture: NDArray[np.float32], grid: int) -> None:
    """Replace the NaN of each (B, grid * grid) by the harmonic continuation of the rest, in place."""
    unknown = np.isnan(texture)
    patterns, pattern_of = np.unique(unknown, axis=0, return_inverse=True)
    pattern_of = pattern_of.reshape(-1)
    links = _links(grid)
    for number, hidden in enumerate(patterns):
        if not hidden.any():
            continue
        rows = np.flatnonzero(pattern_of == number)
        if hidden.all():  # no two visible pixels side by side
            texture[rows] = TYPICAL
            continue
        laplacian = np.diag(links.sum(axis=1)) - links
        known = texture[np.ix_(rows, np.flatnonzero(~hidden))].T
        values = np.linalg.solve(laplacian[np.ix_(hidden, hidden)], links[np.ix_(hidden, ~hidden)] @ known)
        texture[np.ix_(rows, np.flatnonzero(hidden))] = values.T


def _links(grid: int) -> NDArray[np.float64]:
    """float64 (G, G): 1 where two cells of a square grid are neighbours."""
    row, column = np.divmod(np.arange(grid * grid), grid)
    apart = np.abs(row[:, None] - row) + np.abs(column[:, None] - column)
    return (apart == 1).astype(np.float64)
