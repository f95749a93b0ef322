"""The sidecar of an ONNX file: how its network takes a photo, and which output to use."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ce_retrieval.errors import DescriptorError
from ce_retrieval.reading import read_regular

SUFFIX = ".json"  # appended to the model's name: net.onnx -> net.onnx.json
MAX_SIDE = 4096
EXAMPLE = {
    "size": 224,
    "mean": [0.485, 0.456, 0.406],
    "std": [0.229, 0.224, 0.225],
    "layout": "nchw",
    "channels": "rgb",
    "range": [0, 1],
}

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Sidecar:
    """How a network is fed and read; docs/features-onnx.md describes it for users.

    Attributes
    ----------
    size : int
        Side of the input in px.
    mean, std : (R, G, B)
        Of pixels in [0, 1].
    layout : "nchw" or "nhwc"
        Of the input, and of a 4-D output.
    channels : "rgb" or "bgr"
    scale : 1 or 255
        Factor of (pixel - mean) / std.
    output : str or None
        Name of the output to use; None for the only one.
    tokens : int or None
        Leading tokens of a (B, T, C) output that are not places; None where the output does not consist of tokens.
    fill : (R, G, B)
        Of hidden pixels, in [0, 1].
    normalise : bool
        Scale each cell to unit norm.
    """

    size: int
    mean: Colour
    std: Colour
    layout: str
    channels: str
    scale: int
    output: str | None
    tokens: int | None
    fill: Colour
    normalise: bool


def sidecar_path(model: Path) -> Path:
    """Return the path of a model's sidecar: the model's name with `.json` appended."""
    return model.with_name(model.name + SUFFIX)


def read_sidecar(model: Path) -> Sidecar:
    """Read the sidecar of a model. All that concerns its input must be there: a wrong guess would go unnoticed.

    DescriptorError where the file is missing or not a JSON object, a key is missing or unknown, or a value is wrong.
    """
    path = sidecar_path(model)
    content = _content(path)
    missing = [key for key in EXAMPLE if key not in content]
    if missing:
        raise DescriptorError(f"{path}: {', '.join(missing)} missing: expected keys as in {json.dumps(EXAMPLE)}")
    unknown = [key for key in content if key not in _CHECKS]
    if unknown:
        raise DescriptorError(f"{path}: unknown key {', '.join(unknown)}: the keys are {', '.join(_CHECKS)}")
    for key, value in content.items():
        check, expected = _CHECKS[key]
        if not check(value):
            raise DescriptorError(f"{path}: {key} is {json.dumps(value)}: expected {expected}")
    return Sidecar(
        size=content["size"],
        mean=_colour(content["mean"]),
        std=_colour(content["std"]),
        layout=content["layout"],
        channels=content["channels"],
        scale=int(content["range"][1]),
        output=content.get("output"),
        tokens=content.get("tokens"),
        fill=_colour(content.get("fill", content["mean"])),
        normalise=content.get("normalise", True),
    )


def _content(path: Path) -> dict[str, Any]:
    example = json.dumps(EXAMPLE)
    try:
        text = read_regular(path).decode()
    except FileNotFoundError as error:
        raise DescriptorError(
            f"{path} is missing: write it to say how the network takes a photo, as in {example}"
        ) from error
    except (OSError, UnicodeDecodeError) as error:
        raise DescriptorError(f"{path} cannot be read ({error}): expected JSON as in {example}") from error
    try:
        content = json.loads(text)
    except (json.JSONDecodeError, RecursionError) as error:
        raise DescriptorError(f"{path} is not JSON ({error}): expected {example}") from error
    if not isinstance(content, dict):
        raise DescriptorError(f"{path} does not hold a JSON object: expected {example}")
    return content


def _colour(values: list[float]) -> Colour:
    red, green, blue = (float(value) for value in values)
    return red, green, blue


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: Any, least: int, most: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def _three(low: float, high: float) -> Callable[[Any], bool]:
    """Return a check for three numbers in [low, high]."""
    return lambda value: (
        isinstance(value, list) and len(value) == 3 and all(_is_number(v) and low <= v <= high for v in value)
    )


_CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "size": (lambda v: _is_count(v, 1, MAX_SIDE), f"pixels, 1 to {MAX_SIDE}"),
    "mean": (_three(0, 1), "three numbers from 0 to 1, red, green, blue"),
    "std": (_three(1e-6, 1e6), "three positive numbers, red, green, blue"),
    "layout": (lambda v: v in ("nchw", "nhwc"), '"nchw" or "nhwc"'),
    "channels": (lambda v: v in ("rgb", "bgr"), '"rgb" or "bgr"'),
    "range": (lambda v: v in ([0, 1], [0, 255]), "[0, 1] or [0, 255]"),
    "output": (lambda v: isinstance(v, str) and v != "", "the name of an output"),
    "tokens": (lambda v: _is_count(v, 0, MAX_SIDE), "the number of leading tokens to leave out, 0 or more"),
    "fill": (_three(0, 1), "three numbers from 0 to 1, red, green, blue"),
    "normalise": (lambda v: isinstance(v, bool), "true or false"),
}
