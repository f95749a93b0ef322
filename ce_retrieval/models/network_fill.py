"""A network's predictions under holes, at the network's own size (Pathak et al. 2016, section 3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ce_retrieval.errors import CeretError, MaskError
from ce_retrieval.pixels import resize, to_unit


class NetworkFill:
    """Fills holes by a network.

    Parameters
    ----------
    weights : file of the network's weights, None for those of the package.

    Attributes
    ----------
    size : side in px of the photos that the network takes.
    about : path, sha256, architecture and size, as JSON types.

    Raises
    ------
    CheckpointError : the file is missing or damaged.
    CeretError : torch is not installed.
    """

    def __init__(self, weights: str | None = None) -> None:
        from ce_retrieval.models.shipped import load_weights

        loaded = load_weights(weights)
        self._weights = loaded
        self.size: int = loaded.config.size
        self.about: dict[str, Any] = {
            "path": str(loaded.path),
            "sha256": loaded.sha256,
            "architecture": loaded.config.architecture,
            "size": self.size,
        }

    def check(self, hole: np.ndarray, *, resized: bool) -> None:
        """Raise MaskError where the network cannot fill a hole bool (S, S) at its size.

        resized: the hole was brought to that size, so that it may leave the predicted part by 1 px of rounding.
        """
        import cv2

        if hole.all():
            raise MaskError("the hole leaves the network nothing to see at its size: use a smaller hole")
        part = self._weights.predicted_part()
        if resized and not part.all():
            part = cv2.dilate(part.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        if (hole & ~part).any():
            name = self.about["architecture"]
            raise MaskError(f"the hole reaches outside the central half, all that {name} predicts: use other `weights`")

    def predict(self, photos: np.ndarray, holes: np.ndarray, *, mirror: bool = False) -> np.ndarray:
        """Return the raw predictions float32 (B, S, S, 3) for photos uint8 (B, S, S, 3) and holes bool (B, S, S).

        In float32, so that a prediction depends on the rest of its batch by rounding alone. mirror: see `predict_photos`.
        """
        if (plain := self._weights.plain_for(len(photos))) is not None:
            return plain.predict(photos, holes, mirror=mirror)
        from ce_retrieval.models.inference import predict_photos

        return predict_photos(self._weights.network, photos, holes, mirror=mirror, fast=False)

    def fills(self, queries: Sequence[tuple[np.ndarray, np.ndarray]], size: int) -> np.ndarray:
        """Return photos with their holes filled, brought to size x size: float32 (B, size, size, 3) in [0, 1].

        queries: (photo uint8 (S, S, 3), hole bool (S, S)) each; all go through the network in one call.
        """
        photos, holes = (np.stack(arrays) for arrays in zip(*queries, strict=True))
        filled = compose(photos, holes, self.predict(photos, holes))
        return np.stack([resize(photo, (size, size)) for photo in filled])


def compose(photos: np.ndarray, holes: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    """Return photos uint8 (B, S, S, 3) with predictions float32 in their holes: float32 in [0, 1]."""
    return np.where(holes[..., None], predicted.clip(0, 1), to_unit(photos))


def can_predict(weights: str | None) -> bool:
    """Return whether a network can be loaded: torch is installed and the weights file exists."""
    from ce_retrieval.models.requirements import require_torch
    from ce_retrieval.models.shipped import weights_path

    try:
        require_torch("a network")
        weights_path(weights)
    except CeretError:
        return False
    return True
