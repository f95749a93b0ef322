"""A user's AlexNet weights: safetensors, or a state dict of torch that is read without running any code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError, cut, some
from ce_retrieval.transfer.networks.alexnet import LAYOUTS, Layout


class _Names(NamedTuple):
    """What a program calls conv1 to conv5, and fc6 and fc7."""

    convolutions: tuple[str, ...]
    full: tuple[str, str]


_NUMBERS = (torch.float32, torch.float16, torch.bfloat16, torch.float64)
_NAMES = (
    _Names(tuple(f"features.{number}" for number in (0, 3, 6, 8, 10)), ("classifier.1", "classifier.4")),
    _Names(tuple(f"conv{number}" for number in range(1, 6)), ("fc6", "fc7")),
)


class AlexNetWeights(NamedTuple):
    """Weights of a file.

    Attributes
    ----------
    layout : Layout
    convolutions : (weight, bias) of conv1 to conv5, of the layout's shapes.
    full : by "fc6" and "fc7", (weight, bias) of those that the file has.
    names : of conv1 to conv5 and fc6, fc7 in the file.
    """

    layout: Layout
    convolutions: list[tuple[Tensor, Tensor]]
    full: dict[str, tuple[Tensor, Tensor]]
    names: dict[str, str]


def read_alexnet(path: str | Path) -> AlexNetWeights:
    """Read the weights of an AlexNet in torchvision's layout or in CaffeNet's.

    Raises
    ------
    CheckpointError : the file is missing or damaged, holds something else than tensors, or tensors of other names or shapes.
    """
    tensors = _read(Path(path))
    names = next((one for one in _NAMES if f"{one.convolutions[0]}.weight" in tensors), None)
    if names is None:
        wanted = " or ".join(f"{one.convolutions[0]}.weight" for one in _NAMES)
        found = some(sorted(tensors), 2) or "nothing"
        raise CheckpointError(f"{path}: holds {found}, expected {wanted} and so on; give the state dict of an AlexNet")
    layout = _layout(tensors, names, path)
    convolutions = []
    for name, shape in zip(names.convolutions, layout.shapes(), strict=True):
        convolutions.append(_pair(tensors, name, shape, f"{layout.name} has", path))
    full = {}
    for key, name in zip(("fc6", "fc7"), names.full, strict=True):
        if f"{name}.weight" in tensors:
            full[key] = _pair(tensors, name, None, "", path)
    called = dict(zip(("fc6", "fc7"), names.full, strict=True))
    return AlexNetWeights(layout, convolutions, full, called)


def _layout(tensors: Mapping[str, Tensor], names: _Names, path: str | Path) -> Layout:
    """Return the layout that has as many channels in conv1."""
    name = f"{names.convolutions[0]}.weight"
    shape = tuple(tensors[name].shape)
    for layout in LAYOUTS:
        if shape[:1] == layout.shapes()[0][:1]:
            return layout
    known = " or ".join(f"{layout.shapes()[0]} of {layout.name}" for layout in LAYOUTS)
    raise CheckpointError(f"{path}: {name} has shape {shape}, expected {known}; use the weights of one of these")


def _pair(
    tensors: Mapping[str, Tensor], name: str, shape: tuple[int, ...] | None, whose: str, path: str | Path
) -> tuple[Tensor, Tensor]:
    """Return the weight and the bias of a layer as float32; shape: what the weight must have, None for any matrix."""
    found = []
    for part in ("weight", "bias"):
        key = f"{name}.{part}"
        if key not in tensors:
            raise CheckpointError(f"{path}: {key} is missing; give the whole state dict of an AlexNet")
        tensor = tensors[key]
        if tensor.layout != torch.strided or tensor.is_nested or tensor.is_meta or tensor.dtype not in _NUMBERS:
            kinds = ", ".join(str(kind).removeprefix("torch.") for kind in _NUMBERS)
            raise CheckpointError(f"{path}: {key} is not a plain tensor of {kinds}; save it as one")
        if not bool(tensor.isfinite().all()):
            raise CheckpointError(f"{path}: {key} holds numbers that are not finite; use another file")
        found.append(tensor.float())
    weight, bias = found
    if shape is None and weight.ndim != 2:
        raise CheckpointError(
            f"{path}: {name}.weight has shape {tuple(weight.shape)}, expected a matrix; use another file"
        )
    if shape is not None and weight.shape != shape:
        raise CheckpointError(
            f"{path}: {name}.weight has shape {tuple(weight.shape)}, {whose} {shape}; use the weights of such a network"
        )
    if bias.shape != weight.shape[:1]:
        raise CheckpointError(
            f"{path}: {name}.bias has shape {tuple(bias.shape)}, expected ({len(weight)},); use another file"
        )
    return weight, bias


def _read(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file by name."""
    if not path.is_file():
        found = "a folder, not a file of weights" if path.is_dir() else "no such file of weights"
        raise CheckpointError(f"{path}: {found}; give the path of a .safetensors file or of a state dict")
    if path.suffix.lower() == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise CheckpointError(f"{path}: truncated or no safetensors file ({error}); use another copy") from None
    try:
        state: Any = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # bytes that are no pickle make the reader raise nearly anything
        reason = cut(str(error).split("\n")[0].split(". ")[0], 90) or type(error).__name__
        raise CheckpointError(
            f"{path}: cannot be read as tensors alone ({reason}); save it by torch.save(network.state_dict(), FILE)"
        ) from None
    if not isinstance(state, dict) or not all(isinstance(v, Tensor) and isinstance(k, str) for k, v in state.items()):
        raise CheckpointError(f"{path}: is not a state dict; save it by torch.save(network.state_dict(), FILE)")
    return state
