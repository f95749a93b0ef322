"""The guard that a photo is not filled from itself: what was removed would come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ce_retrieval.photo_index import Origin
from ce_retrieval.photos.copies import Copies
from ce_retrieval.pixels import Bools
from ce_retrieval.retrieval.search import Neighbor


class OwnPhoto:
    """Tells which scenes are a photo itself or its copies: by their bytes, and by what they show. Threads may share it.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), True = missing.
    square : the same at the index's size.
    origin : the photo's file, None if it has none.
    """

    def __init__(
        self, photo: np.ndarray, hole: np.ndarray, square: tuple[np.ndarray, np.ndarray], origin: Origin | None
    ) -> None:
        self._sha256 = origin.sha256 if origin else None
        self._copies = Copies(photo, hole, *square)
        self._known: dict[int, bool] = {}

    def among(self, neighbors: Sequence[Neighbor], photos: np.ndarray) -> Bools:
        """Return which scenes, uint8 (n, h, w, 3) whole and of one size, are copies; each is looked at once."""
        new = [row for row, neighbor in enumerate(neighbors) if neighbor.id not in self._known]
        if new:
            found = self._copies.among(photos[new])
            for row, is_copy in zip(new, found.tolist(), strict=True):
                self._known[neighbors[row].id] = is_copy or neighbors[row].record.sha256 == self._sha256
        return np.array([self._known[neighbor.id] for neighbor in neighbors], bool)
