"""What speaks for a scene in a hole beside the paper's scene, context, texture and seam: measured at the index's size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, knows the photo around the hole alone, and
has millions of scenes to choose from. Among thousands the best match of the surroundings is often of another kind, and what
is under the hole decides. So four more terms, of a scene in its place:

  - rim: distance in the pixels next to the hole (`rim`): the context weighs all of its band alike.
  - gist: distance of the whole scene from the photo by gist and colour layout (`descriptors.gist`, at 64 px), the paper's own
    descriptors for the search (section 3): here candidates may come from any features, and of these it tells the kind best.
  - content: distance of what a blend would show, after a low-pass, from what is expected under the hole (`guided`). That
    is a network's prediction or, without one, the mean of the blends of the best scenes: what they agree on.
  - detail: how much smoother the scene is in the hole than the photo around it (T of `guided`); content alone prefers
    smooth scenes.

And what is expected is of use in the blend itself: a fill's colours yield to it a little (`HoleTerms.wanted`).
"""

import numpy as np

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.rerank.content import LOWPASS, ContentDistance
from ce_retrieval.completion.rerank.rim import SAME_PLACE, rim_distance, rim_weights
from ce_retrieval.completion.rerank.texture import Texture
from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.errors import DescriptorError
from ce_retrieval.retrieval.query import square_query
from indexes.masked import masked_distances

HOLES_HELD = 4  # 7 MB each for a hole of half the height and width at 128 px
HALF_CERTAIN = 100  # px of a hole at the index's size: the detail of so few counts half
GIST_SIDE = 64  # px; a quarter of the time at 128 px, and as good at telling scenes apart


class GistDistance:
    """Distances by gist of whole scenes from a photo with a hole."""

    def __init__(self) -> None:
        self._gist = make_descriptor("gist", GIST_SIDE)

    def distances(self, photo: np.ndarray, hole: np.ndarray, scenes: np.ndarray) -> np.ndarray:
        """Return float32 (K,) of scenes uint8 (K, GIST_SIDE, GIST_SIDE, 3), for a photo uint8 (H, W, 3) and its hole bool (H, W).

        Cells under half visible do not count; where that is all of them, every distance is 0.
        """
        small, small_hole = square_query(photo, hole, GIST_SIDE)
        try:
            weights = cell_weights(self._gist, small_hole)
        except DescriptorError:  # nothing of the photo's layout is left to compare
            return np.zeros(len(scenes), np.float32)
        grid = self._gist.describe(small[None], small_hole[None])[0]
        return masked_distances(grid, weights, self._gist.describe(scenes))


class HoleTerms:
    """The terms of one hole bool (S, S) at the index's size."""

    def __init__(self, hole: np.ndarray) -> None:
        self._hole = hole
        self._deviation = LOWPASS / 2
        self._solver = PoissonSolver(hole)
        self._content = ContentDistance(hole, solver=self._solver)
        self._certainty = np.float32(hole.sum() / (hole.sum() + HALF_CERTAIN))
        self._rim = rim_weights(hole)
        self._texture = Texture(hole)

    def consensus(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the mean float32 (S, S, 3) in [0, 1] of the blends of pictures into a photo; both as for `detail`."""
        return self._solver.blend(_unit(pictures), _unit(photo)).mean(axis=0)

    def wanted(self, photo: np.ndarray, pictures: np.ndarray, expected: np.ndarray, trust: float) -> np.ndarray:
        """Return what should be added to each of pictures uint8 (K, S, S, 3) under the hole, float32 (K, S, S, 3), 0 beside it.

        That is what a blend adds, and the low-pass of what is then missing to the expected, float32 (S, S, 3), softly bounded
        by `trust`, of [0, 1] values and over 0: where a scene shows what a blur cannot foresee, it is not painted over. The
        bound is lower where the scene is nearly equal to the photo in the rim, for then it is to be trusted itself.
        """
        around = self.rim(photo, pictures)
        bound = (trust * around / (around + SAME_PLACE))[:, None, None, None].astype(np.float32) + np.float32(1e-6)
        pictures = _unit(pictures)
        blends = self._solver.blend(pictures, _unit(photo))
        missing = self._smoothed(np.where(self._hole[..., None], expected - blends, 0))
        return np.where(self._hole[..., None], blends - pictures + bound * np.tanh(missing / bound), 0)

    def _smoothed(self, values: np.ndarray) -> np.ndarray:
        """Return the low-pass of values float32 (K, S, S, 3) that are 0 outside the hole, within it."""
        from scipy.ndimage import gaussian_filter

        share = gaussian_filter(self._hole.astype(np.float32), self._deviation)
        spread = gaussian_filter(values, (0, self._deviation, self._deviation, 0), mode="constant")
        return spread / np.maximum(share, np.float32(1e-6))[..., None]

    def detail(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return (K,) of pictures uint8 (K, S, S, 3), a photo uint8 (S, S, 3) with a scene laid over its hole each."""
        return self._texture.penalties(photo, pictures) * self._certainty

    def rim(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return (K,); as `detail`."""
        return rim_distance(photo, pictures, self._rim)

    def content(self, photo: np.ndarray, pictures: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return (K,) of pictures as for `detail`; expected: float32 (S, S, 3) in [0, 1]."""
        return self._content.distances(pictures, self._content.target(expected, photo))


def hole_terms() -> HoleCache[HoleTerms]:
    """Return what makes the terms of a hole, and keeps those of the last ones."""
    return HoleCache(HoleTerms, HOLES_HELD)


def _unit(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / np.float32(255)
