"""The kind of a photo as one vector, by the descriptor `kind` or by any network of the user's."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import cell_weights
from ce_retrieval.descriptors.kind import SIZE as KIND_SIZE
from ce_retrieval.descriptors.registry import make_descriptor
from ce_retrieval.errors import SettingsError, shown

NO_KIND = "none"


class OneVector:
    """A descriptor's cells, averaged over what is visible and scaled to norm 1: one vector a photo.

    Attributes
    ----------
    spec, size, weights_sha256, trained, memory, photo_memory, libraries
        The descriptor's.
    channels : int
        C, numbers of a vector.
    """

    def __init__(self, descriptor: Descriptor) -> None:
        self._descriptor = descriptor
        self.spec, self.size, self.channels = descriptor.spec, descriptor.size, descriptor.channels
        self.weights_sha256, self.libraries = descriptor.weights_sha256, descriptor.libraries
        self.trained = descriptor.trained
        self.memory, self.photo_memory = descriptor.memory, descriptor.photo_memory

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) and holes bool (B, S, S) -> float32 (B, C); errors as `Descriptor`."""
        grids = self._descriptor.describe(photos, holes)
        if self._descriptor.cells == 1:
            vectors = grids[:, 0]
        elif holes is None:
            vectors = grids.mean(axis=1)
        else:
            weights = np.stack([cell_weights(self._descriptor, hole) for hole in holes])
            vectors = np.einsum("bg,bgc->bc", weights, grids)
        norms = np.linalg.norm(vectors, axis=1, keepdims=True)
        return np.asarray(vectors / np.where(norms > 0, norms, 1), np.float32)


def check_kind(spec: str) -> None:
    """Raise SettingsError unless a spec is ``kind``, ``onnx:FILE`` or ``none``."""
    if spec not in ("kind", NO_KIND) and not spec.startswith("onnx:"):
        raise SettingsError(f"`kind` is {shown(spec)}: expected kind, onnx:FILE or none")


def make_one_vector(spec: str, size: int) -> OneVector:
    """Make what describes the kind of photos; it takes photos of its own `size`.

    Parameters
    ----------
    spec : str
        ``kind`` or ``onnx:FILE``.
    size : int
        Side in px of the photos at hand; a network of the user's is given photos of this size.

    Raises
    ------
    SettingsError
        Another spec.
    CeretError
        As `make_descriptor`; torch is not installed.
    """
    check_kind(spec)
    return OneVector(make_descriptor(spec, KIND_SIZE if spec == "kind" else size))
