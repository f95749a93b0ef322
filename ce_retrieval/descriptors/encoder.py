"""Features of a context encoder: one layer of its encoder, as a grid of cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import LARGEST, check_batch, square_boxes
from ce_retrieval.descriptors.networks import check_size, in_chunks, network_memory
from ce_retrieval.errors import CheckpointError, DescriptorError

if TYPE_CHECKING:
    from ce_retrieval.models.shipped import Weights

LOCAL_LAYER = "cells"  # in every architecture the only layer before all cells are mixed


class Encoder(Descriptor):
    """One layer of a context encoder.

    The weights file may hold a compression of the layer to fewer channels (`compression`). Where it holds none, all
    channels are used, divided by the square root of their number. Either way the norms are of order 1.

    Spec ``encoder:LAYER`` with the weights of the package, ``encoder:LAYER:CHECKPOINT`` with an absolute path for others.

    Notes
    -----
    Pathak et al. 2016, section 5.1 (features for context nearest neighbours). Deviations: bfloat16 arithmetic, and the
    compression. A photo's features depend on the rest of its batch, and on the number of threads, only by rounding.

    ``cells`` is local: the box of a cell is its share of the photo, and any hole can be served. The receptive field of a
    cell is larger than its box, so a hole changes cells around it, less with the distance.

    In a later layer each cell sees the whole photo. Its box is therefore the whole photo, and a hole leaves every cell the
    same share. Features of a photo with a hole differ from those of the whole photo everywhere, so this suits collections
    that are described with the query's hole.
    """

    libraries = ("torch",)

    def __init__(self, spec: str, weights: Weights, layer: str, size: int) -> None:
        self.spec, self.size, self.layer = spec, size, layer
        check_size(spec, size, weights.config.size)
        self.weights, self.weights_sha256, self.trained = weights, weights.sha256, weights.path
        self._compression = weights.compressions.get(layer)
        self.memory, self.photo_memory = network_memory(weights.numbers, size)
        rows, columns, whole = self._features(
            np.zeros((1, size, size, 3), np.uint8), np.zeros((1, size, size), bool)
        ).shape[1:]
        compressed = self._compression
        if compressed is not None and len(compressed.mean) != whole:
            raise CheckpointError(
                f"{weights.path}: its compression of {layer} is for {len(compressed.mean)} channels, the layer has {whole}; "
                "export the weights again"
            )
        self.cells = rows * columns
        self.channels = whole if compressed is None else compressed.channels
        if layer == LOCAL_LAYER:
            edges = np.rint(np.arange(rows + 1) * size / rows)
            self.boxes = square_boxes(edges[:-1], edges[1:])
            self.min_share = 0.5
        else:
            self.boxes = np.tile(np.array([0, 0, size, size], np.int32), (self.cells, 1))
            self.min_share = 0.0

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, G, C); DescriptorError where float16 cannot hold a feature."""
        check_batch(self.spec, self.size, photos, holes)
        if holes is not None and self.weights.plain_for(len(photos)) is not None:
            return self._compressed(self._features(photos, holes))
        out = np.empty((len(photos), self.cells, self.channels), np.float32)

        from ce_retrieval.models.inference import encode_photos

        network = self.weights.network

        def run(part: slice) -> None:
            out[part] = self._compressed(
                encode_photos(network, photos[part], None if holes is None else holes[part], layer=self.layer)
            )

        in_chunks(len(photos), run)
        return out

    def _compressed(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        flat = features.reshape(len(features), self.cells, features.shape[-1])
        if self._compression is None:
            grids = flat * np.float32(flat.shape[-1] ** -0.5)
        else:
            grids = self._compression.apply(flat)
        if not (np.abs(grids) <= LARGEST).all():  # false for NaN too
            raise DescriptorError(
                f"{self.spec}: its network gives features that are too large for an index, or not finite: the weights are "
                "damaged, use others"
            )
        return grids

    def _features(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_]) -> NDArray[np.float32]:
        """Return the features of few photos, before the compression: float32 (B, h, w, C)."""
        if (plain := self.weights.plain_for(len(photos))) is not None:
            return plain.features(photos, holes, self.layer)
        from ce_retrieval.models.inference import encode_photos

        return encode_photos(self.weights.network, photos, holes, layer=self.layer)
