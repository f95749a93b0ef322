"""The layers of the networks in numpy, for single photos: torch takes longer to import than these take to run.

Maps are float32 (B, h, w, C), so that a convolution is one matrix product. Weights are by their names in the weights file.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.models.constants import BRANCH, SWEEPS

Floats = NDArray[np.float32]
_EPSILON = 1e-5  # of torch's layer_norm


class Layers:
    """Layers by their names.

    Parameters
    ----------
    tensors : numbers by name, as in a weights file.
    """

    def __init__(self, tensors: Mapping[str, NDArray[Any]]) -> None:
        self._stored = tensors
        # Those that were used: a process that runs torch alone keeps no second copy.
        self._ready: dict[str, Floats] = {}

    def tensor(self, name: str) -> Floats:
        """Return numbers in float32 by their name; kernels (C', C, kh, kw) as (kh * kw * C, C')."""
        if name not in self._ready:
            numbers = np.asarray(self._stored[name], np.float32)
            if numbers.ndim == 4:
                numbers = numbers.transpose(2, 3, 1, 0).reshape(-1, len(numbers))
            self._ready[name] = numbers
        return self._ready[name]

    def conv(self, name: str, maps: Floats, stride: int = 1) -> Floats:
        """Convolve with an odd square kernel, padded by zeros: (B, h, w, C) -> (B, h / stride, w / stride, C')."""
        kernel, bias = self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias")
        side = self._stored[f"{name}.weight"].shape[-1]
        if side == 1:
            return maps @ kernel + bias
        pad = side // 2
        padded = np.pad(maps, ((0, 0), (pad, pad), (pad, pad), (0, 0)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side), axis=(1, 2))[:, ::stride, ::stride]
        count, rows, columns = windows.shape[:3]
        patches = windows.transpose(0, 1, 2, 4, 5, 3).reshape(count * rows * columns, -1)
        product: Floats = patches @ kernel
        product += bias
        return product.reshape(count, rows, columns, -1)

    def norm(self, name: str, maps: Floats) -> Floats:
        """Normalise over the channels of each position (`layers.ChannelNorm`)."""
        centred = maps - maps.mean(axis=-1, keepdims=True)
        centred /= np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(_EPSILON))
        return centred * self.tensor(f"{name}.weight") + self.tensor(f"{name}.bias")

    def blocks(self, name: str, count: int, maps: Floats) -> Floats:
        """Apply residual blocks (`layers.ResidualBlock`)."""
        for block in (f"{name}.{number}" for number in range(count)):
            inner = relu(self.conv(f"{block}.first", self.norm(f"{block}.norm", maps)))
            maps = maps + np.float32(BRANCH) * self.conv(f"{block}.second", inner)
        return maps

    def mixers(self, name: str, count: int, maps: Floats) -> Floats:
        """Apply channel-wise residual layers (`layers.ResidualMixer`)."""
        for mixer in (f"{name}.{number}" for number in range(count)):
            flat = self.norm(f"{mixer}.norm", maps).reshape(len(maps), -1, maps.shape[-1]).transpose(2, 0, 1)
            spread = flat @ self.tensor(f"{mixer}.spread.weight") + self.tensor(f"{mixer}.spread.bias")
            inner = relu(spread.transpose(1, 2, 0)).reshape(maps.shape)
            maps = maps + np.float32(BRANCH) * self.conv(f"{mixer}.across", inner)
        return maps


def relu(maps: Floats) -> Floats:
    """Return the maps with 0 for what is negative; NaN stays."""
    return np.maximum(maps, np.float32(0))


def shuffled(maps: Floats, factor: int) -> Floats:
    """Spread channels over pixels (torch's PixelShuffle): (B, h, w, C f f) -> (B, f h, f w, C)."""
    count, rows, columns, _ = maps.shape
    parts = maps.reshape(count, rows, columns, -1, factor, factor).transpose(0, 1, 4, 2, 5, 3)
    return parts.reshape(count, rows * factor, columns * factor, -1)


def pooled(maps: Floats, factor: int) -> Floats:
    """Return the means of squares of pixels: (B, f h, f w, C) -> (B, h, w, C)."""
    count, rows, columns, channels = maps.shape
    return maps.reshape(count, rows // factor, factor, columns // factor, factor, channels).mean(axis=(2, 4))


def enlarged(maps: Floats, side: int) -> Floats:
    """Interpolate square maps bilinearly to another side (torch's, align_corners=False)."""
    old = maps.shape[1]
    at = np.maximum((np.arange(side) + 0.5) * old / side - 0.5, 0)
    low = at.astype(int)
    share = (at - low).astype(np.float32)
    rows = np.zeros((side, old), np.float32)
    np.add.at(rows, (np.arange(side), low), 1 - share)
    np.add.at(rows, (np.arange(side), np.minimum(low + 1, old - 1)), share)
    return np.einsum("yi,xj,bijc->byxc", rows, rows, maps, optimize=True)


def smooth_fill(photos: Floats, missing: Floats) -> Floats:
    """Return `layers.smooth_fill` of photos (B, S, S, 3) and holes (B, S, S, 1), 1 = missing: (B, S, S, 3)."""
    levels = [(pooled(photos * (1 - missing), 4), pooled(1 - missing, 4))]
    while levels[-1][1].shape[1] > 1:
        odd = levels[-1][1].shape[1] % 2
        sums, visible = (pooled(np.pad(part, ((0, 0), (0, odd), (0, odd), (0, 0))), 2) for part in levels[-1])
        levels.append((sums, visible))
    fill = np.zeros_like(levels[-1][0])
    for sums, visible in reversed(levels):
        known = visible > 0
        fill = np.where(known, sums / np.maximum(visible, np.float32(1e-6)), enlarged(fill, sums.shape[1]))
        for _ in range(SWEEPS):
            near = np.pad(fill, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
            mean = near[:, 1:-1, 2:] + near[:, 1:-1, :-2] + near[:, 2:, 1:-1] + near[:, :-2, 1:-1]
            fill = np.where(known, fill, mean * np.float32(0.25))
    return enlarged(fill, photos.shape[1])
