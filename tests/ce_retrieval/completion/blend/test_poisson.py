import numpy as np
import pytest

from ce_retrieval.completion.blend import poisson
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.errors import MaskError, SolverError


def drawn(*rows: str) -> np.ndarray:
    return np.array([[mark == "#" for mark in row] for row in rows])


HOLES = {
    "rectangle": drawn("......", ".####.", ".####.", "......"),
    "one pixel": drawn("....", ".#..", "...."),
    "one pixel in a corner": drawn("#...", "....", "...."),
    "parts": drawn("..#...#", "..##...", ".......", "#....##", "##..###"),
    "parts that touch by a corner": drawn(".....", ".##..", "...#.", ".##..", "....."),
    "island": drawn("......", ".####.", ".#..#.", ".####.", "......"),
    "ring at the border": drawn("#####", "#...#", "#.#.#", "#...#", "#####"),
    "corner": drawn("###..", "###..", "##...", "....."),
    "band across": drawn("....", "####", "####", "...."),
    "band at the top": drawn("####", "####", "...."),
    "one known pixel": drawn("####", "##.#", "####"),
    "checkers": drawn("#.#.#", ".#.#.", "#.#.#"),
    "one row": drawn("#.##."),
    "one column": drawn("#", ".", "#", "#"),
}


def dense_solution(hole: np.ndarray, source: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Equation 7 of the paper written out pixel by pixel and solved densely, unclipped."""
    height, width = hole.shape
    pixels = [tuple(place) for place in np.argwhere(hole)]
    number = {place: i for i, place in enumerate(pixels)}
    matrix, right = np.zeros((len(pixels), len(pixels))), np.zeros((len(pixels), 3))
    for i, (row, col) in enumerate(pixels):
        for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if not (0 <= near[0] < height and 0 <= near[1] < width):
                continue
            matrix[i, i] += 1
            right[i] += source[row, col].astype(float) - source[near]
            if near in number:
                matrix[i, number[near]] -= 1
            else:
                right[i] += photo[near]
    result = photo.astype(float)
    result[hole] = np.linalg.solve(matrix, right)
    return result


def random_hole(height: int, width: int, share: float, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width)) < share


def random_photos(count: int, hole: np.ndarray, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *hole.shape, 3), dtype=np.float32)


@pytest.mark.parametrize("name", HOLES)
def test_blend_is_the_dense_solution(name: str) -> None:
    hole = HOLES[name]
    # A narrow range around the middle keeps the clipping out of the comparison.
    photo, *sources = 0.4 + 0.05 * random_photos(4, hole)
    filled = PoissonSolver(hole).blend(np.stack(sources), photo)
    assert filled.dtype == np.float32
    for source, result in zip(sources, filled, strict=True):
        expected = dense_solution(hole, source, photo)
        assert expected.min() > 0 and expected.max() < 1
        np.testing.assert_allclose(result, expected, atol=1e-6)


@pytest.mark.parametrize("seed", range(6))
def test_blend_is_the_dense_solution_for_speckled_holes(seed: int) -> None:
    hole = random_hole(11, 14, 0.25 + 0.12 * seed, seed)
    photo, source = 0.4 + 0.02 * random_photos(2, hole, seed)
    filled = PoissonSolver(hole).blend(source[None], photo)[0]
    np.testing.assert_allclose(filled, dense_solution(hole, source, photo), atol=1e-6)


@pytest.mark.parametrize("name", HOLES)
def test_smooth_is_the_dense_laplace_solution(name: str) -> None:
    hole = HOLES[name]
    photo = random_photos(1, hole)[0]
    filled = PoissonSolver(hole).smooth(photo)
    np.testing.assert_allclose(filled, dense_solution(hole, np.zeros_like(photo), photo), atol=1e-6)
    assert filled.min() >= photo[~hole].min() - 1e-6
    assert filled.max() <= photo[~hole].max() + 1e-6


def test_one_pixel_is_the_mean_of_its_neighbours() -> None:
    photo = random_photos(1, HOLES["one pixel"])[0]
    mean = (photo[0, 1] + photo[2, 1] + photo[1, 0] + photo[1, 2]) / 4
    np.testing.assert_allclose(PoissonSolver(HOLES["one pixel"]).smooth(photo)[1, 1], mean, atol=1e-6)


def test_known_pixels_are_bit_identical_and_hidden_ones_never_read() -> None:
    hole = random_hole(40, 50, 0.4, 1)
    photo, *sources = random_photos(4, hole)
    solver = PoissonSolver(hole)
    filled = solver.blend(np.stack(sources), photo)
    assert (filled[:, ~hole] == photo[~hole]).all()
    hidden = np.where(hole[..., None], np.float32(np.nan), photo)
    assert (solver.blend(np.stack(sources), hidden) == filled).all()
    assert (solver.smooth(hidden) == solver.smooth(photo)).all()


def test_arguments_are_left_alone() -> None:
    hole = HOLES["island"].copy()
    photo, source = random_photos(2, hole)
    before = photo.copy(), source.copy()
    solver = PoissonSolver(hole)
    first = solver.blend(source[None], photo)
    hole[:] = False
    assert (solver.blend(source[None], photo) == first).all()
    assert (photo == before[0]).all() and (source == before[1]).all()


def test_hole_pixels_are_clipped_known_ones_are_not() -> None:
    hole = HOLES["rectangle"]
    photo = np.full((*hole.shape, 3), 0.9, dtype=np.float32)
    photo[0, 0] = 1.5
    source = np.zeros_like(photo)
    source[1:3, 2:4] = 1.0
    filled = PoissonSolver(hole).blend(source[None], photo)[0]
    assert dense_solution(hole, source, photo)[hole].max() > 1.1
    assert filled[hole].max() == 1.0
    assert filled[0, 0, 0] == np.float32(1.5)


@pytest.mark.parametrize("direct_limit", [0, 10**6])
def test_constant_and_linear_fields_are_continued(direct_limit: int) -> None:
    row, col = np.mgrid[0:128, 0:128] / 128.0
    linear = np.stack([0.3 * row + 0.5 * col, 0.9 - 0.8 * row, np.full_like(row, 0.25)], axis=-1).astype(np.float32)
    centre, corner = np.zeros((2, 128, 128), dtype=bool)
    centre[32:96, 32:96] = True
    corner[:64, :50] = True
    hidden = np.where(centre[..., None], np.float32(0), linear)
    np.testing.assert_allclose(PoissonSolver(centre, direct_limit=direct_limit).smooth(hidden), linear, atol=1e-4)
    # A source with the photo's gradients gives the photo back, whatever its level, and at the border too.
    for hole in (centre, corner):
        hidden = np.where(hole[..., None], np.float32(0), linear)
        filled = PoissonSolver(hole, direct_limit=direct_limit).blend(linear[None] + np.float32(0.07), hidden)[0]
        np.testing.assert_allclose(filled, linear, atol=1e-4)


def test_source_plus_constant_gives_the_photo_back() -> None:
    hole = random_hole(60, 70, 0.6, 3)
    photo = random_photos(1, hole)[0]
    shifted = photo[None] + np.array([-0.4, 0.0, 0.3], dtype=np.float32)[:, None, None, None]
    for filled in PoissonSolver(hole).blend(shifted, photo):
        np.testing.assert_allclose(filled, photo, atol=1e-5)


def test_residual_of_the_paper_size_is_small() -> None:
    """The Laplacian of the result is the source's at every hole pixel (float32 output included)."""
    from scipy.ndimage import laplace

    hole = np.zeros((128, 128), dtype=bool)
    hole[32:96, 32:96] = True
    photo, source = 0.5 + 0.01 * random_photos(2, hole)
    filled = PoissonSolver(hole).blend(source[None], photo)[0]
    # The source's Laplacian next to known pixels uses the source there, the result's uses the photo: so the same kernel.
    for channel in range(3):
        got, wanted = laplace(filled[..., channel].astype(float)), laplace(source[..., channel].astype(float))
        assert np.abs(got - wanted)[hole].max() < 1e-5


@pytest.mark.parametrize("share", [0.35, 0.7, 0.95])
def test_multigrid_is_the_direct_solution(share: float) -> None:
    hole = random_hole(150, 170, share, 5)
    photo, *sources = 0.4 + 0.1 * random_photos(3, hole)
    stack = np.stack(sources)
    direct, iterated = PoissonSolver(hole), PoissonSolver(hole, direct_limit=0)
    np.testing.assert_allclose(iterated.blend(stack, photo), direct.blend(stack, photo), atol=1e-5)


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
    matrix, coupling, known = poisson._equations(hole)
    places = np.stack(np.nonzero(hole))
    right = coupling @ np.random.default_rng(0).random((len(known), 3))
    expected = np.linalg.norm(right, axis=0)
    solution = poisson._multigrid(matrix, places, coarsest=30)(right)
    assert (np.linalg.norm(matrix @ solution - right, axis=0) < 1e-5 * expected).all()
    np.testing.assert_allclose(solution, poisson._factorised(matrix)(right), atol=1e-5)


def test_multigrid_takes_zero_and_mixed_right_hand_sides() -> None:
    hole = np.zeros((60, 60), dtype=bool)
    hole[5:50, 5:50] = True
    matrix, coupling, known = poisson._equations(hole)
    right = coupling @ np.stack([np.zeros(len(known)), np.ones(len(known))], axis=1)
    solution = poisson._multigrid(matrix, np.stack(np.nonzero(hole)), coarsest=30)(right)
    np.testing.assert_allclose(solution[:, 0], 0, atol=0)
    np.testing.assert_allclose(solution[:, 1], 1, atol=1e-5)


def test_unfinished_iteration_is_an_error() -> None:
    hole = random_hole(90, 90, 0.9, 0)
    matrix, coupling, known = poisson._equations(hole)
    solve = poisson._multigrid(matrix, np.stack(np.nonzero(hole)), coarsest=30, max_steps=2)
    with pytest.raises(SolverError, match="did not converge"):
        solve(coupling @ np.random.default_rng(0).random((len(known), 3)))


@pytest.mark.parametrize("hole", [np.zeros((5, 6), dtype=bool), np.ones((5, 6), dtype=bool)], ids=["empty", "full"])
def test_empty_and_full_holes_are_refused(hole: np.ndarray) -> None:
    with pytest.raises(MaskError):
        PoissonSolver(hole)


def test_wrong_arguments_are_refused() -> None:
    hole = HOLES["island"]
    solver = PoissonSolver(hole)
    photo, source = random_photos(2, hole)
    with pytest.raises(ValueError, match="boolean"):
        PoissonSolver(hole.astype(np.uint8))
    with pytest.raises(ValueError, match="sources"):
        solver.blend(source, photo)
    with pytest.raises(MaskError, match="the photo"):
        solver.smooth(photo[:-1])
    with pytest.raises(ValueError, match="floats"):
        solver.smooth((photo * 255).astype(np.uint8))


def test_no_sources_give_no_fills() -> None:
    hole = HOLES["island"]
    photo = random_photos(1, hole)[0]
    assert PoissonSolver(hole).blend(np.empty((0, *photo.shape), dtype=np.float32), photo).shape == (0, *photo.shape)


def guided_solution(domain, taken, hole, source, photo, mixed):
    """Equations 7, 11 and 13 written out pixel by pixel and solved densely, unclipped."""
    pixels = [tuple(place) for place in np.argwhere(domain)]
    number = {place: i for i, place in enumerate(pixels)}
    matrix, right = np.zeros((len(pixels), len(pixels))), np.zeros((len(pixels), 3))
    for i, (row, col) in enumerate(pixels):
        for near in ((row - 1, col), (row + 1, col), (row, col - 1), (row, col + 1)):
            if not (0 <= near[0] < domain.shape[0] and 0 <= near[1] < domain.shape[1]):
                continue
            of_source = source[row, col].astype(float) - source[near]
            of_photo = photo[row, col].astype(float) - photo[near]
            guidance = of_source if taken[row, col] or taken[near] else of_photo
            if mixed and (taken[row, col] or taken[near]) and not (hole[row, col] or hole[near]):
                guidance = np.where(abs(of_photo) > abs(of_source), of_photo, of_source)
            matrix[i, i] += 1
            right[i] += guidance
            if near in number:
                matrix[i, number[near]] -= 1
            else:
                right[i] += photo[near]
    result = photo.astype(float)
    result[domain] = np.linalg.solve(matrix, right)
    return result


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
        expected = guided_solution(domain, one, hole, source, photo, mixed)
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
    with pytest.raises(MaskError, match="one size"):
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
    exact = poisson._factorised
    monkeypatch.setattr(poisson, "_factorised", lambda matrix: lambda right: exact(matrix)(right) * (1 + 1e-3))
    with pytest.raises(SolverError, match="residual"):
        PoissonSolver(domain).compose(np.stack(sources), photo, taken, hole)
