"""Solvers of large sparse systems, symmetric and positive definite, each prepared once for many right-hand sides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.factors import Factors
from ce_retrieval.errors import SolverError

# Accepted error relative to the zero start, in the energy norm as the preconditioner estimates it.
TOLERANCE = 1e-7

Float64 = NDArray[np.float64]
Solve = Callable[[Float64], Float64]


def factorised(matrix: Any) -> Solve:
    """Return the solver by sparse LU."""
    return Factors(matrix).solve


def multigrid(matrix: Any, places: NDArray[np.intp], *, coarsest: int = 20_000, max_steps: int = 200) -> Solve:
    """Return the solver by conjugate gradients, preconditioned by one V-cycle of smoothed aggregation.

    Parameters
    ----------
    matrix : sparse (N, N), symmetric positive definite
    places : int (2, N)
        Row and column of each unknown in the grid.
    coarsest : int
        Levels are added until one has at most this many unknowns; that one is factorised.
    max_steps : int
        The solver raises a SolverError if it has not converged after this many steps.

    Notes
    -----
    P. Vanek, J. Mandel, M. Brezina, "Algebraic multigrid by smoothed aggregation", Computing 56, 1996. Deviation: the
    aggregates are 3x3 blocks of the pixel grid. The paper grows them along strong couplings, but here all are equally strong.
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
        # 2/3 = (4/3) / rho(D^-1 A): the rows of the M-matrix bound rho by 2.
        damped = (2.0 / 3.0) / level.diagonal()
        prolong = (piecewise - sparse.diags(damped) @ (level @ piecewise)).tocsr()
        restrict = prolong.T.tocsr()
        levels.append((level, damped[:, None], prolong, restrict))
        level = (restrict @ level @ prolong).tocsr()
        places = np.stack([blocks // width, blocks % width])
    solve_coarsest = factorised(level.tocsc())

    def cycle(residual: Float64, depth: int = 0) -> Float64:
        if depth == len(levels):
            return solve_coarsest(residual)
        level, damped, prolong, restrict = levels[depth]
        guess: Float64 = damped * residual
        guess += prolong @ cycle(restrict @ (residual - level @ guess), depth + 1)
        guess += damped * (residual - level @ guess)
        return guess

    return lambda right: _conjugate_gradients(matrix, cycle, right, max_steps)


def _conjugate_gradients(matrix: Any, precondition: Solve, right: Float64, max_steps: int) -> Float64:
    """Solve for all columns of `right` (N, C) at once, each with its own step lengths."""
    solution = np.zeros_like(right)
    residual = right.copy()
    ready = precondition(residual)
    direction = ready.copy()
    energy = np.einsum("nc,nc->c", residual, ready)
    goal = energy * TOLERANCE**2
    for _ in range(max_steps):
        image = matrix @ direction
        # An exactly solved column has a zero direction: it must stand still, not divide by zero.
        curvature = np.einsum("nc,nc->c", direction, image)
        step = np.divide(energy, curvature, out=np.zeros_like(energy), where=curvature > 0)
        solution += step * direction
        residual -= step * image
        ready = precondition(residual)
        before, energy = energy, np.einsum("nc,nc->c", residual, ready)
        if (energy <= goal).all():
            return solution
        direction = ready + np.divide(energy, before, out=np.zeros_like(energy), where=before > 0) * direction
    worst = float(np.sqrt(np.divide(energy, goal, out=np.zeros_like(goal), where=goal > 0).max()) * TOLERANCE)
    raise SolverError(
        f"the blend of a hole of {len(right)} pixels did not converge: error {worst:.1e} of the start after {max_steps} "
        f"steps, {TOLERANCE:.0e} needed; work on a smaller photo"
    )
