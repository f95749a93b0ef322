"""Ranking terms beside the paper's scene, context, texture and seam, measured at the index's size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, knows only the photo around the hole, and
has millions of scenes to choose from. Among thousands the best match of the surroundings is often of another kind, and the
content under the hole decides. So five more terms, of a scene in its place:

  - rim: distance in the pixels next to the hole (`rerank.rim`): the context weighs all of its band alike.
  - gist: distance of the whole scene from the photo by gist and colour layout (`descriptors.gist`, at 64 px), the paper's own
    descriptors for the search (section 3): here candidates may come from any features, and of these it tells the kind best.
  - content: distance of the blend, after a low-pass, from the expected content (`rerank.content`): a network's fill or,
    without one, the mean of the blends of the best scenes.
  - structure: whether the photo's edges go on in the scene at the hole's border (`rerank.structure`).
  - detail: how much smoother the scene is in the hole than the photo around it (`rerank.texture`); content alone prefers
    smooth scenes.

The expected content also corrects the colours of the blend itself (`HoleTerms.corrections`).
"""

import numpy as np

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.rerank.content import LOWPASS, ContentDistance
from ce_retrieval.completion.rerank.rim import SAME_PLACE, rim_distance, rim_weights
from ce_retrieval.completion.rerank.structure import Structure
from ce_retrieval.completion.rerank.texture import Texture
from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.errors import DescriptorError
from ce_retrieval.pixels import to_unit
from ce_retrieval.retrieval.query import square_query
from indexes.masked import masked_distances

HOLES_HELD = 4  # 7 MB each for a hole of half the height and width at 128 px
HALF_CERTAIN = 100  # px of a hole at the index's size at which its detail counts half
GIST_SIDE = 64  # px; a quarter of the time at 128 px, and as good at telling scenes apart


class GistDistance:
    """Distances by gist of whole scenes from a photo with a hole."""

    def __init__(self) -> None:
        self._gist = make_descriptor("gist", GIST_SIDE)

    def distances(self, photo: np.ndarray, hole: np.ndarray, scenes: np.ndarray) -> np.ndarray:
        """Return float32 (K,) of scenes uint8 (K, GIST_SIDE, GIST_SIDE, 3), for a photo uint8 (H, W, 3) and its hole bool (H, W).

        Cells under half visible do not count; where that leaves none, every distance is 0.
        """
        small, small_hole = square_query(photo, hole, GIST_SIDE)
        try:
            weights = cell_weights(self._gist, small_hole)
        except DescriptorError:  # nothing of the photo's layout is left to compare
            return np.zeros(len(scenes), np.float32)
        grid = self._gist.describe(small[None], small_hole[None])[0]
        return masked_distances(grid, weights, self._gist.describe(scenes))


class HoleTerms:
    """The terms of one hole bool (S, S) at the index's size.

    Its methods take a photo uint8 (S, S, 3) and pictures uint8 (K, S, S, 3): the photo, each with a scene laid over the hole
    and its context.
    """

    def __init__(self, hole: np.ndarray) -> None:
        self._hole = hole
        self._solver = PoissonSolver(hole)
        self._content = ContentDistance(hole, solver=self._solver)
        self._certainty = np.float32(hole.sum() / (hole.sum() + HALF_CERTAIN))
        self._rim = rim_weights(hole)
        self._texture, self._structure = Texture(hole), Structure(hole)

    def rim(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the term rim of each picture, (K,)."""
        return rim_distance(photo, pictures, self._rim)

    def structure(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the term structure of each picture, (K,)."""
        return self._structure.penalties(photo, pictures)

    def detail(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the term detail of each picture, (K,)."""
        return self._texture.penalties(photo, pictures) * self._certainty

    def content(self, photo: np.ndarray, pictures: np.ndarray, expected: np.ndarray) -> np.ndarray:
        """Return the term content of each picture, (K,); expected: float32 (S, S, 3) in [0, 1]."""
        return self._content.distances(pictures, self._content.target(expected, photo))

    def consensus(self, photo: np.ndarray, pictures: np.ndarray) -> np.ndarray:
        """Return the mean of the blends of pictures into the photo, float32 (S, S, 3) in [0, 1]."""
        return self._solver.blend(to_unit(pictures), to_unit(photo)).mean(axis=0)

    def corrections(self, photo: np.ndarray, pictures: np.ndarray, expected: np.ndarray, trust: float) -> np.ndarray:
        """Return what the final blend should add to each picture in the hole, as a pull (`blend.poisson`).

        Parameters
        ----------
        expected : float32 (S, S, 3) in [0, 1]
        trust : over 0
            largest step towards the expected content, in [0, 1] units; smaller where the scene is nearly equal to the photo in
            the rim, because it is then reliable itself.

        Returns
        -------
        float32 (K, S, S, 3), 0 beside the hole: what the blend adds, and the low-pass of its difference from the expected
        content, softly bounded. So a scene's content that a blur cannot foresee is not painted over.
        """
        around = self.rim(photo, pictures)
        bound = (trust * around / (around + SAME_PLACE))[:, None, None, None].astype(np.float32) + np.float32(1e-6)
        scenes = to_unit(pictures)
        blends = self._solver.blend(scenes, to_unit(photo))
        missing = self._smoothed(np.where(self._hole[..., None], expected - blends, 0))
        return np.where(self._hole[..., None], blends - scenes + bound * np.tanh(missing / bound), 0)

    def _smoothed(self, values: np.ndarray) -> np.ndarray:
        """Return the low-pass within the hole of values float32 (K, S, S, 3) that are 0 outside it."""
        from scipy.ndimage import gaussian_filter

        deviation = LOWPASS / 2
        share = gaussian_filter(self._hole.astype(np.float32), deviation)
        spread = gaussian_filter(values, (0, deviation, deviation, 0), mode="constant")
        return spread / np.maximum(share, np.float32(1e-6))[..., None]


def hole_terms() -> HoleCache[HoleTerms]:
    """Return a cache of the terms of the last holes."""
    return HoleCache(HoleTerms, HOLES_HELD)
