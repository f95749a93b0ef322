"""How the features of a layer are brought to fewer channels; `compression` fits it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.checkpoint_file import COMPRESSION, tensors_beside


@dataclass(frozen=True)
class Compression:
    """The projection y = scale * (x - mean) @ basis, on the last axis.

    Attributes
    ----------
    mean : float32 (C,)
    basis : float32 (C, C')
        Orthonormal columns, the most variance first.
    scale : float
        Makes the root mean square of |y| 1 on the photos of the fit.
    """

    mean: NDArray[np.float32]
    basis: NDArray[np.float32]
    scale: float

    @property
    def channels(self) -> int:
        """C', the number of channels that are left."""
        return int(self.basis.shape[1])

    def apply(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Project features: float32 (..., C) -> (..., C')."""
        return np.asarray((features - self.mean) @ self.basis * np.float32(self.scale), np.float32)


def stored_compressions(tensors: Mapping[str, Any], layers: tuple[str, ...], *, name: str) -> dict[str, Compression]:
    """Return the compressions of a weights file by layer; CheckpointError where one is incomplete or of an unknown layer."""
    found: dict[str, Compression] = {}
    beside = tensors_beside(tensors)
    for layer in layers:
        prefix = f"{COMPRESSION}{layer}."
        parts = {key.removeprefix(prefix): beside.pop(key) for key in list(beside) if key.startswith(prefix)}
        if not parts:
            continue
        mean, basis, scale = (np.asarray(parts.pop(key, ())) for key in ("mean", "basis", "scale"))
        whole = mean.ndim == 1 and basis.ndim == 2 and len(basis) == len(mean) >= basis.shape[1] > 0
        if parts or not whole or scale.shape != (1,) or any(t.dtype != np.float32 for t in (mean, basis, scale)):
            raise CheckpointError(f"{name}: the compression of layer {layer} is incomplete; export the weights again")
        found[layer] = Compression(mean, basis, float(scale[0]))
    if beside:
        raise CheckpointError(f"{name}: {min(beside)} compresses no layer of its network; export the weights again")
    return found
