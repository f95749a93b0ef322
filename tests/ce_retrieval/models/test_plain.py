"""Networks in numpy agree with those in torch."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import CheckpointError, MaskError, PhotoError  # noqa: E402
from ce_retrieval.models import CompactConfig  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import load_tensors, save_network, tensors_hash  # noqa: E402
from ce_retrieval.models.checkpoint_file import arrays_hash, load_arrays  # noqa: E402
from ce_retrieval.models.config import KindConfig  # noqa: E402
from ce_retrieval.models.inference import encode_photos, predict_photos  # noqa: E402
from ce_retrieval.models.kind_network import KindNetwork  # noqa: E402
from ce_retrieval.models.kind_weights import KindWeights  # noqa: E402
from ce_retrieval.models.plain import FEW, PlainCompact, PlainKind  # noqa: E402
from ce_retrieval.models.plain_shapes import compact_shapes, kind_shapes  # noqa: E402
from ce_retrieval.models.shipped import FOLDER, KIND, load_weights  # noqa: E402

TINY = CompactConfig(size=48, widths=(8, 12, 16), encoder_blocks=(1, 1, 1), decoder_blocks=(1, 1, 1), mixers=1)
CONFIGS = (
    TINY,
    replace(TINY, shuffles=2, mixers=2),
    replace(TINY, skips=False, encoder_blocks=(0, 0, 2)),
    replace(TINY, residual=False, mixers=0, decoder_blocks=(0, 2, 0)),
)
TINY_KIND = KindConfig(size=64, widths=(8, 16, 24), blocks=(1, 0, 2), features=12, components=5)


def randomised(network):
    """All weights drawn at random: those that start at zero too."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for value in network.state_dict().values():
            fan = max(value[0].numel(), 1) if value.ndim > 1 else 4
            value.copy_(torch.randn(value.shape, generator=generator) * fan**-0.5)
    return network.eval().requires_grad_(False)


def arrays(network):
    return {name: value.numpy() for name, value in network.state_dict().items()}


def holes_of(size):
    """Holes (6, S, S): centre, border, blocks, a pixel, nearly all, none."""
    holes = np.zeros((6, size, size), bool)
    holes[0, size // 4 : -size // 4, size // 4 : -size // 4] = True
    holes[1, :, : size // 3] = True
    holes[2] = np.kron(np.random.default_rng(1).random((size // 8, size // 8)) < 0.4, np.ones((8, 8))) > 0
    holes[3, 5, 7] = True
    holes[4] = True
    holes[4, -1, 2] = False
    return holes


def photos_of(count, size):
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


@pytest.mark.parametrize("config", CONFIGS, ids=("plain", "shuffles", "no skips", "not residual"))
def test_compact_agrees_with_torch(config, one_thread_torch):
    network = randomised(build_network(config))
    plain = PlainCompact(config, arrays(network), name="file")
    photos, holes = photos_of(6, config.size), holes_of(config.size)
    for part in (slice(0, 2), slice(2, 4), slice(4, 5), slice(5, 6)):
        expected = predict_photos(network, photos[part], holes[part], fast=False)
        assert np.ptp(expected) > 0.5
        np.testing.assert_allclose(plain.predict(photos[part], holes[part]), expected, atol=1e-4)
        for layer in network.LAYERS:
            expected = encode_photos(network, photos[part], holes[part], layer=layer, fast=False)
            found = plain.features(photos[part], holes[part], layer)
            assert found.dtype == np.float32 and found.shape == expected.shape
            np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())
    pair = photos[:2], holes[:2]  # the second hole is not its own mirror image
    mirrored = predict_photos(network, *pair, mirror=True, fast=False)
    np.testing.assert_allclose(plain.predict(*pair, mirror=True), mirrored, atol=1e-4)


def test_what_ships_agrees_with_torch(shipped_weights, one_thread_torch):
    weights = load_weights()
    photos, holes = photos_of(2, 128), holes_of(128)[:2]
    expected = predict_photos(weights.network, photos, holes, fast=False)
    np.testing.assert_allclose(weights.plain_for(2).predict(photos, holes), expected, atol=1e-4)
    assert weights.plain_for(FEW) is not None and weights.plain_for(FEW + 1) is None


@pytest.mark.parametrize("size", [64, 72])
def test_kinds_agree_with_torch(size, one_thread_torch):
    config = replace(TINY_KIND, size=size)
    network = randomised(KindNetwork(config))
    photos, holes = photos_of(6, size), holes_of(size)
    with torch.inference_mode():
        pixels = torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = network.kinds(network(pixels, torch.from_numpy(holes))).numpy()
    plain = PlainKind(config, arrays(network))
    for part in (slice(0, 2), slice(2, 3), slice(3, 6)):
        np.testing.assert_allclose(plain.kinds(photos[part], holes[part]), expected[part], atol=1e-4)
    assert np.abs(expected[0] - expected[1]).max() > 1e-3  # the photos do not all have one kind


def test_shapes_are_those_of_the_networks():
    for config in (*CONFIGS, CompactConfig(), CompactConfig(shuffles=2, size=32, encoder_blocks=(2, 0, 1))):
        own = {name: tuple(value.shape) for name, value in build_network(config).state_dict().items()}
        assert compact_shapes(config) == own
    for config in (TINY_KIND, KindConfig()):
        own = {name: tuple(value.shape) for name, value in KindNetwork(config).state_dict().items()}
        assert kind_shapes(config) == own


def test_a_file_is_read_as_by_torch(tmp_path):
    path = tmp_path / "file.safetensors"
    beside = {"compression.flag": torch.tensor([True]), "compression.count": torch.tensor(3)}
    sha256 = save_network(path, build_network(TINY), half=True, beside=beside)
    tensors, header = load_tensors(path)
    found, same = load_arrays(path)
    assert same == header and header["sha256"] == sha256 == arrays_hash(found) == tensors_hash(tensors)
    assert all(np.array_equal(found[name], value.numpy()) for name, value in tensors.items())


def test_bad_weights_are_named(tmp_path):
    own = arrays(build_network(TINY))
    for wrong, message in (
        ({"stem.bias": np.zeros(9, np.float32)}, r"file: stem\.bias has shape \(9,\), this network expects \(8,\)"),
        ({"stem.bias": np.zeros(8, np.int32)}, r"stem\.bias is torch\.int32, this network expects torch\.float32"),
        ({"more": np.zeros(1, np.float32)}, "weights are of another network: more not in both"),
    ):
        with pytest.raises(CheckpointError, match=message):
            PlainCompact(TINY, {**own, **wrong}, name="file")
    path = tmp_path / "file.safetensors"
    save_network(
        path, build_network(TINY), weights={n: v.bfloat16() for n, v in build_network(TINY).state_dict().items()}
    )
    with pytest.raises(CheckpointError, match=r"file\.safetensors: .*bfloat16"):
        load_weights(str(path))


def test_bad_photos_and_holes_are_named(one_thread_torch):
    plain = PlainCompact(TINY, arrays(build_network(TINY)), name="file")
    with pytest.raises(PhotoError, match=r"expected uint8 \(48, 48, 3\)"):
        plain.predict(photos_of(1, 32), np.zeros((1, 32, 32), bool))
    with pytest.raises(MaskError, match="covers a whole photo"):
        plain.predict(photos_of(1, 48), np.ones((1, 48, 48), bool))


def test_the_kind_that_ships_agrees_with_torch(shipped_weights, one_thread_torch):
    weights = KindWeights(FOLDER / KIND)
    photos, holes = photos_of(2, 128), holes_of(128)[:2]
    with torch.inference_mode():
        pixels = torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = weights.network.kinds(weights.network(pixels, torch.from_numpy(holes))).numpy()
    np.testing.assert_allclose(weights.plain.kinds(photos, holes), expected, atol=1e-4)
