"""What a step of training does to the network, its averaged weights and its adversary."""

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_cases import make_photos  # noqa: E402
from training_runs import CPU  # noqa: E402

from ce_retrieval.models import PaperRandomConfig  # noqa: E402
from ce_retrieval.models.config import CompactConfig  # noqa: E402
from ce_retrieval.training import preset_config  # noqa: E402
from ce_retrieval.training.config import ENGINES  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import Team  # noqa: E402


def test_an_autoencoder_of_compact_cannot_copy_its_input():
    config = preset_config("compact", masks="none", steps=1)
    assert isinstance(config.network, CompactConfig)
    assert not config.network.residual and not config.network.skips


def test_averaged_weights_are_the_running_mean(photos, tiny_config):
    config = tiny_config(average=0.5)
    learner = Learner(config, CPU, ENGINES["plain"], Team())
    batches = Batches(photos, config, hole_maker(config, CPU), CPU, Team())
    name = "stem.weight"
    mean = learner.network.state_dict()[name].clone()
    for step in range(4):
        learner.update(*batches.draw(step), 0.0)
        decay = min(0.5, (1 + step) / (10 + step))
        mean = decay * mean + (1 - decay) * learner.network.state_dict()[name]
    torch.testing.assert_close(learner.weights()[name], mean)
    assert not torch.equal(mean, learner.network.state_dict()[name])


def test_the_adversary_learns_to_tell_real_photos_and_its_gradient_reaches_the_encoder(few_channels):
    network = PaperRandomConfig(size=32, bottleneck=8)
    config = preset_config("paper-random", network=network, batch=8, steps=12, adversarial=0.5, discriminator_rate=30)
    learner = Learner(config, CPU, ENGINES["plain"], Team())
    batches = Batches(make_photos(40, 70), config, hole_maker(config, CPU), CPU, Team())
    photos, holes = batches.draw(0)
    with torch.no_grad():
        fakes = learner.network.judged(photos, holes, learner.network(photos, holes))[1]
    told = [float(learner.adversary_step(photos, fakes)) for _ in range(8)]
    assert told[0] == pytest.approx(2 * np.log(2), rel=0.5) and told[-1] < 0.5 * told[0]
    before = {name: value.clone() for name, value in learner.adversary.named_parameters()}
    losses, total = learner.losses(photos, holes)
    total.backward()
    assert float(losses["adversarial"]) > 0
    assert float(total.detach()) == pytest.approx(
        0.5 * float(losses["reconstruction"]) + 0.5 * float(losses["adversarial"]), rel=1e-5
    )
    assert all(parameter.grad is None and parameter.requires_grad for parameter in learner.adversary.parameters())
    assert any(not torch.equal(before[name], value) for name, value in learner.adversary.named_parameters())
    assert all(parameter.grad is not None for parameter in learner.network.parameters())


def test_the_encoder_learns_ten_times_as_fast_as_its_adversary():
    config = preset_config(
        "paper-center", network=replace(preset_config("paper-center", steps=1).network, bottleneck=8), steps=2
    )
    learner = Learner(config, CPU, ENGINES["fast"], Team())
    learner.set_rates(0.0)
    rates = [learner.optimisers[name][0].param_groups[0] for name in ("network", "adversary")]
    assert rates[0]["lr"] == 2e-4 and rates[1]["lr"] == pytest.approx(2e-5) and rates[0]["betas"][0] == 0.5


def test_engines_agree_on_the_first_losses(photos, tiny_config):
    config = tiny_config()
    batches = Batches(photos, config, hole_maker(config, CPU), CPU, Team())
    curves = {}
    for name in ("plain", "fast"):
        learner = Learner(config, CPU, ENGINES[name], Team())
        curves[name] = [float(learner.update(*batches.draw(step), 0.0)["reconstruction"]) for step in range(6)]
    np.testing.assert_allclose(curves["fast"], curves["plain"], rtol=0.02)
