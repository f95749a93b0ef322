"""Codes beside an index's grids: by them a large index is searched in little memory (`indexes.pooled`)."""

from __future__ import annotations

import base64
import functools
import hashlib
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from indexes.codebook import Codebook


@dataclass(frozen=True)
class StoredCodes:
    """What made the codes of an index, and how they are searched.

    Attributes
    ----------
    codebook : str
        Base64 of the zlib stream of the origin and the centroids, float16.
    cells, channels, parts, width : int
        Shape of the codebook; see `indexes.codebook`.
    effort : float
        Factor on the candidates that a search measures.
    recall : float or None
        The least share of the nearest ten that was found for any kind of hole, as `ceret tune` measured it; None before.
    """

    codebook: str
    cells: int
    channels: int
    parts: int
    width: int
    effort: float
    recall: float | None = None

    @classmethod
    def of(cls, codebook: Codebook, effort: float) -> StoredCodes:
        """Return what to store of a codebook, whose numbers are float16 (`rounded`)."""
        numbers = np.concatenate([codebook.origin.ravel(), codebook.centroids.ravel()]).astype("<f2")
        text = base64.b64encode(zlib.compress(numbers.tobytes(), 9)).decode()
        return cls(text, codebook.cells, codebook.channels, codebook.parts, codebook.pooling.width, effort)

    @property
    def file(self) -> str:
        """Name of the file in a segment. Another codebook has another, so readers of the old file are not disturbed."""
        return f"codes-{hashlib.sha256(self.codebook.encode()).hexdigest()[:12]}.safetensors"

    @functools.cached_property
    def made(self) -> Codebook:
        """The codebook; ValueError where the text is not one."""
        from indexes.codebook import CENTROIDS, Codebook

        data = zlib.decompress(base64.b64decode(self.codebook, validate=True))
        numbers = np.frombuffer(data, "<f2").astype(np.float32)
        first = self.cells * self.channels
        return Codebook(
            numbers[:first].reshape(self.cells, self.channels), numbers[first:].reshape(-1, CENTROIDS, self.width)
        )
