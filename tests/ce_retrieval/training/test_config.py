"""Presets follow the paper, settings change single fields, and impossible values are named."""

import pytest

from ce_retrieval.errors import CheckpointError, TrainingError
from ce_retrieval.training import PRESETS, TrainConfig, changed, preset_config


def test_rates_follow_the_paper():
    joint = preset_config("paper-center", steps=1)
    assert (joint.rate, joint.beta1, joint.adversarial, joint.overlap, joint.overlap_weight) == (
        2e-4,
        0.5,
        0.001,
        7,
        10,
    )
    alone = preset_config("paper-center", steps=1, adversarial=0.0)
    assert (alone.rate, alone.adversarial, alone.overlap) == (1e-3, 0.0, 0)
    region = preset_config("paper-region", steps=1)
    assert (region.rate, region.adversarial, region.masks) == (1e-4, 0.0, "region")
    assert preset_config("paper-region-pool-free", steps=1).network.pool_free
    assert preset_config("autoencoder", steps=1).masks == "none"
    given = preset_config("paper-region", steps=1, adversarial=0.01, rate=3e-4)
    assert (given.rate, given.beta1, given.adversarial) == (3e-4, 0.5, 0.01)


@pytest.mark.parametrize("preset", PRESETS)
def test_configurations_survive_json(preset):
    import json

    config = preset_config(preset, minutes=1.5)
    assert TrainConfig.from_dict(json.loads(json.dumps(config.to_dict())), name="x") == config


def test_settings_reach_run_and_network():
    config = changed(preset_config("compact", steps=1), ["encoder_blocks=1,2,3", "skips=false", "rate=0.5", "warmup=7"])
    assert config.network.encoder_blocks == (1, 2, 3) and config.network.skips is False
    assert config.rate == 0.5 and config.warmup == 7


@pytest.mark.parametrize("setting", ["speed=3", "rate=fast", "encoder_blocks=1,2", "skips=maybe", "rate", "network=x"])
def test_bad_settings_are_named(setting):
    with pytest.raises(TrainingError, match=f"setting '{setting}'"):
        changed(preset_config("compact", steps=1), [setting])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either as steps or as minutes"),
        ({"steps": 1, "minutes": 1.0}, "either as steps or as minutes"),
        ({"steps": 0}, "must be positive"),
        ({"steps": 1, "masks": "stars"}, "use one of center"),
        ({"steps": 1, "batch": 0}, "batch 0"),
        ({"steps": 1, "adversarial": 1.0}, "adversarial weight"),
        ({"steps": 1, "view": 1.5}, "view 1.5"),
        ({"steps": 1, "power": 3}, "power 3"),
    ],
)
def test_impossible_values_are_named(values, message):
    with pytest.raises(TrainingError, match=message):
        TrainConfig(**values)


def test_unknown_presets_and_pairs_are_named():
    with pytest.raises(TrainingError, match="use one of paper-center"):
        preset_config("huge", steps=1)
    with pytest.raises(TrainingError, match="paper-center predicts the centre only"):
        preset_config("paper-center", steps=1, masks="region")
    with pytest.raises(CheckpointError, match="surprise"):
        TrainConfig.from_dict({**preset_config("compact", steps=1).to_dict(), "surprise": 1}, name="x")
