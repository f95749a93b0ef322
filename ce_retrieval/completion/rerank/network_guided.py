"""Network-guided re-ranking: candidates in the order of their distance to a network's fill of the hole.

The score of a candidate c is

    D(c) + RIM * log(1 + R(c) / SAME_PLACE) + TEXTURE * T(c)

with D the distance to the network's fill after a low-pass (`content`), R the rim distance (`rim`), and T the penalty for a lack
of texture (`texture`). The logarithm lets a photo of the same place, nearly equal in the
rim, overrule the network, while it hardly separates other candidates.
"""

from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.rerank.content import ContentDistance
from ce_retrieval.completion.rerank.rim import SAME_PLACE, rim_distance, rim_weights
from ce_retrieval.completion.rerank.texture import Texture

HOLES_HELD = 64
RIM, TEXTURE = 0.005, 0.002  # weights against 1 for the content


class Scores(NamedTuple):
    """The scores of K candidates (low is good) and two distances that they are made of, float32 (K,) each."""

    score: np.ndarray
    rim: np.ndarray
    content: np.ndarray


class _OfHole(NamedTuple):
    content: ContentDistance
    rim: np.ndarray
    texture: Texture


class NetworkGuide:
    """Scores candidates for any hole, with what belongs to the last holes in a cache. Threads may share it.

    Parameters
    ----------
    fill : "paste", "blend" or "mean"
        How the candidates will fill the hole. A mean of blends has no detail of its own, so the texture term is left out.
    """

    def __init__(self, *, fill: str) -> None:
        self._textured = fill != "mean"
        self._blended = fill != "paste"
        self._of_hole = HoleCache(self._make, HOLES_HELD)

    def scores(self, photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, candidates: np.ndarray) -> Scores:
        """Score candidates for a photo.

        Parameters
        ----------
        photo : uint8 (S, S, 3)
            Never read inside the hole.
        hole : bool (S, S), True = missing
        fill : float32 (S, S, 3)
            The network's fill in [0, 1]; read in the hole.
        candidates : uint8 (K, S, S, 3)
        """
        content, rim, texture = self._of_hole(hole)
        by_content = content.distances(candidates, content.target(fill, photo))
        by_rim = rim_distance(photo, candidates, rim)
        score = by_content + RIM * np.log1p(by_rim / SAME_PLACE)
        if self._textured:
            score = score + TEXTURE * texture.penalties(photo, candidates)
        return Scores(score.astype(np.float32), by_rim, by_content)

    def _make(self, hole: np.ndarray) -> _OfHole:
        solver = PoissonSolver(hole) if self._blended else None
        return _OfHole(ContentDistance(hole, solver=solver), rim_weights(hole), Texture(hole))
