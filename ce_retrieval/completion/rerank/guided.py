"""Reconstruction-guided re-ranking: candidates in the order of what a network expects under the hole.

A decoder's fill is a mean over what may be there: right about low frequencies only. So a candidate is compared with it
after a low-pass; its detail stays free. The score of a candidate c, with the decoder's fill f, is

    content * D(c) + rim * log(1 + R(c) / SAME) + context * C(c) / median(C) + texture * T(c)

with R the distance in the rim (`rim.rim_distance`), whose logarithm lets a photo of the very place, nearly equal in the rim,
overrule what the network expects, and hardly tells others apart; C the context distance of the search;
T(c) = max(0, log(g / g(c)))^2, where g(c) is the mean absolute difference of neighbouring pixels of c in the hole and g that
of the photo's known pixels within TEXTURE_REACH px of it (so a candidate that is smoother than its surroundings pays, a
rougher one does not); and

    D(c) = sum over samples s of n(s) * |L c (s) - L f (s)|^2 / (3 * sum of n(s)).

L is normalised convolution (Knutsson and Westin 1993) with a Gaussian of deviation lowpass / 2 within the hole: neither
known pixels nor what lies beyond enter it. Samples are the middles of cells of lowpass / 2 px (at least one) over the
hole's box, and n(s) is the number of hole pixels in the cell, so D approximates the mean over the hole's pixels.

A Poisson blend adds to c the membrane through the mismatch along the hole's edge, and so moves the very frequencies that
are compared. With `blended` D is that of the blend: L(c + membrane) for L c. The membrane is linear in the mismatch, and L
of it is a small matrix, made once for a hole. Deviations: the mismatch is averaged over runs of EDGE_RUN px of the edge
before it spreads, and blends are not clipped to [0, 1].
"""

from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.blend.hole_cache import PerHole
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.rerank.rim import rim_distance, rim_of, rim_weights
from ce_retrieval.completion.settings import GuidedSettings
from ce_retrieval.errors import PhotoIndexError

EDGE_RUN = 4  # px
TEXTURE_REACH = 12  # px
# Distance in the rim, of [0, 1] values, of two photos of one place: it is told from others by its logarithm, and trusted.
SAME = 0.002
LEAST_DETAIL = 1e-3  # of neighbouring [0, 1] values: detail below it is noise
HOLES_HELD = 64


class Scores(NamedTuple):
    """Of each candidate, float32 (K,): the score, and the distances in the rim and of the content that it is made of."""

    score: np.ndarray
    rim: np.ndarray
    content: np.ndarray


def check_guided(settings: GuidedSettings) -> None:
    """PhotoIndexError for weights that are negative or all zero, and lengths that are not positive."""
    weights = (settings.content, settings.rim, settings.context, settings.texture)
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise PhotoIndexError(f"guided weights {weights} cannot order candidates: expected none below 0, and one above")
    check_lengths(settings)


def check_lengths(settings: GuidedSettings) -> None:
    """PhotoIndexError for lengths that are not positive."""
    for name, value in (("lowpass", settings.lowpass), ("falloff", settings.falloff)):
        if not 0 < value < float("inf"):
            raise PhotoIndexError(f"guided {name} is {value}: expected a positive number of px")


class ContentDistance:
    """D of the module's description, for one hole bool (S, S), with any edge; of blends with the hole's solver, if given."""

    def __init__(self, hole: np.ndarray, lowpass: float, *, solver: PoissonSolver | None) -> None:
        rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        self._box = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        inside = hole[self._box].astype(np.float32)
        cell = max(1, round(lowpass / 2))
        self._down, down_cells = _axis(inside.shape[0], cell, lowpass / 2)
        self._across, across_cells = _axis(inside.shape[1], cell, lowpass / 2)
        # How many pixels of the hole a cell holds decides how much its sample counts; those of none are left out.
        counts = down_cells @ inside @ across_cells.T
        self._samples = np.flatnonzero(counts > 0)
        share = counts.ravel()[self._samples] / counts.sum()
        self._weights = np.sqrt(share / 3).astype(np.float32)[:, None]
        self._mass = (self._down @ inside @ self._across.T).ravel()[self._samples][:, None]
        self._inside = np.repeat(inside[:, :, None], 3, axis=2).reshape(len(inside), -1)
        self._edge: tuple[np.ndarray, np.ndarray] | None = None
        if solver:
            self._prepare_membrane(hole, solver)

    def _prepare_membrane(self, hole: np.ndarray, solver: PoissonSolver) -> None:
        """Make the matrix (samples, runs of the edge) from mismatches to the low-pass of their membrane."""
        rows, cols = solver.edge
        # Cells of the grid cut the edge into runs; two edges in a cell belong together, so close are they.
        _, run = np.unique(np.stack([rows // EDGE_RUN, cols // EDGE_RUN]), axis=1, return_inverse=True)
        run = run.reshape(-1)
        count = int(run.max()) + 1
        surfaces = solver.membrane(np.eye(count)[run])
        places = np.zeros((*hole.shape, count), np.float32)
        places[hole] = surfaces
        self._spread = self._lowpass(places[self._box].transpose(2, 0, 1)[..., None])[:, :, 0].T
        self._edge = (rows, cols)
        self._run_means = np.zeros((count, len(rows)), np.float32)
        self._run_means[run, np.arange(len(rows))] = 1 / np.bincount(run)[run]

    def target(self, fill: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Return what candidates are compared with, of a fill float32 (S, S, 3) in [0, 1] of a photo uint8 (S, S, 3).

        The fill is read in the hole, the photo on its edge alone.
        """
        inner = np.where(self._inside.reshape(*fill[self._box].shape) > 0, fill[self._box], 0)
        wanted = self._lowpass(inner[None])[0]
        if self._edge:
            wanted -= self._membranes(photo[None])[0]
        return wanted

    def distances(self, candidates: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return float32 (K,), in squares of [0, 1] values, of candidates uint8 (K, S, S, 3) from a `target`."""
        inner = candidates[:, self._box[0], self._box[1]]
        difference = self._lowpass(inner)
        difference *= np.float32(1 / 255)
        if self._edge:
            difference -= self._membranes(candidates)
        difference -= target
        difference *= self._weights
        difference *= difference
        return difference.reshape(len(candidates), -1).sum(axis=1)

    def _membranes(self, photos: np.ndarray) -> np.ndarray:
        """Return the low-pass (K, samples, 3) of the membranes through the edges of photos uint8 (K, S, S, 3)."""
        assert self._edge is not None
        rows, cols = self._edge
        ring = photos[:, rows, cols].astype(np.float32) * np.float32(1 / 255)
        return self._spread @ (self._run_means @ ring)

    def _lowpass(self, inner: np.ndarray) -> np.ndarray:
        """Return float32 (K, samples, C), the low-pass of crops (K, h, w, C)."""
        count, height, width, channels = inner.shape
        values = inner.reshape(count, height, width * channels).astype(np.float32)
        values *= self._inside if channels == 3 else self._inside[:, ::3]
        summed = np.matmul(self._down, values).reshape(count * len(self._down), width, channels)
        summed = np.matmul(self._across, summed).reshape(count, -1, channels)
        return summed[:, self._samples] / self._mass


def _axis(length: int, cell: int, deviation: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the Gaussian's weights and the cells' membership, both float32 (cells, length)."""
    pixels = np.arange(length)
    starts = np.arange(0, length, cell)
    ends = np.minimum(starts + cell, length)
    middles = (starts + ends - 1) / 2
    away = (pixels - middles[:, None]) / deviation
    member = (pixels >= starts[:, None]) & (pixels < ends[:, None])
    gaussian = np.exp(-0.5 * away**2)
    return gaussian.astype(np.float32), member.astype(np.float32)


class Texture:
    """T of the module's description, for one hole bool (S, S); where no two known pixels are side by side it is 0."""

    def __init__(self, hole: np.ndarray) -> None:
        self._hidden = _pairs(hole)
        near = rim_of(hole, TEXTURE_REACH)
        self._known = _pairs(near)
        rows, cols = np.flatnonzero((hole | near).any(axis=1)), np.flatnonzero((hole | near).any(axis=0))
        self._box = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))

    def penalties(self, photo: np.ndarray, candidates: np.ndarray) -> np.ndarray:
        """Return T float32 (K,) of candidates uint8 (K, S, S, 3) for a photo uint8 (S, S, 3), of which known pixels are read."""
        expected = self._detail(photo[None], self._known)[0]
        if not expected > LEAST_DETAIL:
            return np.zeros(len(candidates), np.float32)
        found = np.maximum(self._detail(candidates, self._hidden), LEAST_DETAIL)
        return np.square(np.maximum(np.log(expected / found), 0)).astype(np.float32)

    def _detail(self, photos: np.ndarray, pairs: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return float64 (K,): mean absolute difference over these pairs of pixels, vertical plus horizontal, in [0, 1]."""
        inner = photos[:, self._box[0], self._box[1]]
        total = np.zeros(len(photos))
        for (one, other), used in zip(
            ((inner[:, :-1], inner[:, 1:]), (inner[:, :, :-1], inner[:, :, 1:])), pairs, strict=True
        ):
            counted = used[self._box[0], self._box[1]][: one.shape[1], : one.shape[2]]
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


class _OfHole(NamedTuple):
    content: ContentDistance
    rim: np.ndarray
    texture: Texture


class Guide:
    """Scores candidates by the settings, for any hole; keeps what is made once for a hole. Safe to share by threads.

    rim_width: px; fill: what follows, "paste", "blend" or "mean"; a mean of blends has no detail of its own, so texture does
    not count for it. PhotoIndexError as `check_guided`.
    """

    def __init__(self, settings: GuidedSettings, rim_width: int, *, fill: str) -> None:
        check_guided(settings)
        self.settings = settings
        blended = fill != "paste"
        self._texture = settings.texture if fill != "mean" else 0.0
        self._rim_width, self._blended = rim_width, blended and settings.blended
        self._of_hole = PerHole(self._make, HOLES_HELD)

    def scores(
        self, photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, candidates: np.ndarray, contexts: np.ndarray
    ) -> Scores:
        """Score candidates uint8 (K, S, S, 3) for a photo uint8 (S, S, 3) with a hole bool (S, S); low is good.

        fill: float32 (S, S, 3) in [0, 1], the decoder's, read in the hole; contexts: (K,), the context distances. Where
        their median is 0 they count as they are. What lies under the photo's hole is not read.
        """
        content, rim, texture = self._of_hole(hole)
        by_content = content.distances(candidates, content.target(fill, photo))
        by_rim = rim_distance(photo, candidates, rim)
        median = float(np.median(contexts)) or 1.0
        settings = self.settings
        score = (
            settings.content * by_content
            + settings.rim * np.log1p(by_rim / SAME)
            + settings.context / median * contexts
        )
        if self._texture:
            score = score + self._texture * texture.penalties(photo, candidates)
        return Scores(score.astype(np.float32), by_rim, by_content)

    def _make(self, hole: np.ndarray) -> _OfHole:
        solver = PoissonSolver(hole) if self._blended else None
        content = ContentDistance(hole, self.settings.lowpass, solver=solver)
        return _OfHole(content, rim_weights(hole, self._rim_width, self.settings.falloff), Texture(hole))
