"""The guard that a photo is not filled from itself: what was removed would come back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ce_retrieval.completion.rerank.own_sources import own_sources
from ce_retrieval.photo_index import Origin
from ce_retrieval.photos import DecodedPhoto
from ce_retrieval.photos.copies import Copies, Verdict
from ce_retrieval.pixels import Bools, Photo
from ce_retrieval.retrieval.neighbor import Neighbor


class OwnPhoto:
    """Tells which scenes are a photo itself or its copies: by their bytes, and by what they show. Threads may share it.

    Parameters
    ----------
    photo, hole : uint8 (H, W, 3) and bool (H, W), True = missing.
    square : the same at the index's size.
    origin : the photo's file, None if it has none. If ceret wrote it, the photos that it was made from count as the photo
        itself (`own_sources`).
    """

    def __init__(
        self, photo: np.ndarray, hole: np.ndarray, square: tuple[np.ndarray, np.ndarray], origin: Origin | None
    ) -> None:
        self._bytes, edited = own_sources(origin, hole.shape)
        self._copies = Copies(photo, hole, *square, edited)
        self._known: dict[int, bool] = {}

    def among(self, neighbors: Sequence[Neighbor], photos: np.ndarray) -> Bools:
        """Return which scenes, uint8 (n, h, w, 3) whole and at the index's size, are copies; each is looked at once.

        Scenes that only their larger pictures could tell from copies are not among them: see `is_copy`.
        """
        new = [row for row, neighbor in enumerate(neighbors) if neighbor.id not in self._known]
        found = np.zeros(len(neighbors), bool)
        if new:
            for row, verdict in zip(new, self._copies.verdicts(photos[new], small=True), strict=True):
                found[row] = self._note(neighbors[row], verdict)
        return found | np.array([self._known.get(neighbor.id, False) for neighbor in neighbors], bool)

    def is_copy(self, neighbor: Neighbor, photo: np.ndarray) -> bool:
        """Return whether a scene uint8 (h, w, 3), as it would fill the photo, is a copy; where nothing tells, it is."""
        known = self._known.get(neighbor.id)
        if known is not None:
            return known
        (verdict,) = self._copies.verdicts(photo[None])
        return self._note(neighbor, verdict) or verdict is Verdict.TOO_SMALL

    def _note(self, neighbor: Neighbor, verdict: Verdict) -> bool:
        """Keep what is certain: a larger picture can still show something else under the hole, or the same."""
        is_copy = verdict is Verdict.COPY or neighbor.record.sha256 in self._bytes
        if is_copy or verdict is Verdict.OTHER:
            self._known[neighbor.id] = is_copy
        return is_copy


def evidence(photo: DecodedPhoto, hole: Bools) -> Photo:
    """Return a photo's pixels, black under the hole where the photo is transparent: colours that nobody sees tell nothing."""
    alpha = photo.encoding.alpha
    if alpha is None or not (hidden := hole & (alpha < 255)).any():
        return photo.pixels
    return np.where(hidden[..., None], np.uint8(0), photo.pixels)
