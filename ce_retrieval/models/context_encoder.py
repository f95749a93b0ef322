"""What every context encoder offers: photos and holes in, a prediction or features out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ce_retrieval.errors import DescriptorError
from ce_retrieval.models.config import NetworkConfig


class ContextEncoder(nn.Module):
    """Base of the networks. Photos are float (B, 3, S, S) in [-1, 1] RGB, holes bool (B, S, S), True = missing.

    The constants that turn a photo into this network's input (size, fill colour, range) are in `config`, and so in
    the checkpoint. What lies under a hole is never read.
    """

    LAYERS: ClassVar[tuple[str, ...]] = ()
    """Names of the layers that `encode` gives, from the input to the output."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        fill = torch.tensor(config.mean, dtype=torch.float32) * 2 - 1
        self.register_buffer("fill_colour", fill.view(1, 3, 1, 1), persistent=False)

    def inputs(self, photos: Tensor, holes: Tensor) -> Tensor:
        """The photos with their holes at the constant mean colour: (B, 3, S, S) in [-1, 1]."""
        return torch.where(holes[:, None], self.fill_colour, photos)

    def layers(self, photos: Tensor, holes: Tensor) -> dict[str, Tensor]:
        """Every layer named in LAYERS: (B, C, h, w) each."""
        raise NotImplementedError

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """The prediction, float32 (B, 3, T, T) in the range of the photos: for `region(photos)`."""
        raise NotImplementedError

    def encode(self, photos: Tensor, holes: Tensor, layer: str | None = None) -> Tensor:
        """The features of one layer (the last one of LAYERS by default): (B, C, h, w)."""
        name = self.LAYERS[-1] if layer is None else layer
        if name not in self.LAYERS:
            known = ", ".join(self.LAYERS)
            raise DescriptorError(f"layer {name!r} is not one of {self.config.architecture}: use one of {known}")
        return self.layers(photos, holes)[name]

    def region(self, maps: Tensor) -> Tensor:
        """The part (..., T, T) of full-size maps (..., S, S) that the network predicts: all of it, unless overridden."""
        return maps

    def compose(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> Tensor:
        """The photos with the prediction under their holes: (B, 3, S, S); visible pixels unchanged."""
        return torch.where(holes[:, None], predicted.to(photos.dtype), photos)

    def judged(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """What an adversary compares: (real, fake). Here whole photos, the fake one with its holes predicted."""
        return photos, self.compose(photos, holes, predicted)


def parameter_count(network: nn.Module) -> int:
    """The number of trainable values."""
    return sum(parameter.numel() for parameter in network.parameters())
