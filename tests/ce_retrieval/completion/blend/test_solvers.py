"""The multigrid solver beside the direct one, and its failure."""

import numpy as np
import pytest
from blend_cases import random_hole

from ce_retrieval.completion.blend.equations import hole_equations
from ce_retrieval.completion.blend.solvers import factorised, multigrid
from ce_retrieval.errors import SolverError


@pytest.mark.parametrize("name", ["spiral", "full but one", "band", "disc"])
def test_multigrid_of_many_levels(name: str) -> None:
    """Deep enough to recurse: the coarsest level is forced down to a few unknowns."""
    row, col = np.mgrid[0:120, 0:120] - 60.0
    radius = np.hypot(row, col)
    holes = {
        "spiral": (radius / 5 - np.arctan2(row, col) / np.pi) % 2 < 1.2,
        "full but one": radius > 0,
        "band": np.abs(row) < 40,
        "disc": radius < 55,
    }
    hole = holes[name]
    matrix, coupling, known = hole_equations(hole)
    places = np.stack(np.nonzero(hole))
    right = coupling @ np.random.default_rng(0).random((len(known), 3))
    expected = np.linalg.norm(right, axis=0)
    solution = multigrid(matrix, places, coarsest=30)(right)
    assert (np.linalg.norm(matrix @ solution - right, axis=0) < 1e-5 * expected).all()
    np.testing.assert_allclose(solution, factorised(matrix)(right), atol=1e-5)


def test_multigrid_takes_zero_and_mixed_right_hand_sides() -> None:
    hole = np.zeros((60, 60), dtype=bool)
    hole[5:50, 5:50] = True
    matrix, coupling, known = hole_equations(hole)
    right = coupling @ np.stack([np.zeros(len(known)), np.ones(len(known))], axis=1)
    solution = multigrid(matrix, np.stack(np.nonzero(hole)), coarsest=30)(right)
    np.testing.assert_allclose(solution[:, 0], 0, atol=0)
    np.testing.assert_allclose(solution[:, 1], 1, atol=1e-5)


def test_unfinished_iteration_is_an_error() -> None:
    hole = random_hole(90, 90, 0.9, 0)
    matrix, coupling, known = hole_equations(hole)
    solve = multigrid(matrix, np.stack(np.nonzero(hole)), coarsest=30, max_steps=2)
    with pytest.raises(SolverError, match="did not converge"):
        solve(coupling @ np.random.default_rng(0).random((len(known), 3)))
