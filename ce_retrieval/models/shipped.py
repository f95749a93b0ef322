"""Weights by name or path: those that ship with the package, and one loaded network for all who use it."""

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
FOLDER = Path(__file__).resolve().parents[1] / "weights"


class Weights(NamedTuple):
    """A weights file, loaded: the network is in evaluation mode on the CPU and shared, so nobody may change it.

    compressions: by layer; layers without one are used with all their channels. sha256: of all tensors of the file.
    """

    path: Path
    network: ContextEncoder
    header: dict[str, Any]
    compressions: dict[str, Compression]
    sha256: str


def weights_path(name: str | None = None) -> Path:
    """The absolute path of a weights file: of the checkpoint `name`, or of the weights that ship with the package.

    CheckpointError where it is not there.
    """
    if name is not None:
        path = Path(os.path.abspath(os.path.expanduser(name)))
        if not path.is_file():
            raise CheckpointError(f"{path}: no such checkpoint file; give the path of a .safetensors file")
        return path
    path = FOLDER / SHIPPED
    if not path.is_file():
        raise CheckpointError(
            f"{path}: the weights that ship with ceret are not installed: install ceret again, or give a checkpoint, as "
            "`--features encoder:FILE` (index), `encoder:FILE` or `decoder:FILE` in `--methods` (evaluate), or `--weights FILE` "
            "(complete, evaluate); `ceret train` makes one"
        )
    return path


_loaded: dict[tuple[Path, int, int], Weights] = {}
_lock = threading.Lock()


def load_weights(name: str | None = None) -> Weights:
    """Load weights (see `weights_path`), or give those that this process has loaded already; for any thread.

    A file is known by path, time of change and size; of a path only the newest is kept. CheckpointError: missing or
    damaged, no network; CeretError: torch is not installed.
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
    from ce_retrieval.models.checkpoint import load_tensors, ready_network
    from ce_retrieval.models.compression import stored_compressions

    tensors, header = load_tensors(path)
    network = ready_network(tensors, header, name=str(path)).requires_grad_(False)
    compressions = stored_compressions(tensors, network.LAYERS, name=str(path))
    return Weights(path, network, header, compressions, header["sha256"])
