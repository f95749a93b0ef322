"""Codes beside an index's grids: by them a large index is searched in little memory (`indexes.pooled`)."""

from __future__ import annotations

import base64
import dataclasses
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
    heads : str
        Base64 of the codes that head the lists (`indexes.lists`); "" where there are no lists.
    """

    codebook: str
    cells: int
    channels: int
    parts: int
    width: int
    effort: float
    recall: float | None = None
    heads: str = ""

    @classmethod
    def of(cls, codebook: Codebook, effort: float) -> StoredCodes:
        """Return what to store of a codebook, whose numbers are float16 (`rounded`)."""
        from indexes.lists import ListCodebook

        numbers = np.concatenate([codebook.origin.ravel(), codebook.centroids.ravel()]).astype("<f2")
        text = base64.b64encode(zlib.compress(numbers.tobytes(), 9)).decode()
        stored = cls(text, codebook.cells, codebook.channels, codebook.parts, codebook.pooling.width, effort)
        if isinstance(codebook, ListCodebook):
            return dataclasses.replace(stored, heads=base64.b64encode(codebook.heads.tobytes()).decode())
        return stored

    @functools.cached_property
    def file(self) -> str:
        """Name of the file in a segment. Another codebook has another, so readers of the old file are not disturbed."""
        made_by = hashlib.sha256((self.codebook + self.heads).encode()).hexdigest()
        return f"codes-{made_by[:12]}.safetensors"

    @functools.cached_property
    def lists(self) -> int:
        """Into how many lists the codes are divided; 0 where they are not."""
        from indexes.pooling import Pooling

        return len(base64.b64decode(self.heads)) // Pooling(self.cells, self.channels, self.parts).code_bytes

    @property
    def grid(self) -> tuple[int, int]:
        """The shape of a grid: cells and channels."""
        return self.cells, self.channels

    @functools.cached_property
    def made(self) -> Codebook:
        """The codebook; ValueError where the text is not one, EngineError where it is not of these parts and this width."""
        from indexes.codebook import CENTROIDS, Codebook
        from indexes.lists import ListCodebook

        packed, stream = base64.b64decode(self.codebook, validate=True), zlib.decompressobj()
        first = self.cells * self.channels
        # A part has at least one channel of one group, and there are no more groups than cells.
        most = 2 * (first + first * CENTROIDS * self.width)
        try:
            data = stream.decompress(packed, most + 1)
        except zlib.error as error:
            raise ValueError(str(error)) from error
        numbers = np.frombuffer(data, "<f2").astype(np.float32)
        if not stream.eof or not np.isfinite(numbers).all():
            raise ValueError("its numbers are not those of a codebook")
        arrays = numbers[:first].reshape(self.cells, self.channels), numbers[first:].reshape(-1, CENTROIDS, self.width)
        codebook = Codebook(*arrays)
        if not self.heads:
            return codebook
        heads = np.frombuffer(base64.b64decode(self.heads, validate=True), np.uint8)
        return ListCodebook(*arrays, heads.reshape(-1, codebook.bytes_a_photo))
