"""Shapes and parameter counts against the paper's arithmetic; what a network may and may not see."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.errors import CheckpointError, SettingsError  # noqa: E402
from ce_retrieval.models import (  # noqa: E402
    ARCHITECTURES,
    CompactConfig,
    PaperCenterConfig,
    PaperRandomConfig,
    PaperRegionConfig,
    config_from_dict,
    config_to_dict,
)
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.discriminator import Discriminator  # noqa: E402
from ce_retrieval.models.layers import ChannelWiseLinear, smooth_fill  # noqa: E402

TINY = CompactConfig(size=32, widths=(8, 16, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), mixers=1)


def inputs(size: int, batch: int = 2, seed: int = 0):
    generator = torch.Generator().manual_seed(seed)
    photos = torch.rand((batch, 3, size, size), generator=generator) * 2 - 1
    holes = torch.zeros(batch, size, size, dtype=torch.bool)
    holes[:, size // 4 : 3 * size // 4, size // 4 : 3 * size // 4] = True
    return photos, holes


def stirred(config):
    """A network whose zero-initialised layers have been given weights, so that every path carries something."""
    network = build_network(config).eval()
    with torch.no_grad():
        for parameter in network.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(1))
    return network


def parameter_count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def on_meta(config):
    with torch.device("meta"):
        return build_network(config)


def convolutions(network, name):
    kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
    return [module for module in getattr(network, name).modules() if isinstance(module, kinds)]


def test_paper_center_has_the_weights_of_figure_9a():
    network = on_meta(PaperCenterConfig())
    widths, side = [3, 64, 64, 128, 256, 512], 16
    encoder = [widths[i] * widths[i + 1] * side for i in range(5)]
    assert [module.weight.numel() for module in convolutions(network, "encoder")] == encoder
    assert [module.weight.numel() for module in convolutions(network, "bottleneck")] == [512 * 4000 * 16]
    decoder = [4000 * 512 * 16, 512 * 256 * 16, 256 * 128 * 16, 128 * 64 * 16, 64 * 3 * 16]
    assert [module.weight.numel() for module in convolutions(network, "decoder")] == decoder
    total = sum(encoder) + 512 * 4000 * 16 + sum(decoder)
    assert total == 71_112_704
    # Biases of the outermost layers (64 + 3), and scale and shift of batch norm after the others.
    normed = 64 + 128 + 256 + 512 + 4000 + 512 + 256 + 128 + 64
    assert parameter_count(network) == total + 64 + 3 + 2 * normed


def test_paper_region_has_alexnets_weights_and_the_channel_wise_count():
    network = on_meta(PaperRegionConfig())
    # The published counts of AlexNet's five convolutions with their biases.
    published = [34_944, 307_456, 885_120, 663_936, 442_624]
    assert [parameter_count(module) for module in convolutions(network, "encoder")] == published
    assert network.spread.weight.numel() == 256 * 6**4
    # A fully connected layer would have m^2 n^4 weights: 256 times as many.
    assert 256 * network.spread.weight.numel() == (256 * 36) ** 2
    pool_free = on_meta(PaperRegionConfig(pool_free=True))
    extra = sum(9 * width * width + width + 2 * width for width in (96, 256, 256))
    assert parameter_count(pool_free) == parameter_count(network) + extra
    assert not [module for module in pool_free.modules() if isinstance(module, torch.nn.MaxPool2d)]


def test_paper_random_differs_from_paper_center_by_one_up_convolution():
    center, random = on_meta(PaperCenterConfig()), on_meta(PaperRandomConfig())
    assert parameter_count(random) - parameter_count(center) == 64 * 64 * 16 + 2 * 64


def test_compact_keeps_its_limits():
    assert parameter_count(on_meta(CompactConfig())) <= 10_000_000


@pytest.mark.parametrize(
    ("side", "expected"),
    [(64, [64, 128, 256, 512, 1]), (128, [64, 64, 128, 256, 512, 1]), (227, [64, 64, 128, 256, 512, 1])],
)
def test_discriminator_widths(side, expected):
    network = Discriminator(side)
    widths = [module.out_channels for module in network.modules() if isinstance(module, torch.nn.Conv2d)]
    assert widths == expected
    assert network(torch.zeros(2, 3, side, side)).shape == (2,)


def test_paper_region_shapes_down_to_pool5_and_up_to_161():
    network = build_network(PaperRegionConfig()).eval()
    photos, holes = inputs(227, 1)
    sides = []
    for layer in convolutions(network, "decoder"):
        layer.register_forward_hook(lambda _layer, _inputs, output: sides.append(output.shape[-1]))
    with torch.inference_mode():
        assert network(photos, holes).shape == (1, 3, 227, 227)
        assert network.encode(photos, holes, "cells").shape == (1, 256, 6, 6)
        assert network.encode(photos, holes).shape == (1, 256, 6, 6)
    assert sides == [11, 21, 41, 81, 161]


@pytest.mark.parametrize(
    ("config", "side"), [(PaperCenterConfig(bottleneck=100), 64), (PaperRandomConfig(bottleneck=100), 128)]
)
def test_dcgan_shapes(config, side):
    network = build_network(config).eval()
    with torch.inference_mode():
        output = network(*inputs(128))
        assert output.shape == (2, 3, side, side) and output.dtype == torch.float32 and output.abs().max() <= 1
        assert network.encode(*inputs(128), "cells").shape == (2, 512, 4, 4)
        assert network.encode(*inputs(128)).shape == (2, 100, 1, 1)


def test_compact_shapes():
    network = build_network(CompactConfig()).eval()
    with torch.inference_mode():
        assert network(*inputs(128)).shape == (2, 3, 128, 128)
        assert network.encode(*inputs(128), "cells").shape == (2, 256, 8, 8)
        assert network.encode(*inputs(128), "context").shape == (2, 256, 8, 8)


def test_channel_wise_layer_is_one_matrix_a_channel():
    layer = ChannelWiseLinear(5, 4)
    with torch.no_grad():
        layer.bias.normal_()
    maps = torch.randn(3, 5, 4, 4)
    found = layer(maps).detach().numpy()
    weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
    for channel in range(5):
        expected = maps[:, channel].flatten(1).numpy() @ weight[channel] + bias[channel]
        np.testing.assert_allclose(found[:, channel].reshape(3, 16), expected, atol=1e-5)


@pytest.mark.parametrize("config", [TINY, PaperCenterConfig(bottleneck=50), PaperRegionConfig(size=67)])
def test_nothing_under_a_hole_is_read(config):
    network = stirred(config)
    photos, holes = inputs(config.size)
    other = torch.where(holes[:, None], torch.rand_like(photos), photos)
    with torch.inference_mode():
        torch.testing.assert_close(network(photos, holes), network(other, holes), rtol=0, atol=0)
        seen = torch.where(holes[:, None], photos, torch.rand_like(photos))
        assert not torch.equal(network(photos, holes), network(seen, holes))


def test_cells_of_compact_are_local_and_context_is_not():
    network = stirred(CompactConfig(size=256, widths=(8, 8, 8), encoder_blocks=(0, 1, 1)))
    photos, _ = inputs(256, 1)
    holes = torch.zeros(1, 256, 256, dtype=torch.bool)
    holes[:, :24, :24] = True
    whole = torch.zeros_like(holes)
    with torch.inference_mode():
        for layer, local in (("cells", True), ("context", False)):
            change = (network.encode(photos, holes, layer) - network.encode(photos, whole, layer)).abs().amax(1)[0]
            assert change[0, 0] > 0
            assert (float(change[8:, 8:].max()) == 0) == local


def harmonic(photo: np.ndarray, hole: np.ndarray) -> np.ndarray:
    """The exact smooth fill: each missing pixel is the mean of its four neighbours (the hole is inside the photo)."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.linalg import spsolve

    number = np.full(hole.shape, -1)
    number[hole] = np.arange(hole.sum())
    rows, columns = np.nonzero(hole)
    right = np.zeros((len(rows), photo.shape[2]))
    entries = [(number[hole], number[hole], np.full(len(rows), 4.0))]
    for down, across in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        near = number[rows + down, columns + across]
        missing = near >= 0
        entries.append((np.nonzero(missing)[0], near[missing], np.full(missing.sum(), -1.0)))
        right[~missing] += photo[rows[~missing] + down, columns[~missing] + across]
    left, top, values = (np.concatenate(part) for part in zip(*entries, strict=True))
    filled = photo.copy()
    filled[hole] = spsolve(coo_matrix((values, (left, top))).tocsc(), right)
    return filled


def test_smooth_fill_is_near_the_harmonic_one(bundled_photos):
    from PIL import Image

    hole = np.zeros((128, 128), bool)
    hole[32:96, 32:96] = True
    errors = []
    for photo in bundled_photos:
        small = np.asarray(Image.fromarray(photo).resize((128, 128))).astype(np.float64) / 255
        exact = harmonic(small, hole)
        maps = torch.from_numpy(small.astype(np.float32)).permute(2, 0, 1)[None]
        found = smooth_fill(maps, torch.from_numpy(hole).float()[None, None])[0].permute(1, 2, 0).numpy()
        constant = np.full_like(small, small[~hole].mean(axis=0))
        errors.append([np.abs(other - exact)[hole].mean() for other in (found, constant)])
    ours, constants = np.mean(errors, axis=0)
    assert ours < 0.4 * constants
    assert ours < 0.05


def test_smooth_fill_of_a_constant_photo_is_that_constant_for_any_hole():
    maps = torch.full((1, 3, 36, 36), 0.25)
    hole = torch.rand(1, 1, 36, 36, generator=torch.Generator().manual_seed(0)).round()
    torch.testing.assert_close(smooth_fill(maps, hole), maps)


def test_compose_leaves_visible_pixels_alone_and_the_centre_network_its_surroundings():
    photos, _ = inputs(128)
    holes = torch.ones(2, 128, 128, dtype=torch.bool)
    center = build_network(PaperCenterConfig(bottleneck=8))
    composed = center.compose(photos, holes, torch.zeros(2, 3, 64, 64))
    assert not composed[..., 32:96, 32:96].any()
    outside = torch.ones(128, 128, dtype=torch.bool)
    outside[32:96, 32:96] = False
    assert torch.equal(composed[..., outside], photos[..., outside])


@pytest.mark.parametrize("kind", list(ARCHITECTURES.values()))
def test_configurations_survive_json(kind):
    import json

    config = kind(mean=(0.1, 0.2, 0.3))
    assert config_from_dict(json.loads(json.dumps(config_to_dict(config)))) == config


def test_unknown_configurations_are_refused():
    with pytest.raises(CheckpointError, match="architecture 'vgg' is unknown"):
        config_from_dict({"architecture": "vgg"})
    values = config_to_dict(TINY)
    with pytest.raises(CheckpointError, match="extra"):
        config_from_dict({**values, "extra": 1})


def test_an_unknown_layer_is_named():
    with pytest.raises(SettingsError, match="use one of cells, context"):
        build_network(TINY).encode(*inputs(32), "pool9")


def test_building_is_seeded_and_leaves_the_random_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second, other = build_network(TINY, seed=3), build_network(TINY, seed=3), build_network(TINY, seed=4)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(first.stem.weight, second.stem.weight) and not torch.equal(first.stem.weight, other.stem.weight)


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "pad"), [(6, 5, 2, 2), (9, 4, 2, 1), (1, 4, 1, 0), (5, 3, 1, 1), (4, 7, 3, 2)]
)
def test_up_convolution_is_the_transposed_one_and_its_gradients_are_reproducible(side, kernel, stride, pad):
    from ce_retrieval.models.up_convolution import UpConvolution

    torch.manual_seed(0)
    layer = UpConvolution(8, 6, kernel, stride=stride, padding=pad).to(memory_format=torch.channels_last)
    maps = torch.randn(3, 8, side, side).contiguous(memory_format=torch.channels_last)
    exact = torch.nn.ConvTranspose2d.forward(layer, maps)
    target = torch.randn_like(exact)
    expected = torch.autograd.grad((exact * target).sum(), [layer.weight, layer.bias])
    found = []
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            output = layer(maps).float()
        found.append(torch.autograd.grad((output * target).sum(), [layer.weight, layer.bias]))
    assert (output - exact).abs().max() < 0.03 * exact.abs().max()
    for gradient, other, truth in zip(found[0], found[2], expected, strict=True):
        assert torch.equal(gradient, other)
        assert (gradient - truth).abs().max() < 0.03 * truth.abs().max()
