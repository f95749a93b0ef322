"""The AlexNet context encoder of the paper (Figure 9b), with pooling or without."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from ce_retrieval.models.config import PaperRegionConfig
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.layers import ChannelWiseLinear
from ce_retrieval.models.up_convolution import UpConvolution

DECODER_WIDTHS = (128, 64, 64, 32)


def _convolution(inputs: int, outputs: int, kernel: int, *, stride: int = 1, pad: int = 0, groups: int = 1) -> list:
    layer = nn.Conv2d(inputs, outputs, kernel, stride=stride, padding=pad, groups=groups)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


class PaperRegion(ContextEncoder):
    """AlexNet to pool5, the channel-wise layer, and five up-convolutions.

    | layer | output | weights and biases |
    |---|---|---|
    | photo | 3 x 227 x 227 | |
    | conv1 11x11 / 4 | 96 x 55 x 55 | 34,944 |
    | pool1 3x3 / 2 | 96 x 27 x 27 | |
    | conv2 5x5, 2 groups | 256 x 27 x 27 | 307,456 |
    | pool2 3x3 / 2 | 256 x 13 x 13 | |
    | conv3 3x3 | 384 x 13 x 13 | 885,120 |
    | conv4 3x3, 2 groups | 384 x 13 x 13 | 663,936 |
    | conv5 3x3, 2 groups | 256 x 13 x 13 | 442,624 |
    | pool5 3x3 / 2 | 256 x 6 x 6 = 9216 | |
    | channel-wise layer, dropout 0.5 | 256 x 6 x 6 | 256 x 6^4 = 331,776 (+ 9,216) |
    | conv 1x1 across channels | 256 x 6 x 6 | 65,792 |
    | up-conv 5x5 / 2 | 128 x 11 x 11 | 819,328 |
    | up-conv 5x5 / 2 | 64 x 21 x 21 | 204,864 |
    | up-conv 5x5 / 2 | 64 x 41 x 41 | 102,464 |
    | up-conv 5x5 / 2 | 32 x 81 x 81 | 51,232 |
    | up-conv 5x5 / 2 | 3 x 161 x 161 | 2,403 |
    | resize | 3 x 227 x 227 | |

    With `pool_free` each pooling is a convolution of the same kernel, stride and channels (section 4). Deviation: batch
    norm in place of AlexNet's local response normalisation, in encoder and decoder.
    """

    LAYERS: ClassVar[tuple[str, ...]] = ("cells", "context")
    config: PaperRegionConfig

    def __init__(self, config: PaperRegionConfig) -> None:
        super().__init__(config)
        groups = config.groups
        self.encoder = nn.Sequential(
            *_convolution(3, 96, 11, stride=4),
            *self._pool(96),
            *_convolution(96, 256, 5, pad=2, groups=groups),
            *self._pool(256),
            *_convolution(256, 384, 3, pad=1),
            *_convolution(384, 384, 3, pad=1, groups=groups),
            *_convolution(384, 256, 3, pad=1, groups=groups),
            *self._pool(256),
        )
        side = (config.size - 11) // 4 + 1
        for _ in range(3):
            side = (side - 3) // 2 + 1
        self.spread = ChannelWiseLinear(256, side)
        self.dropout = nn.Dropout(config.dropout)
        self.across = nn.Sequential(*_convolution(256, 256, 1))
        widths = (256, *DECODER_WIDTHS)
        ups: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layer = UpConvolution(inputs, outputs, 5, stride=2, padding=2)
            ups += [layer, nn.BatchNorm2d(outputs), nn.ReLU()]
        self.decoder = nn.Sequential(*ups, UpConvolution(widths[-1], 3, 5, stride=2, padding=2))
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)
        # The last layer predicts values in [-1, 1]: start near zero.
        nn.init.normal_(self.decoder[-1].weight, std=0.01)

    def _pool(self, channels: int) -> list[nn.Module]:
        if self.config.pool_free:
            return _convolution(channels, channels, 3, stride=2)
        return [nn.MaxPool2d(3, stride=2)]

    def layers(self, photos: Tensor, holes: Tensor) -> dict[str, Tensor]:
        """Return cells (pool5) and context (after the channel-wise layer and the 1 x 1 convolution), both (B, 256, 6, 6)."""
        cells = self.encoder(self.inputs(photos, holes))
        return {"cells": cells, "context": self.across(self.dropout(self.spread(cells).relu()))}

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """Predict the whole photo: float32 (B, 3, S, S), not clamped to [-1, 1]."""
        maps = self.decoder(self.layers(photos, holes)["context"]).float()
        return nn.functional.interpolate(maps, size=photos.shape[-2:], mode="bilinear", align_corners=False)
