"""Penalty for candidates that do not carry on the photo's edges at the hole's border.

    S(c) = 1 - sum over the rim of |g| cos(g, g(c)) / sum of |g|

where g is the gradient of the photo's grey values at known pixels within REACH px of the hole, and g(c) that of the candidate c
at the same pixels. Strong edges count most, and only their direction is compared: an edge of another contrast goes on too.
0: every edge goes on; 1: none; 2: all are reversed.
"""

import numpy as np

from ce_retrieval.completion.rerank.rim import rim_of
from ce_retrieval.pixels import crop, hole_box

REACH = 4  # px
FAINT = 0.02  # of [0, 1] values over 2 px: smaller gradients have no direction
LEAST_EDGES = 1e-3  # mean gradient of the photo under which nothing is compared


class Structure:
    """S of the module's description for one hole bool (S, S); 0 where the photo has no edges beside it."""

    def __init__(self, hole: np.ndarray) -> None:
        rim = rim_of(hole, REACH)
        # Both neighbours in each direction must be known.
        whole = np.zeros_like(hole)
        known = ~hole
        whole[1:-1, 1:-1] = known[:-2, 1:-1] & known[2:, 1:-1] & known[1:-1, :-2] & known[1:-1, 2:]
        rim &= whole
        self._box = crop(hole_box(rim, margin=1)) if rim.any() else None
        self._rim = rim[self._box][1:-1, 1:-1] if self._box else rim

    def penalties(self, photo: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return S float32 (K,) of candidates uint8 (K, S, S, 3) for a photo uint8 (S, S, 3)."""
        if self._box is None:
            return np.zeros(len(candidates), np.float32)
        own = self._gradients(photo[None])[0]
        strength = np.hypot(*own)
        if strength.mean() < LEAST_EDGES:
            return np.zeros(len(candidates), np.float32)
        down, across = self._gradients(candidates).transpose(1, 0, 2)
        alike = (down * own[0] + across * own[1]) / (np.hypot(down, across) + np.float32(FAINT))
        return 1 - alike.sum(axis=1) / strength.sum()

    def _gradients(self, photos: np.ndarray) -> np.ndarray:
        """Return the central differences at the rim's pixels, float32 (K, 2, n), of grey values in [0, 1]."""
        assert self._box is not None
        grey = photos[:, *self._box].astype(np.float32).mean(axis=3) / np.float32(255)
        down = grey[:, 2:, 1:-1] - grey[:, :-2, 1:-1]
        across = grey[:, 1:-1, 2:] - grey[:, 1:-1, :-2]
        return np.stack([down[:, self._rim], across[:, self._rim]], axis=1)
