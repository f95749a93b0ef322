"""Blends that are pulled to an expected image: the screened Poisson equation."""

import numpy as np
import pytest

from ce_retrieval.completion.blend.poisson import PoissonSolver

HOLE = np.zeros((14, 17), bool)
HOLE[3:11, 5:17] = True
HOLE[6, 9] = False
DOMAIN = HOLE | np.roll(HOLE, 1, 0) | np.roll(HOLE, 2, 1)


def pictures(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, *HOLE.shape, 3), dtype=np.float32) * 0.5 + 0.25


def least(source: np.ndarray, photo: np.ndarray, taken: np.ndarray, pull: np.ndarray, goal: np.ndarray) -> np.ndarray:
    """The minimum of sum |f_p - f_q - v_pq|^2 + sum w_p |f_p - e_p|^2 as dense least squares, one row a term."""
    height, width = HOLE.shape
    number = {tuple(place): at for at, place in enumerate(np.argwhere(DOMAIN))}
    rows, right = [], []
    for p in np.ndindex(height, width):
        for q in ((p[0] + 1, p[1]), (p[0], p[1] + 1)):
            if q[0] >= height or q[1] >= width or (p not in number and q not in number):
                continue
            row, constant = np.zeros(len(number)), np.zeros(3)
            guide = source if taken[p] or taken[q] else photo
            for place, sign in ((p, 1.0), (q, -1.0)):
                if place in number:
                    row[number[place]] = sign
                else:
                    constant += sign * photo[place].astype(float)
            rows.append(row)
            right.append(guide[p].astype(float) - guide[q] - constant)
    for place, at in number.items():
        row = np.zeros(len(number))
        row[at] = np.sqrt(pull[place])
        rows.append(row)
        right.append(np.sqrt(pull[place]) * goal[place].astype(float))
    result = photo.astype(float)
    result[DOMAIN] = np.linalg.lstsq(np.array(rows), np.array(right), rcond=None)[0]
    return result


@pytest.mark.parametrize("direct_limit", [0, 1000])
def test_it_is_the_minimum_of_gradients_and_pull(direct_limit: int) -> None:
    photo, source, goal = pictures(3)
    pull = np.where(HOLE, np.random.default_rng(1).random(HOLE.shape) * 0.3, 0.0)
    solver = PoissonSolver(DOMAIN, pull=pull, direct_limit=direct_limit)
    found = solver.compose(source[None], photo, HOLE[None], HOLE, pull_to=(goal - source)[None]).fills[0]
    expected = least(source, photo, HOLE, pull, goal)
    np.testing.assert_allclose(found[DOMAIN], np.clip(expected, 0, 1)[DOMAIN], atol=1e-5)
    np.testing.assert_array_equal(found[~DOMAIN], photo[~DOMAIN])


def test_a_strong_pull_gives_the_goal_and_none_the_blend() -> None:
    photo, source, goal = pictures(3)
    plain = PoissonSolver(DOMAIN).compose(source[None], photo, HOLE[None], HOLE).fills
    for weight, like in ((0.0, plain[0]), (1e6, goal)):
        solver = PoissonSolver(DOMAIN, pull=np.full(HOLE.shape, weight) * HOLE)
        blend = solver.compose(source[None], photo, HOLE[None], HOLE, pull_to=(goal - source)[None])
        np.testing.assert_allclose(blend.fills[0][HOLE], like[HOLE], atol=1e-4)


def test_detail_follows_the_source_and_large_structure_the_goal() -> None:
    size = 96
    hole = np.zeros((size, size), bool)
    hole[8:-8, 8:-8] = True
    row, col = np.mgrid[:size, :size]
    wave, stripes = 0.2 * np.sin(2 * np.pi * row / size), 0.1 * (-1.0) ** col
    photo = np.full((size, size, 3), 0.5, np.float32)
    source = (photo + (stripes - wave)[..., None]).astype(np.float32)
    expected = (photo + wave[..., None]).astype(np.float32)
    solver = PoissonSolver(hole, pull=hole / 4.0**2)
    fill = solver.compose(source[None], photo, hole[None], hole, pull_to=(expected - source)[None]).fills[0]
    inner = np.s_[28:-28, 28:-28]
    coarse = (fill[:, 1:] + fill[:, :-1])[inner] / 2
    # Bhat et al., equation 5: a wave of frequency k is (w e + k^2 s) / (w + k^2).
    squared, weight = 2 - 2 * np.cos(2 * np.pi / size), 4.0**-2
    mixture = (photo + (wave * (weight - squared) / (weight + squared))[..., None])[:, 1:][inner]
    np.testing.assert_allclose(coarse, mixture, atol=0.002)
    np.testing.assert_allclose((fill[:, 1:] - fill[:, :-1])[inner], (source[:, 1:] - source[:, :-1])[inner], atol=0.01)


def test_pull_to_is_read_only_where_the_pull_is_positive() -> None:
    photo, source, goal = pictures(3)
    solver = PoissonSolver(DOMAIN, pull=HOLE * 0.1)
    blind = np.where(HOLE[..., None], goal, np.float32(np.nan))
    one, other = (solver.compose(source[None], photo, HOLE[None], HOLE, pull_to=w[None]).fills for w in (goal, blind))
    np.testing.assert_array_equal(one, other)


def test_pull_and_pull_to_go_together() -> None:
    photo, source, goal = pictures(3)
    with_pull, without = PoissonSolver(HOLE, pull=HOLE * 0.1), PoissonSolver(HOLE)
    with pytest.raises(ValueError, match="pull_to"):
        with_pull.compose(source[None], photo, HOLE[None], HOLE)
    with pytest.raises(ValueError, match="pull_to"):
        without.compose(source[None], photo, HOLE[None], HOLE, pull_to=goal[None])
    with pytest.raises(ValueError, match="pull_to"):
        with_pull.compose(source[None], photo, HOLE[None], HOLE, pull_to=goal)
    for call in (with_pull.smooth, lambda p: with_pull.blend(source[None], p), lambda p: with_pull.membrane(p[0])):
        with pytest.raises(ValueError, match="use compose"):
            call(photo)
    for pull in (HOLE[1:] * 1.0, HOLE * -1.0, HOLE * np.nan):
        with pytest.raises(ValueError, match="pull"):
            PoissonSolver(HOLE, pull=pull)
