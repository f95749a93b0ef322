"""Gradient-domain pasting: P. Perez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003, section 2.

Inside the hole the result f has the Laplacian of the source g, and equals the photo f* at the known pixels around it
(the paper's equation 7 with its guidance v_pq = g_p - g_q of equation 11, "importing gradients"). For each hole pixel p

    sum over 4-neighbours q in the photo of (f_p - f_q) = sum over the same q of (g_p - g_q).

With the correction u = f - g the sources leave the equations and only the pixels just outside the hole remain:

    sum over q of (u_p - u_q) = 0,    u_q = f*_q - g_q at known q,

so u is the membrane (Laplace) interpolation of the mismatch along the hole's edge, and f = g + u. At the photo's own
border the edges that would leave it are left out (natural condition), as in the paper's discretisation.

Where more is known of what belongs in the hole than its edge tells, an image e with a weight w_p at each pixel, the fill may be
pulled to it (`compose` alone): w_p (f_p - e_p) is added to each equation, the screened Poisson equation of P. Bhat, B.
Curless, M. Cohen, L. Zitnick, "Fourier Analysis of the 2D Screened Poisson Equation for Gradient Domain Problems", ECCV
2008. Structure much larger than 1 / sqrt(w) px then follows e, finer detail the source.

The matrix depends on the hole and the weights alone. It is symmetric and positive definite: a 4-connected part of the hole
with no known neighbour would be the whole photo, and that is refused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.gradients import guided
from ce_retrieval.completion.blend.solvers import Float64, Solve
from ce_retrieval.completion.blend.solvers import factorised as _factorised
from ce_retrieval.completion.blend.solvers import multigrid as _multigrid
from ce_retrieval.errors import MaskError, SolverError

# Up to here a sparse LU (0.8 s, 0.3 GB) pays off after a few sources; beyond, its cost grows faster than the iteration's.
DIRECT_LIMIT = 200_000
# A blend is refused when one of its equations is off by more: 1/400 of a step of 8 bits.
RESIDUAL_LIMIT = 1e-5


class Blend(NamedTuple):
    """fills: float32 (K, H, W, 3) in [0, 1]. residual: the largest error of any equation of any fill, before clipping."""

    fills: NDArray[np.float32]
    residual: float


class PoissonSolver:
    """The Poisson problem of one hole, prepared once and then solved for any number of photos and sources.

    Args:
        hole: bool (H, W), True = missing. Any shape: several parts, parts that touch the photo's border, islands of
            known pixels, single pixels. Copied; only its bounding box and the pixels next to it are worked on.
        pull: float (H, W), w of the above, not negative, read inside the hole; None: 0 everywhere.
        direct_limit: holes of at most this many pixels are factorised (sparse LU), larger ones are solved by conjugate
            gradients with a multigrid preconditioner.

    Raises:
        MaskError: the hole is empty or covers the whole photo.
        ValueError: the hole is not a boolean (H, W) array, or the pull is of another size, negative or not finite.

    Deviation from the paper: it works on 8-bit photos and leaves the range open; here results are clipped to [0, 1].
    """

    def __init__(
        self, hole: NDArray[np.bool_], *, pull: NDArray[Any] | None = None, direct_limit: int = DIRECT_LIMIT
    ) -> None:
        if hole.ndim != 2 or hole.dtype != np.bool_:
            raise ValueError(f"hole: a boolean (H, W) array is needed, not {hole.dtype} {hole.shape}")
        if not hole.any():
            raise MaskError("the hole is empty: mark at least one pixel as missing")
        if hole.all():
            raise MaskError("the hole covers the whole photo: leave at least one known pixel to continue from")
        self.shape: tuple[int, int] = (hole.shape[0], hole.shape[1])
        rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        # One pixel of margin holds every known neighbour; at the photo's border there is none, so no edge either.
        self._window = (
            slice(max(rows[0] - 1, 0), rows[-1] + 2),
            slice(max(cols[0] - 1, 0), cols[-1] + 2),
        )
        inside = hole[self._window].copy()
        matrix, self._coupling, known = _equations(inside)
        self._unknown_at = np.nonzero(inside)
        self._known_at = np.unravel_index(known, inside.shape)
        self._pull: Float64 | None = None
        if pull is not None:
            if pull.shape != hole.shape or not (np.isfinite(pull) & (pull >= 0)).all():
                raise ValueError(f"pull: finite weights {hole.shape}, none below 0, are needed, not {pull.shape}")
            self._pull = pull[self._window][inside].astype(np.float64)[:, None]
            matrix = _with_diagonal(matrix, self._pull[:, 0])
        self._matrix, self._inside = matrix, inside
        if matrix.shape[0] <= direct_limit:
            self._solve: Solve = _factorised(matrix)
        else:
            self._solve = _multigrid(matrix, np.stack(self._unknown_at))

    def blend(self, sources: NDArray[np.float32], photo: NDArray[np.float32]) -> NDArray[np.float32]:
        """Paste each source into the hole so that its gradients survive and its edge meets the photo.

        Args:
            sources: float32 (K, H, W, 3) in [0, 1], aligned with the photo. Read inside the hole and at the known
                pixels next to it.
            photo: float32 (H, W, 3) in [0, 1]. Its hole pixels are never read.

        Returns:
            float32 (K, H, W, 3): known pixels bit-identical to `photo`, hole pixels clipped to [0, 1]. The clipping
            comes last: before it the solution is linear in (sources, photo).

        Raises:
            MaskError: the photo is of another size than the hole.
            SolverError: a large hole's iteration did not converge.
            ValueError: sources of another shape than the photo, arrays of integers, or a solver with a pull.
        """
        self._check(sources, photo)
        self._without_pull()
        result = np.empty(sources.shape, dtype=np.float32)
        result[:] = photo
        target = photo[self._window][self._known_at].astype(np.float64)
        for source, out in zip(sources, result, strict=True):
            inner = source[self._window]
            correction = self._solve(self._coupling @ (target - inner[self._known_at]))
            out[self._window][self._unknown_at] = np.clip(inner[self._unknown_at] + correction, 0.0, 1.0)
        return result

    def compose(
        self,
        sources: NDArray[np.float32],
        photo: NDArray[np.float32],
        taken: NDArray[np.bool_],
        hole: NDArray[np.bool_],
        *,
        mixed: bool = False,
        wanted: NDArray[Any] | None = None,
        workers: int = 1,
    ) -> Blend:
        """Blend scenes that were cut into the photo, each along a seam of its own, over the one domain of this solver.

        Here the solver was made for the domain: the hole and all known pixels that a seam may reach. Inside it the result
        has the gradients of the source where taken and of the photo elsewhere, and it meets the photo at the domain's edge;
        so the step along a seam is spread over both sides of it. With domain, taken and hole all the same: `blend`.

        Args:
            sources: float32 (K, H, W, 3) in [0, 1], aligned with the photo, finite. Read where taken and at the 4-neighbours
                of such pixels: where a scene ends, continue it by its edge's colour.
            photo: float32 (H, W, 3) in [0, 1]. Never read inside the hole.
            taken: bool (K, H, W): the pixels that come from each source, all of the hole and none outside the domain.
            hole: bool (H, W), the pixels that the photo lacks.
            mixed: at taken pixels outside the hole follow the stronger of the two images' gradients (the paper's
                equation 13); inside the hole there is one alone.
            wanted: float (K, H, W, 3), what should be added to each source: e less the source, in whose place one may give
                what is smoother. Read where the pull is positive. Given if and only if the solver has a pull.
            workers: threads, each with a source of its own.

        Returns:
            Blend: pixels outside the domain bit-identical to `photo`, those inside clipped to [0, 1].

        Raises:
            MaskError: the photo, `taken` or `hole` is of another size than the domain, or not taken as above.
            SolverError: an equation is off by more than RESIDUAL_LIMIT.
            ValueError: as `blend`; or a pull with nothing wanted, or the other way round.
        """
        self._check(sources, photo)
        if (wanted is None) != (self._pull is None) or (wanted is not None and wanted.shape != sources.shape):
            raise ValueError(f"wanted: {sources.shape} is needed by a solver with a pull, and nothing by another")
        if hole.shape != self.shape or taken.shape != (len(sources), *self.shape):
            raise MaskError(
                f"the domain is {self.shape}, the hole {hole.shape}, taken {taken.shape}: one size is needed"
            )
        inside, window, result = self._inside, self._window, np.empty(sources.shape, dtype=np.float32)
        hidden = hole[window]
        if (hidden & ~taken[:, *window]).any() or hole.sum() != hidden.sum():
            raise MaskError(
                "the hole is not taken from the source as a whole: take all of it, in a domain that holds it"
            )
        if (taken[:, *window] & ~inside).any() or taken.sum() != taken[:, *window].sum():
            raise MaskError("pixels outside the domain are taken: make the domain as wide as the seam may reach")
        result[:] = photo

        def one(number: int) -> float:
            pasted, divergence = guided(
                sources[number][window], photo[window], taken[number][window], hidden, mixed=mixed
            )
            right = divergence[self._unknown_at]
            if wanted is not None and self._pull is not None:
                right += self._pull * np.where(self._pull > 0, wanted[number][window][self._unknown_at], 0)
            added = self._solve(right)
            result[number][window][self._unknown_at] = np.clip(pasted[self._unknown_at] + added, 0.0, 1.0)
            return float(np.abs(self._matrix @ added - right).max())

        with ThreadPoolExecutor(workers) as pool:
            # Not max() alone: it would lose a residual that is not a number.
            residual = float(np.max(list(pool.map(one, range(len(sources)))), initial=0.0))
        if not residual <= RESIDUAL_LIMIT:
            raise SolverError(
                f"the blend's residual is {residual:.1e}, {RESIDUAL_LIMIT:.0e} allowed: are all values finite?"
            )
        return Blend(result, residual)

    def _without_pull(self) -> None:
        if self._pull is not None:
            raise ValueError("this solver has a pull, and here is nothing to pull to: use compose, or make one without")

    def _check(self, sources: NDArray[Any], photo: NDArray[Any]) -> None:
        if sources.dtype.kind != "f" or photo.dtype.kind != "f":
            raise ValueError(f"floats in [0, 1] are needed, not {sources.dtype} sources and a {photo.dtype} photo")
        if photo.shape != (*self.shape, 3):
            raise MaskError(f"the hole is {self.shape}, the photo {photo.shape}: a photo {(*self.shape, 3)} is needed")
        if sources.ndim != 4 or sources.shape[1:] != photo.shape:
            raise ValueError(f"sources: (K, {photo.shape[0]}, {photo.shape[1]}, 3) is needed, not {sources.shape}")

    @property
    def edge(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns (R,) in the photo of the known pixels next to the hole: all that a membrane hangs from."""
        rows, cols = self._known_at
        return rows + self._window[0].start, cols + self._window[1].start

    def membrane(self, values: Float64) -> Float64:
        """The membranes through C sets of values, float64 (R, C), on the pixels of `edge`.

        Returns float64 (N, C), over the hole's N pixels in the order of `np.nonzero(hole)`. What `blend` adds to a source
        is the membrane of the photo less the source. SolverError, ValueError as `blend`.
        """
        self._without_pull()
        return self._solve(self._coupling @ values)

    def smooth(self, photo: NDArray[np.float32]) -> NDArray[np.float32]:
        """Laplace fill: the membrane through the known pixels around the hole (a blend of a constant source).

        Args:
            photo: float32 (H, W, 3) in [0, 1]. Its hole pixels are never read.

        Returns:
            float32 (H, W, 3): known pixels bit-identical, hole pixels within the range of the known ones around them.

        Raises:
            MaskError, SolverError, ValueError: as `blend`.
        """
        return self.blend(np.zeros((1, *self.shape, 3), dtype=np.float32), photo)[0]


def _with_diagonal(matrix: Any, added: Float64) -> Any:
    from scipy import sparse

    return (matrix + sparse.diags(added)).tocsc()


def _equations(inside: NDArray[np.bool_]) -> tuple[Any, Any, NDArray[np.intp]]:
    """The system of one window: matrix (N, N), coupling (N, M) from M known pixels, and their flat places (M,)."""
    from scipy import sparse

    flat = np.arange(inside.size, dtype=np.int32).reshape(inside.shape)
    one = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
    other = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
    missing = inside.ravel()
    touched = missing[one] | missing[other]
    one, other = one[touched], other[touched]
    here, there = np.concatenate([one, other]), np.concatenate([other, one])
    from_hole = missing[here]
    here, there = here[from_hole], there[from_hole]

    count = int(missing.sum())
    number = np.zeros(inside.size, dtype=np.int32)
    number[missing] = np.arange(count, dtype=np.int32)
    to_hole = missing[there]
    known, column = np.unique(there[~to_hole], return_inverse=True)
    row = number[here]
    coupling = sparse.csr_matrix(
        (np.ones(len(column)), (row[~to_hole], column.astype(np.int32))), shape=(count, len(known))
    )
    diagonal = np.arange(count, dtype=np.int32)
    values = np.concatenate([np.bincount(row, minlength=count).astype(np.float64), np.full(to_hole.sum(), -1.0)])
    places = (np.concatenate([diagonal, row[to_hole]]), np.concatenate([diagonal, number[there[to_hole]]]))
    return sparse.csc_matrix((values, places), shape=(count, count)), coupling, known
