"""The default context encoder: small, for any hole, for retrieval and completion without a GPU."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ce_retrieval.models.config import CompactConfig
from ce_retrieval.models.constants import COMPACT_LAYERS
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.layers import ChannelNorm, ResidualBlock, ResidualMixer, smooth_fill


def _blocks(channels: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(ResidualBlock(channels) for _ in range(count)))


def _halve(inputs: int, outputs: int) -> nn.Sequential:
    """Halve the side: norm, then a 3 x 3 convolution of stride 2."""
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
    return nn.Sequential(ChannelNorm(inputs), convolution)


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Double the side: norm, a 1 x 1 convolution to four times the channels, sub-pixel shuffle (no checkerboard)."""
    convolution = nn.Conv2d(inputs, 4 * outputs, 1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="linear")
    return nn.Sequential(ChannelNorm(inputs), convolution, nn.PixelShuffle(2))


def _head(channels: int, shuffles: int) -> nn.Sequential:
    """Go from 1/4 of the side to the photo; the last convolution starts at zero, so the network predicts its smooth fill."""
    last = nn.Conv2d(channels if shuffles == 1 else channels // 2, 48 if shuffles == 1 else 12, 3, padding=1)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    start: list[nn.Module] = [ChannelNorm(channels), nn.ReLU()]
    if shuffles == 1:
        return nn.Sequential(*start, last, nn.PixelShuffle(4))
    middle = nn.Conv2d(channels, 2 * channels, 3, padding=1)
    nn.init.kaiming_normal_(middle.weight, nonlinearity="relu")
    return nn.Sequential(*start, middle, nn.PixelShuffle(2), nn.ReLU(), last, nn.PixelShuffle(2))


class Compact(ContextEncoder):
    """Residual blocks at 1/4, 1/8 and 1/16 of the side, channel-wise layers at 1/16, sub-pixel up-sampling.

    By default, for a photo of 128 x 128:

    | layer | output |
    |---|---|
    | photo, the hole filled smoothly; the hole as fourth channel | 4 x 128 x 128 |
    | conv 5x5 / 4 | 64 x 32 x 32 |
    | norm, conv 3x3 / 2, residual blocks | 128 x 16 x 16 |
    | norm, conv 3x3 / 2, residual blocks = `cells` | 256 x 8 x 8 |
    | channel-wise residual layers, residual blocks = `context` | 256 x 8 x 8 |
    | norm, 1x1, pixel shuffle, + the encoder's map, residual blocks | 128 x 16 x 16 |
    | norm, 1x1, pixel shuffle, + the encoder's map, residual blocks | 64 x 32 x 32 |
    | norm, conv 3x3 to 48, pixel shuffle by 4 (or to 128, shuffle by 2, conv 3x3 to 12, shuffle by 2) | 3 x 128 x 128 |
    | + the smooth fill | 3 x 128 x 128 |

    `cells` is local: normalisation is per position, and no layer before it spans the photo, so away from a hole the
    features are those of the whole photo. `context` mixes all cells. The prediction is a correction of the smooth fill
    (`config.residual`), which already has the low frequencies near the hole's edge.
    """

    LAYERS: ClassVar[tuple[str, ...]] = COMPACT_LAYERS
    config: CompactConfig

    def __init__(self, config: CompactConfig) -> None:
        super().__init__(config)
        low, middle, high = config.widths
        self.stem = nn.Conv2d(4, low, 5, stride=4, padding=2)
        nn.init.kaiming_normal_(self.stem.weight, nonlinearity="relu")
        self.encoder_low = _blocks(low, config.encoder_blocks[0])
        self.down_middle = _halve(low, middle)
        self.encoder_middle = _blocks(middle, config.encoder_blocks[1])
        self.down_high = _halve(middle, high)
        self.encoder_high = _blocks(high, config.encoder_blocks[2])
        self.mixers = nn.Sequential(*(ResidualMixer(high, config.size // 16) for _ in range(config.mixers)))
        self.decoder_high = _blocks(high, config.decoder_blocks[2])
        self.up_middle = _double(high, middle)
        self.decoder_middle = _blocks(middle, config.decoder_blocks[1])
        self.up_low = _double(middle, low)
        self.decoder_low = _blocks(low, config.decoder_blocks[0])
        self.head = _head(low, config.shuffles)

    def _encode(self, photos: Tensor, holes: Tensor) -> tuple[Tensor, ...]:
        missing = holes[:, None].to(photos.dtype)
        with torch.no_grad():
            filled = photos
            # Without a hole the fill would be a quarter of the work. Training always has holes, and the check would wait for the
            # device there.
            if self.training or bool(holes.any()):
                fill = smooth_fill(photos, missing) if self.config.residual else self.fill_colour.expand_as(photos)
                filled = torch.where(holes[:, None], fill, photos)
            stacked = torch.cat([filled, missing], dim=1).contiguous(memory_format=torch.channels_last)
        low = self.encoder_low(nn.functional.relu(self.stem(stacked)))
        middle = self.encoder_middle(self.down_middle(low))
        cells = self.encoder_high(self.down_high(middle))
        return filled, low, middle, cells

    def layers(self, photos: Tensor, holes: Tensor) -> dict[str, Tensor]:
        """Return cells and context, both (B, 256, S/16, S/16)."""
        cells = self._encode(photos, holes)[-1]
        return {"cells": cells, "context": self.decoder_high(self.mixers(cells))}

    def encode(self, photos: Tensor, holes: Tensor, layer: str | None = None) -> Tensor:
        """Return the features of one layer; `cells` without the work that only `context` needs."""
        return self._encode(photos, holes)[-1] if layer == "cells" else super().encode(photos, holes, layer)

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """Predict the whole photo: float32 (B, 3, S, S), not clamped to [-1, 1]."""
        filled, low, middle, cells = self._encode(photos, holes)
        maps = self.up_middle(self.decoder_high(self.mixers(cells)))
        maps = self.decoder_middle(maps + middle if self.config.skips else maps)
        maps = self.up_low(maps)
        maps = self.decoder_low(maps + low if self.config.skips else maps)
        predicted = self.head(maps).float()
        return predicted + filled if self.config.residual else predicted
