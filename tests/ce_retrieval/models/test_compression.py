"""Compressed features: against numpy's SVD, in and out of the weights file, and what a damaged file says."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import CheckpointError  # noqa: E402
from ce_retrieval.models import CompactConfig, PaperCenterConfig  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import (  # noqa: E402
    export_half,
    load_network,
    load_tensors,
    restore,
    save_network,
    save_tensors,
)
from ce_retrieval.models.compression import (  # noqa: E402
    compression_tensors,
    default_channels,
    export_compressed,
    fit_compression,
)
from ce_retrieval.models.inference import encode_photos  # noqa: E402
from ce_retrieval.models.projection import stored_compressions  # noqa: E402
from ce_retrieval.models.shipped import load_weights  # noqa: E402

TINY = CompactConfig(size=32, widths=(8, 16, 16), mixers=1)


@pytest.fixture
def network():
    return build_network(TINY, seed=3).eval()


@pytest.fixture
def photos():
    rng = np.random.default_rng(0)
    rough = rng.integers(0, 256, (70, 8, 8, 3), dtype=np.uint8)
    return rough.repeat(4, axis=1).repeat(4, axis=2)


@pytest.fixture
def center():
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    return hole


@pytest.fixture
def source(tmp_path, network):
    path = tmp_path / "best.safetensors"
    save_network(path, network, extra={"step": 5})
    return path


@pytest.mark.parametrize("layer", ["cells", "context"])
@pytest.mark.parametrize("holed", [False, True])
def test_the_basis_is_that_of_the_singular_value_decomposition(network, photos, center, layer, holed):
    hole = center if holed else None
    found, kept = fit_compression(network, photos, layer, 5, hole)
    rows = encode_photos(network, photos, hole, layer=layer).reshape(-1, 16).astype(np.float64)
    centred = rows - rows.mean(axis=0)
    _, values, directions = np.linalg.svd(centred, full_matrices=False)
    np.testing.assert_allclose(found.mean, rows.mean(axis=0), atol=1e-4)
    basis = found.basis
    np.testing.assert_allclose(basis.T @ basis, np.eye(5), atol=1e-5)
    np.testing.assert_allclose(np.abs(np.diag(directions[:5] @ basis)), 1, atol=1e-4)
    assert kept == pytest.approx((values[:5] ** 2).sum() / (values**2).sum(), rel=1e-5)
    compressed = found.apply(rows.astype(np.float32))
    assert np.square(compressed).sum(axis=1).mean() == pytest.approx(1, rel=1e-4)
    # The least error of any projection to five channels.
    back = compressed / found.scale @ basis.T + found.mean
    assert np.square(rows - back).sum() == pytest.approx((values[5:] ** 2).sum(), rel=1e-3)


def test_with_all_channels_distances_only_change_by_the_scale(network, photos):
    found, kept = fit_compression(network, photos, "cells", 1000)
    assert found.channels == 16 and kept == pytest.approx(1)
    one, other = encode_photos(network, photos[:2], layer="cells").reshape(2, -1, 16)
    distance = np.linalg.norm(one - other, axis=1)
    compressed = [found.apply(part) for part in (one, other)]
    np.testing.assert_allclose(np.linalg.norm(np.subtract(*compressed), axis=1), distance * found.scale, rtol=1e-3)


def test_a_fit_is_a_function_of_its_inputs_and_constant_features_do_no_harm(network, photos):
    first, second = (fit_compression(network, photos, "cells", 4)[0] for _ in range(2))
    assert np.array_equal(first.basis, second.basis) and first.scale == second.scale
    for parameter in network.parameters():
        parameter.data.zero_()
    flat, kept = fit_compression(network, photos, "cells", 4)
    assert flat.scale == 1 and kept == 1
    assert not flat.apply(encode_photos(network, photos[:2], layer="cells")).any()


def test_few_cells_keep_more_channels():
    assert default_channels(64, 256) == default_channels(36, 256) == 48
    assert default_channels(16, 512) == 64 and default_channels(1, 4000) == 1024
    assert default_channels(4, 16) == 16


def test_an_export_holds_every_layer_and_the_hash_covers_it(source, tmp_path, photos, center):
    target, plain = tmp_path / "half.safetensors", tmp_path / "plain.safetensors"
    sha256 = export_compressed(source, target, photos, lambda layer: None if layer == "cells" else center, channels=6)
    weights = load_weights(str(target))
    assert weights.sha256 == sha256 != export_half(source, plain)
    assert weights.header["step"] == 5 and not weights.network.training
    assert {layer: about["channels"] for layer, about in weights.header["compression"].items()} == {
        "cells": 6,
        "context": 6,
    }
    assert weights.header["compression"]["context"]["hole"] == "center"
    assert 0 < weights.header["compression"]["cells"]["variance_kept"] < 1
    half = load_network(plain)[0]
    for layer, hole in (("cells", None), ("context", center)):
        expected, _ = fit_compression(half, photos, layer, 6, hole)
        found = weights.compressions[layer]
        assert np.array_equal(found.basis, expected.basis) and np.array_equal(found.mean, expected.mean)
        assert found.scale == expected.scale
    tensors, header = load_tensors(target)
    tensors["compression.cells.scale"] = tensors["compression.cells.scale"] * 2
    extra = {key: value for key, value in header.items() if key not in ("format", "sha256", "versions")}
    assert save_tensors(target, tensors, extra) != sha256


def test_an_export_of_an_export_keeps_the_compressions(source, tmp_path, photos):
    target, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    sha256 = export_compressed(source, target, photos, channels=6)
    assert export_half(target, again) == sha256
    assert load_network(target)[1]["step"] == 5


def test_fewer_samples_than_channels(photos):
    network = build_network(PaperCenterConfig(size=32, bottleneck=100)).eval()
    found, kept = fit_compression(network, photos[:20], "bottleneck", 8)
    rows = encode_photos(network, photos[:20], layer="bottleneck").reshape(20, 100).astype(np.float64)
    variance, directions = np.linalg.eigh(np.cov(rows.T, bias=True))
    np.testing.assert_allclose(np.abs(np.diag(directions[:, :-9:-1].T @ found.basis)), 1, atol=1e-4)
    assert kept == pytest.approx(variance[:-9:-1].sum() / variance.sum(), rel=1e-5)
    assert fit_compression(network, photos[:20], "bottleneck", 80)[0].channels == 20


def test_a_layer_of_one_cell(tmp_path, photos):
    network = build_network(PaperCenterConfig(size=32, bottleneck=30)).eval()
    save_network(tmp_path / "center.safetensors", network)
    export_compressed(tmp_path / "center.safetensors", tmp_path / "half.safetensors", photos)
    assert load_weights(str(tmp_path / "half.safetensors")).compressions["bottleneck"].channels == 30


def test_what_no_compression_looks_like_is_named(source, photos, network):
    tensors, _ = load_tensors(source)
    good = compression_tensors(fit_compression(network, photos, "cells", 4)[0], "cells")
    key = "compression.cells."
    bad = [
        {name: value for name, value in good.items() if name != key + "mean"},
        {name: value for name, value in good.items() if name != key + "scale"},
        {**good, key + "basis": good[key + "basis"][:-1]},
        {**good, key + "basis": good[key + "basis"].half()},
        {**good, key + "more": torch.zeros(1)},
    ]
    for parts in bad:
        with pytest.raises(CheckpointError, match=r"^file: the compression of layer cells is incomplete"):
            stored_compressions({**tensors, **parts}, network.LAYERS, name="file")
    of_another = {name.replace("cells", "pool5"): value for name, value in good.items()}
    with pytest.raises(CheckpointError, match=r"compression\.pool5\.basis compresses no layer"):
        stored_compressions({**tensors, **of_another}, network.LAYERS, name="file")
    assert stored_compressions({**tensors, **good}, network.LAYERS, name="file").keys() == {"cells"}


def test_a_wider_network_is_still_refused(source, tmp_path, photos):
    target = tmp_path / "half.safetensors"
    export_compressed(source, target, photos, channels=6)
    tensors, _ = load_tensors(target)
    with pytest.raises(CheckpointError, match="another network"):
        restore(build_network(replace(TINY, mixers=2)), tensors, name="file")
    del tensors["head.0.bias"]
    with pytest.raises(CheckpointError, match=r"head.0.bias not in both"):
        restore(build_network(TINY), tensors, name="file")
