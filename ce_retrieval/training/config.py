"""Settings of a training run and the range of each number. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ce_retrieval.errors import CheckpointError, SettingsError
from ce_retrieval.models.config import (
    CompactConfig,
    NetworkConfig,
    PaperCenterConfig,
    PaperRegionConfig,
    config_from_dict,
    config_to_dict,
)

MASKS = ("center", "block", "region", "mixed", "none")

MOST = 10**9  # largest value of numbers without a natural bound: float32 can still multiply two of them
# Seeds of single steps are derived from a run's seed (times 64 million), and torch takes 64 bits.
MOST_SEED = 2**32 - 1

# Interval of every number of a run and of its networks: "(" and ")" exclude the end. nan lies in none of them.
RANGES: dict[str, tuple[str, float, float, str]] = {
    "mix": ("[", 0, MOST, "]"),
    "batch": ("[", 1, 10**6, "]"),
    "steps": ("[", 1, MOST, "]"),
    "minutes": ("(", 0, MOST, "]"),
    "rate": ("(", 0, MOST, "]"),
    "beta1": ("[", 0, 1, ")"),
    "weight_decay": ("[", 0, MOST, "]"),
    "muon_rate": ("[", 0, MOST, "]"),
    "warmup": ("[", 0, MOST, "]"),
    "power": ("[", 1, 2, "]"),
    "adversarial": ("[", 0, 1, ")"),
    "discriminator_rate": ("[", 0, MOST, "]"),
    "overlap": ("[", 0, 4096, "]"),
    "overlap_weight": ("[", 0, MOST, "]"),
    "average": ("[", 0, 1, ")"),
    "clip": ("[", 0, MOST, "]"),
    "view": ("(", 0, 1, "]"),
    "jitter": ("[", 0, 1, "]"),
    "seed": ("[", 0, MOST_SEED, "]"),
    # Networks; the numbers of a tuple share one interval.
    "size": ("[", 16, 4096, "]"),
    "mean": ("[", 0, 1, "]"),
    "bottleneck": ("[", 1, 65536, "]"),
    "dropout": ("[", 0, 1, ")"),
    "groups": ("[", 1, 32, "]"),
    "widths": ("[", 1, 8192, "]"),
    "encoder_blocks": ("[", 0, 64, "]"),
    "decoder_blocks": ("[", 0, 64, "]"),
    "mixers": ("[", 0, 64, "]"),
    "shuffles": ("[", 1, 2, "]"),
}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a run. On one device a run of `steps` is a pure function of these and of the photos.

    Attributes
    ----------
    masks : strategy of the holes; "none" trains an autoencoder.
    mix : relative chances of centre, block and region holes under "mixed".
    batch : photos a step, over all processes.
    steps, minutes : length of the run; exactly one is given. With `minutes` the result depends on the speed of the
        machine.
    rate, beta1, weight_decay : parameters of Adam; AdamW where weight_decay is not 0.
    muon_rate : learning rate of Muon for the kernels; 0: Adam for all parameters.
    warmup : steps over which the learning rates rise.
    cosine : whether the rates fall to 0 along a cosine; else they are constant.
    power : 2 for the L2 loss of equation 1, 1 for L1.
    adversarial : weight of the adversarial loss, 0.001 in equation 3 (the reconstruction has 1 - adversarial); 0: no
        adversary.
    discriminator_rate : learning rate of the adversary, as a multiple of `rate`.
    overlap, overlap_weight : width (px) of the band of context along the hole that is predicted too, and the weight of
        its errors.
    average : decay of the averaged weights; 0: no averaging.
    clip : largest norm of the gradient; 0: no clipping.
    view : smallest side of the random crop, as a share of the packed photo's side.
    flip : whether half of the photos are mirrored.
    jitter : largest relative change of brightness, contrast and of each colour.
    seed : everything random follows from it.

    Raises
    ------
    SettingsError : a number lies outside its interval of `RANGES`, or settings contradict each other.
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
        """Check every setting."""
        _check_numbers(self, "`{}`")
        _check_numbers(self.network, "the network's {}")
        if self.masks not in MASKS:
            raise SettingsError(f"`masks` is {self.masks!r}: choose one of {', '.join(MASKS)}")
        if len(self.mix) != 3 or sum(self.mix) == 0:
            raise SettingsError(f"`mix` is {self.mix}: expected three numbers, not all of them 0")
        if (self.steps is None) == (self.minutes is None):
            raise SettingsError("give the length of the run either as `steps` or as `minutes`")
        self._check_network()

    def _check_network(self) -> None:
        """Raise SettingsError for settings that this network cannot have."""
        match network := self.network:
            case PaperRegionConfig() if 32 % network.groups:
                raise SettingsError(f"the network's groups are {network.groups}: choose one of 1, 2, 4, 8, 16, 32")
            case CompactConfig() if network.shuffles == 2 and network.widths[0] % 2:
                raise SettingsError(f"the network's widths are {network.widths}: two shuffles need an even first one")
            case PaperCenterConfig() if self.masks not in ("center", "none"):
                raise SettingsError(
                    f"paper-center predicts the centre only: for `masks` {self.masks!r} use another preset"
                )
            case PaperCenterConfig() if 4 * self.overlap >= network.size:
                # Its overlap band lies inside the centre; the hole is the rest of it.
                most = network.size // 4 - 1
                raise SettingsError(
                    f"`overlap` is {self.overlap}, which leaves no hole in the centre: use {most} px or less"
                )

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values; `from_dict` is the inverse."""
        return {**asdict(self), "network": config_to_dict(self.network)}

    @staticmethod
    def from_dict(values: dict[str, Any], *, name: str) -> TrainConfig:
        """Return the configuration in the header of checkpoint `name`; CheckpointError where it is not a valid one."""
        expected = {entry.name for entry in fields(TrainConfig)}
        if set(values) != expected:
            differing = ", ".join(sorted(set(values) ^ expected))
            raise CheckpointError(f"{name}: its training configuration differs from this version's in: {differing}")
        values = {**values, "mix": tuple(values["mix"]), "network": config_from_dict(values["network"], name=name)}
        try:
            return TrainConfig(**values)
        except SettingsError as error:
            raise CheckpointError(f"{name}: its training configuration is not valid ({error})") from None


@dataclass(frozen=True)
class Schedule:
    """When a run measures and saves.

    Attributes
    ----------
    validate_every, checkpoint_every : steps between validations and between checkpoints, at least 1.
    gallery : number of training photos that validation retrieves from, at least 1.
    """

    validate_every: int = 500
    checkpoint_every: int = 250
    gallery: int = 1024

    def __post_init__(self) -> None:
        """Check every number."""
        for name, value in asdict(self).items():
            if value < 1:
                raise SettingsError(f"`{name}` is {value}: expected 1 or more")


@dataclass(frozen=True)
class Engine:
    """How a step is computed. None of this changes its result beyond rounding.

    Attributes
    ----------
    bf16 : autocast to bfloat16.
    channels_last : memory layout of maps and kernels.
    fused : optimisers in one kernel.
    compiled : networks through torch.compile.
    """

    bf16: bool = True
    channels_last: bool = True
    fused: bool = True
    compiled: bool = False


ENGINES = {
    "fast": Engine(),
    "compiled": Engine(compiled=True),
    "plain": Engine(bf16=False, channels_last=False, fused=False),  # eager float32 in contiguous layout, to compare
}


def _check_numbers(settings: Any, called: str) -> None:
    """Raise SettingsError for a number outside its interval, or a fraction in a field of type int; called: its name."""
    for entry in fields(settings):
        value = getattr(settings, entry.name)
        if entry.name not in RANGES or value is None:
            continue
        name = called.format(entry.name)
        left, low, high, right = RANGES[entry.name]
        for number in value if isinstance(value, tuple) else (value,):
            above = number > low if left == "(" else number >= low
            below = number < high if right == ")" else number <= high
            if not (above and below):
                raise SettingsError(f"{name} is {value}: expected a number in {left}{low}, {high}{right}")
            if "int" in str(entry.type) and number % 1:
                raise SettingsError(f"{name} is {value}: expected a whole number")
