"""The network behind the descriptor `kind`: one vector for a photo, from whatever of it is visible."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as functional
from numpy.typing import NDArray
from torch import Tensor, nn

from ce_retrieval.models.checkpoint import save_tensors
from ce_retrieval.models.config import KindConfig
from ce_retrieval.models.kind_weights import FILE_KIND, KindWeights
from ce_retrieval.models.layers import ChannelNorm, ResidualBlock

if TYPE_CHECKING:
    from pathlib import Path


class KindNetwork(nn.Module):
    """Residual blocks at 1/4, 1/8 and 1/16 of the side; mean and spread of the last two maps over their visible cells.

    A hole is filled with grey and is the fourth channel. Cells that it hides take no part in the means. The linear map at
    the end is fitted after the training (benchmarks/train_kind.py): it weighs down what depends on the part that is seen.
    """

    mean: Tensor
    projection: Tensor

    def __init__(self, config: KindConfig) -> None:
        super().__init__()
        self.config = config
        low, middle, high = config.widths
        self.stem = nn.Conv2d(4, low, 5, stride=4, padding=2)
        self.low = nn.Sequential(*(ResidualBlock(low) for _ in range(config.blocks[0])))
        self.to_middle = nn.Sequential(ChannelNorm(low), nn.Conv2d(low, middle, 3, stride=2, padding=1))
        self.middle = nn.Sequential(*(ResidualBlock(middle) for _ in range(config.blocks[1])))
        self.to_high = nn.Sequential(ChannelNorm(middle), nn.Conv2d(middle, high, 3, stride=2, padding=1))
        self.high = nn.Sequential(*(ResidualBlock(high) for _ in range(config.blocks[2])))
        self.norms = nn.ModuleList([ChannelNorm(middle), ChannelNorm(high)])
        self.last = nn.Linear(2 * (middle + high), config.features)
        self.register_buffer("mean", torch.zeros(config.features))
        self.register_buffer("projection", torch.eye(config.features, config.components))

    def forward(self, photos: Tensor, holes: Tensor) -> Tensor:
        """Photos float (B, 3, S, S) in [-1, 1], holes bool (B, S, S), True = missing -> float32 (B, features)."""
        missing = holes[:, None].to(photos.dtype)
        stacked = torch.cat([photos * (1 - missing), missing], dim=1).contiguous(memory_format=torch.channels_last)
        maps = self.low(functional.relu(self.stem(stacked)))
        middle = self.middle(self.to_middle(maps))
        high = self.high(self.to_high(middle))
        parts = []
        for norm, found in zip(self.norms, (middle, high), strict=True):
            share = functional.adaptive_avg_pool2d(1 - missing.float(), found.shape[-1])
            weight = share / share.sum(dim=(2, 3), keepdim=True).clamp_min(1e-6)
            cells = functional.relu(norm(found)).float()
            mean = (cells * weight).sum(dim=(2, 3), keepdim=True)
            spread = ((cells - mean).square() * weight).sum(dim=(2, 3)).add(1e-6).sqrt()
            parts += [mean[:, :, 0, 0], spread]
        return self.last(torch.cat(parts, dim=1)).float()

    def kinds(self, features: Tensor) -> Tensor:
        """Return the vectors of what `forward` returns: float32 (B, components), of norm 1."""
        return functional.normalize((features - self.mean) @ self.projection, dim=1)


def save_kind(path: str | Path, network: KindNetwork, about: dict[str, Any]) -> str:
    """Write a network as float16, with further JSON values; return the hash of its numbers."""
    tensors = {name: value.detach().cpu().half() for name, value in network.state_dict().items()}
    return save_tensors(path, tensors, {"kind": FILE_KIND, "network": asdict(network.config), **about})


def load_kind_network(path: str | Path) -> tuple[KindNetwork, str]:
    """Return a network of `save_kind` in evaluation mode, on the CPU, and its hash; CheckpointError where it is another."""
    weights = KindWeights(path)
    return weights.network, weights.sha256


def network_of_kinds(config: KindConfig, arrays: Mapping[str, NDArray[Any]]) -> KindNetwork:
    """Return a network with its numbers by name, in evaluation mode, on the CPU."""
    network = KindNetwork(config)
    network.load_state_dict({name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in arrays.items()})
    return network.to(memory_format=torch.channels_last).eval().requires_grad_(False)
