"""Gradient-domain pasting: P. Perez, M. Gangnet, A. Blake, "Poisson Image Editing", SIGGRAPH 2003, section 2.

Inside the hole the result f has the Laplacian of the source g, and equals the photo f* at the known pixels around it
(the paper's equation 7 with its guidance v_pq = g_p - g_q of equation 11, "importing gradients"). For each hole pixel p

    sum over 4-neighbours q in the photo of (f_p - f_q) = sum over the same q of (g_p - g_q).

With the correction u = f - g the sources leave the equations and only the pixels just outside the hole remain:

    sum over q of (u_p - u_q) = 0,    u_q = f*_q - g_q at known q,

so u is the membrane (Laplace) interpolation of the mismatch along the hole's edge, and f = g + u. At the photo's own
border the edges that would leave it are left out (natural condition), as in the paper's discretisation.

The matrix depends on the hole alone. It is symmetric and positive definite: a 4-connected part of the hole with no known
neighbour would be the whole photo, and that is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError, SolverError

# Up to here a sparse LU (0.8 s, 0.3 GB) pays off after a few sources; beyond, its cost grows faster than the iteration's.
DIRECT_LIMIT = 200_000

Float64 = NDArray[np.float64]
Solve = Callable[[Float64], Float64]


class PoissonSolver:
    """The Poisson problem of one hole, prepared once and then solved for any number of photos and sources.

    Args:
        hole: bool (H, W), True = missing. Any shape: several parts, parts that touch the photo's border, islands of
            known pixels, single pixels. Copied; only its bounding box and the pixels next to it are worked on.
        direct_limit: holes of at most this many pixels are factorised (sparse LU), larger ones are solved by conjugate
            gradients with a multigrid preconditioner.

    Raises:
        MaskError: the hole is empty or covers the whole photo.
        ValueError: the hole is not a boolean (H, W) array.

    Deviation from the paper: it works on 8-bit photos and leaves the range open; here results are clipped to [0, 1].
    """

    def __init__(self, hole: NDArray[np.bool_], *, direct_limit: int = DIRECT_LIMIT) -> None:
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
        if matrix.shape[0] <= direct_limit:
            self._solve = _factorised(matrix)
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
            ValueError: sources of another shape than the photo, or arrays of integers.
        """
        if sources.dtype.kind != "f" or photo.dtype.kind != "f":
            raise ValueError(f"floats in [0, 1] are needed, not {sources.dtype} sources and a {photo.dtype} photo")
        if photo.shape != (*self.shape, 3):
            raise MaskError(f"the hole is {self.shape}, the photo {photo.shape}: a photo {(*self.shape, 3)} is needed")
        if sources.ndim != 4 or sources.shape[1:] != photo.shape:
            raise ValueError(f"sources: (K, {photo.shape[0]}, {photo.shape[1]}, 3) is needed, not {sources.shape}")
        result = np.empty(sources.shape, dtype=np.float32)
        result[:] = photo
        target = photo[self._window][self._known_at].astype(np.float64)
        for source, out in zip(sources, result, strict=True):
            inner = source[self._window]
            correction = self._solve(self._coupling @ (target - inner[self._known_at]))
            out[self._window][self._unknown_at] = np.clip(inner[self._unknown_at] + correction, 0.0, 1.0)
        return result

    @property
    def edge(self) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Rows and columns (R,) in the photo of the known pixels next to the hole: all that a membrane hangs from."""
        rows, cols = self._known_at
        return rows + self._window[0].start, cols + self._window[1].start

    def membrane(self, values: Float64) -> Float64:
        """The membranes through C sets of values, float64 (R, C), on the pixels of `edge`.

        Returns float64 (N, C), over the hole's N pixels in the order of `np.nonzero(hole)`. What `blend` adds to a source
        is the membrane of the photo less the source. SolverError as `blend`.
        """
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


def _factorised(matrix: Any) -> Solve:
    """Sparse LU of a symmetric positive definite matrix, ordered for it (pivots stay on the diagonal)."""
    from scipy.sparse.linalg import splu

    factors = splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    solve: Solve = factors.solve
    return solve


def _multigrid(
    matrix: Any, places: NDArray[np.intp], *, coarsest: int = 20_000, tolerance: float = 1e-7, max_steps: int = 200
) -> Solve:
    """Conjugate gradients preconditioned by one V-cycle of smoothed aggregation.

    P. Vanek, J. Mandel, M. Brezina, "Algebraic multigrid by smoothed aggregation", Computing 56, 1996. Deviation: the
    aggregates are 3x3 blocks of the pixel grid, not grown along strong couplings, for here all are equally strong.

    Args:
        matrix: sparse (N, N), symmetric positive definite.
        places: int (2, N), each unknown's row and column in the grid.
        coarsest: levels are added until one has at most this many unknowns; that one is factorised.
        tolerance: the error's energy norm, as the preconditioner estimates it, over that of the zero start.
        max_steps: steps after which the solve gives up with a SolverError.
    """
    from scipy import sparse

    levels = []
    level = matrix.tocsr()
    while level.shape[0] > coarsest:
        places = places // 3
        width = places[1].max() + 1
        blocks, aggregate = np.unique(places[0] * width + places[1], return_inverse=True)
        ones = np.ones(len(aggregate))
        piecewise = sparse.csr_matrix((ones, aggregate, np.arange(len(aggregate) + 1)), (len(aggregate), len(blocks)))
        # 2/3 = (4/3) / rho(D^-1 A): the M-matrix' rows bound rho by 2.
        damped = (2.0 / 3.0) / level.diagonal()
        prolong = (piecewise - sparse.diags(damped) @ (level @ piecewise)).tocsr()
        restrict = prolong.T.tocsr()
        levels.append((level, damped[:, None], prolong, restrict))
        level = (restrict @ level @ prolong).tocsr()
        places = np.stack([blocks // width, blocks % width])
    solve_coarsest = _factorised(level.tocsc())

    def cycle(residual: Float64, depth: int = 0) -> Float64:
        if depth == len(levels):
            return solve_coarsest(residual)
        level, damped, prolong, restrict = levels[depth]
        guess: Float64 = damped * residual
        guess += prolong @ cycle(restrict @ (residual - level @ guess), depth + 1)
        guess += damped * (residual - level @ guess)
        return guess

    def solve(right: Float64) -> Float64:
        return _conjugate_gradients(matrix, cycle, right, tolerance=tolerance, max_steps=max_steps)

    return solve


def _conjugate_gradients(
    matrix: Any, precondition: Solve, right: Float64, *, tolerance: float, max_steps: int
) -> Float64:
    """Solve for all columns of `right` (N, C) at once, each with steps of its own; SolverError when one is not done."""
    solution = np.zeros_like(right)
    residual = right.copy()
    ready = precondition(residual)
    direction = ready.copy()
    energy = np.einsum("nc,nc->c", residual, ready)
    goal = energy * tolerance**2
    for _ in range(max_steps):
        image = matrix @ direction
        # A column that is solved exactly has a zero direction: it must stand still, not divide by zero.
        curvature = np.einsum("nc,nc->c", direction, image)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        solution += step * direction
        residual -= step * image
        ready = precondition(residual)
        before, energy = energy, np.einsum("nc,nc->c", residual, ready)
        if (energy <= goal).all():
            return solution
        direction = ready + np.divide(energy, before, out=np.zeros_like(energy), where=before > 0) * direction
    worst = float(np.sqrt(np.divide(energy, goal, out=np.zeros_like(goal), where=goal > 0).max()) * tolerance)
    raise SolverError(
        f"the blend of a hole of {len(right)} pixels did not converge: error {worst:.1e} of the start after {max_steps} "
        f"steps, {tolerance:.0e} needed; work on a smaller photo"
    )
