"""The default networks in numpy: for the few photos of a query, without torch.

Arithmetic is float32, on numpy's own threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError, MaskError, PhotoError, some
from ce_retrieval.models.checkpoint_file import tensors_beside
from ce_retrieval.models.config import CompactConfig, KindConfig
from ce_retrieval.models.plain_layers import Floats, Layers, relu, shuffled, smooth_fill
from ce_retrieval.models.plain_shapes import compact_shapes

# Photos with holes up to which a network runs in numpy, whether torch is there or not: so a query has the same answer
# whatever the process did before.
FEW = 2


def check_photos(photos: NDArray[np.uint8], size: int) -> None:
    """Raise PhotoError unless photos are uint8 (B, size, size, 3)."""
    if photos.dtype != np.uint8 or photos.shape[1:] != (size, size, 3):
        found = f"{photos.dtype} {photos.shape[1:]}"
        raise PhotoError(f"photos of {found} do not suit the network: expected uint8 ({size}, {size}, 3); resize them")


def check_visible(holes: NDArray[np.bool_]) -> None:
    """Raise MaskError where a hole of (B, S, S) covers its photo."""
    if holes.all(axis=(1, 2)).any():
        raise MaskError("a hole covers a whole photo and leaves the network nothing to see: use a smaller hole")


def _inputs(photos: NDArray[np.uint8], holes: NDArray[np.bool_], size: int) -> tuple[Floats, Floats]:
    """Return photos in [-1, 1] and holes (B, S, S, 1), 1 = missing."""
    check_photos(photos, size)
    missing = np.broadcast_to(holes, photos.shape[:3])[..., None].astype(np.float32)
    return photos.astype(np.float32) / np.float32(127.5) - 1, missing


class PlainCompact:
    """`compact.Compact` in numpy.

    Parameters
    ----------
    config : CompactConfig
    tensors : numbers by name; those that are not of the network are not read.
    name : of their file, for messages.

    Raises
    ------
    CheckpointError
        A tensor is missing, unknown, or of another shape or type.
    """

    def __init__(self, config: CompactConfig, tensors: Mapping[str, NDArray[Any]], *, name: str) -> None:
        beside = tensors_beside(tensors)
        own = {key: value for key, value in tensors.items() if key not in beside}
        expected = compact_shapes(config)
        if differing := sorted(set(expected) ^ set(own)):
            raise CheckpointError(f"{name}: its weights are of another network: {some(differing, 1)} not in both")
        for key, shape in expected.items():
            if own[key].shape != shape:
                raise CheckpointError(f"{name}: {key} has shape {own[key].shape}, this network expects {shape}")
            if own[key].dtype not in (np.float16, np.float32):
                raise CheckpointError(f"{name}: {key} is torch.{own[key].dtype}, this network expects torch.float32")
        self.config = config
        self._layers = Layers(own)

    def _encode(self, photos: Floats, missing: Floats) -> tuple[Floats, Floats, Floats, Floats]:
        config, layers = self.config, self._layers
        filled = photos
        if missing.any():
            colour = np.array(config.mean, np.float32) * 2 - 1
            filled = np.where(missing > 0, smooth_fill(photos, missing) if config.residual else colour, photos)
        low = relu(layers.conv("stem", np.concatenate([filled, missing], axis=-1), stride=4))
        low = layers.blocks("encoder_low", config.encoder_blocks[0], low)
        middle = layers.conv("down_middle.1", layers.norm("down_middle.0", low), stride=2)
        middle = layers.blocks("encoder_middle", config.encoder_blocks[1], middle)
        cells = layers.conv("down_high.1", layers.norm("down_high.0", middle), stride=2)
        return filled, low, middle, layers.blocks("encoder_high", config.encoder_blocks[2], cells)

    def _context(self, cells: Floats) -> Floats:
        mixed = self._layers.mixers("mixers", self.config.mixers, cells)
        return self._layers.blocks("decoder_high", self.config.decoder_blocks[2], mixed)

    def _doubled(self, name: str, maps: Floats, skip: Floats, blocks: int) -> Floats:
        layers = self._layers
        maps = shuffled(layers.conv(f"up_{name}.1", layers.norm(f"up_{name}.0", maps)), 2)
        return layers.blocks(f"decoder_{name}", blocks, maps + skip if self.config.skips else maps)

    def _forward(self, photos: Floats, missing: Floats) -> Floats:
        config, layers = self.config, self._layers
        filled, low, middle, cells = self._encode(photos, missing)
        maps = self._doubled("middle", self._context(cells), middle, config.decoder_blocks[1])
        maps = relu(layers.norm("head.0", self._doubled("low", maps, low, config.decoder_blocks[0])))
        if config.shuffles == 1:
            predicted = shuffled(layers.conv("head.2", maps), 4)
        else:
            predicted = shuffled(layers.conv("head.5", relu(shuffled(layers.conv("head.2", maps), 2))), 2)
        return predicted + filled if config.residual else predicted

    def features(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_], layer: str) -> Floats:
        """Return the features of a layer, float32 (B, h, w, C), as `inference.encode_photos`."""
        with np.errstate(over="ignore", invalid="ignore"):  # of damaged weights: callers look at the result
            cells = self._encode(*_inputs(photos, holes, self.config.size))[-1]
            return cells if layer == "cells" else self._context(cells)

    def predict(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_], *, mirror: bool = False) -> Floats:
        """Return the raw predictions, float32 (B, S, S, 3), as `inference.predict_photos`."""
        pixels, missing = _inputs(photos, holes, self.config.size)
        check_visible(missing[..., 0] > 0)
        with np.errstate(over="ignore", invalid="ignore"):
            predicted = self._forward(pixels, missing)
            if mirror:
                flipped = self._forward(np.ascontiguousarray(pixels[:, :, ::-1]), missing[:, :, ::-1])
                predicted = (predicted + flipped[:, :, ::-1]) * np.float32(0.5)
            return (predicted + 1) * np.float32(0.5)


class PlainKind:
    """`kind_network.KindNetwork` in numpy; parameters as for `PlainCompact`, whose shapes the caller has checked."""

    def __init__(self, config: KindConfig, tensors: Mapping[str, NDArray[Any]]) -> None:
        self.config = config
        self._layers = Layers(tensors)

    def kinds(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_]) -> Floats:
        """Return the kinds of photos, float32 (B, K), each of norm 1, as `inference.kinds_of_photos`."""
        layers, blocks = self._layers, self.config.blocks
        pixels, missing = _inputs(photos, holes, self.config.size)
        stacked = np.concatenate([pixels * (1 - missing), missing], axis=-1)
        maps = layers.blocks("low", blocks[0], relu(layers.conv("stem", stacked, stride=4)))
        middle = layers.blocks(
            "middle", blocks[1], layers.conv("to_middle.1", layers.norm("to_middle.0", maps), stride=2)
        )
        high = layers.blocks("high", blocks[2], layers.conv("to_high.1", layers.norm("to_high.0", middle), stride=2))
        parts = []
        for number, found in enumerate((middle, high)):
            share = _shares(1 - missing[..., 0], found.shape[1])[..., None]
            total: Floats = share.sum(axis=(1, 2), keepdims=True)
            weight = share / np.maximum(total, np.float32(1e-6))
            cells = relu(layers.norm(f"norms.{number}", found))
            mean: Floats = (cells * weight).sum(axis=(1, 2), keepdims=True)
            spread = np.sqrt((np.square(cells - mean) * weight).sum(axis=(1, 2)) + np.float32(1e-6))
            parts += [mean[:, 0, 0], spread]
        features = np.concatenate(parts, axis=1) @ layers.tensor("last.weight").T + layers.tensor("last.bias")
        vectors = np.asarray((features - layers.tensor("mean")) @ layers.tensor("projection"), np.float32)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
        return vectors


def _shares(seen: Floats, side: int) -> Floats:
    """Return the means of (B, S, S) over side x side cells (torch's adaptive_avg_pool2d)."""
    size = seen.shape[1]
    rows = np.zeros((side, size), np.float32)
    for cell in range(side):
        first, end = cell * size // side, -(-(cell + 1) * size // side)
        rows[cell, first:end] = 1 / (end - first)
    return np.asarray(rows @ seen @ rows.T, np.float32)
