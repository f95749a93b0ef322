"""Presets follow the paper, settings change single fields, and impossible values are named."""

import re
from dataclasses import fields, replace
from math import inf, nan

import pytest

from ce_retrieval.errors import CheckpointError, SettingsError
from ce_retrieval.models.config import ARCHITECTURES, CompactConfig, PaperCenterConfig, PaperRegionConfig
from ce_retrieval.training import PRESETS, Schedule, TrainConfig, changed, preset_config


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


def test_the_field_of_a_run_length_that_is_not_used_stays_unused():
    assert changed(preset_config("compact", steps=1), ["steps=5"]).steps == 5
    with pytest.raises(SettingsError, match="`settings` 'minutes=3' names no field"):
        changed(preset_config("compact", steps=1), ["minutes=3"])


@pytest.mark.parametrize(
    "setting", ["speed=3", "rate=fast", "encoder_blocks=1,2", "skips=maybe", "rate", "network=x", "size=1e9", "beta1=2"]
)
def test_bad_settings_are_named(setting):
    with pytest.raises(SettingsError, match=f"`settings` '{setting}'"):
        changed(preset_config("compact", steps=1), [setting])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "either as `steps` or as `minutes`"),
        ({"steps": 1, "minutes": 1.0}, "either as `steps` or as `minutes`"),
        ({"steps": 0}, "`steps` is 0: expected a whole number from 1 to 1000000000"),
        ({"minutes": 0.0}, "`minutes` is 0.0: expected a number above 0 and at most 1000000000"),
        ({"steps": 1, "masks": "stars"}, "`masks` is 'stars': expected one of center, block"),
        ({"steps": 1, "batch": 0}, "`batch` is 0: expected"),
        ({"steps": 1, "batch": 2.5}, "`batch` is 2.5: expected a whole number"),
        ({"steps": 1, "seed": -1}, "`seed` is -1: expected a whole number from 0 to 4294967295"),
        ({"steps": 1, "adversarial": 1.0}, "`adversarial` is 1.0: expected a number of at least 0 and below 1"),
        (
            {"steps": 1, "adversarial": 0.1, "network": CompactConfig(size=48)},
            "predictions of 64 px or more a side, not 48",
        ),
        ({"steps": 1, "adversarial": 0.1, "network": PaperCenterConfig(size=96)}, "64 px or more a side, not 48"),
        ({"steps": 1, "beta1": 2.0}, "`beta1` is 2.0: expected a number of at least 0 and below 1"),
        ({"steps": 1, "view": 1.5}, "`view` is 1.5: expected a number above 0 and at most 1"),
        ({"steps": 1, "power": 3}, "`power` is 3: expected a whole number from 1 to 2"),
        ({"steps": 1, "flip": 1}, "`flip` is 1: expected True or False"),
        ({"steps": 1, "mix": (1.0, -1.0, 1.0)}, "`mix` is .*: expected 3 values, each a number from 0"),
        ({"steps": 1, "mix": (0.0, 0.0, 0.0)}, "`mix` is .*: expected a number above 0 among the three"),
        ({"steps": 1, "mix": (1.0, 1.0)}, "expected 3 values"),
        ({"steps": 1, "network": PaperCenterConfig(size=64), "overlap": 16}, "use 15 px or less"),
        ({"steps": 1, "network": PaperCenterConfig(), "masks": "region"}, "predicts the centre only"),
    ],
)
def test_impossible_values_are_named(values, message):
    with pytest.raises(SettingsError, match=message):
        TrainConfig(**values)


@pytest.mark.parametrize(
    ("network", "values", "message"),
    [
        (CompactConfig, {"size": 0}, "size is 0: expected a whole number from 16 to 4096"),
        (CompactConfig, {"size": 100}, "size is 100: use a multiple of 16"),
        (PaperCenterConfig, {"size": 48}, "size is 48: use a multiple of 32"),
        (PaperRegionConfig, {"size": 63}, "size is 63: use 227, or 11 more than a multiple of 4, from 67"),
        (PaperRegionConfig, {"size": 100}, "size is 100: use 227"),
        (PaperRegionConfig, {"groups": 3}, "groups are 3: choose one of 1, 2, 4"),
        (CompactConfig, {"widths": (8, 0, 8)}, "widths is .*: expected 3 values, each a whole number from 1 to 8192"),
        (CompactConfig, {"widths": (7, 8, 8), "shuffles": 2}, "widths are .*: two shuffles need an even first one"),
    ],
)
def test_impossible_networks_are_named(network, values, message):
    with pytest.raises(SettingsError, match=f"the network's {message}"):
        network(**values)


def numbers_of(settings):
    """Names of the fields that hold numbers, alone or in a tuple."""
    return [entry.name for entry in fields(settings) if re.search(r"\b(int|float)\b", str(entry.type))]


@pytest.mark.parametrize("network", ARCHITECTURES.values())
@pytest.mark.parametrize("value", [nan, inf, -inf, -1])
def test_every_number_has_a_range_without_nan_and_infinity(network, value):
    config = TrainConfig(network=network(), steps=1)
    for part in (config, config.network):
        for name in numbers_of(part):
            found = (value,) * 3 if isinstance(getattr(part, name), tuple) else value
            with pytest.raises(SettingsError, match=f"{name}`? is .*: expected .*a (whole )?number"):
                replace(part, **{name: found})


@pytest.mark.parametrize("name", [entry.name for entry in fields(Schedule)])
def test_a_schedule_starts_at_one(name):
    with pytest.raises(SettingsError, match=f"`{name}` is 0: expected a whole number from 1 to"):
        Schedule(**{name: 0})


def test_unknown_presets_and_pairs_are_named():
    with pytest.raises(SettingsError, match="use one of paper-center"):
        preset_config("huge", steps=1)
    with pytest.raises(SettingsError, match="paper-center predicts the centre only"):
        preset_config("paper-center", steps=1, masks="region")
    with pytest.raises(SettingsError, match="paper-center predicts the centre only"):
        changed(preset_config("paper-center", steps=1), ["masks=region"])


def test_checkpoints_of_other_settings_are_named():
    values = preset_config("compact", steps=1).to_dict()
    with pytest.raises(CheckpointError, match="surprise"):
        TrainConfig.from_dict({**values, "surprise": 1}, name="x")
    with pytest.raises(CheckpointError, match=r"x: .* not valid \(`batch` is 0"):
        TrainConfig.from_dict({**values, "batch": 0}, name="x")
    with pytest.raises(CheckpointError, match=r"x: its compact configuration is not valid \(the network's size is 100"):
        TrainConfig.from_dict({**values, "network": {**values["network"], "size": 100}}, name="x")
