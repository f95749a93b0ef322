"""Weights by path, or those that ship with the package; each file is loaded once per process."""

from __future__ import annotations

import os
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.checkpoint_file import check_kind, load_arrays, tensors_beside
from ce_retrieval.models.config import CompactConfig, config_from_dict
from ce_retrieval.models.constants import COMPACT_LAYERS
from ce_retrieval.models.plain import FEW, PlainCompact
from ce_retrieval.models.projection import Compression, stored_compressions
from ce_retrieval.models.requirements import require_torch

if TYPE_CHECKING:
    from ce_retrieval.models.context_encoder import ContextEncoder

SHIPPED = "compact.safetensors"
KIND = "kind.safetensors"
FOLDER = Path(__file__).resolve().parents[1] / "weights"


class Weights:
    """A loaded weights file; a `compact` network needs torch only for `network`.

    Attributes
    ----------
    path : Path
    header : dict
    config : NetworkConfig
    compressions : dict
        By layer; a layer without one is used with all its channels.
    sha256 : str
        Of all tensors of the file.
    numbers : int
        How many numbers the network has.
    """

    def __init__(self, path: Path) -> None:
        arrays, header = load_arrays(path)
        check_kind(header, name=str(path))
        self.path, self.header, self.sha256 = path, header, str(header["sha256"])
        self.config = config_from_dict(header.get("network", {}), name=str(path))
        self._arrays: dict[str, Any] = arrays
        self._plain: PlainCompact | None = None
        self._lock = threading.Lock()
        if isinstance(self.config, CompactConfig):
            self._plain = PlainCompact(self.config, arrays, name=str(path))
            self.layers: tuple[str, ...] = COMPACT_LAYERS
        else:
            self.layers = self.network.LAYERS
        self.compressions: dict[str, Compression] = stored_compressions(arrays, self.layers, name=str(path))
        beside = tensors_beside(arrays)
        self.numbers = sum(value.size for name, value in arrays.items() if name not in beside)

    @property
    def network(self) -> ContextEncoder:
        """The network in torch: in evaluation mode, on the CPU. It is shared: do not change it."""
        with self._lock:
            return self._network

    @cached_property
    def _network(self) -> ContextEncoder:
        import torch

        from ce_retrieval.models.checkpoint import network_from

        tensors = {name: torch.from_numpy(value) for name, value in self._arrays.items()}
        return network_from(tensors, self.header, name=str(self.path)).requires_grad_(False)

    def plain_for(self, count: int) -> PlainCompact | None:
        """Return the network in numpy if it is to run on `count` photos with holes, None where torch runs them."""
        return self._plain if count <= FEW else None

    def predicted_part(self) -> NDArray[np.bool_]:
        """Return the part of a photo that the network predicts: bool (S, S)."""
        if self._plain is not None:
            return np.ones((self.config.size,) * 2, bool)
        from ce_retrieval.models.inference import predicted_part

        return predicted_part(self.network)


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
            weights = Weights(path)
            for old in [old for old in _loaded if old[0] == path]:
                del _loaded[old]
            _loaded[key] = weights
        return _loaded[key]
