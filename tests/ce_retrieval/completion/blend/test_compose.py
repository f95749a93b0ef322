"""Blends of scenes that were cut into a photo, over a domain, against dense solutions of the same equations."""

import numpy as np
import pytest
from blend_cases import HOLES, dense_solution, random_photos

from ce_retrieval.completion.blend import solvers
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.errors import MaskError, SolverError


def cut_in_a_domain(seed: int, shape=(13, 16), count=3):
    """A domain, a hole in it, and what is taken for each of several sources: all of the hole and some pixels about it."""
    from scipy.ndimage import binary_dilation

    rng = np.random.default_rng(seed)
    hole = np.zeros(shape, dtype=bool)
    hole[4:8, 5:10] = True
    hole[-3:, :2] = True
    domain = binary_dilation(hole, iterations=3)
    taken = hole | (domain & (rng.random((count, *shape)) < 0.5))
    return domain, hole, taken


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("direct_limit", [0, 10**6])
def test_compose_is_the_dense_solution(mixed: bool, direct_limit: int) -> None:
    domain, hole, taken = cut_in_a_domain(0)
    photo, *sources = 0.4 + 0.05 * random_photos(4, hole)
    blend = PoissonSolver(domain, direct_limit=direct_limit).compose(
        np.stack(sources), photo, taken, hole, mixed=mixed, workers=2
    )
    assert blend.residual < 1e-5 and blend.fills.dtype == np.float32
    for source, one, result in zip(sources, taken, blend.fills, strict=True):
        expected = dense_solution(domain, source, photo, taken=one, hole=hole, mixed=mixed)
        np.testing.assert_allclose(result, expected, atol=1e-6)
        assert (result[~domain] == photo[~domain]).all()


def test_mixed_gradients_keep_what_is_stronger_and_make_a_difference() -> None:
    domain, hole, taken = cut_in_a_domain(1)
    photo, source = random_photos(2, hole)
    flat = np.full_like(source, 0.5)
    solver = PoissonSolver(domain)
    taken[0] = domain
    plain, mixed = (solver.compose(flat[None], photo, taken[:1], hole, mixed=m).fills[0] for m in (False, True))
    assert np.abs(plain - mixed)[domain].max() > 0.1
    # A source without gradients adds nothing to a photo's known pixels; far from the hole the photo comes through.
    assert np.abs(mixed - photo)[domain & ~hole].mean() < 0.5 * np.abs(plain - photo)[domain & ~hole].mean()


@pytest.mark.parametrize("name", HOLES)
def test_compose_of_the_hole_alone_is_blend(name: str) -> None:
    hole = HOLES[name]
    photo, *sources = random_photos(4, hole)
    solver, stack = PoissonSolver(hole), np.stack(sources)
    for mixed in (False, True):
        composed = solver.compose(stack, photo, np.repeat(hole[None], 3, 0), hole, mixed=mixed).fills
        np.testing.assert_allclose(composed, solver.blend(stack, photo), atol=1e-6)


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("direct_limit", [0, 10**6])
def test_compose_continues_constant_and_linear_fields(mixed: bool, direct_limit: int) -> None:
    domain, hole, taken = cut_in_a_domain(2, (90, 120))
    row, col = np.mgrid[0:90, 0:120] / 128.0
    linear = np.stack([0.3 * row + 0.5 * col, 0.9 - 0.8 * row, np.full_like(row, 0.25)], axis=-1).astype(np.float32)
    hidden = np.where(hole[..., None], np.float32(np.nan), linear)
    sources = linear[None] + np.array([0.3, 0, -0.2], np.float32)[:, None, None, None]
    blend = PoissonSolver(domain, direct_limit=direct_limit).compose(sources, hidden, taken, hole, mixed=mixed)
    np.testing.assert_allclose(blend.fills, np.repeat(linear[None], 3, 0), atol=1e-4)


def test_compose_reads_nothing_that_is_hidden_or_not_taken() -> None:
    from scipy.ndimage import binary_dilation

    domain, hole, taken = cut_in_a_domain(3)
    photo, *sources = random_photos(4, hole)
    solver, stack = PoissonSolver(domain), np.stack(sources)
    read = np.stack([binary_dilation(one) for one in taken])[..., None]
    for mixed in (False, True):
        seen = solver.compose(stack, photo, taken, hole, mixed=mixed)
        blind = solver.compose(
            np.where(read, stack, np.float32(np.nan)),
            np.where(hole[..., None], np.float32(np.nan), photo),
            taken,
            hole,
            mixed=mixed,
        )
        np.testing.assert_array_equal(blind.fills, seen.fills)
        assert blind.residual == seen.residual


def test_compose_refuses_what_it_cannot_solve() -> None:
    domain, hole, taken = cut_in_a_domain(4)
    photo, *sources = random_photos(4, hole)
    solver, stack = PoissonSolver(domain), np.stack(sources)
    with pytest.raises(MaskError, match="take all of it"):
        solver.compose(stack, photo, taken & ~hole, hole)
    with pytest.raises(MaskError, match="outside the domain"):
        solver.compose(stack, photo, taken | ~domain, hole)
    with pytest.raises(MaskError, match="same size"):
        solver.compose(stack, photo, taken[:2], hole)
    with pytest.raises(ValueError, match="floats"):
        solver.compose(stack, (photo * 255).astype(np.uint8), taken, hole)
    stack[1][hole] = np.nan
    with pytest.raises(SolverError, match="residual is nan"):
        solver.compose(stack, photo, taken, hole)
    empty = solver.compose(stack[:0], photo, taken[:0], hole)
    assert empty.fills.shape == (0, *photo.shape) and empty.residual == 0


def test_compose_raises_when_a_solver_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    domain, hole, taken = cut_in_a_domain(5)
    photo, *sources = random_photos(4, hole)
    exact = solvers.factorised
    monkeypatch.setattr(solvers, "factorised", lambda matrix: lambda right: exact(matrix)(right) * (1 + 1e-3))
    with pytest.raises(SolverError, match="residual"):
        PoissonSolver(domain).compose(np.stack(sources), photo, taken, hole)
