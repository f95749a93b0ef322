"""AlexNet for other tasks: a trunk conv1 to pool5 of one of three layouts, then fc6, fc7 and a layer for the task's classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Generator, Tensor, nn

DROPOUT = 0.5
CONVOLUTIONS = ((11, 4), (5, 1), (3, 1), (3, 1), (3, 1))  # kernel and stride of conv1 to conv5


@dataclass(frozen=True)
class Layout:
    """A published AlexNet without batch norm, for weights in a user's file.

    Attributes
    ----------
    name : str
    widths : channels of conv1 to conv5.
    groups : of conv2, conv4 and conv5.
    pad : of conv1, px.
    response_norm : whether local response normalisation follows pool1 and pool2.
    mean, deviation : of the input's channels, as shares of white.
    reversed_channels : whether the input is blue, green, red.
    """

    name: str
    widths: tuple[int, int, int, int, int]
    groups: int
    pad: int
    response_norm: bool
    mean: tuple[float, float, float]
    deviation: tuple[float, float, float]
    reversed_channels: bool

    def shapes(self) -> list[tuple[int, int, int, int]]:
        """Return the shapes of the kernels of conv1 to conv5."""
        inputs = (3, *self.widths[:-1])
        groups = self.channel_groups()
        kernels = [kernel for kernel, _ in CONVOLUTIONS]
        return [(self.widths[n], inputs[n] // groups[n], kernels[n], kernels[n]) for n in range(5)]

    def channel_groups(self) -> tuple[int, int, int, int, int]:
        """Return the groups of conv1 to conv5."""
        return (1, self.groups, 1, self.groups, self.groups)


TORCHVISION = Layout(
    "torchvision's AlexNet",
    (64, 192, 384, 256, 256),
    groups=1,
    pad=2,
    response_norm=False,
    mean=(0.485, 0.456, 0.406),
    deviation=(0.229, 0.224, 0.225),
    reversed_channels=False,
)
CAFFENET = Layout(
    "CaffeNet",
    (96, 256, 384, 384, 256),
    groups=2,
    pad=0,
    response_norm=True,
    mean=(104 / 255, 117 / 255, 123 / 255),
    deviation=(1 / 255, 1 / 255, 1 / 255),
    reversed_channels=True,
)
LAYOUTS = (TORCHVISION, CAFFENET)


class LayoutInput(nn.Module):
    """Photos RGB in [-1, 1] as a layout expects them."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.reversed_channels = layout.reversed_channels
        for name in ("mean", "deviation"):
            values = torch.tensor(getattr(layout, name), dtype=torch.float32)
            self.register_buffer(name, values.view(1, 3, 1, 1), persistent=False)

    def forward(self, photos: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, 3, S, S)."""
        shares = (photos + 1) / 2
        return ((shares.flip(1) if self.reversed_channels else shares) - self.mean) / self.deviation


def layout_trunk(layout: Layout) -> nn.Sequential:
    """Return the layers of a layout from the input to pool5; their weights are not set."""
    modules: list[nn.Module] = [LayoutInput(layout)]
    for number, (kernel, stride) in enumerate(CONVOLUTIONS):
        inputs = 3 if number == 0 else layout.widths[number - 1]
        pad = layout.pad if number == 0 else kernel // 2
        options = {"stride": stride, "padding": pad, "groups": layout.channel_groups()[number]}
        convolution = nn.utils.skip_init(nn.Conv2d, inputs, layout.widths[number], kernel, **options)
        modules += [convolution, nn.ReLU()]
        if number in (0, 1, 4):
            modules.append(nn.MaxPool2d(3, stride=2))
        if number in (0, 1) and layout.response_norm:
            modules.append(nn.LocalResponseNorm(5, alpha=1e-4, beta=0.75, k=1.0))
    return nn.Sequential(*modules)


class AlexNet(nn.Module):
    """A trunk and three fully connected layers. Photos are RGB float (B, 3, S, S) in [-1, 1].

    Parameters
    ----------
    trunk : the layers to pool5, with their weights.
    side : S, px.
    units : of fc6 and fc7.
    classes : outputs of fc8.
    """

    def __init__(self, trunk: nn.Sequential, *, side: int, units: int, classes: int) -> None:
        super().__init__()
        self.trunk = trunk
        with torch.no_grad():
            self.cells = self.trunk.eval()(torch.zeros(1, 3, side, side)).numel()
        sizes = ((self.cells, units), (units, units), (units, classes))
        self.fc6, self.fc7, self.fc8 = (nn.utils.skip_init(nn.Linear, *size) for size in sizes)

    def features(self, photos: Tensor) -> Tensor:
        """Return pool5: (B, cells)."""
        return self.trunk(photos).flatten(1)

    def forward(self, photos: Tensor, generator: Generator | None = None) -> Tensor:
        """Return the scores of the classes: (B, classes).

        generator : on the photos' device; draws what the dropout after fc6 and fc7 leaves out. None: no dropout.
        """
        maps = dropped(self.fc6(self.features(photos)).relu(), generator)
        return self.fc8(dropped(self.fc7(maps).relu(), generator))

    def affine_layers(self) -> dict[str, nn.Conv2d | nn.Linear]:
        """Return the convolutions and fully connected layers by name, in the order of the data."""
        return {name: one for name, one in self.named_modules() if isinstance(one, nn.Conv2d | nn.Linear)}


def dropped(maps: Tensor, generator: Generator | None) -> Tensor:
    """Return maps with half of their numbers 0 and the rest doubled, or unchanged without a generator."""
    if generator is None:
        return maps
    kept = torch.rand(maps.shape, generator=generator, device=maps.device) >= DROPOUT
    return maps * kept / (1 - DROPOUT)


def draw_gaussian(layers: Sequence[nn.Conv2d | nn.Linear], deviation: float, generator: Generator) -> None:
    """Set the weights of layers to Gaussian numbers and their biases to 0."""
    with torch.no_grad():
        for layer in layers:
            layer.weight.normal_(std=deviation, generator=generator)
            assert layer.bias is not None
            layer.bias.zero_()
