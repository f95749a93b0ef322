"""The DCGAN-style context encoders of the paper: they predict the centre (Figure 9a) or the whole photo."""

from __future__ import annotations

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from ce_retrieval.models.config import PaperCenterConfig, PaperRandomConfig
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.up_convolution import UpConvolution

ENCODER_WIDTHS = (64, 64, 128, 256, 512)


def initialise_dcgan(network: nn.Module) -> None:
    """Draw the weights of DCGAN: N(0, 0.02), batch-norm scales N(1, 0.02) (Radford et al., 2016, section 4)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, std=0.02)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, mean=1.0, std=0.02)
            nn.init.zeros_(module.bias)


def down(inputs: int, outputs: int, *, norm: bool = True) -> list[nn.Module]:
    """Halve the side: a 4 x 4 convolution of stride 2, batch norm and leaky ReLU of slope 0.2."""
    layers: list[nn.Module] = [nn.Conv2d(inputs, outputs, 4, stride=2, padding=1, bias=not norm)]
    if norm:
        layers.append(nn.BatchNorm2d(outputs))
    return [*layers, nn.LeakyReLU(0.2)]


def up(inputs: int, outputs: int) -> list[nn.Module]:
    """Double the side: a 4 x 4 up-convolution of stride 2, batch norm and ReLU."""
    layer = UpConvolution(inputs, outputs, 4, stride=2, padding=1, bias=False)
    return [layer, nn.BatchNorm2d(outputs), nn.ReLU()]


class DcganEncoder(ContextEncoder):
    """Encoder, bottleneck, and a decoder of the given widths; the subclasses list the shapes."""

    LAYERS: ClassVar[tuple[str, ...]] = ("cells", "bottleneck")

    def __init__(self, config: PaperCenterConfig | PaperRandomConfig, decoder_widths: tuple[int, ...]) -> None:
        super().__init__(config)
        widths = (3, *ENCODER_WIDTHS)
        steps = [down(a, b, norm=a != 3) for a, b in pairwise(widths)]
        side = config.size // 32
        self.encoder = nn.Sequential(*(layer for step in steps for layer in step))
        self.bottleneck = nn.Sequential(
            nn.Conv2d(512, config.bottleneck, side, bias=False), nn.BatchNorm2d(config.bottleneck), nn.LeakyReLU(0.2)
        )
        first = decoder_widths[0]
        steps = [up(a, b) for a, b in pairwise(decoder_widths)]
        self.decoder = nn.Sequential(
            UpConvolution(config.bottleneck, first, side, bias=False),
            nn.BatchNorm2d(first),
            nn.ReLU(),
            *(layer for step in steps for layer in step),
            UpConvolution(decoder_widths[-1], 3, 4, stride=2, padding=1),
            nn.Tanh(),
        )
        initialise_dcgan(self)

    def layers(self, photos: Tensor, holes: Tensor) -> dict[str, Tensor]:
        """Return cells (B, 512, S/32, S/32) and bottleneck (B, 4000, 1, 1)."""
        cells = self.encoder(self.inputs(photos, holes))
        return {"cells": cells, "bottleneck": self.bottleneck(cells)}

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """The prediction in [-1, 1], float32: see the class for its size."""
        return self.decoder(self.layers(photos, holes)["bottleneck"]).float()


class PaperCenter(DcganEncoder):
    """Figure 9a: the central half of a photo from all of it.

    | layer | output | weights |
    |---|---|---|
    | photo | 3 x 128 x 128 | |
    | conv 4x4 / 2 | 64 x 64 x 64 | 3,072 |
    | conv 4x4 / 2 | 64 x 32 x 32 | 65,536 |
    | conv 4x4 / 2 | 128 x 16 x 16 | 131,072 |
    | conv 4x4 / 2 | 256 x 8 x 8 | 524,288 |
    | conv 4x4 / 2 | 512 x 4 x 4 | 2,097,152 |
    | conv 4x4 | 4000 x 1 x 1 | 32,768,000 |
    | up-conv 4x4 | 512 x 4 x 4 | 32,768,000 |
    | up-conv 4x4 / 2 | 256 x 8 x 8 | 2,097,152 |
    | up-conv 4x4 / 2 | 128 x 16 x 16 | 524,288 |
    | up-conv 4x4 / 2 | 64 x 32 x 32 | 131,072 |
    | up-conv 4x4 / 2, tanh | 3 x 64 x 64 | 3,072 |

    71,112,704 convolution weights; the biases of the first and last layers and batch norm add 12,307 values.
    """

    def __init__(self, config: PaperCenterConfig) -> None:
        super().__init__(config, (512, 256, 128, 64))

    def region(self, maps: Tensor) -> Tensor:
        """Return the central part (..., S/2, S/2)."""
        quarter = self.config.size // 4
        return maps[..., quarter : 3 * quarter, quarter : 3 * quarter]

    def compose(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> Tensor:
        """Return the photos with the prediction under the part of their holes that lies in the centre."""
        quarter = self.config.size // 4
        full = nn.functional.pad(predicted.to(photos.dtype), (quarter,) * 4)
        inside = torch.zeros_like(holes)
        self.region(inside).fill_(True)
        return torch.where((holes & inside)[:, None], full, photos)

    def judged(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Return the centres, (real, predicted), both (B, 3, S/2, S/2)."""
        return self.region(photos), predicted


class PaperRandom(DcganEncoder):
    """The encoder of Figure 9a, and a decoder with one more step: the whole photo, so any hole can be filled.

    The table of `PaperCenter` down to the up-convolution to 64 x 32 x 32, then:

    | layer | output | weights |
    |---|---|---|
    | up-conv 4x4 / 2 | 64 x 64 x 64 | 65,536 |
    | up-conv 4x4 / 2, tanh | 3 x 128 x 128 | 3,072 |
    """

    def __init__(self, config: PaperRandomConfig) -> None:
        super().__init__(config, (512, 256, 128, 64, 64))
