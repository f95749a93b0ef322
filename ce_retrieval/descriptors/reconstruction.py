"""Colours and texture of the photo with its hole filled by a network.

Cells under the hole are compared too: in a query they hold the network's prediction. So one search over the collection
also finds the photos whose content fits that prediction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import cell_means, cell_sums, check_batch, grid_boxes
from ce_retrieval.descriptors.networks import check_size, in_chunks, network_memory
from ce_retrieval.errors import CheckpointError, DescriptorError, SettingsError
from ce_retrieval.pixels import to_unit

if TYPE_CHECKING:
    from ce_retrieval.models.shipped import Weights

CELL = 8  # px; a predicted fill is a mean, right at low frequencies only
HIDDEN = 0.5  # weight of a cell under the hole; one beside it has exp(-distance / focus)
TEXTURE = 0.08  # [0, 1] colour units that a factor of e in texture counts as
FLAT = 0.005  # mean difference of neighbouring pixels below which texture is noise
TOGETHER = 8  # whole photos that are described at once: more do not stay in the processor's cache
TYPICAL = 0.06  # of photos; the logarithm is taken relative to it, so that norms stay small


class Reconstruction(Descriptor):
    """Mean colour and log texture of cells of 8 px, the hole filled by the network's prediction.

    The channels are mean R, G and B less 0.5, and the logarithm of the texture: the mean absolute difference of
    neighbouring visible pixels. Under the hole the prediction is smooth where the world is not, so the texture there is
    the harmonic continuation of the texture around it.

    Spec ``encoder:fill`` with the weights of the package, ``encoder:fill:CHECKPOINT`` with an absolute path for others.

    Notes
    -----
    Pathak et al. 2016, section 3: a network trained by L2 predicts the mean of the possible contents, which is right at
    low frequencies only; so the cells hold no finer ones. Deviation: the paper compares features of the encoder, this
    compares its prediction.

    A photo without a hole does not pass through the network.
    """

    channels = 4
    min_share = 0.0
    hidden = HIDDEN
    libraries = ("torch",)

    def __init__(self, spec: str, weights: Weights, size: int) -> None:
        check_size(spec, size, weights.config.size)
        if size % CELL:
            raise SettingsError(
                f"{spec}: cells of {CELL} px do not divide photos of {size} px: name another layer, as in encoder:context"
            )
        self.spec, self.size = spec, size
        self.weights, self.weights_sha256, self.trained = weights, weights.sha256, weights.path
        self.memory, self.photo_memory = network_memory(weights.numbers, size)
        self.grid = size // CELL
        self.cells = self.grid**2
        self.boxes = grid_boxes(self.grid, CELL, CELL)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, G, 4), norms at most of order 1.

        DescriptorError where a hole covers a photo, or reaches outside the part that the network predicts.
        """
        check_batch(self.spec, self.size, photos, holes)
        photos = np.ascontiguousarray(photos)
        out = np.empty((len(photos), self.cells, 4), np.float32)
        if holes is None or not holes.any():
            for start in range(0, len(photos), TOGETHER):
                part = slice(start, start + TOGETHER)
                out[part, :, :3] = cell_means(photos[part], None, self.grid)
                out[part, :, 3] = _texture(photos[part], None, self.grid)
        else:
            self._check(holes)
            self._predict(photos, holes, out)
            texture = _texture(photos, holes, self.grid)
            _extend(texture, self.grid)
            out[..., 3] = texture
        out[..., :3] -= np.float32(0.5)
        out[..., 3] = np.float32(TEXTURE) * np.log((out[..., 3] + np.float32(FLAT)) / np.float32(TYPICAL + FLAT))
        return out

    def _check(self, holes: NDArray[np.bool_]) -> None:
        if holes.all(axis=(1, 2)).any():
            raise DescriptorError(f"{self.spec}: a hole leaves its network nothing to see: make the hole smaller")
        if (holes & ~self.weights.predicted_part()).any():
            name = self.weights.config.architecture
            raise DescriptorError(
                f"{self.spec}: the hole reaches outside the central half, all that {name} predicts: use other weights "
                "or another layer"
            )

    def _predict(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_], out: NDArray[np.float32]) -> None:
        """Write the mean colours of the cells of filled photos to out[..., :3]."""
        if (plain := self.weights.plain_for(len(photos))) is not None:
            self._fill(photos, holes, plain.predict(photos, holes), out)
            return
        from ce_retrieval.models.inference import predict_photos

        network = self.weights.network

        def run(part: slice) -> None:
            predicted = predict_photos(network, photos[part], holes[part])
            self._fill(photos[part], holes[part], predicted, out[part])

        in_chunks(len(photos), run)

    def _fill(
        self,
        photos: NDArray[np.uint8],
        holes: NDArray[np.bool_],
        predicted: NDArray[np.float32],
        out: NDArray[np.float32],
    ) -> None:
        if not np.isfinite(predicted).all():
            raise CheckpointError(
                f"{self.weights.path}: its predictions are not finite: the file is damaged, use other weights"
            )
        filled = np.where(holes[..., None], predicted.clip(0, 1), to_unit(photos))
        cells = filled.reshape(len(photos), self.grid, CELL, self.grid, CELL, 3).mean(axis=(2, 4))
        out[..., :3] = cells.reshape(len(photos), self.cells, 3)


def _texture(photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None, grid: int) -> NDArray[np.float32]:
    """Return the mean absolute difference of neighbouring pixels, in [0, 1]: float32 (B, grid * grid), NaN where none is visible.

    A pixel is paired with the one below it and the one to its right. Pairs with a hidden pixel are left out; pairs that
    leave the photo count as no difference, which lowers the last row and column of cells a little.
    """
    down, right, lower = np.empty_like(photos), np.empty_like(photos), np.empty_like(photos)
    down[:, -1], right[:, :, -1] = 0, 0
    for target, one, other in (
        (down[:, :-1], photos[:, :-1], photos[:, 1:]),
        (right[:, :, :-1], photos[:, :, :-1], photos[:, :, 1:]),
    ):
        less = lower[:, : target.shape[1], : target.shape[2]]
        np.maximum(one, other, out=target)
        np.minimum(one, other, out=less)
        target -= less
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
    """Replace the NaN of each grid of (B, grid * grid) by the harmonic continuation of the rest, in place."""
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
    """Return float64 (G, G): 1 where two cells of a square grid are neighbours."""
    row, column = np.divmod(np.arange(grid * grid), grid)
    apart = np.abs(row[:, None] - row) + np.abs(column[:, None] - column)
    return (apart == 1).astype(np.float64)
