"""Distance between what candidates show in a hole and an expected content, after a low-pass.

An expected content (a network's prediction, for example) is a mean over all that may be there: only its low frequencies are
right. So candidates are compared with it after a low-pass, and their detail stays free. For a candidate c and the expected
content f

    D(c) = sum over samples s of n(s) * |L c (s) - L f (s)|^2 / (3 * sum of n(s)).

L is normalised convolution (H. Knutsson, C.-F. Westin, "Normalized and differential convolution", CVPR 1993) with a Gaussian of
deviation lowpass / 2 over the hole's pixels: neither known pixels nor what lies beyond the photo enter it. Samples are the
centres of cells of lowpass / 2 px (at least one) over the hole's box, and n(s) is the number of hole pixels in the cell, so D
approximates the mean over the hole's pixels.

A Poisson blend adds to c the membrane through the mismatch along the hole's edge, and so changes the frequencies that are
compared. With a solver D is the distance of the blend: L(c + membrane) in place of L c. The membrane is linear in the mismatch,
so L of it is a small matrix, computed once for a hole. Deviations: the mismatch is averaged over runs of EDGE_RUN px of the
edge before it spreads, and blends are not clipped to [0, 1].
"""

import numpy as np

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.pixels import crop, hole_box

EDGE_RUN = 4  # px
LOWPASS = 4.0  # px at the index's size: twice the deviation of the Gaussian


class ContentDistance:
    """D of the module's description for one hole.

    Parameters
    ----------
    hole : bool (S, S), True = missing
    lowpass : float, px
    solver : PoissonSolver or None
        The solver of this hole, to compare blends; None compares the candidates as they are.
    """

    def __init__(self, hole: np.ndarray, lowpass: float = LOWPASS, *, solver: PoissonSolver | None) -> None:
        self._box = crop(hole_box(hole))
        inside = hole[self._box].astype(np.float32)
        cell = max(1, round(lowpass / 2))
        self._down, down_cells = _axis(inside.shape[0], cell, lowpass / 2)
        self._across, across_cells = _axis(inside.shape[1], cell, lowpass / 2)
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
        # The cells of a grid cut the edge into runs. Two edges in one cell share a run, being so close.
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

    def target(self, expected: np.ndarray, photo: np.ndarray) -> np.ndarray:
        """Return what `distances` compares candidates with.

        Parameters
        ----------
        expected : float32 (S, S, 3)
            In [0, 1]; read in the hole.
        photo : uint8 (S, S, 3)
            Read on the hole's edge, and only with a solver.
        """
        inner = np.where(self._inside.reshape(*expected[self._box].shape) > 0, expected[self._box], 0)
        target = self._lowpass(inner[None])[0]
        if self._edge:
            target -= self._membranes(photo[None])[0]
        return target

    def distances(self, candidates: np.ndarray, target: np.ndarray) -> np.ndarray:
        """Return D float32 (K,), in squares of [0, 1] values, of candidates uint8 (K, S, S, 3) for a `target`."""
        inner = candidates[:, *self._box]
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
        edge = photos[:, rows, cols].astype(np.float32) * np.float32(1 / 255)
        return self._spread @ (self._run_means @ edge)

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
    centres = (starts + ends - 1) / 2
    away = (pixels - centres[:, None]) / deviation
    member = (pixels >= starts[:, None]) & (pixels < ends[:, None])
    gaussian = np.exp(-0.5 * away**2)
    return gaussian.astype(np.float32), member.astype(np.float32)
