"""A GPU computes what the CPU does. Each test also runs with the CPU in the GPU's place, which shows that it can run."""

import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_cases import TINY, make_photos  # noqa: E402
from training_runs import DEVICES, NO_GPU, OFTEN, Stopped, final_state, stop_at  # noqa: E402

from ce_retrieval.errors import TrainingError  # noqa: E402
from ce_retrieval.training import preset_config  # noqa: E402
from ce_retrieval.training.config import ENGINES, Engine  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import Team  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402

on_both = pytest.mark.parametrize("device", DEVICES)


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    """No TF32 in convolutions, which a GPU would use for float32."""
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)


def drawn(config, photos, device, steps, **options):
    place = torch.device(device)
    batches = Batches(photos, config, hole_maker(config, place), place, Team(), **options)
    found = [batches.draw(step) for step in range(steps)]
    batches.close()
    return found


def distance(one, other):
    """Norm of the difference over the norm, all tensors as one vector."""
    gap, norm = 0.0, 0.0
    for name, value in one.items():
        gap += float((value.cpu().double() - other[name].cpu().double()).square().sum())
        norm += float(value.double().square().sum())
    return (gap / norm) ** 0.5


@on_both
@pytest.mark.parametrize("adversarial", [0.0, 0.01])
def test_a_step_is_that_of_the_cpu(device, adversarial, few_channels, tiny_config):
    config = tiny_config(adversarial=adversarial, overlap=3, muon_rate=0.0)  # Muon rounds to bfloat16
    (inputs,) = drawn(config, make_photos(40, 40), "cpu", 1)
    here, there = (Learner(config, torch.device(place), ENGINES["plain"], Team()) for place in ("cpu", device))
    there.network.load_state_dict(here.network.state_dict())
    before = copy.deepcopy(here.network.state_dict())
    losses = [
        learner.update(*(part.to(place) for part in inputs), 0.1) for learner, place in ((here, "cpu"), (there, device))
    ]
    for name, loss in losses[0].items():
        assert float(losses[1][name]) == pytest.approx(float(loss), rel=1e-4)
    assert distance(here.network.state_dict(), there.network.state_dict()) < 1e-4
    assert distance(before, here.network.state_dict()) > 1e-3


@on_both
def test_the_fast_engine_learns_the_same(device):
    on_gpu = device == "cuda"
    network = {} if on_gpu else {"network": TINY}
    steps = 100 if on_gpu else 40
    config = preset_config("compact", batch=32, steps=steps, warmup=10, **network)
    photos = make_photos(256, config.network.size * 9 // 8)
    fast = Engine(compiled=on_gpu)
    ends = []
    for engine in (ENGINES["plain"], fast):
        learner = Learner(config, torch.device(device), engine, Team())
        begun = copy.deepcopy(learner.network.state_dict())
        curve = [
            learner.update(*inputs, step / steps)["reconstruction"]
            for step, inputs in enumerate(drawn(config, photos, device, steps))
        ]
        ends.append(np.mean([float(loss) for loss in curve[-10:]]))
        assert distance(begun, learner.network.state_dict()) > 0.05
    assert ends[1] == pytest.approx(ends[0], rel=0.02)


@on_both
def test_a_resumed_run_ends_where_a_whole_one_does(device, tmp_path, photos, held_out, tiny_config, monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", True)
    config, place = tiny_config(), torch.device(device)
    options = {"device": place, "held_out": held_out, "schedule": OFTEN}
    train(config, photos, tmp_path / "whole", **options)
    with pytest.raises(Stopped):
        train(config, photos, tmp_path / "parts", report=stop_at(3), **options)
    train(config, photos, tmp_path / "parts", resume=True, **options)
    gap = distance(final_state(tmp_path / "whole", config.steps), final_state(tmp_path / "parts", config.steps))
    assert gap <= (0.0 if device == "cpu" else 1e-3)


@on_both
def test_resident_and_streamed_photos_give_the_same_batches(device, tiny_config):
    config = tiny_config(jitter=0.1)
    resident, streamed = (drawn(config, make_photos(40, 40), device, 12, resident=kept) for kept in (True, False))
    for one, other in zip(resident, streamed, strict=True):
        assert all(torch.equal(*pair) for pair in zip(one, other, strict=True))
        assert {part.device.type for part in one} == {device}


@pytest.mark.gpu
@NO_GPU
def test_out_of_memory_names_a_batch_that_fits(tmp_path):
    """On the CPU, test_training_failures.py pretends that memory runs out."""
    config = preset_config("compact", batch=4096, steps=2)
    photos = make_photos(4200, config.network.size)
    torch.cuda.empty_cache()
    total = torch.cuda.mem_get_info()[1]
    torch.cuda.set_per_process_memory_fraction(min(1.0, (torch.cuda.memory_reserved() + (4 << 30)) / total))
    try:
        with pytest.raises(TrainingError, match=r"`batch` 4096 does not fit into the memory of cuda.*: use \d+, which"):
            train(config, photos, tmp_path / "run", device=torch.device("cuda"))
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
