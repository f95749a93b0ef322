"""Weights by path, or those that ship with the package; each file is loaded once per process."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.requirements import require_torch

if TYPE_CHECKING:
    from ce_retrieval.models.compression import Compression
    from ce_retrieval.models.context_encoder import ContextEncoder

SHIPPED = "compact.safetensors"
KIND = "kind.safetensors"
FOLDER = Path(__file__).resolve().parents[1] / "weights"


class Weights(NamedTuple):
    """A loaded weights file.

    Attributes
    ----------
    path : Path
    network : ContextEncoder
        In evaluation mode, on the CPU. It is shared: do not change it.
    header : dict
    compressions : dict
        By layer; a layer without one is used with all its channels.
    sha256 : str
        Of all tensors of the file.
    """

    path: Path
    network: ContextEncoder
    header: dict[str, Any]
    compressions: dict[str, Compression]
    sha256: str


def weights_path(name: str | None = None) -> Path:
    """Return the absolute path of a checkpoint, or of the weights of the package; CheckpointError where it is missing."""
    if name is not None:
        path = Path(os.path.abspath(os.path.expanduser(name)))
        if not path.is_file():
            found = "a folder, not a checkpoint file" if path.is_dir() else "no such checkpoint file"
            raise CheckpointError(f"{path}: {found}; give the path of a .safetensors file")
        return path
    path = FOLDER / SHIPPED
    if not path.is_file():
        raise CheckpointError(
            f"{path}: the weights that ship with ceret are not installed: install ceret again, or name a checkpoint as "
            "`weights`, or as encoder:FILE in `features`"
        )
    return path


_loaded: dict[tuple[Path, int, int], Weights] = {}
_lock = threading.Lock()


def load_weights(name: str | None = None) -> Weights:
    """Load weights (see `weights_path`), or return those that this process has loaded already. Any thread may call it.

    A file is recognised by path, time of change and size; only the newest of a path is kept.

    Raises
    ------
    CheckpointError
        The file is missing or damaged, or does not hold a network.
    CeretError
        torch is not installed.
    """
    require_torch("a context encoder")
    path = weights_path(name)
    about = path.stat()
    key = (path, about.st_mtime_ns, about.st_size)
    with _lock:
        if key not in _loaded:
            weights = _load(path)
            for old in [old for old in _loaded if old[0] == path]:
                del _loaded[old]
            _loaded[key] = weights
        return _loaded[key]


def _load(path: Path) -> Weights:
    from ce_retrieval.models.checkpoint import load_tensors, network_from
    from ce_retrieval.models.compression import stored_compressions

    tensors, header = load_tensors(path)
    network = network_from(tensors, header, name=str(path)).requires_grad_(False)
    compressions = stored_compressions(tensors, network.LAYERS, name=str(path))
    return Weights(path, network, header, compressions, header["sha256"])
