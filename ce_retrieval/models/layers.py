"""The layers that several networks share."""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Tensor, nn

from ce_retrieval.models.constants import BRANCH, SWEEPS


class ChannelWiseLinear(nn.Module):
    """Each channel's map fully connected to itself, without weights between channels.

    Pathak et al. 2016, section 3.1. For m channels of n x n: m n^4 weights (and m n^2 biases); a fully connected layer has
    m^2 n^4.
    """

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        cells = side * side
        self.weight = nn.Parameter(torch.empty(channels, cells, cells))
        self.bias = nn.Parameter(torch.zeros(channels, 1, cells))
        nn.init.normal_(self.weight, std=cells**-0.5)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, side, side) -> (B, C, side, side)."""
        height, width = maps.shape[-2:]
        mixed = torch.baddbmm(self.bias, maps.flatten(2).transpose(0, 1), self.weight)
        # By way of (B, cells, C): the channels_last layout of the maps around this layer.
        return mixed.permute(1, 2, 0).contiguous().transpose(1, 2).unflatten(2, (height, width))


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each position: local, so a hole does not change distant cells."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w), without a copy where the maps are channels_last."""
        last = maps.permute(0, 2, 3, 1)
        return functional.layer_norm(last, last.shape[-1:], self.weight, self.bias).permute(0, 3, 1, 2)


class ResidualBlock(nn.Module):
    """x + BRANCH conv(relu(conv(norm(x)))), 3 x 3; the last convolution starts at zero, so the block is the identity at first."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.kaiming_normal_(self.first.weight, nonlinearity="relu")
        nn.init.zeros_(self.second.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return maps.add(self.second(functional.relu(self.first(self.norm(maps)), inplace=True)), alpha=BRANCH)


class ResidualMixer(nn.Module):
    """x + BRANCH conv1x1(relu(channel-wise layer(norm(x)))): every cell sees every other; the identity at first."""

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.norm = ChannelNorm(channels)
        self.spread = ChannelWiseLinear(channels, side)
        self.across = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.across.weight)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return maps.add(self.across(functional.relu(self.spread(self.norm(maps)), inplace=True)), alpha=BRANCH)


def smooth_fill(photos: Tensor, holes: Tensor) -> Tensor:
    """Approximate the harmonic (smooth) fill by a pyramid with a few relaxation sweeps per level.

    Parameters
    ----------
    photos : float (B, 3, S, S)
        In any range; S is a multiple of 4. The pixels under the holes are not read.
    holes : float (B, 1, S, S)
        1 = missing.

    Returns
    -------
    (B, 3, S, S)
        To be used under the holes only; 0 for a photo that is all hole.
    """
    visible = functional.avg_pool2d(1 - holes, 4)
    sums = functional.avg_pool2d(photos * (1 - holes), 4)
    levels = [(sums, visible)]
    while levels[-1][1].shape[-1] > 1:
        sums, visible = levels[-1]
        odd = visible.shape[-1] % 2
        pooled = [functional.avg_pool2d(functional.pad(part, (0, odd, 0, odd)), 2) for part in (sums, visible)]
        levels.append((pooled[0], pooled[1]))
    fill = torch.zeros_like(levels[-1][0])
    for sums, visible in reversed(levels):
        known = visible > 0
        coarse = functional.interpolate(fill, size=sums.shape[-2:], mode="bilinear", align_corners=False)
        fill = torch.where(known, sums / visible.clamp_min(1e-6), coarse)
        for _ in range(SWEEPS):
            near = functional.pad(fill, (1, 1, 1, 1), mode="replicate")
            mean = near[..., 1:-1, 2:] + near[..., 1:-1, :-2] + near[..., 2:, 1:-1] + near[..., :-2, 1:-1]
            fill = torch.where(known, fill, mean * 0.25)
    return functional.interpolate(fill, size=photos.shape[-2:], mode="bilinear", align_corners=False)
