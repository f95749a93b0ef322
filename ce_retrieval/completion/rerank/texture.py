"""Penalty for candidates that are smoother in the hole than the photo is around it.

    T(c) = max(0, log(g / g(c)))^2

where g(c) is the mean absolute difference of neighbouring pixels of the candidate c in the hole, and g the same for the photo's
known pixels within REACH px of the hole. A rougher candidate pays nothing.
"""

import numpy as np

from ce_retrieval.completion.rerank.rim import rim_of
from ce_retrieval.pixels import crop, hole_box

REACH = 12  # px
LEAST_DETAIL = 1e-3  # of [0, 1] values: smaller differences are noise


class Texture:
    """T of the module's description for one hole bool (S, S); 0 if no two known pixels near it are neighbours."""

    def __init__(self, hole: np.ndarray) -> None:
        self._hidden = _pairs(hole)
        near = rim_of(hole, REACH)
        self._known = _pairs(near)
        self._box = crop(hole_box(hole | near))

    def penalties(self, photo: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return T float32 (K,) of candidates uint8 (K, S, S, 3) for the known pixels of a photo uint8 (S, S, 3)."""
        expected = self._detail(photo[None], self._known)[0]
        if not expected > LEAST_DETAIL:
            return np.zeros(len(candidates), np.float32)
        found = np.maximum(self._detail(candidates, self._hidden), LEAST_DETAIL)
        return np.square(np.maximum(np.log(expected / found), 0)).astype(np.float32)

    def _detail(self, photos: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return float64 (K,): mean absolute difference over these pairs of pixels, vertical plus horizontal, in [0, 1]."""
        inner = photos[:, *self._box]
        total = np.zeros(len(photos))
        for (one, other), used in zip(
            ((inner[:, :-1], inner[:, 1:]), (inner[:, :, :-1], inner[:, :, 1:])), pairs, strict=True
        ):
            counted = used[self._box][: one.shape[1], : one.shape[2]]
            if counted.any():
                # uint8 throughout: a subtraction that cannot be negative.
                steps = np.maximum(one, other) - np.minimum(one, other)
                steps *= counted[None, :, :, None]
                total += steps.sum(axis=(1, 2, 3), dtype=np.int64) / (255 * 3 * counted.sum())
        return total


def _pairs(marked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where a pixel and the one below, and a pixel and the one to its right, are both marked: bool (H, W) each."""
    down, right = np.zeros_like(marked), np.zeros_like(marked)
    down[:-1] = marked[:-1] & marked[1:]
    right[:, :-1] = marked[:, :-1] & marked[:, 1:]
    return down, right
