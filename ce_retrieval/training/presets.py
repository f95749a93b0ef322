"""Presets of training runs, and changes of single settings. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.models.config import CompactConfig, PaperCenterConfig, PaperRandomConfig, PaperRegionConfig
from ce_retrieval.settings import ranges
from ce_retrieval.training.config import TrainConfig

# Rates: section 5.1 and DCGAN for the joint loss; 1e-3 (centre) and 1e-4 (region) for reconstruction alone.
# The overlap band belongs to the inpainting experiments, which train jointly.
JOINT: dict[str, Any] = {"rate": 2e-4, "beta1": 0.5, "adversarial": 0.001, "overlap": 7}
RECONSTRUCTION: dict[str, Any] = {"rate": 1e-3, "beta1": 0.9, "adversarial": 0.0, "overlap": 0}

PRESETS: dict[str, dict[str, Any]] = {
    "paper-center": {"network": PaperCenterConfig(), "masks": "center", **JOINT},
    "paper-region": {"network": PaperRegionConfig(), "masks": "region", **RECONSTRUCTION, "rate": 1e-4},
    "paper-region-pool-free": {
        "network": PaperRegionConfig(pool_free=True),
        "masks": "region",
        **RECONSTRUCTION,
        "rate": 1e-4,
    },
    "paper-random": {"network": PaperRandomConfig(), "masks": "mixed", **JOINT},
    "compact": {
        "network": CompactConfig(),
        "masks": "mixed",
        "batch": 32,
        "weight_decay": 0.05,
        "muon_rate": 0.02,
        "warmup": 100,
        "cosine": True,
        "average": 0.998,
        "clip": 1.0,
        "jitter": 0.1,
    },
    "autoencoder": {"network": PaperRegionConfig(), "masks": "none", **RECONSTRUCTION, "rate": 1e-4},
}


def preset_config(name: str, **changes: Any) -> TrainConfig:
    """Return the configuration of a preset with some settings changed.

    Parameters
    ----------
    name : a key of `PRESETS`.
    **changes : settings of `TrainConfig`; those that are None keep the preset's value. Turning a preset's adversary on
        or off also sets the paper's rates and overlap for that case, where they are not given.

    Raises
    ------
    SettingsError : the preset is unknown, or settings are invalid.
    """
    if name not in PRESETS:
        raise SettingsError(f"`preset` {shown(name)} is unknown: use one of {', '.join(PRESETS)}")
    values = dict(PRESETS[name])
    changes = {key: value for key, value in changes.items() if value is not None}
    joint = changes.get("adversarial", values.get("adversarial", 0.0)) > 0
    if joint and not values.get("adversarial", 0.0) and name != "compact":
        values |= JOINT
    elif not joint and values.get("adversarial", 0.0):
        values |= RECONSTRUCTION
    config = TrainConfig(**{**values, **changes})
    network = config.network
    if config.masks == "none" and isinstance(network, CompactConfig):
        # Without a hole these two would pass the photo itself on to the output.
        config = replace(config, network=replace(network, residual=False, skips=False))
    return config


def changed(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """Return a configuration with single settings changed.

    Parameters
    ----------
    config : to start from.
    settings : "FIELD=VALUE" each, of the run or of its network. Tuples are written "0,2,2", truth values "true" and
        "false".

    Raises
    ------
    SettingsError : a field is unknown, or its value is malformed or invalid.
    """
    for setting in settings:
        key, _, text = setting.partition("=")
        # The length of a run is given in one of two fields: the other one, None, stays as it is.
        owners = {
            entry.name: part
            for part in (config, config.network)
            for entry in fields(part)
            if entry.name != "network" and getattr(part, entry.name) is not None
        }
        if key not in owners:
            raise SettingsError(
                f"`settings` {shown(setting)} names no field: use FIELD=VALUE with one of {', '.join(owners)}"
            )
        owner: Any = owners[key]
        try:
            value = _parsed(text, getattr(owner, key))
        except (ValueError, OverflowError):
            allowed = ranges(type(owner))[key]
            wanted = f"{allowed}, as in" if allowed.choices or allowed.low is not None else "a value like"
            example = str(getattr(owner, key)).strip("()").replace(" ", "").lower()
            raise SettingsError(f"`settings` {shown(setting)}: expected {wanted} {example}") from None
        try:
            part = replace(owner, **{key: value})
            config = part if owner is config else replace(config, network=part)
        except SettingsError as error:
            raise SettingsError(f"`settings` {shown(setting)}: {error}") from None
    return config


def _parsed(text: str, like: Any) -> Any:
    """Return the value that a text stands for, of the type of `like`; ValueError where it is none."""
    if isinstance(like, bool):
        if text not in ("true", "false"):
            raise ValueError(text)
        return text == "true"
    if isinstance(like, tuple):
        parts = tuple(type(like[0])(part) for part in text.split(","))
        if len(parts) != len(like):
            raise ValueError(text)
        return parts
    return text if isinstance(like, str) else type(like)(text)
