"""Reconstruction-guided re-ranking: candidates in the order of what a network expects under the hole.

A decoder's fill is a mean over what may be there: right about low frequencies only. So a candidate is compared with it
after a low-pass; its detail stays free. The score of a candidate c, with the decoder's fill f, is

    content * D(c) + rim * R(c) + context * C(c) / median(C)

with R the distance in the rim (`rim.rim_distance`), C the context distance of the search, and

    D(c) = sum over samples s of n(s) * |L c (s) - L f (s)|^2 / (3 * sum of n(s)).

L is normalised convolution (Knutsson and Westin 1993) with a Gaussian of deviation lowpass / 2 within the hole: neither
known pixels nor what lies beyond enter it. Samples are the middles of cells of lowpass / 2 px (at least one) over the
hole's box, and n(s) is the number of hole pixels in the cell, so D approximates the mean over the hole's pixels.

A Poisson blend adds to c the membrane through the mismatch along the hole's edge, and so moves the very frequencies that
are compared. With `blended` D is that of the blend: L(c + membrane) for L c. The membrane is linear in the mismatch, and L
of it is a small matrix, made once for a hole. Deviations: the mismatch is averaged over runs of EDGE_RUN px of the edge
before it spreads, and blends are not clipped to [0, 1].
"""

from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.poisson import PoissonSolver
from ce_retrieval.completion.rim import rim_distance, rim_weights
from ce_retrieval.completion.settings import GuidedSettings
from ce_retrieval.errors import PhotoIndexError

EDGE_RUN = 4  # px
HOLES_HELD = 64


class Scores(NamedTuple):
    """Of each candidate, float32 (K,): the score, and the distances in the rim and of the content that it is made of."""

    score: np.ndarray
    rim: np.ndarray
    content: np.ndarray


def check_guided(settings: GuidedSettings) -> None:
    """PhotoIndexError for weights that are negative or all zero, and lengths that are not positive."""
    weights = (settings.content, settings.rim, settings.context)
    if not all(0 <= weight < float("inf") for weight in weights) or not any(weights):
        raise PhotoIndexError(f"guided weights {weights} cannot order candidates: expected none below 0, and one above")
    for name, value in (("lowpass", settings.lowpass), ("falloff", settings.falloff)):
        if not 0 < value < float("inf"):
            raise PhotoIndexError(f"guided {name} is {value}: expected a positive number of px")


class ContentDistance:
    """D of the module's description, for one hole bool (S, S), with any edge; blended: of blends."""

    def __init__(self, hole: np.ndarray, lowpass: float, *, blended: bool) -> None:
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
        if blended:
            self._prepare_membrane(hole)

    def _prepare_membrane(self, hole: np.ndarray) -> None:
        """Make the matrix (samples, runs of the edge) from mismatches to the low-pass of their membrane."""
        solver = PoissonSolver(hole)
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


class Guide:
    """Scores candidates by the settings, for any hole; keeps what is made once for a hole. Safe to share by threads.

    rim_width: px; blended: the fill that follows is a blend or a mean of blends. PhotoIndexError as `check_guided`.
    """

    def __init__(self, settings: GuidedSettings, rim_width: int, *, blended: bool) -> None:
        check_guided(settings)
        self.settings = settings
        self._rim_width, self._blended = rim_width, blended and settings.blended
        self._held: OrderedDict[tuple[tuple[int, ...], bytes], tuple[ContentDistance, np.ndarray]] = OrderedDict()
        self._lock = Lock()

    def scores(
        self, photo: np.ndarray, hole: np.ndarray, fill: np.ndarray, candidates: np.ndarray, contexts: np.ndarray
    ) -> Scores:
        """Score candidates uint8 (K, S, S, 3) for a photo uint8 (S, S, 3) with a hole bool (S, S); low is good.

        fill: float32 (S, S, 3) in [0, 1], the decoder's, read in the hole; contexts: (K,), the context distances. Where
        their median is 0 they count as they are. What lies under the photo's hole is not read.
        """
        content, rim = self._of_hole(hole)
        by_content = content.distances(candidates, content.target(fill, photo))
        by_rim = rim_distance(photo, candidates, rim)
        median = float(np.median(contexts)) or 1.0
        settings = self.settings
        score = settings.content * by_content + settings.rim * by_rim + settings.context / median * contexts
        return Scores(score.astype(np.float32), by_rim, by_content)

    def _of_hole(self, hole: np.ndarray) -> tuple[ContentDistance, np.ndarray]:
        key = (hole.shape, np.packbits(hole).tobytes())
        with self._lock:
            if key not in self._held:
                content = ContentDistance(hole, self.settings.lowpass, blended=self._blended)
                self._held[key] = content, rim_weights(hole, self._rim_width, self.settings.falloff)
                if len(self._held) > HOLES_HELD:
                    self._held.popitem(last=False)
            self._held.move_to_end(key)
            return self._held[key]
