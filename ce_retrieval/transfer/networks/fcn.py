"""Fully convolutional networks on AlexNet, for the class of each pixel.

Notes
-----
J. Long, E. Shelhamer, T. Darrell, "Fully Convolutional Networks for Semantic Segmentation" (2015). Deviations: their FCN-16s and
FCN-8s are of VGG-16; here the finer scores come from conv5 (16 px) and pool1 (8 px), the finest maps of AlexNet at these steps.
All upsampling is bilinear and fixed (theirs is learned in part). FCN-16s and FCN-8s are trained at once (theirs go on from the
coarser one), and the scores of fc7 start at Gaussian numbers (theirs at 0). Biases learn as weights do (theirs: twice as fast).
Batch norm of the trunk, where it has some, goes on learning, from the grey px around photos too.
"""

from __future__ import annotations

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor, nn

from ce_retrieval.transfer.networks.alexnet import AlexNet, draw_gaussian, dropped
from ce_retrieval.transfer.networks.stages import GRID, conv1_padding, padded_for_fc6, split_trunk

_DEVIATION = 0.01
# The cell that is centred on px 0 of the photo.
_CONV5_START, _POOL1_START = 6, 13


class FullyConvolutional(nn.Module):
    """Scores of classes for each pixel. Photos are RGB float (B, 3, H, W) in [-1, 1], of any size.

    Parameters
    ----------
    network : an AlexNet for photos of `stages.SIDE`, whose trunk, fc6 and fc7 are taken, not copied.
    classes : of a pixel, the background among them.
    step : px between the finest scores: 32, 16 or 8.
    generator : on the CPU; draws the weights of the scores of fc7. Those of the finer maps start at 0.
    """

    def __init__(self, network: AlexNet, classes: int, step: int, generator: Generator) -> None:
        super().__init__()
        self.pool1, self.conv5, self.pool5 = split_trunk(network.trunk)
        self.padding, self.step = conv1_padding(network), step
        channels = network.fc6.in_features // GRID**2
        units = network.fc6.out_features
        self.fc6 = _as_convolution(network.fc6, channels, GRID)
        self.fc7 = _as_convolution(network.fc7, units, 1)
        self.coarse = nn.utils.skip_init(nn.Conv2d, units, classes, 1)
        draw_gaussian([self.coarse], _DEVIATION, generator)
        self.finer = nn.ModuleDict()
        for name, inputs, at in (("conv5", channels, 16), ("pool1", _channels(self.pool1), 8)):
            if step <= at:
                layer = nn.Conv2d(inputs, classes, 1)
                nn.init.zeros_(layer.weight)
                nn.init.zeros_(layer.bias)
                self.finer[name] = layer

    def forward(self, photos: Tensor, generator: Generator | None = None) -> Tensor:
        """Return scores (B, classes, H, W).

        generator : on the photos' device; draws what the dropout after fc6 and fc7 leaves out. None: no dropout.
        """
        pool1 = self.pool1(padded_for_fc6(photos, self.padding))
        conv5 = self.conv5(pool1)
        maps = dropped(self.fc6(self.pool5(conv5)).relu(), generator)
        scores = self.coarse(dropped(self.fc7(maps).relu(), generator))
        for name, finer, start in (("conv5", conv5, _CONV5_START), ("pool1", pool1, _POOL1_START)):
            if name in self.finer:
                scores = _enlarged(scores, 2)
                rows, columns = scores.shape[2:]
                scores = scores + self.finer[name](finer[:, :, start : start + rows, start : start + columns])
        height, width = photos.shape[2:]
        return _enlarged(scores, self.step)[:, :, :height, :width]


def _as_convolution(layer: nn.Linear, channels: int, side: int) -> nn.Conv2d:
    """Return a fully connected layer as a convolution over side x side cells."""
    convolution = nn.utils.skip_init(nn.Conv2d, channels, layer.out_features, side)
    with torch.no_grad():
        convolution.weight.copy_(layer.weight.view_as(convolution.weight))
        convolution.bias.copy_(layer.bias)
    return convolution


def _channels(layers: nn.Sequential) -> int:
    return next(one.out_channels for one in reversed(layers) if isinstance(one, nn.Conv2d))


def _enlarged(maps: Tensor, factor: int) -> Tensor:
    """Return maps of cells at a step of 1 / factor, bilinear: the first and the last stay where they are."""
    size = [factor * (length - 1) + 1 for length in maps.shape[2:]]
    return functional.interpolate(maps, size=size, mode="bilinear", align_corners=True)
