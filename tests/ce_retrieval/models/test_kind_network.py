"""The network of kinds alone: what of a photo enters its vector, and its file."""

from dataclasses import asdict

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import CheckpointError  # noqa: E402
from ce_retrieval.models.checkpoint import load_tensors, save_tensors  # noqa: E402
from ce_retrieval.models.inference import kinds_of_photos  # noqa: E402
from ce_retrieval.models.kind_network import KindConfig, KindNetwork, load_kind_network, save_kind  # noqa: E402

TINY = KindConfig(size=64, widths=(8, 16, 24), blocks=(1, 1, 1), features=12, components=5)


@pytest.fixture
def network(one_thread_torch):
    """Random weights in every layer, residual blocks that start as the identity too, and a map that is not the identity."""
    generator = torch.Generator().manual_seed(3)
    network = KindNetwork(TINY)
    with torch.no_grad():
        for value in [*network.parameters(), network.mean, network.projection]:
            value.normal_(std=0.2, generator=generator)
    return network.eval().requires_grad_(False)


@pytest.fixture
def holes():
    """A hole that hides some cells whole and some in part."""
    hole = torch.zeros((2, 64, 64), dtype=torch.bool)
    hole[:, 5:45, 20:64] = True
    return hole


@pytest.fixture
def photos():
    return torch.rand((2, 3, 64, 64), generator=torch.Generator().manual_seed(4)) * 2 - 1


def test_pixels_under_a_hole_do_not_enter(network, photos, holes):
    painted = torch.where(holes[:, None], torch.tensor(0.7), photos)
    assert torch.equal(network(painted, holes), network(photos, holes))
    assert not torch.allclose(network(painted, ~holes), network(photos, ~holes), atol=1e-3)


def test_cells_enter_by_the_share_that_is_visible(network, photos, holes):
    """Mean and spread of both maps, recomputed in numpy."""
    maps, inputs = [], []
    for norm in network.norms:
        norm.register_forward_hook(lambda _module, _inputs, found: maps.append(found.numpy()))
    network.last.register_forward_hook(lambda _module, given, _found: inputs.append(given[0].numpy()))
    network(photos, holes)
    expected = []
    for found in maps:
        side = found.shape[-1]
        visible = 1 - holes.numpy().reshape(2, side, 64 // side, side, 64 // side).mean(axis=(2, 4))
        weights = (visible / visible.sum(axis=(1, 2), keepdims=True))[:, None]
        cells = np.maximum(found, 0)
        mean = (cells * weights).sum(axis=(2, 3))
        variance = ((cells - mean[:, :, None, None]) ** 2 * weights).sum(axis=(2, 3))
        expected += [mean, np.sqrt(variance + 1e-6)]
    assert [found.shape[1:] for found in maps] == [(16, 8, 8), (24, 4, 4)]
    np.testing.assert_allclose(inputs[0], np.concatenate(expected, axis=1), atol=1e-5)


def test_a_kind_is_the_map_of_the_features_of_norm_1(network):
    features = np.random.default_rng(0).normal(size=(7, 12)).astype(np.float32)
    mapped = (features - network.mean.numpy()) @ network.projection.numpy()
    expected = mapped / np.linalg.norm(mapped, axis=1, keepdims=True)
    np.testing.assert_allclose(network.kinds(torch.from_numpy(features)), expected, atol=1e-6)
    assert expected.shape == (7, 5)


def test_photos_in_batches_have_the_same_kinds(network):
    pixels = np.random.default_rng(1).integers(0, 256, (70, 64, 64, 3), dtype=np.uint8)
    holes = np.zeros((70, 64, 64), bool)
    holes[::3, :, :32] = True
    found = kinds_of_photos(network, pixels, holes)
    assert found.shape == (70, 5) and found.dtype == np.float32
    for row in (0, 1, 69):
        np.testing.assert_allclose(kinds_of_photos(network, pixels[[row]], holes[[row]])[0], found[row], atol=0.02)


def test_a_file_gives_the_network_back(network, photos, holes, tmp_path):
    path = tmp_path / "kind.safetensors"
    sha256 = save_kind(path, network, {"photos": 3})
    loaded, found = load_kind_network(path)
    assert loaded.config == TINY and found == sha256 and not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value.half().float())
    assert torch.allclose(loaded(photos, holes), network(photos, holes), atol=0.05)
    assert load_tensors(path)[1]["photos"] == 3


def test_files_of_other_things(network, tmp_path):
    path = tmp_path / "kind.safetensors"
    tensors = {name: value.half() for name, value in network.state_dict().items()}
    header = {"kind": "kind", "network": asdict(TINY)}
    save_tensors(path, tensors, {**header, "kind": "network"})
    with pytest.raises(CheckpointError, match=r"kind\.safetensors: holds no network of kinds"):
        load_kind_network(path)
    cut = {**tensors, "mean": tensors["mean"][:-1]}
    fewer = {name: value for name, value in tensors.items() if name != "stem.weight"}
    damaged = [
        (cut, header),
        (fewer, header),
        (tensors, {"kind": "kind"}),
        (tensors, {**header, "network": {**asdict(TINY), "depth": 3}}),
        (tensors, {**header, "network": {**asdict(TINY), "features": 13}}),
        (tensors, {**header, "network": [1, 2]}),
    ]
    for parts, about in damaged:
        save_tensors(path, parts, about)
        with pytest.raises(CheckpointError, match=r"kind\.safetensors: its parts do not fit each other"):
            load_kind_network(path)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="truncated"):
        load_kind_network(path)
