"""Networks on uint8 photos: visible pixels are untouched, features come as a grid."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.errors import CeretError, MaskError, PhotoError  # noqa: E402
from ce_retrieval.models import CompactConfig, PaperCenterConfig, inference  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.inference import encode_photos, fill_photos, predict_photos  # noqa: E402
from ce_retrieval.models.requirements import require_torch  # noqa: E402

TINY = CompactConfig(size=32, widths=(8, 16, 16), mixers=1)


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), dtype=np.uint8)


@pytest.fixture
def hole():
    hole = np.zeros((32, 32), bool)
    hole[3:20, 10:32] = True
    return hole


@pytest.fixture
def small_batches(monkeypatch):
    monkeypatch.setattr(inference, "BATCH", 2)


@pytest.mark.usefixtures("small_batches")
def test_fills_keep_visible_pixels_and_the_inputs(photos, hole):
    before = photos.copy()
    filled = fill_photos(build_network(TINY).eval(), photos, hole)
    assert filled.dtype == np.uint8 and filled.shape == photos.shape
    assert (photos == before).all() and (filled[:, ~hole] == photos[:, ~hole]).all()
    assert (filled[:, hole] != photos[:, hole]).mean() > 0.9


def test_fills_do_not_depend_on_the_batch(photos, hole):
    network = build_network(TINY).eval()
    together = fill_photos(network, photos, hole, fast=False)
    alone = np.concatenate([fill_photos(network, photo[None], hole, fast=False) for photo in photos])
    assert np.abs(together.astype(int) - alone).max() <= 1


def test_mirrored_fills_are_symmetric(photos, hole):
    network = build_network(TINY).eval()
    straight = fill_photos(network, photos, hole, mirror=True, fast=False)
    mirrored = fill_photos(network, photos[:, :, ::-1].copy(), hole[:, ::-1].copy(), mirror=True, fast=False)
    assert np.abs(straight.astype(int) - mirrored[:, :, ::-1]).max() <= 1


@pytest.mark.usefixtures("small_batches")
def test_features_are_a_grid(photos, hole):
    network = build_network(TINY).eval()
    whole, holed = encode_photos(network, photos), encode_photos(network, photos, hole, layer="cells")
    assert whole.shape == holed.shape == (5, 2, 2, 16) and whole.dtype == np.float32
    exact = encode_photos(network, photos, fast=False)
    assert np.abs(exact - whole).max() < 0.05 * np.abs(exact).max()


def test_bad_input_is_named(photos, hole):
    network = build_network(TINY).eval()
    with pytest.raises(PhotoError, match=r"\(16, 16, 3\).*expected uint8 \(32, 32, 3\)"):
        encode_photos(network, photos[:, :16, :16])
    with pytest.raises(MaskError, match="nothing to see"):
        fill_photos(network, photos, np.ones((32, 32), bool))
    center = build_network(PaperCenterConfig(bottleneck=8, size=64)).eval()
    with pytest.raises(MaskError, match="outside the central half"):
        fill_photos(center, np.zeros((1, 64, 64, 3), np.uint8), np.pad(hole, ((0, 32), (0, 32))))


def test_missing_torch_gives_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    with pytest.raises(CeretError, match=r"training needs torch and safetensors: pip install torch safetensors"):
        require_torch("training")


@pytest.mark.usefixtures("small_batches")
def test_predictions_are_what_fills_are_made_of(photos, hole):
    network = build_network(TINY).eval()
    torch.nn.init.normal_(network.head[2].weight, std=0.1)
    predicted = predict_photos(network, photos, hole, fast=False)
    assert predicted.dtype == np.float32 and predicted.shape == photos.shape
    with torch.inference_mode():
        inputs = torch.from_numpy(photos).permute(0, 3, 1, 2).float() / 127.5 - 1
        expected = (network(inputs, torch.from_numpy(hole).expand(5, -1, -1)) + 1) / 2
    np.testing.assert_allclose(predicted, expected.permute(0, 2, 3, 1).numpy(), atol=1e-5)
    filled = fill_photos(network, photos, hole, fast=False)
    assert np.abs(filled[:, hole] - predicted[:, hole].clip(0, 1) * 255).max() <= 0.51


def test_a_predicted_centre_is_continued_to_the_photos_edge():
    network = build_network(PaperCenterConfig(bottleneck=8, size=64)).eval()
    photos = np.random.default_rng(1).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    hole = np.pad(np.ones((32, 32), bool), 16)
    predicted = predict_photos(network, photos, hole, fast=False)
    np.testing.assert_array_equal(predicted[:, :16, 16:48], np.broadcast_to(predicted[:, 16:17, 16:48], (2, 16, 32, 3)))
    np.testing.assert_array_equal(predicted[:, 48:, 48:], np.broadcast_to(predicted[:, 47:48, 47:48], (2, 16, 16, 3)))
    assert predicted[:, 16:48, 16:48].std() > 0
