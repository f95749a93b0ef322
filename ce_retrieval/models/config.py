"""The configuration of a network: one frozen dataclass per architecture, stored in every checkpoint. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from ce_retrieval.errors import CheckpointError, SettingsError
from ce_retrieval.settings import Checked, Range, setting

# The mean colour of ImageNet, RGB in [0, 1], which fills a hole before the network (section 5.1). The authors' released
# code writes 117, 104, 123 into the channels R, G, B; the mean in RGB order is 123, 117, 104.
MEAN_COLOUR = (123.0 / 255, 117.0 / 255, 104.0 / 255)

_SIZE = Range(low=16, high=4096)
_BLOCKS = Range(low=0, high=64)
_COLOUR = Range(low=0, high=1)


@dataclass(frozen=True)
class _Network(Checked):
    """What the configurations share; SettingsError for values that the architecture cannot have."""

    called: ClassVar[str] = "the network's {}"


@dataclass(frozen=True)
class DcganConfig(_Network):
    """What the two networks of Figure 9a share: the photo's side in px, and the units of the bottleneck."""

    size: int = setting(128, _SIZE)
    bottleneck: int = setting(4000, low=1, high=65536)
    mean: tuple[float, float, float] = setting(MEAN_COLOUR, _COLOUR)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 32:
            raise SettingsError(f"the network's size is {self.size}: use a multiple of 32")


@dataclass(frozen=True)
class PaperCenterConfig(DcganConfig):
    """Figure 9a: predicts the central half of a photo."""

    architecture: ClassVar[str] = "paper-center"


@dataclass(frozen=True)
class PaperRandomConfig(DcganConfig):
    """The encoder of Figure 9a and a decoder with one more step: predicts the whole photo, for any hole."""

    architecture: ClassVar[str] = "paper-random"


@dataclass(frozen=True)
class PaperRegionConfig(_Network):
    """Figure 9b: AlexNet to pool5, channel-wise layer, five up-convolutions; `pool_free` is the variant of section 4."""

    architecture: ClassVar[str] = "paper-region"
    size: int = setting(227, _SIZE)
    pool_free: bool = setting(False)
    dropout: float = setting(0.5, low=0, high=1, without_high=True)
    groups: int = setting(2, low=1, high=32)
    mean: tuple[float, float, float] = setting(MEAN_COLOUR, _COLOUR)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size < 67 or (self.size - 11) % 4:
            raise SettingsError(f"the network's size is {self.size}: use 227, or 11 more than a multiple of 4, from 67")
        if 32 % self.groups:
            raise SettingsError(f"the network's groups are {self.groups}: choose one of 1, 2, 4, 8, 16, 32")


@dataclass(frozen=True)
class CompactConfig(_Network):
    """The default network: for any hole, residual blocks around channel-wise layers on 8 x 8 cells.

    Attributes
    ----------
    size : int
        Side of the photo in px, a multiple of 16.
    widths : (int, int, int)
        Channels at 1/4, 1/8 and 1/16 of the side.
    encoder_blocks, decoder_blocks : (int, int, int)
        Residual blocks at each of these, in the same order.
    mixers : int
        Channel-wise residual layers.
    skips : bool
        Add the encoder's maps at 1/4 and 1/8 to the decoder's.
    residual : bool
        Add the output to a smooth fill of the hole.
    shuffles : int
        Pixel shuffles of the head: 1 goes from 1/4 of the side to the whole at once; 2 go by way of 1/2, for detail finer
        than steps of 4 px.
    mean : (R, G, B)
        Colour of the hole in the input where `residual` is off, in [0, 1].
    """

    architecture: ClassVar[str] = "compact"
    size: int = setting(128, _SIZE)
    widths: tuple[int, int, int] = setting((64, 128, 256), low=1, high=8192)
    encoder_blocks: tuple[int, int, int] = setting((0, 1, 2), _BLOCKS)
    decoder_blocks: tuple[int, int, int] = setting((0, 1, 1), _BLOCKS)
    mixers: int = setting(2, _BLOCKS)
    skips: bool = setting(True)
    residual: bool = setting(True)
    shuffles: int = setting(1, low=1, high=2)
    mean: tuple[float, float, float] = setting(MEAN_COLOUR, _COLOUR)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size % 16:
            raise SettingsError(f"the network's size is {self.size}: use a multiple of 16")
        if self.shuffles == 2 and self.widths[0] % 2:
            raise SettingsError(f"the network's widths are {self.widths}: two shuffles need an even first one")


@dataclass(frozen=True)
class KindConfig:
    """Sizes of a `KindNetwork`.

    Attributes
    ----------
    size : side of the photos, px.
    widths, blocks : channels and residual blocks at 1/4, 1/8 and 1/16 of the side.
    features : numbers that the network makes.
    components : numbers of the vector, a linear map of the features.
    """

    size: int = 128
    widths: tuple[int, int, int] = (48, 96, 192)
    blocks: tuple[int, int, int] = (1, 2, 2)
    features: int = 256
    components: int = 64


NetworkConfig = PaperCenterConfig | PaperRandomConfig | PaperRegionConfig | CompactConfig

ARCHITECTURES: dict[str, type[NetworkConfig]] = {
    kind.architecture: kind for kind in (PaperCenterConfig, PaperRegionConfig, PaperRandomConfig, CompactConfig)
}


def config_to_dict(config: NetworkConfig) -> dict[str, Any]:
    """Return a configuration as JSON values, with the name of its architecture under `architecture`."""
    return {"architecture": config.architecture, **asdict(config)}


def config_from_dict(values: dict[str, Any], *, name: str = "the checkpoint") -> NetworkConfig:
    """Return the configuration of `config_to_dict`; CheckpointError for unknown or missing fields, or values out of range.

    name: where the values are from, for the message.
    """
    values = dict(values)
    architecture = values.pop("architecture", None)
    if architecture not in ARCHITECTURES:
        raise CheckpointError(
            f"{name}: architecture {architecture!r} is unknown here; expected one of {', '.join(sorted(ARCHITECTURES))}"
        )
    kind = ARCHITECTURES[architecture]
    expected = {field.name for field in fields(kind)}
    if set(values) != expected:
        differing = ", ".join(sorted(set(values) ^ expected))
        raise CheckpointError(f"{name}: its {architecture} configuration differs from this version's in: {differing}")
    arguments: dict[str, Any] = {key: tuple(v) if isinstance(v, list) else v for key, v in values.items()}
    try:
        return kind(**arguments)
    except SettingsError as error:
        raise CheckpointError(f"{name}: its {architecture} configuration is not valid ({error})") from None
