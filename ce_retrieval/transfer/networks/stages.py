"""Where the maps of an AlexNet trunk stand in a photo, and how a photo is padded so that they cover it.

Without padding, the centre of cell k is at px 8 k + 9 after pool1, 16 k + 17 after pool2 and conv5, 32 k + 33 after pool5, and
32 k + 113 after fc6 as a 6 x 6 convolution; a padding of conv1 moves all of them back by as much.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch.nn.functional as functional
from torch import Tensor, nn

from ce_retrieval.transfer.networks.alexnet import AlexNet

SIDE = 227  # px, for which pool5 has GRID x GRID cells
GRID = 6
CONV5 = 16  # px between the cells of conv5
FC6 = 32  # px between the cells of fc6
_CONV5_FIRST, _FC6_FIRST = 17, 113  # px of the centres of their first cells, without padding


class Stages(NamedTuple):
    """The layers of a trunk in three parts.

    Attributes
    ----------
    pool1 : from a photo to the maps after pool1: a cell every 8 px.
    conv5 : from there to the maps before pool5: a cell every 16 px.
    pool5 : the rest.
    """

    pool1: nn.Sequential
    conv5: nn.Sequential
    pool5: nn.Sequential


def split_trunk(trunk: nn.Sequential) -> Stages:
    """Return the parts of a trunk, which share its layers; a pooling may be a convolution with a stride of 2."""
    layers = list(trunk)
    conv2 = next(n for n, one in enumerate(layers) if isinstance(one, nn.Conv2d) and one.kernel_size == (5, 5))
    halving = [n for n, one in enumerate(layers) if isinstance(one, nn.MaxPool2d | nn.Conv2d) and _stride(one) == 2]
    pool5 = halving[-1]
    return Stages(nn.Sequential(*layers[:conv2]), nn.Sequential(*layers[conv2:pool5]), nn.Sequential(*layers[pool5:]))


def trunk_to(trunk: nn.Sequential, layer: str) -> nn.Sequential:
    """Return the layers of a trunk to the ReLU of conv1 to conv5, or to pool5: the whole; they are shared, not copied."""
    if layer == "pool5":
        return trunk
    layers = list(trunk)
    # A convolution with a stride of 2 takes the place of a pooling.
    convolutions = [n for n, one in enumerate(layers) if isinstance(one, nn.Conv2d) and _stride(one) != 2]
    start = convolutions[int(layer.removeprefix("conv")) - 1]
    end = next(n for n in range(start, len(layers)) if isinstance(layers[n], nn.ReLU))
    return nn.Sequential(*layers[: end + 1])


def _stride(layer: nn.MaxPool2d | nn.Conv2d) -> int:
    stride = layer.stride
    return int(stride[0] if isinstance(stride, tuple) else stride)


def conv1_padding(network: AlexNet) -> int:
    """Return the padding of a network's conv1, px."""
    conv1 = next(one for one in network.trunk if isinstance(one, nn.Conv2d))
    return int(conv1.padding[0])


def cells(length: int, step: int) -> int:
    """Return how many cells, a step apart from px 0, cover a photo's side of `length` px."""
    return math.ceil((length - 1) / step) + 1


def padded_for_conv5(photos: Tensor, padding: int) -> Tensor:
    """Return photos (B, 3, H, W) so padded that cell (i, j) of conv5 is centred on px (16 i, 16 j), and the cells cover them.

    padding : of conv1, px.
    """
    return _padded(photos, CONV5, _CONV5_FIRST, padding)


def padded_for_fc6(photos: Tensor, padding: int) -> Tensor:
    """Return photos so padded that cell (i, j) of fc6 as a convolution is centred on px (32 i, 32 j), and the cells cover them.

    Cell 6 of conv5 and cell 13 of pool1 are then centred on px 0 too.
    """
    return _padded(photos, FC6, _FC6_FIRST, padding)


def _padded(photos: Tensor, step: int, first: int, padding: int) -> Tensor:
    """Return photos with grey around them: before them what moves the first cell to px 0, behind them what the last one needs."""
    sides = []
    for length in photos.shape[2:]:
        before = first - padding
        # A layer whose first cell is at px `first` sees 2 * first + 1 px, as it lies in their middle.
        needed = step * (cells(length, step) - 1) + 2 * (first - padding) + 1
        sides.append((before, needed - before - length))
    (top, bottom), (left, right) = sides
    return functional.pad(photos, (left, right, top, bottom))
