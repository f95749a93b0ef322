"""Kind features: one vector a photo beside the index's own features, which says what sort of place the photo shows."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.pixels import resize

if TYPE_CHECKING:
    from ce_retrieval.descriptors.one_vector import OneVector


@dataclass(frozen=True)
class StoredKind:
    """What made the kind features of an index.

    Attributes
    ----------
    descriptor : str
        Canonical spec.
    size : int
        Side in px of the photos that it took.
    channels : int
        Numbers of a vector.
    weights_sha256 : str or None
        Hash of its weights.
    """

    descriptor: str
    size: int
    channels: int
    weights_sha256: str | None

    @classmethod
    def of(cls, kind: OneVector) -> StoredKind:
        """Return the entry of what describes kinds."""
        return cls(kind.spec, kind.size, kind.channels, kind.weights_sha256)

    @property
    def file(self) -> str:
        """Name of the vectors' file in a segment. Other weights have another, so readers of the old file are not disturbed."""
        made_by = f"{self.weights_sha256 or self.descriptor}\0{self.size}"
        return f"kind-{hashlib.sha256(made_by.encode(errors='surrogateescape')).hexdigest()[:12]}.npy"


def kinds_of(kind: OneVector, photos: np.ndarray, hole: str) -> np.ndarray:
    """Return the vectors float16 (B, C) of photos uint8 (B, S, S, 3) at an index's size, under its hole protocol."""
    size = kind.size
    if photos.shape[1] != size:
        photos = np.stack([resize(photo, (size, size)) for photo in photos])
    holes = center_holes(len(photos), size) if hole == "center" else None
    return kind.describe(photos, holes).astype(np.float16)


def kinds_file(vectors: np.ndarray) -> memoryview:
    """Return the bytes of a file in numpy's own format; they depend on the vectors float16 (n, C) alone."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(vectors), version=(1, 0), allow_pickle=False)
    return buffer.getbuffer()
