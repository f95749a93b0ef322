"""What the tests of whole runs share: a stop in the middle, and the state that a run ends with."""

import pytest
import torch

from ce_retrieval.models.checkpoint import load_tensors
from ce_retrieval.training import Schedule

CPU = torch.device("cpu")
NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.gpu, NO_GPU])]
OFTEN = Schedule(validate_every=3, checkpoint_every=2, gallery=16)


class Stopped(Exception):
    """Stands for a kill in the middle of a run."""


def stop_at(step):
    def report(now):
        if now.step == step:
            raise Stopped

    return report


def final_state(folder, step):
    found = {}
    for part in ("network", "training"):
        tensors, _ = load_tensors(folder / "checkpoints" / f"step-{step:08d}" / f"{part}.safetensors")
        found |= {f"{part}.{name}": value for name, value in tensors.items()}
    return found


def assert_same(one, other):
    assert one.keys() == other.keys() and len(one) > 10
    for name, value in one.items():
        assert torch.equal(value, other[name]), name
