"""Weights files read strictly, as tensors of torch or as arrays of numpy: this module needs no torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError

Array = NDArray[Any]
T = TypeVar("T")

FORMAT = 1
KEY = "ceret"  # of the header in the file's metadata
# Prefix of the tensors that are stored beside the network's own: how its features are compressed (`projection`).
COMPRESSION = "compression."


def tensors_beside(tensors: Mapping[str, T]) -> dict[str, T]:
    """Return the tensors of a file that are not weights of its network: those whose names begin with `COMPRESSION`."""
    return {name: value for name, value in tensors.items() if name.startswith(COMPRESSION)}


def arrays_hash(arrays: Mapping[str, Array]) -> str:
    """Return `checkpoint.tensors_hash` of the same numbers in numpy arrays."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name}|torch.{arrays[name].dtype.name}|{arrays[name].shape}|".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def read_file(
    path: str | Path, framework: str, hash_of: Callable[[dict[str, Any]], str]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Read a file of `checkpoint.save_tensors`: (tensors of a framework of safetensors, "pt" or "np"; header).

    CheckpointError where the file is missing, truncated, altered, not a safetensors file, without ceret's header, of
    another format version, or with numbers of a type that numpy lacks.
    """
    from safetensors import SafetensorError, safe_open

    name = str(path)
    if not Path(path).is_file():
        found = "a folder, not a checkpoint file" if Path(path).is_dir() else "no such checkpoint file"
        raise CheckpointError(f"{name}: {found}; give the path of a .safetensors file")
    try:
        with safe_open(name, framework=framework) as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{name}: truncated or no safetensors file ({error}); use another checkpoint") from None
    except (TypeError, AttributeError) as error:  # numpy has no bfloat16
        raise CheckpointError(
            f"{name}: holds numbers of a type that no network of ceret has ({error}); use another checkpoint"
        ) from None
    try:
        header = json.loads(metadata[KEY])
    except (KeyError, ValueError):
        raise CheckpointError(f"{name}: has no ceret header; expected a checkpoint written by ceret") from None
    if header.get("format") != FORMAT:
        found = header.get("format")
        raise CheckpointError(f"{name}: format {found}, this version reads format {FORMAT}; train or export it again")
    if hash_of(tensors) != header.get("sha256"):
        raise CheckpointError(f"{name}: altered, its weights do not match its header; use another copy")
    return tensors, header


def load_arrays(path: str | Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """Read a weights file as numpy arrays: (arrays, header); CheckpointError as `read_file`."""
    return read_file(path, "np", arrays_hash)


def check_kind(header: dict[str, Any], *, name: str) -> None:
    """Raise CheckpointError unless a header is of a network."""
    if header.get("kind") != "network":
        raise CheckpointError(f"{name}: holds {header.get('kind')!r}, not a network; use the weights file beside it")
