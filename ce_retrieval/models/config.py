"""What a network is made of: one frozen dataclass an architecture, stored in every checkpoint. No torch here."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from ce_retrieval.errors import CheckpointError

# The mean colour of ImageNet, RGB, in [0, 1]: the constant that fills a hole (section 5.1). The authors' released code
# writes 117, 104, 123 into the channels R, G, B; the mean in RGB order is 123, 117, 104.
MEAN_COLOUR = (123.0 / 255, 117.0 / 255, 104.0 / 255)


@dataclass(frozen=True)
class PaperCenterConfig:
    """Figure 9a: `size` x `size` in, the central half out, a bottleneck of `bottleneck` units."""

    architecture: ClassVar[str] = "paper-center"
    size: int = 128
    bottleneck: int = 4000
    mean: tuple[float, float, float] = MEAN_COLOUR


@dataclass(frozen=True)
class PaperRandomConfig:
    """The encoder of Figure 9a with a decoder of one more step: the whole photo out, for arbitrary holes."""

    architecture: ClassVar[str] = "paper-random"
    size: int = 128
    bottleneck: int = 4000
    mean: tuple[float, float, float] = MEAN_COLOUR


@dataclass(frozen=True)
class PaperRegionConfig:
    """Figure 9b: AlexNet to pool5, channel-wise layer, five up-convolutions; `pool_free` is section 4's variant."""

    architecture: ClassVar[str] = "paper-region"
    size: int = 227
    pool_free: bool = False
    dropout: float = 0.5
    groups: int = 2
    mean: tuple[float, float, float] = MEAN_COLOUR


@dataclass(frozen=True)
class CompactConfig:
    """The default network of this product: any hole, residual blocks around channel-wise layers on 8 x 8 cells.

    widths: channels at 1/4, 1/8 and 1/16 of the photo's side. encoder_blocks, decoder_blocks: residual blocks at each
    of these (both in the order of `widths`). mixers: channel-wise residual layers. skips: the encoder's maps at 1/4
    and 1/8 are added to the decoder's. residual: the output is added to a smooth fill of the hole. shuffles: of the head,
    1 (from 1/4 of the side at once) or 2 (by way of 1/2, so that it can draw detail finer than a step of 4 px).
    """

    architecture: ClassVar[str] = "compact"
    size: int = 128
    widths: tuple[int, int, int] = (64, 128, 256)
    encoder_blocks: tuple[int, int, int] = (0, 1, 2)
    decoder_blocks: tuple[int, int, int] = (0, 1, 1)
    mixers: int = 2
    skips: bool = True
    residual: bool = True
    shuffles: int = 1
    mean: tuple[float, float, float] = MEAN_COLOUR


NetworkConfig = PaperCenterConfig | PaperRandomConfig | PaperRegionConfig | CompactConfig

ARCHITECTURES: dict[str, type[NetworkConfig]] = {
    kind.architecture: kind for kind in (PaperCenterConfig, PaperRegionConfig, PaperRandomConfig, CompactConfig)
}


def config_to_dict(config: NetworkConfig) -> dict[str, Any]:
    """The configuration as plain JSON values, with its architecture's name under `architecture`."""
    return {"architecture": config.architecture, **asdict(config)}


def config_from_dict(values: dict[str, Any], *, name: str = "the checkpoint") -> NetworkConfig:
    """The inverse of `config_to_dict`; unknown or missing fields and architectures raise CheckpointError."""
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
    return kind(**arguments)
