"""Data-dependent rescaling of first weights: every unit of the same mean and variance, every layer learning equally fast.

Notes
-----
P. Krähenbühl, C. Doersch, J. Donahue, T. Darrell, "Data-dependent Initializations of Convolutional Neural Networks" (2016),
sections 3.1 (Algorithm 1, within layers) and 3.2 (Algorithm 2, between layers).
"""

from __future__ import annotations

import math
from itertools import accumulate
from operator import mul

import torch
from torch import Generator, Tensor, nn

from ce_retrieval.errors import TrainingError
from ce_retrieval.transfer.networks.alexnet import AlexNet

ROUNDS = 30
RATED = 16  # photos by which the rates are measured, as many as in the authors' program
LOSSES = 8  # random ones, whose gradients are averaged
TOLERANCE = 0.02  # by which the rate of a layer may differ from the mean of all, as a share
_CONSTANT = 1e-6  # share of a layer's largest deviation below which a unit counts as constant


def rescale(network: AlexNet, photos: Tensor, generator: Generator) -> None:
    """Rescale the weights of a network in place; it must be in evaluation mode.

    Parameters
    ----------
    network : any initialisation. Its batch norm is first absorbed into the convolutions.
    photos : float (B, 3, S, S) in [-1, 1] from the task's training set, on the network's device.
    generator : on the CPU; draws the loss of Algorithm 2.

    Raises
    ------
    TrainingError : as `equalise_rates`.
    """
    absorb_batch_norm(network)
    normalise_units(network, photos)
    equalise_rates(network, photos[:RATED], generator)


def absorb_batch_norm(network: AlexNet) -> None:
    """Replace each convolution and its batch norm by one convolution that computes the same in evaluation mode."""
    kept: list[nn.Module] = []
    for module in network.trunk:
        if isinstance(module, nn.BatchNorm2d):
            convolution = kept.pop()
            assert isinstance(convolution, nn.Conv2d)
            module = nn.utils.fusion.fuse_conv_bn_eval(convolution.eval(), module.eval())
        kept.append(module)
    network.trunk = nn.Sequential(*kept)


def normalise_units(network: AlexNet, photos: Tensor) -> None:
    """Give the output of every unit, before its ReLU, mean 0 and variance 1 over photos and positions (Algorithm 1).

    A unit that is constant on the photos keeps its weights; its bias makes it 0.
    """
    for layer in network.affine_layers().values():
        outputs = _outputs(network, layer, photos)
        over = [axis for axis in range(outputs.ndim) if axis != 1]
        variance, mean = torch.var_mean(outputs, over, correction=0)
        deviation = variance.sqrt()
        scale = torch.where(deviation > _CONSTANT * deviation.max(), deviation, 1.0)
        with torch.no_grad():
            layer.weight /= scale.view(-1, *[1] * (layer.weight.ndim - 1))
            layer.bias.sub_(mean).div_(scale)


def _outputs(network: AlexNet, layer: nn.Module, photos: Tensor) -> Tensor:
    """Return what a layer puts out: (B, units, ...)."""
    found: list[Tensor] = []
    with layer.register_forward_hook(lambda module, inputs, output: found.append(output)), torch.no_grad():
        network(photos)
    return found[0]


def change_rates(network: AlexNet, photos: Tensor, directions: Tensor) -> dict[str, float]:
    """Return, by layer, the size of the gradient relative to the size of the weights, both as root mean squares.

    Parameters
    ----------
    photos : float (B, 3, S, S)
    directions : float (D, B, classes), Gaussian: a loss is the sum of the scores times one of them. Each photo has numbers
        of its own, so gradients of different photos cancel on average, and the square of the sum stands for the sum of
        squares. The squares are averaged over the D losses.
    """
    layers = network.affine_layers()
    scores = network(photos)
    squares = dict.fromkeys(layers, 0.0)
    for number, direction in enumerate(directions, start=1):
        again = number < len(directions)
        weights = [layer.weight for layer in layers.values()]
        gradients = torch.autograd.grad((scores * direction).sum(), weights, retain_graph=again)
        for name, gradient in zip(layers, gradients, strict=True):
            squares[name] += float(gradient.square().mean()) / len(directions)
    sizes = {name: float(layer.weight.detach().square().mean()) for name, layer in layers.items()}
    return {name: math.sqrt(squares[name] / size) if size > 0 else 0.0 for name, size in sizes.items()}


def equalise_rates(network: AlexNet, photos: Tensor, generator: Generator) -> None:
    """Scale each layer so that the rates of all are their geometric mean (Algorithm 2), within TOLERANCE.

    ReLU and pooling pass a factor on: what one layer gains, the biases of all later layers gain too, and the product over all
    layers is 1. The network therefore computes the same as before, except with local response normalisation.

    Raises
    ------
    TrainingError : a layer gets no gradient, or the rates still differ after ROUNDS rounds.
    """
    layers = network.affine_layers()
    outputs = network.fc8.out_features
    directions = torch.randn((LOSSES, len(photos), outputs), generator=generator).to(photos.device)
    for _ in range(ROUNDS):
        rates = change_rates(network, photos, directions)
        if not all(rate > 0 and math.isfinite(rate) for rate in rates.values()):
            layer = next(name for name, rate in rates.items() if not (rate > 0 and math.isfinite(rate)))
            raise TrainingError(
                f"the layer {layer} gets no gradient, so it cannot be rescaled: leave `rescale` out, or use other weights"
            )
        mean = math.exp(sum(map(math.log, rates.values())) / len(rates))
        if all(abs(rate / mean - 1) <= TOLERANCE for rate in rates.values()):
            return
        factors = [math.sqrt(rate / mean) for rate in rates.values()]
        with torch.no_grad():
            for layer, factor, passed in zip(layers.values(), factors, accumulate(factors, mul), strict=True):
                layer.weight.mul_(factor)
                layer.bias.mul_(passed)
    raise TrainingError(
        f"the layers do not learn equally fast after {ROUNDS} rounds of rescaling: leave `rescale` out, or use other weights"
    )
