"""The names and shapes of the weights of the networks that run in numpy, by their configurations."""

from __future__ import annotations

from ce_retrieval.models.config import CompactConfig, KindConfig

Shapes = dict[str, tuple[int, ...]]


def _conv(name: str, inputs: int, outputs: int, side: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs, side, side), f"{name}.bias": (outputs,)}


def _norm(name: str, channels: int) -> Shapes:
    return {f"{name}.weight": (channels,), f"{name}.bias": (channels,)}


def _blocks(name: str, channels: int, count: int) -> Shapes:
    shapes: Shapes = {}
    for block in (f"{name}.{number}" for number in range(count)):
        shapes |= _norm(f"{block}.norm", channels)
        shapes |= _conv(f"{block}.first", channels, channels, 3) | _conv(f"{block}.second", channels, channels, 3)
    return shapes


def _mixers(channels: int, cells: int, count: int) -> Shapes:
    shapes: Shapes = {}
    for mixer in (f"mixers.{number}" for number in range(count)):
        shapes |= _norm(f"{mixer}.norm", channels) | _conv(f"{mixer}.across", channels, channels, 1)
        shapes |= {f"{mixer}.spread.weight": (channels, cells, cells), f"{mixer}.spread.bias": (channels, 1, cells)}
    return shapes


def _step(name: str, inputs: int, outputs: int, side: int) -> Shapes:
    return _norm(f"{name}.0", inputs) | _conv(f"{name}.1", inputs, outputs, side)


def compact_shapes(config: CompactConfig) -> Shapes:
    """Return the shapes of the weights of `compact.Compact` by name."""
    low, middle, high = config.widths
    shapes = _conv("stem", 4, low, 5) | _step("down_middle", low, middle, 3) | _step("down_high", middle, high, 3)
    for name, width, encoder, decoder in zip(
        ("low", "middle", "high"), config.widths, config.encoder_blocks, config.decoder_blocks, strict=True
    ):
        shapes |= _blocks(f"encoder_{name}", width, encoder) | _blocks(f"decoder_{name}", width, decoder)
    shapes |= _mixers(high, (config.size // 16) ** 2, config.mixers)
    shapes |= _step("up_middle", high, 4 * middle, 1) | _step("up_low", middle, 4 * low, 1) | _norm("head.0", low)
    if config.shuffles == 1:
        return shapes | _conv("head.2", low, 48, 3)
    return shapes | _conv("head.2", low, 2 * low, 3) | _conv("head.5", low // 2, 12, 3)


def kind_shapes(config: KindConfig) -> Shapes:
    """Return the shapes of the weights of `kind_network.KindNetwork` by name."""
    low, middle, high = config.widths
    shapes = _conv("stem", 4, low, 5) | _step("to_middle", low, middle, 3) | _step("to_high", middle, high, 3)
    for name, width, count in zip(("low", "middle", "high"), config.widths, config.blocks, strict=True):
        shapes |= _blocks(name, width, count)
    shapes |= _norm("norms.0", middle) | _norm("norms.1", high)
    features = config.features
    shapes |= {"last.weight": (features, 2 * (middle + high)), "last.bias": (features,), "mean": (features,)}
    return shapes | {"projection": (features, config.components)}
