"""What a step does on an accelerator, found without one: the loop runs on torch's device `meta`, which holds no data.

There, reading a value back (`.item()`, `.cpu()`, a boolean index, `nonzero`) is an error, as it would be a wait on a GPU;
a mode counts what goes from the host to the device, and refuses operations that mix the two.
"""

import contextlib
import dataclasses

import pytest

torch = pytest.importorskip("torch")

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402
from torch.utils._pytree import tree_leaves  # noqa: E402
from training_cases import make_photos  # noqa: E402

from ce_retrieval.training import PRESETS, data  # noqa: E402
from ce_retrieval.training.config import Engine  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import Team, _backend  # noqa: E402

META = torch.device("meta")
ENGINE = Engine(bf16=False, fused=False)  # meta has neither
SIZES = {"paper-region": 227, "paper-region-pool-free": 227, "autoencoder": 227}


class MetaGenerator(torch.Generator):
    """A generator that says that it is on the device: torch makes none there."""

    def __new__(cls, device):
        return super().__new__(cls)

    device = META


class Watch(TorchDispatchMode):
    """Raises where an operation mixes host and device; collects transfers, and which seeds random numbers come from."""

    def __init__(self):
        super().__init__()
        self.transfers, self.drawn = [], []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        places = {tensor.device.type for tensor in tensors if tensor.ndim}  # a number may be on the host
        result = function(*args, **kwargs)
        name = str(function)
        if name.startswith(("aten._to_copy", "aten.copy_")):
            if "cpu" in places and "meta" in {*places, *(one.device.type for one in tree_leaves(result))}:
                self.transfers.append(name)
        elif len(places) > 1:
            raise AssertionError(f"{name} mixes the host and the device")
        if kwargs.get("generator") is not None:
            self.drawn.append((kwargs["generator"].initial_seed(), result.device.type))
        return result


@pytest.fixture
def on_meta(monkeypatch):
    """The loop's parts that torch has on real devices alone take their place on `meta`."""
    clip = torch.nn.utils.clip_grad_norm_
    monkeypatch.setattr(data, "Generator", MetaGenerator)
    monkeypatch.setattr(Learner, "_autocast", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", lambda parts, most, foreach: clip(parts, most))


def loop(config, photos, steps):
    """Make steps on `meta`; return what was watched after the first step, in which an epoch's order is sent."""
    learner = Learner(config, META, ENGINE, Team())
    batches = Batches(photos, config, hole_maker(config, META), META, Team(), resident=True)
    losses, watch = learner.update(*batches.draw(0), 0.1), Watch()
    with watch:
        for step in range(1, steps):
            losses |= learner.update(*batches.draw(step), 0.1)
    assert all(loss.device == META for loss in losses.values())
    return watch


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("paper")) for name in PRESETS]
)
def test_the_loop_neither_waits_nor_mixes_nor_sends(on_meta, few_channels, tiny_config, name):
    masks = PRESETS[name]["masks"]
    network = {"network": PRESETS[name]["network"]} if name in SIZES else {}
    if name in ("paper-center", "paper-random"):
        network = {"network": dataclasses.replace(PRESETS[name]["network"], size=32, bottleneck=8)}
    joint = {"adversarial": 0.01, "overlap": 2} if name in ("compact", "paper-center", "paper-random") else {}
    config = tiny_config(masks=masks, batch=2, average=0.9, clip=1.0, jitter=0.1, **network, **joint)
    watch = loop(config, make_photos(12, config.network.size + 4), 3)
    assert not watch.transfers
    # All that is random comes from the generator of the batches, seeded by the step.
    assert set(watch.drawn) == {(config.seed * 1_000_003 + step, "meta") for step in (1, 2)}


def test_the_watch_sees_what_it_is_for(on_meta):
    here, there = torch.ones(3), torch.ones(3, device=META)
    with Watch() as watch:
        there + torch.tensor(2.0)
        there.to(torch.float64)
        assert not watch.transfers
        here.to(META)
        assert len(watch.transfers) == 1
        for mix in (lambda: here[there.long()], lambda: torch.nn.functional.linear(there[None], here[None])):
            with pytest.raises(AssertionError, match="mixes the host and the device"):
                mix()
        for wait in (
            lambda: there.nonzero(),
            lambda: there[there > 0],
            lambda: there.cpu(),
            lambda: bool(there[0] > 0),
        ):
            with pytest.raises((NotImplementedError, RuntimeError)):
                wait()


@pytest.mark.parametrize(
    ("device", "cards", "processes", "backend"),
    [("cuda", 2, 2, "nccl"), ("cuda", 8, 4, "nccl"), ("cuda", 1, 2, "gloo"), ("cpu", 0, 2, "gloo")],
)
def test_processes_that_share_a_card_do_not_use_nccl(monkeypatch, device, cards, processes, backend):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: cards)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(processes))
    assert _backend(torch.device(device)) == backend
