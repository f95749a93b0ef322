"""Weights on disk: what is written is read back to the bit, and damaged or foreign files are named."""

import errno
import os
import pickle

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import CheckpointError, StorageError  # noqa: E402
from ce_retrieval.models import CompactConfig, PaperRegionConfig  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import (  # noqa: E402
    export_half,
    load_network,
    load_tensors,
    restore,
    save_network,
    save_tensors,
)

TINY = CompactConfig(size=32, widths=(8, 16, 16), mixers=1)


@pytest.fixture
def saved(tmp_path):
    network = build_network(TINY, seed=7)
    path = tmp_path / "weights.safetensors"
    save_network(path, network, extra={"step": 12, "metrics": {"l2": 2.5}})
    return path, network


def test_a_network_comes_back_bit_identical_with_its_header(saved):
    path, network = saved
    loaded, header = load_network(path)
    assert loaded.config == TINY and not loaded.training
    for name, value in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], value), name
    assert header["step"] == 12 and header["metrics"] == {"l2": 2.5}
    assert header["preprocessing"] == {"size": 32, "channels": "RGB", "range": [-1, 1], "fill_rgb": [123, 117, 104]}
    assert header["versions"]["torch"] == torch.__version__


def test_float16_weights_halve_the_file_and_stay_near(saved, tmp_path):
    path, network = saved
    half = tmp_path / "half.safetensors"
    export_half(path, half)
    assert half.stat().st_size < 0.65 * path.stat().st_size
    loaded, header = load_network(half)
    assert header["step"] == 12
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=1e-3, atol=1e-4)


def test_a_truncated_file(saved):
    path, _ = saved
    data = path.read_bytes()
    for length in (0, 4, 100, len(data) // 2, len(data) - 1):
        path.write_bytes(data[:length])
        with pytest.raises(CheckpointError, match=r"weights.safetensors: truncated"):
            load_network(path)


def test_an_altered_weight(saved):
    path, _ = saved
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="altered"):
        load_network(path)


def test_a_pickle_is_not_opened(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "exploded"),)

    path = tmp_path / "bomb.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="no safetensors file"):
        load_network(path)
    assert not (tmp_path / "exploded").exists()


def test_a_file_of_someone_else(tmp_path):
    from safetensors.torch import save_file

    path = tmp_path / "other.safetensors"
    save_file({"a": torch.zeros(2)}, path)
    with pytest.raises(CheckpointError, match="has no ceret header"):
        load_network(path)
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        load_network(tmp_path / "absent.safetensors")


def test_the_leaf_that_differs_is_named(saved):
    path, _ = saved
    tensors, _ = load_tensors(path)
    wider = build_network(CompactConfig(size=32, widths=(8, 16, 24), mixers=1))
    with pytest.raises(CheckpointError, match=r"down_high.1.weight has shape \(16, .* expects \(24, "):
        restore(wider, tensors, name="file")
    with pytest.raises(CheckpointError, match=r"another network: .* not in both"):
        restore(build_network(PaperRegionConfig(size=67)), tensors, name="file")
    own = build_network(TINY)
    with pytest.raises(CheckpointError, match=r"head.0.bias is torch.float64"):
        restore(own, {**tensors, "head.0.bias": tensors["head.0.bias"].double()}, name="file")


def test_training_state_is_no_network(tmp_path):
    path = tmp_path / "training.safetensors"
    save_tensors(path, {"a": torch.zeros(2)}, {"kind": "training"})
    with pytest.raises(CheckpointError, match="not a network"):
        load_network(path)


def test_a_full_disk_keeps_the_older_file(saved, monkeypatch):
    path, network = saved
    before = path.read_bytes()

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="no space left"):
        save_network(path, network)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
