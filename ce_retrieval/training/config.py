"""What a training run is made of: one frozen dataclass, stored in its checkpoints, and the presets. No torch here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from ce_retrieval.errors import CheckpointError, TrainingError
from ce_retrieval.models.config import (
    CompactConfig,
    NetworkConfig,
    PaperCenterConfig,
    PaperRandomConfig,
    PaperRegionConfig,
    config_from_dict,
    config_to_dict,
)

MASKS = ("center", "block", "region", "mixed", "none")


@dataclass(frozen=True)
class TrainConfig:
    """A run is a pure function of this and of the photos (on one device; `minutes` alone makes it depend on speed).

    masks: strategy of the holes; "none" trains an autoencoder. mix: chances of centre, block and region holes under
    "mixed" (any positive numbers; they are divided by their sum). batch: photos a step, over all processes.
    steps, minutes: length of the run; exactly one is given. rate, beta1, weight_decay: of Adam (AdamW when weight_decay
    is not 0). warmup: steps over which the rate rises. cosine: the rate falls to 0 along a cosine, else it is constant.
    power: 2 for the L2 loss of equation 1, 1 for L1. adversarial: weight of the adversarial loss (0.001 in equation 3;
    the reconstruction has 1 - adversarial), 0 for none. discriminator_rate: times `rate`. overlap: px of context
    predicted along the hole with overlap_weight. average: decay of the averaged weights, 0 for none. clip: largest
    norm of the gradient, 0 for none. view: smallest side of the random crop as a share of the packed photo's side.
    flip: random mirror images. jitter: largest relative change of brightness, contrast and of each colour.
    """

    network: NetworkConfig = field(default_factory=CompactConfig)
    masks: str = "center"
    mix: tuple[float, float, float] = (1.0, 1.0, 1.0)
    batch: int = 64
    steps: int | None = None
    minutes: float | None = None
    rate: float = 1e-3
    beta1: float = 0.9
    weight_decay: float = 0.0
    muon_rate: float = 0.0
    warmup: int = 0
    cosine: bool = False
    power: int = 2
    adversarial: float = 0.0
    discriminator_rate: float = 0.1
    overlap: int = 0
    overlap_weight: float = 10.0
    average: float = 0.0
    clip: float = 0.0
    view: float = 0.88
    flip: bool = True
    jitter: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse values that no run can have."""
        if self.masks not in MASKS:
            raise TrainingError(f"masks {self.masks!r} are unknown: use one of {', '.join(MASKS)}")
        if min(self.mix) < 0 or sum(self.mix) <= 0:
            raise TrainingError(f"mix {self.mix} gives no chances: use three numbers of at least 0, not all 0")
        if (self.steps is None) == (self.minutes is None):
            raise TrainingError("give the length of the run either as steps or as minutes")
        if (self.steps is not None and self.steps < 1) or (self.minutes is not None and self.minutes <= 0):
            raise TrainingError("the length of a run must be positive: at least 1 step or more than 0 minutes")
        if self.batch < 1:
            raise TrainingError(f"batch {self.batch} is no number of photos: use 1 or more")
        if not 0 <= self.adversarial < 1:
            raise TrainingError(f"adversarial weight {self.adversarial} is outside [0, 1): the paper has 0.001")
        if not 0 < self.view <= 1:
            raise TrainingError(f"view {self.view} is outside (0, 1]: it is a share of the photo's side")
        if self.power not in (1, 2):
            raise TrainingError(f"power {self.power} is no loss: use 2 (L2) or 1 (L1)")

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "network": config_to_dict(self.network)}

    @staticmethod
    def from_dict(values: dict[str, Any], *, name: str) -> TrainConfig:
        """From the header of a checkpoint; CheckpointError when its fields are not this version's."""
        expected = {entry.name for entry in fields(TrainConfig)}
        if set(values) != expected:
            differing = ", ".join(sorted(set(values) ^ expected))
            raise CheckpointError(f"{name}: its training configuration differs from this version's in: {differing}")
        values = {**values, "mix": tuple(values["mix"])}
        return TrainConfig(**{**values, "network": config_from_dict(values["network"], name=name)})


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
    """The configuration of a preset with some fields changed (those that are None are left as they are).

    Turning the adversary of a preset on or off takes the rates and the overlap that the paper has for that case along,
    unless they are given too. Raises TrainingError for an unknown preset or values that do not fit together.
    """
    if name not in PRESETS:
        raise TrainingError(f"preset {name!r} is unknown: use one of {', '.join(PRESETS)}")
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
        # Without a hole these two would hand the photo itself to the output.
        config = replace(config, network=replace(network, residual=False, skips=False))
    if isinstance(network, PaperCenterConfig) and config.masks not in ("center", "none"):
        raise TrainingError(f"paper-center predicts the centre only: masks {config.masks!r} need another preset")
    return config


def changed(config: TrainConfig, settings: Sequence[str]) -> TrainConfig:
    """A configuration with single fields changed: settings "FIELD=VALUE" of the run or of its network.

    Tuples are written "0,2,2", truth values "true" and "false". TrainingError for another field or form.
    """
    for setting in settings:
        key, _, text = setting.partition("=")
        owner: Any = (
            config if hasattr(config, key) and key not in ("network", "to_dict", "from_dict") else config.network
        )
        known = [entry.name for part in (config, config.network) for entry in fields(part) if entry.name != "network"]
        if key not in known:
            raise TrainingError(f"setting {setting!r} names no field: use FIELD=VALUE with one of {', '.join(known)}")
        try:
            value = _parsed(text, getattr(owner, key))
        except ValueError:
            raise TrainingError(f"setting {setting!r}: expected a value like {getattr(owner, key)!r}") from None
        part = replace(owner, **{key: value})
        config = part if owner is config else replace(config, network=part)
    return config


def _parsed(text: str, like: Any) -> Any:
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
