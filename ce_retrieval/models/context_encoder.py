"""The base of all context encoders: photos and holes in, a prediction or features out."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from ce_retrieval.errors import SettingsError
from ce_retrieval.models.config import NetworkConfig


class ContextEncoder(nn.Module):
    """Base of the networks.

    Photos are RGB float (B, 3, S, S) in [-1, 1], holes bool (B, S, S), True = missing. The pixels under a hole are never
    read. Size and fill colour of the input are in `config`, and so in the checkpoint.
    """

    LAYERS: ClassVar[tuple[str, ...]] = ()
    """Names of the layers that `encode` returns, from the input to the output."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config = config
        fill = torch.tensor(config.mean, dtype=torch.float32) * 2 - 1
        self.register_buffer("fill_colour", fill.view(1, 3, 1, 1), persistent=False)

    def inputs(self, photos: Tensor, holes: Tensor) -> Tensor:
        """Return the photos with the mean colour in their holes: (B, 3, S, S) in [-1, 1]."""
        return torch.where(holes[:, None], self.fill_colour, photos)

    def layers(self, photos: Tensor, holes: Tensor) -> dict[str, Tensor]:
        """Return every layer named in LAYERS: (B, C, h, w) each."""
        raise NotImplementedError

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """Predict `region(photos)`: float32 (B, 3, T, T) in the range of the photos."""
        raise NotImplementedError

    def encode(self, photos: Tensor, holes: Tensor, layer: str | None = None) -> Tensor:
        """Return the features of one layer, by default the last one of LAYERS: (B, C, h, w)."""
        name = self.LAYERS[-1] if layer is None else layer
        if name not in self.LAYERS:
            known = ", ".join(self.LAYERS)
            raise SettingsError(f"layer {name!r} is not one of {self.config.architecture}: use one of {known}")
        return self.layers(photos, holes)[name]

    def region(self, maps: Tensor) -> Tensor:
        """Return the part (..., T, T) of maps (..., S, S) that the network predicts, as a view: all, unless overridden."""
        return maps

    def compose(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> Tensor:
        """Return the photos with the prediction under their holes: (B, 3, S, S); visible pixels do not change."""
        return torch.where(holes[:, None], predicted.to(photos.dtype), photos)

    def judged(self, photos: Tensor, holes: Tensor, predicted: Tensor) -> tuple[Tensor, Tensor]:
        """Return what an adversary compares, (real, fake): whole photos, the fake ones with their holes predicted."""
        return photos, self.compose(photos, holes, predicted)
