"""Small networks and random boxes of the tests of transfer."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from ce_retrieval.models import PaperRegionConfig
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import save_network
from ce_retrieval.transfer.networks.alexnet import AlexNet, Layout, layout_trunk

SIDE, UNITS, CLASSES = 67, 16, 3
SMALL = {"side": SIDE, "units": UNITS, "classes": CLASSES}


def photos(count=16, seed=0, side=SIDE):
    """Smooth photos with some noise, float in [-1, 1]."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(count, 3, 5, 5, generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, size=(side, side), mode="bilinear", align_corners=False)
    return (smooth * 0.4 + torch.randn(count, 3, side, side, generator=generator) * 0.05).clamp(-1, 1)


def write_checkpoint(path, masks="region", *, pool_free=False):
    """Write a `paper-region` checkpoint whose batch norm has statistics of its own, as trained ones have."""
    network = build_network(PaperRegionConfig(size=SIDE, pool_free=pool_free), seed=3).train()
    with torch.no_grad():
        network.encoder(photos(8, seed=5))
    save_network(path, network.eval(), extra={"step": 1, "training": {"masks": masks}})
    return network


def alexnet_state(layout, *, full=True, scheme="features"):
    """Random weights in the layout of a published AlexNet, with fc6 and fc7 for SIDE and UNITS."""
    generator = torch.Generator().manual_seed(7)
    convolutions = (
        [f"features.{n}" for n in (0, 3, 6, 8, 10)] if scheme == "features" else [f"conv{n}" for n in range(1, 6)]
    )
    fully = ("classifier.1", "classifier.4") if scheme == "features" else ("fc6", "fc7")
    shapes = dict(zip(convolutions, layout.shapes(), strict=True))
    if full:
        shapes |= {fully[0]: (UNITS, 256), fully[1]: (UNITS, UNITS)}
    state = {}
    for name, shape in shapes.items():
        fan_in = torch.Size(shape[1:]).numel()
        state[f"{name}.weight"] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        state[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return state


def tiny_network(kind, side=31, seed=0, classes=CLASSES):
    """A network of few channels: "batch" or "response" normalisation, or "plain"; random weights of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    modules: list[nn.Module] = []
    for inputs, outputs, groups in ((3, 12, 1), (12, 16, 2), (16, 12, 2)):
        modules.append(nn.Conv2d(inputs, outputs, 3, padding=1, groups=groups))
        modules += [nn.BatchNorm2d(outputs)] if kind == "batch" else []
        modules += [nn.ReLU(), nn.MaxPool2d(3, stride=2)]
        modules += [nn.LocalResponseNorm(5, k=1.0)] if kind == "response" and inputs < 16 else []
    network = AlexNet(nn.Sequential(*modules), side=side, units=10, classes=classes)
    with torch.no_grad():
        for number, layer in enumerate(network.affine_layers().values()):
            fan_in = layer.weight[0].numel()
            layer.weight.normal_(std=(2 / fan_in) ** 0.5 * (3, 0.5, 1.5)[number % 3], generator=generator)
            layer.bias.normal_(std=0.2, generator=generator)
        network.trunk.train()(photos(8, seed=5, side=side))  # statistics of batch norm
    return network.eval()


def slim_alexnet(*, seed=0, units=UNITS, classes=CLASSES, norm=True, pad=0):
    """AlexNet's geometry with few channels, for photos of 227 px; it learns within some dozens of steps."""
    generator = torch.Generator().manual_seed(seed)
    layout = Layout("slim", (8, 12, 12, 12, 12), 1, pad, False, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), False)
    modules: list[nn.Module] = []
    for module in layout_trunk(layout):
        modules.append(module)
        if norm and isinstance(module, nn.Conv2d):
            modules.append(nn.BatchNorm2d(module.out_channels))
    trunk = nn.Sequential(*modules)
    for layer in trunk:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            nn.init.zeros_(layer.bias)
    network = AlexNet(trunk, side=227, units=units, classes=classes)
    for layer in (network.fc6, network.fc7, network.fc8):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(layer.bias)
    return network.eval()


def random_boxes(count, seed=0, side=(90, 70)):
    """Boxes within a photo of this width and height, float64 (count, 4)."""
    ends = np.sort(np.random.default_rng(seed).integers(1, side, (count, 2, 2)), axis=1)
    return ends.reshape(count, 4).astype(np.float64)
