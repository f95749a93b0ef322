"""Weights by name: what ships, one network a file and process, and errors that say what to do."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import CeretError, CheckpointError  # noqa: E402
from ce_retrieval.models import CompactConfig, checkpoint, shipped  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import save_network, save_tensors  # noqa: E402
from ce_retrieval.models.shipped import load_weights, weights_path  # noqa: E402

TINY = CompactConfig(size=32, widths=(8, 16, 16), mixers=1)


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_network(path, build_network(TINY, seed=7))
    return path


def test_missing_weights_name_the_file_and_the_remedy(tmp_path, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    for call in (weights_path, load_weights):
        with pytest.raises(
            CheckpointError, match=r"compact\.safetensors.*install ceret.*`weights`.*encoder:FILE in `features`$"
        ) as caught:
            call()
        assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match=r"absent\.safetensors: no such checkpoint"):
        weights_path(str(tmp_path / "absent.safetensors"))
    with pytest.raises(CheckpointError, match="a folder, not a checkpoint"):
        load_weights(str(tmp_path))


def test_the_file_of_the_package_is_found(tmp_path, saved, monkeypatch):
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    os.rename(saved, tmp_path / shipped.SHIPPED)
    assert weights_path() == tmp_path / "compact.safetensors"
    assert load_weights().path == weights_path() and load_weights().network.config == TINY


def test_a_relative_path_is_made_absolute(saved, monkeypatch):
    monkeypatch.chdir(saved.parent)
    assert weights_path("weights.safetensors") == saved


def test_all_threads_share_one_network_that_is_read_once(saved, monkeypatch):
    reads = []
    load = shipped.load_arrays
    monkeypatch.setattr(shipped, "load_arrays", lambda path: reads.append(path) or load(path))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: load_weights(str(saved)), range(16)))
    assert len({id(weights.network) for weights in found}) == 1 and len(reads) == 1
    assert not any(parameter.requires_grad for parameter in found[0].network.parameters())


def test_a_file_that_changed_is_read_again_and_the_old_one_let_go(saved):
    first = load_weights(str(saved))
    save_network(saved, build_network(TINY, seed=8))
    about = saved.stat()
    os.utime(saved, ns=(about.st_atime_ns, about.st_mtime_ns + 1_000_000))
    second = load_weights(str(saved))
    assert second.sha256 != first.sha256 and second.network is not first.network
    assert [key[0] for key in shipped._loaded].count(saved) == 1


def test_bad_files(tmp_path, saved):
    data = saved.read_bytes()
    saved.write_bytes(data[:-5])
    with pytest.raises(CheckpointError, match="truncated"):
        load_weights(str(saved))
    save_tensors(saved, {"a": torch.zeros(1)}, {"kind": "training"})
    with pytest.raises(CheckpointError, match="not a network"):
        load_weights(str(saved))


def test_torch_is_asked_for(saved, monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    with pytest.raises(CeretError, match="needs torch and safetensors: pip install"):
        load_weights(str(saved))


def test_what_ships_is_the_network_of_the_model_card(shipped_weights):
    assert shipped_weights.stat().st_size <= 20_000_000
    tensors, _ = checkpoint.load_tensors(shipped_weights)
    assert tensors["stem.weight"].dtype == torch.float16
    weights = load_weights()
    assert weights.network.config == CompactConfig(shuffles=2)
    assert set(weights.compressions) == set(weights.network.LAYERS)
    card = (Path(__file__).resolve().parents[3] / "MODEL_CARD.md").read_text()
    assert weights.sha256 in card, f"MODEL_CARD.md is of other weights than those that ship ({weights.sha256})"
    parameters = sum(parameter.numel() for parameter in weights.network.parameters())
    assert f"{parameters:,}" in card


def test_what_ships_fills_better_than_the_mean_colour(shipped_weights, bundled_photos):
    from skimage.transform import resize

    from ce_retrieval.models.inference import fill_photos

    photos = np.stack([(resize(photo, (128, 128)) * 255).astype(np.uint8) for photo in bundled_photos])
    holes = np.zeros((len(photos), 128, 128), bool)
    holes[:, 32:96, 32:96] = True
    filled = fill_photos(load_weights().network, photos, holes)
    assert np.array_equal(filled[~holes], photos[~holes])
    visible = np.stack([photo[~hole].mean(axis=0) for photo, hole in zip(photos, holes, strict=True)])
    flat = np.where(holes[..., None], visible[:, None, None], photos)
    error, flat_error = (np.square(one[holes].astype(float) - photos[holes]).mean() for one in (filled, flat))
    assert error < 0.8 * flat_error
