"""What a network starts from: the weights of a file, computed as their own program would, or an error of one line."""

import pytest
import torch
import torch.nn.functional as functional
from transfer_networks import CLASSES, SIDE, SMALL, UNITS, alexnet_state, photos, write_checkpoint

from ce_retrieval.errors import CheckpointError, SettingsError
from ce_retrieval.models import CompactConfig
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import save_network
from ce_retrieval.transfer.networks.alexnet import CAFFENET, TORCHVISION
from ce_retrieval.transfer.networks.initialisation import initialised
from ce_retrieval.transfer.settings import parse_initialisation


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    path = tmp_path_factory.mktemp("runs") / "best.safetensors"
    return path, write_checkpoint(path)


def start(text, seed=0, **changes):
    return initialised(parse_initialisation(text), **{**SMALL, **changes}, seed=seed)


def refused(call, *words, error=CheckpointError):
    with pytest.raises(error) as told:
        call()
    text = str(told.value)
    assert "\n" not in text and all(word in text for word in words), text


def same(first, second):
    return all(
        torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True)
    )


def test_random_is_gaussian_as_caffenets_and_depends_on_the_seed():
    network = start("random")
    layers = network.affine_layers()
    assert [*layers][-3:] == ["fc6", "fc7", "fc8"] and len(layers) == 8
    for name, layer in layers.items():
        weight = layer.weight.detach()
        assert float(weight.mean()) == pytest.approx(0, abs=0.003) and not layer.bias.any()
        assert float(weight.std()) == pytest.approx(0.005 if name in ("fc6", "fc7") else 0.01, rel=0.25)
    assert float(layers["trunk.0"].weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert same(network, start("random")) and not same(network, start("random", seed=1))
    assert network(photos(2)).shape == (2, CLASSES)
    dropping = [network(photos(2), torch.Generator().manual_seed(n)) for n in (0, 0, 1)]
    assert torch.equal(dropping[0], dropping[1]) and not torch.equal(dropping[0], dropping[2])


def test_an_encoder_gives_its_own_pool5_and_fresh_layers(checkpoint):
    path, trained = checkpoint
    network = start(f"encoder:{path}", seed=2)
    given = photos(3)
    cells = trained.encode(given, torch.zeros(3, SIDE, SIDE, dtype=torch.bool), "cells")
    assert torch.allclose(network.features(given), cells.flatten(1), atol=1e-5) and float(cells.detach().std()) > 0.1
    other = start(f"encoder:{path}", seed=4)
    assert not torch.equal(network.fc6.weight, other.fc6.weight) and same(network.trunk, other.trunk)


def test_the_pool_free_variant_is_an_encoder_too(tmp_path):
    trained = write_checkpoint(tmp_path / "best.safetensors", pool_free=True)
    network = start(f"encoder:{tmp_path / 'best.safetensors'}")
    cells = trained.encode(photos(2), torch.zeros(2, SIDE, SIDE, dtype=torch.bool), "cells")
    assert torch.allclose(network.features(photos(2)), cells.flatten(1), atol=1e-5)


def test_encoder_and_autoencoder_are_told_apart(checkpoint, tmp_path):
    path, _ = checkpoint
    refused(lambda: start(f"autoencoder:{path}"), f"use encoder:{path}", "preset autoencoder")
    twin = tmp_path / "twin.safetensors"
    write_checkpoint(twin, "none")
    assert start(f"autoencoder:{twin}").cells == 256
    refused(lambda: start(f"encoder:{twin}"), "an autoencoder", f"use autoencoder:{twin}")
    compact = tmp_path / "compact.safetensors"
    save_network(compact, build_network(CompactConfig(size=32, widths=(8, 8, 8))))
    refused(lambda: start(f"encoder:{compact}"), "compact", "paper-region")
    plain = tmp_path / "plain.safetensors"
    save_network(plain, checkpoint[1])
    refused(lambda: start(f"encoder:{plain}"), "how it was trained")
    refused(lambda: start(f"encoder:{tmp_path / 'none'}"), "no such checkpoint")


def torchvision_scores(state, given):
    """fc7 of torchvision's AlexNet (its own normalisation, 2 px of padding), by its weights' names."""
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    maps = ((given / 2 + 0.5) - mean.view(3, 1, 1)) / deviation.view(3, 1, 1)
    for number, (stride, pad) in {0: (4, 2), 3: (1, 2), 6: (1, 1), 8: (1, 1), 10: (1, 1)}.items():
        weight, bias = state[f"features.{number}.weight"], state[f"features.{number}.bias"]
        maps = functional.conv2d(maps, weight, bias, stride, pad).relu()
        if number in (0, 3, 10):
            maps = functional.max_pool2d(maps, 3, 2)
    maps = maps.flatten(1)
    for number in (1, 4):
        maps = functional.linear(maps, state[f"classifier.{number}.weight"], state[f"classifier.{number}.bias"]).relu()
    return maps


def caffe_scores(state, given):
    """fc7 of CaffeNet: blue, green, red from 0 to 255 less their means, two groups, normalisation over 5 channels."""
    maps = (given / 2 + 0.5).mul(255)[:, [2, 1, 0]] - torch.tensor([104.0, 117, 123]).view(3, 1, 1)
    for number, (stride, pad, groups) in enumerate(((4, 0, 1), (1, 2, 2), (1, 1, 1), (1, 1, 2), (1, 1, 2)), start=1):
        weight, bias = state[f"conv{number}.weight"], state[f"conv{number}.bias"]
        maps = functional.conv2d(maps, weight, bias, stride, pad, groups=groups).relu()
        if number in (1, 2, 5):
            maps = functional.max_pool2d(maps, 3, 2)
        if number in (1, 2):
            squares = functional.pad(maps.square(), (0, 0, 0, 0, 2, 2))
            near = sum(squares[:, start : start + maps.shape[1]] for start in range(5))
            maps = maps / (1 + 1e-4 / 5 * near) ** 0.75
    maps = maps.flatten(1)
    for name in ("fc6", "fc7"):
        maps = functional.linear(maps, state[f"{name}.weight"], state[f"{name}.bias"]).relu()
    return maps


@pytest.mark.parametrize(
    ("layout", "scheme", "suffix"), [(TORCHVISION, "features", ".pth"), (CAFFENET, "conv", ".safetensors")]
)
def test_a_users_weights_compute_what_they_would_in_their_own_program(layout, scheme, suffix, tmp_path):
    from safetensors.torch import save_file

    state, path = alexnet_state(layout, scheme=scheme), tmp_path / f"alexnet{suffix}"
    (torch.save if suffix == ".pth" else save_file)(state, path)
    network, given = start(f"weights:{path}"), photos(4)
    wanted = (torchvision_scores if scheme == "features" else caffe_scores)(state, given)
    scores = functional.linear(wanted, network.fc8.weight, network.fc8.bias)
    assert float(wanted.detach().std()) > 0.05
    assert torch.allclose(network(given), scores, rtol=1e-4, atol=1e-5 * float(scores.detach().abs().max()))


def test_a_file_without_fc6_and_fc7_leaves_them_fresh(tmp_path):
    torch.save(alexnet_state(TORCHVISION, full=False), tmp_path / "a.pth")
    network = start(f"weights:{tmp_path / 'a.pth'}")
    assert not network.fc6.bias.any() and float(network.fc6.weight.detach().std()) == pytest.approx(0.005, rel=0.1)


def altered(**changes):
    return {**alexnet_state(TORCHVISION), **{key.replace("_", "."): value for key, value in changes.items()}}


@pytest.mark.parametrize(
    ("state", "words"),
    [
        ({"conv9.weight": torch.ones(1)}, ("conv9.weight", "features.0.weight or conv1.weight")),
        (
            altered(features_0_weight=torch.ones(48, 3, 11, 11)),
            ("(48, 3, 11, 11)", "(64, 3, 11, 11)", "(96, 3, 11, 11)"),
        ),
        (
            altered(features_3_weight=torch.ones(192, 32, 5, 5)),
            ("features.3.weight", "(192, 32, 5, 5)", "(192, 64, 5, 5)"),
        ),
        (altered(features_6_bias=torch.ones(9)), ("features.6.bias", "(384,)")),
        (altered(features_8_bias=torch.full((256,), torch.nan)), ("features.8.bias", "not finite")),
        (
            altered(classifier_1_weight=torch.ones(UNITS, 9216)),
            ("classifier.1.weight", "(16, 9216)", "(16, 256)", "`size`"),
        ),
        (
            {k: v for k, v in alexnet_state(TORCHVISION).items() if k != "features.10.bias"},
            ("features.10.bias", "missing"),
        ),
        (altered(classifier_1_weight=torch.ones(UNITS)), ("classifier.1.weight", "(16,)", "expected a matrix")),
        (altered(features_6_weight=torch.ones(2, 2).to_sparse()), ("features.6.weight", "not a plain tensor")),
        (altered(features_6_weight=torch.ones(2, 2).to(torch.float8_e4m3fn)), ("not a plain tensor", "float16")),
        (altered(features_6_weight=torch.ones(2, 2, dtype=torch.int64)), ("features.6.weight", "not a plain tensor")),
        ([1, 2], ("not a state dict",)),
    ],
)
def test_weights_that_do_not_fit(state, words, tmp_path):
    path = tmp_path / "a.pth"
    torch.save(state, path)
    refused(lambda: start(f"weights:{path}"), str(path), *words)


def test_weights_of_other_units_name_options_that_the_task_has(tmp_path):
    path = tmp_path / "a.pth"
    torch.save(altered(classifier_1_weight=torch.ones(UNITS, 9216)), path)
    with pytest.raises(CheckpointError) as told:
        start(f"weights:{path}", side=227, units=8)
    assert f"set `units` to {UNITS}, or leave" in str(told.value) and "`size`" not in str(told.value)


def test_files_that_hold_no_weights(tmp_path):
    class Code:
        def __reduce__(self):
            return (print, ("run",))

    torch.save({"a": Code()}, tmp_path / "code.pth")
    refused(lambda: start(f"weights:{tmp_path / 'code.pth'}"), "as tensors alone", "state_dict()")
    for text in ("no weights", "this is text", "a", "Results", "sort", ""):
        (tmp_path / "text.pth").write_text(text)
        refused(lambda: start(f"weights:{tmp_path / 'text.pth'}"), "as tensors alone")
    (tmp_path / "a.safetensors").write_text("no weights")
    refused(lambda: start(f"weights:{tmp_path / 'a.safetensors'}"), "safetensors")
    refused(lambda: start(f"weights:{tmp_path / 'none.pth'}"), "no such file")
    refused(lambda: start(f"weights:{tmp_path}"), "a folder")


@pytest.mark.parametrize("text", ["", "zebra", "random:file", "encoder", "autoencoder:", "weights"])
def test_texts_that_name_no_initialisation(text):
    word = "ship with ceret" if text.rstrip(":") in ("encoder", "autoencoder", "weights") else "encoder:CHECKPOINT"
    refused(lambda: parse_initialisation(text), "`init`", word, error=SettingsError)
