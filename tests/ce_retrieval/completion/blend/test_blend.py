"""Blends into holes against dense solutions of the same equations."""

import numpy as np
import pytest
from blend_cases import HOLES, dense_solution, random_hole, random_photos

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.errors import MaskError


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


@pytest.mark.parametrize(("value", "message"), [(False, "the hole is empty"), (True, "covers the whole photo")])
def test_empty_and_full_holes_are_refused(value: bool, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        PoissonSolver(np.full((5, 6), value))


def test_wrong_arguments_are_refused() -> None:
    hole = HOLES["island"]
    solver = PoissonSolver(hole)
    photo, source = random_photos(2, hole)
    with pytest.raises(MaskError, match="expected bool"):
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
