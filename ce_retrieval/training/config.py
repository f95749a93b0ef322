"""Settings of a training run and the range of each number. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from ce_retrieval.errors import CheckpointError, SettingsError
from ce_retrieval.models.config import (
    CompactConfig,
    NetworkConfig,
    PaperCenterConfig,
    config_from_dict,
    config_to_dict,
)
from ce_retrieval.settings import COUNT, MOST, SEED, Checked, Range, setting

ADVERSARY_SIDE = 64  # px, the least side of what an adversary judges
MASKS = ("center", "block", "region", "mixed", "none")
_POSITIVE = Range(low=0, high=MOST, without_low=True)
_AMOUNT = Range(low=0, high=MOST)
_SHARE = Range(low=0, high=1, without_high=True)


@dataclass(frozen=True)
class TrainConfig(Checked):
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
    view : smallest side of the random crop, as a share of the packed photo's side; a crop below the network's size is enlarged.
    flip : whether half of the photos are mirrored.
    jitter : largest relative change of brightness, contrast and of each colour.
    seed : everything random follows from it.

    Raises
    ------
    SettingsError : a value is out of its range, or settings contradict each other.
    """

    network: NetworkConfig = field(default_factory=CompactConfig)
    masks: str = setting("center", choices=MASKS)
    mix: tuple[float, float, float] = setting((1.0, 1.0, 1.0), _AMOUNT)
    batch: int = setting(64, low=1, high=10**6)
    steps: int | None = setting(None, COUNT)
    minutes: float | None = setting(None, _POSITIVE)
    rate: float = setting(1e-3, _POSITIVE)
    beta1: float = setting(0.9, _SHARE)
    weight_decay: float = setting(0.0, _AMOUNT)
    muon_rate: float = setting(0.0, _AMOUNT)
    warmup: int = setting(0, _AMOUNT)
    cosine: bool = setting(False)
    power: int = setting(2, low=1, high=2)
    adversarial: float = setting(0.0, _SHARE)
    discriminator_rate: float = setting(0.1, _AMOUNT)
    overlap: int = setting(0, low=0, high=4096)
    overlap_weight: float = setting(10.0, _AMOUNT)
    average: float = setting(0.0, _SHARE)
    clip: float = setting(0.0, _AMOUNT)
    view: float = setting(0.88, low=0, high=1, without_low=True)
    flip: bool = setting(True)
    jitter: float = setting(0.0, low=0, high=1)
    seed: int = setting(0, SEED)

    def __post_init__(self) -> None:
        """Check every setting."""
        super().__post_init__()
        if sum(self.mix) == 0:
            raise SettingsError(f"`mix` is {self.mix}: expected a number above 0 among the three")
        if (self.steps is None) == (self.minutes is None):
            raise SettingsError("give the length of the run either as `steps` or as `minutes`")
        self._check_network()

    @property
    def predicted_side(self) -> int:
        """Side in px of the square that the network predicts."""
        return self.network.size // 2 if isinstance(self.network, PaperCenterConfig) else self.network.size

    def _check_network(self) -> None:
        """Raise SettingsError for settings that this network cannot have."""
        if self.adversarial and self.predicted_side < ADVERSARY_SIDE:
            raise SettingsError(
                f"`adversarial` is {self.adversarial}: an adversary needs predictions of {ADVERSARY_SIDE} px or more a side, "
                f"not {self.predicted_side}; train without one, or a larger network"
            )
        match network := self.network:
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
class Schedule(Checked):
    """When a run measures and saves.

    Attributes
    ----------
    validate_every, checkpoint_every : steps between validations and between checkpoints, at least 1.
    gallery : number of training photos that validation retrieves from, at least 1.
    """

    validate_every: int = setting(500, COUNT)
    checkpoint_every: int = setting(250, COUNT)
    gallery: int = setting(1024, COUNT)


@dataclass(frozen=True)
class Engine:
    """How a step is computed. None of this changes its result beyond rounding.

    Attributes
    ----------
    bf16 : autocast to bfloat16, where the device has it in hardware.
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
