"""Rescaled weights: units of mean 0 and variance 1, layers that learn equally fast, and the same function otherwise."""

import copy

import pytest
import torch
from transfer_networks import CLASSES, photos, tiny_network

from ce_retrieval.errors import TrainingError
from ce_retrieval.transfer.networks.rescaling import (
    LOSSES,
    RATED,
    TOLERANCE,
    absorb_batch_norm,
    change_rates,
    equalise_rates,
    normalise_units,
    rescale,
)


@pytest.fixture(params=["batch", "response", "plain"])
def network(request):
    return tiny_network(request.param)


def given_photos(count=32, seed=0):
    return photos(count, seed, side=31)


def unit_statistics(network, given):
    """Mean and variance of every unit's output, by layer, from one run with hooks on all."""
    found, hooks = {}, []
    for name, layer in network.affine_layers().items():
        hooks.append(layer.register_forward_hook(lambda _, __, output, name=name: found.update({name: output})))
    with torch.no_grad():
        network(given)
    for hook in hooks:
        hook.remove()
    flat = {name: output.transpose(0, 1).flatten(1).double() for name, output in found.items()}
    return {name: (values.mean(1), values.var(1, correction=0)) for name, values in flat.items()}


def rates_photo_by_photo(network, given, seed):
    """The rates by the definition: the mean over photos of the squared gradient, each with its own random loss."""
    generator = torch.Generator().manual_seed(seed)
    layers = network.affine_layers()
    sums = dict.fromkeys(layers, 0.0)
    for photo in given:
        loss = (network(photo[None]) * torch.randn(1, CLASSES, generator=generator)).sum()
        gradients = torch.autograd.grad(loss, [layer.weight for layer in layers.values()])
        for name, gradient in zip(layers, gradients, strict=True):
            sums[name] += float(gradient.square().sum())
    return {name: (sums[name] / float(layers[name].weight.detach().square().sum())) ** 0.5 for name in layers}


def test_batch_norm_is_absorbed_without_a_change(network):
    before = network(given_photos(4))
    absorb_batch_norm(network)
    assert not any(isinstance(one, torch.nn.BatchNorm2d) for one in network.modules())
    scale = float(before.detach().abs().max())
    assert scale > 0 and torch.allclose(network(given_photos(4)), before, rtol=1e-3, atol=1e-4 * scale)


def test_every_unit_has_mean_0_and_variance_1(network):
    given = given_photos()
    absorb_batch_norm(network)
    before = unit_statistics(network, given)
    assert any(float((variance - 1).abs().max()) > 0.1 for _, variance in before.values())
    normalise_units(network, given)
    for mean, variance in unit_statistics(network, given).values():
        assert float(mean.abs().max()) < 1e-3 and float((variance - 1).abs().max()) < 5e-3


def test_all_layers_learn_equally_fast_after_rescaling(network):
    given = given_photos()
    before = rates_photo_by_photo(network, given[:16], 3)
    directions = torch.randn(LOSSES, RATED, CLASSES, generator=torch.Generator().manual_seed(9))
    rescale(network, given, torch.Generator().manual_seed(9))
    rates = change_rates(network, given[:RATED], directions)
    assert len(rates) == 6 and max(rates.values()) / min(rates.values()) <= (1 + TOLERANCE) / (1 - TOLERANCE)
    # By the definition, with other losses, they are equal as far as 16 photos tell.
    rates = rates_photo_by_photo(network, given[:16], 3)
    assert max(rates.values()) / min(rates.values()) < 1.6 < 2.5 < max(before.values()) / min(before.values())


def test_equal_rates_leave_a_network_of_relu_and_pooling_as_it_was():
    network, given = tiny_network("batch"), given_photos(16)
    absorb_batch_norm(network)
    normalise_units(network, given)
    with torch.no_grad():
        for layer in network.affine_layers().values():
            layer.bias += 0.3
    before, other = network(given), given_photos(4, seed=8)
    away = network(other)
    rates = change_rates(network, given, torch.ones(1, 16, CLASSES))
    assert max(rates.values()) > 1.5 * min(rates.values())
    weights = copy.deepcopy(network.state_dict())
    equalise_rates(network, given, torch.Generator().manual_seed(0))
    assert not torch.allclose(weights["fc6.weight"], network.fc6.weight, rtol=0.05)
    assert torch.allclose(network(given), before, rtol=1e-3, atol=1e-4)
    assert torch.allclose(network(other), away, rtol=1e-3, atol=1e-4)


def test_a_constant_unit_becomes_0_and_a_dead_layer_is_an_error():
    network, given = tiny_network("plain"), given_photos()
    with torch.no_grad():
        network.fc7.weight[3] = 0
        network.fc7.bias[3] = 5
    normalise_units(network, given)
    mean, variance = unit_statistics(network, given)["fc7"]
    assert float(mean[3]) == 0 and float(variance[3]) == 0 and float(variance[4]) == pytest.approx(1, abs=0.01)
    with torch.no_grad():
        network.fc7.bias -= 1e3
    with pytest.raises(TrainingError, match=r"the layer \S+ gets no gradient"):
        equalise_rates(network, given, torch.Generator().manual_seed(0))
