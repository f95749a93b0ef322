"""Gradient-domain pasting: P. Perez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003, section 2.

Inside the hole the result f has the Laplacian of the source g, and at the known pixels around the hole it equals the photo f*
(the paper's equation 7 with the guidance v_pq = g_p - g_q of equation 11, "importing gradients"). For each hole pixel p

    sum over 4-neighbours q in the photo of (f_p - f_q) = sum over the same q of (g_p - g_q).

For the correction u = f - g the equations no longer contain the source, except through the known pixels next to the hole:

    sum over q of (u_p - u_q) = 0,    u_q = f*_q - g_q at known q.

So u is the membrane (Laplace) interpolation of the mismatch along the hole's edge, and f = g + u. Edges that would leave the
photo are omitted (natural boundary condition), as in the paper's discretisation.

`compose` may also pull the fill to an expected image e, with a weight w_p at each pixel: w_p (f_p - e_p) is added to each
equation. This is the screened Poisson equation of P. Bhat, B. Curless, M. Cohen, L. Zitnick, "Fourier Analysis of the 2D Screened
Poisson Equation for Gradient Domain Problems", ECCV 2008. Structure much larger than 1 / sqrt(w) px then follows e, finer
detail follows the source.

The matrix depends on the hole and the weights alone. It is symmetric and positive definite, because each 4-connected part of
the hole has a known neighbour: a part without one would be the whole photo, which is refused.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend import solvers
from ce_retrieval.completion.blend.equations import hole_equations, with_pull
from ce_retrieval.completion.blend.gradients import composite_and_divergence
from ce_retrieval.completion.blend.solvers import Float64
from ce_retrieval.errors import MaskError, SolverError
from ce_retrieval.pixels import check_hole, crop, hole_box

# A sparse LU of this size takes 0.8 s and 0.3 GB, which pays off after a few sources. Its cost grows faster than the iteration's.
DIRECT_LIMIT = 200_000
# Largest error of an equation in a blend that is accepted: 1/400 of an 8-bit step.
RESIDUAL_LIMIT = 1e-5


class Blend(NamedTuple):
    """The result of `PoissonSolver.compose`.

    Attributes
    ----------
    fills : float32 (K, H, W, 3)
        In [0, 1].
    residual : float
        The largest error of any equation of any fill, before clipping.
    """

    fills: NDArray[np.float32]
    residual: float


class PoissonSolver:
    """The Poisson problem of one hole: prepared once, then solved for any number of photos and sources.

    Parameters
    ----------
    hole : bool (H, W)
        True = missing. Any shape: several parts, parts at the photo's border, islands of known pixels, single pixels.
        Copied; only its bounding box and the pixels next to it are worked on.
    pull : float (H, W) or None
        The weights w of the module's description, 0 or more, read inside the hole; None: 0 everywhere.
    direct_limit : int
        Holes of at most this many pixels are solved by a sparse LU, larger ones by multigrid.

    Raises
    ------
    MaskError
        As `check_hole`.
    ValueError
        The pull has another size than the hole, or is negative or not finite.

    Notes
    -----
    The paper leaves the range of the result open; here results are clipped to [0, 1].
    """

    def __init__(
        self, hole: NDArray[np.bool_], *, pull: NDArray[Any] | None = None, direct_limit: int = DIRECT_LIMIT
    ) -> None:
        check_hole(hole)
        self.shape: tuple[int, int] = (hole.shape[0], hole.shape[1])
        # One pixel of margin holds every known neighbour.
        self._window = crop(hole_box(hole, 1))
        inside = hole[self._window].copy()
        matrix, self._coupling, known = hole_equations(inside)
        self._unknown_at = np.nonzero(inside)
        self._known_at = np.unravel_index(known, inside.shape)
        self._pull: Float64 | None = None
        if pull is not None:
            if pull.shape != hole.shape or not (np.isfinite(pull) & (pull >= 0)).all():
                raise ValueError(f"pull: finite weights {hole.shape}, none below 0, are needed, not {pull.shape}")
            self._pull = pull[self._window][inside].astype(np.float64)[:, None]
            matrix = with_pull(matrix, self._pull[:, 0])
        self._matrix, self._inside = matrix, inside
        if matrix.shape[0] <= direct_limit:
            self._solve = solvers.factorised(matrix)
        else:
            self._solve = solvers.multigrid(matrix, np.stack(self._unknown_at))

    def blend(self, sources: NDArray[np.float32], photo: NDArray[np.float32]) -> NDArray[np.float32]:
        """Paste each source into the hole so that its gradients survive and its edge meets the photo.

        Parameters
        ----------
        sources : float32 (K, H, W, 3)
            In [0, 1], aligned with the photo. Read inside the hole and at the known pixels next to it.
        photo : float32 (H, W, 3)
            In [0, 1]. Its hole pixels are never read.

        Returns
        -------
        float32 (K, H, W, 3): known pixels bit-identical to `photo`, hole pixels clipped to [0, 1]. Before the clipping the
        solution is linear in (sources, photo).

        Raises
        ------
        MaskError
            The photo has another size than the hole.
        SolverError
            The iteration for a large hole did not converge.
        ValueError
            The sources have another shape than the photo, arrays hold integers, or the solver has a pull.
        """
        self._check(sources, photo)
        self._check_no_pull()
        result = np.empty(sources.shape, dtype=np.float32)
        result[:] = photo
        boundary = photo[self._window][self._known_at].astype(np.float64)
        for source, out in zip(sources, result, strict=True):
            inner = source[self._window]
            correction = self._solve(self._coupling @ (boundary - inner[self._known_at]))
            out[self._window][self._unknown_at] = np.clip(inner[self._unknown_at] + correction, 0.0, 1.0)
        return result

    def smooth(self, photo: NDArray[np.float32]) -> NDArray[np.float32]:
        """Fill the hole with the membrane through the known pixels around it: the blend of a constant source.

        Parameters
        ----------
        photo : float32 (H, W, 3)
            In [0, 1]. Its hole pixels are never read.

        Returns
        -------
        float32 (H, W, 3): known pixels bit-identical, hole pixels within the range of the known ones around them.

        Raises
        ------
        MaskError, SolverError, ValueError
            As `blend`.
        """
        return self.blend(np.zeros((1, *self.shape, 3), dtype=np.float32), photo)[0]

    @property
    def edge(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns (R,) in the photo of the known pixels next to the hole, which determine a membrane."""
        rows, cols = self._known_at
        return rows + self._window[0].start, cols + self._window[1].start

    def membrane(self, values: Float64) -> Float64:
        """Return the membranes through C sets of values float64 (R, C) on the pixels of `edge`.

        Returns
        -------
        float64 (N, C), over the N hole pixels in the order of `np.nonzero(hole)`. What `blend` adds to a source is the
        membrane of the photo less the source.

        Raises
        ------
        SolverError, ValueError
            As `blend`.
        """
        self._check_no_pull()
        return self._solve(self._coupling @ values)

    def compose(
        self,
        sources: NDArray[np.float32],
        photo: NDArray[np.float32],
        taken: NDArray[np.bool_],
        hole: NDArray[np.bool_],
        *,
        mixed: bool = False,
        pull_to: NDArray[Any] | None = None,
        workers: int = 1,
    ) -> Blend:
        """Blend scenes that were cut into the photo along seams, all over the one domain of this solver.

        For this the solver is made with the domain in place of the hole: the hole and all known pixels that a seam may reach.
        Inside the domain the result has the gradients of the source where taken and of the photo elsewhere, and it meets the
        photo at the domain's edge. So the step along a seam is spread over both of its sides. If domain, taken and hole are
        the same, this is `blend`.

        Parameters
        ----------
        sources : float32 (K, H, W, 3)
            In [0, 1], aligned with the photo, finite. Read where taken and at the 4-neighbours of these pixels; beyond a
            scene's border, repeat its border pixels.
        photo : float32 (H, W, 3)
            In [0, 1]. Never read inside the hole.
        taken : bool (K, H, W)
            Pixels that come from each source: all of the hole, and none outside the domain.
        hole : bool (H, W)
            Pixels that the photo lacks.
        mixed : bool
            Whether taken pixels outside the hole follow the stronger of the two images' gradients (equation 13).
        pull_to : float (K, H, W, 3) or None
            The correction e - g that the pull draws to, for each source g. It may be smoother than e - g itself. Read
            where the pull is positive. Required if the solver has a pull, else None.
        workers : int
            Threads; each solves for one source at a time.

        Returns
        -------
        Blend, with pixels outside the domain bit-identical to `photo` and those inside clipped to [0, 1].

        Raises
        ------
        MaskError
            The photo, `taken` or `hole` has another size than the domain, or `taken` breaks its rule.
        SolverError
            An equation is off by more than RESIDUAL_LIMIT.
        ValueError
            As `blend`; or only one of `pull` and `pull_to` is given.
        """
        self._check(sources, photo)
        if (pull_to is None) != (self._pull is None) or (pull_to is not None and pull_to.shape != sources.shape):
            raise ValueError(f"pull_to: {sources.shape} is needed with a pull, and None without one")
        self._check_cut(taken, hole, len(sources))
        window, result = self._window, np.empty(sources.shape, dtype=np.float32)
        hidden = hole[window]
        result[:] = photo

        def one(number: int) -> float:
            composite, divergence = composite_and_divergence(
                sources[number][window], photo[window], taken[number][window], hidden, mixed=mixed
            )
            right = divergence[self._unknown_at]
            if pull_to is not None and self._pull is not None:
                right += self._pull * np.where(self._pull > 0, pull_to[number][window][self._unknown_at], 0)
            correction = self._solve(right)
            result[number][window][self._unknown_at] = np.clip(composite[self._unknown_at] + correction, 0.0, 1.0)
            return float(np.abs(self._matrix @ correction - right).max())

        with ThreadPoolExecutor(workers) as pool:
            # np.max and not max: the latter would lose a residual that is NaN.
            residual = float(np.max(list(pool.map(one, range(len(sources)))), initial=0.0))
        if not residual <= RESIDUAL_LIMIT:
            raise SolverError(
                f"the blend's residual is {residual:.1e}, {RESIDUAL_LIMIT:.0e} allowed: are all values finite?"
            )
        return Blend(result, residual)

    def _check_cut(self, taken: NDArray[np.bool_], hole: NDArray[np.bool_], count: int) -> None:
        """Raise MaskError unless `taken` holds the whole hole and lies in the domain."""
        if hole.shape != self.shape or taken.shape != (count, *self.shape):
            raise MaskError(
                f"the domain is {self.shape}, the hole {hole.shape}, taken {taken.shape}: make them the same size"
            )
        hidden, taken_inside = hole[self._window], taken[:, *self._window]
        if (hidden & ~taken_inside).any() or hole.sum() != hidden.sum():
            raise MaskError("part of the hole is not taken from the source: take all of it, in a domain that holds it")
        if (taken_inside & ~self._inside).any() or taken.sum() != taken_inside.sum():
            raise MaskError("pixels outside the domain are taken: make the domain as wide as the seam may reach")

    def _check_no_pull(self) -> None:
        if self._pull is not None:
            raise ValueError("this solver has a pull, which only compose takes into account: use compose, or no pull")

    def _check(self, sources: NDArray[Any], photo: NDArray[Any]) -> None:
        if sources.dtype.kind != "f" or photo.dtype.kind != "f":
            raise ValueError(f"floats in [0, 1] are needed, not {sources.dtype} sources and a {photo.dtype} photo")
        if photo.shape != (*self.shape, 3):
            raise MaskError(f"the hole is {self.shape}, the photo {photo.shape}: a photo {(*self.shape, 3)} is needed")
        if sources.ndim != 4 or sources.shape[1:] != photo.shape:
            raise ValueError(f"sources: (K, {photo.shape[0]}, {photo.shape[1]}, 3) is needed, not {sources.shape}")
