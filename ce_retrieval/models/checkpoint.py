"""Weights on disk: safetensors with a JSON header. Nothing is unpickled; writing is atomic; reading is strict."""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError, some
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint_file import FORMAT, KEY, check_kind, read_file, tensors_beside
from ce_retrieval.models.config import config_from_dict, config_to_dict
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.storage import replace_file


def tensors_hash(tensors: dict[str, Tensor]) -> str:
    """Return a SHA-256 over names, types, shapes and bytes in the order of the names: the identity of a set of weights."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].detach().cpu().contiguous()
        digest.update(f"{name}|{tensor.dtype}|{tuple(tensor.shape)}|".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return digest.hexdigest()


def save_tensors(path: str | Path, tensors: dict[str, Tensor], header: dict[str, Any]) -> str:
    """Write tensors and a JSON header as one safetensors file, atomically; return `tensors_hash`.

    The header gets `format`, the tensors' `sha256` and `versions` added. StorageError where the disk is full or the folder
    is not writable; an older file of that name then stays as it was.
    """
    from safetensors.torch import save

    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    sha256 = tensors_hash(flat)
    versions = {"python": platform.python_version(), "torch": torch.__version__}
    header = {**header, "format": FORMAT, "sha256": sha256, "versions": versions}
    data = save(flat, metadata={KEY: json.dumps(header, sort_keys=True)})
    replace_file(Path(path), data)
    return sha256


def load_tensors(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read a file of `save_tensors`: (tensors on the CPU, header).

    CheckpointError where the file is missing, truncated, altered, not a safetensors file, without ceret's header, or of
    another format version.
    """
    return read_file(path, "pt", tensors_hash)


def _network_header(network: ContextEncoder, extra: dict[str, Any]) -> dict[str, Any]:
    """Return the header of a network's weights: its configuration and preprocessing, and `extra`."""
    preprocessing = {
        "size": network.config.size,
        "channels": "RGB",
        "range": [-1, 1],
        "fill_rgb": [round(value * 255) for value in network.config.mean],
    }
    return {"kind": "network", "network": config_to_dict(network.config), "preprocessing": preprocessing, **extra}


def save_network(
    path: str | Path,
    network: ContextEncoder,
    *,
    extra: dict[str, Any] | None = None,
    weights: dict[str, Tensor] | None = None,
    half: bool = False,
    beside: dict[str, Tensor] | None = None,
) -> str:
    """Write a network's weights with everything needed to rebuild it; return their hash.

    Parameters
    ----------
    path : path of the file
    network : ContextEncoder
    extra : dict
        JSON values for the header (step, metrics, fingerprint of the photos, ...).
    weights : dict
        A state dict to write in place of the network's own, such as averaged weights.
    half : bool
        Write the parameters as float16; statistics of batch norm stay float32.
    beside : dict
        More tensors, whose names begin with `COMPRESSION`; the hash covers them.
    """
    state = dict(network.state_dict() if weights is None else weights)
    if half:
        parameters = {name for name, _ in network.named_parameters()}
        state = {name: value.half() if name in parameters else value for name, value in state.items()}
    return save_tensors(path, {**state, **(beside or {})}, _network_header(network, extra or {}))


def restore(network: ContextEncoder, tensors: dict[str, Tensor], *, name: str) -> None:
    """Copy weights into a network, in place; float16 may fill float32, and `tensors_beside` are ignored.

    CheckpointError names the tensor that is missing, unknown, or of another shape or type.
    """
    own = network.state_dict()
    differing = sorted(set(own) ^ (set(tensors) - set(tensors_beside(tensors))))
    if differing:
        raise CheckpointError(f"{name}: its weights are of another network: {some(differing, 1)} not in both")
    for key, target in own.items():
        source = tensors[key]
        if source.shape != target.shape:
            expected, found = tuple(target.shape), tuple(source.shape)
            raise CheckpointError(f"{name}: {key} has shape {found}, this network expects {expected}")
        if source.dtype != target.dtype and not (source.dtype == torch.float16 and target.dtype == torch.float32):
            raise CheckpointError(f"{name}: {key} is {source.dtype}, this network expects {target.dtype}")
    with torch.no_grad():
        for key, target in own.items():
            target.copy_(tensors[key])


def network_from(
    tensors: dict[str, Tensor], header: dict[str, Any], *, name: str, device: torch.device | str = "cpu"
) -> ContextEncoder:
    """Return the network that a header describes, with its weights: in evaluation mode, channels_last, on a device."""
    check_kind(header, name=name)
    network = build_network(config_from_dict(header.get("network", {}), name=name))
    restore(network, tensors, name=name)
    return network.to(device=device, memory_format=torch.channels_last).eval()


def load_network(path: str | Path) -> tuple[ContextEncoder, dict[str, Any]]:
    """Load a network in evaluation mode, on the CPU and channels_last, and the header of its file.

    CheckpointError where the file does not hold a network, or as `load_tensors`.
    """
    tensors, header = load_tensors(path)
    return network_from(tensors, header, name=str(path)), header


def own_header(header: dict[str, Any]) -> dict[str, Any]:
    """Return the `extra` that `save_network` was given, from the header it wrote."""
    written = ("kind", "network", "preprocessing", "format", "sha256", "versions")
    return {key: value for key, value in header.items() if key not in written}


def export_half(source: str | Path, target: str | Path) -> str:
    """Write a file of `save_network` again as float16, half the size, and keep the rest; return the new hash."""
    tensors, header = load_tensors(source)
    network = network_from(tensors, header, name=str(source))
    return save_network(target, network, extra=own_header(header), half=True, beside=tensors_beside(tensors))
