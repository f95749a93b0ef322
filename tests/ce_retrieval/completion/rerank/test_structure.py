"""Edges that go on, that end, that turn; what is hidden is not read; holes without a rim."""

import numpy as np
import pytest

from ce_retrieval.completion.rerank.structure import Structure

HOLE = np.zeros((48, 48), bool)
HOLE[16:32, 16:32] = True


def step(vertical=True, low=60, high=160):
    """A photo with one edge through its middle."""
    photo = np.full((48, 48, 3), low, np.uint8)
    photo[:, 24:] = high
    return photo if vertical else photo.swapaxes(0, 1).copy()


def test_edges_that_go_on_cost_nothing_whatever_their_contrast():
    photo = step()
    flat = np.full_like(photo, 100)
    candidates = np.stack([photo, step(low=20, high=250), flat, step(low=160, high=60), step(vertical=False)])
    same, stronger, none, reversed_, across = Structure(HOLE).penalties(photo, candidates)
    assert 0 <= same < 0.1 and abs(stronger - same) < 0.1
    assert none == pytest.approx(1) and across == pytest.approx(1, abs=0.05) and reversed_ > 1.9


def test_nothing_under_the_hole_is_read_of_the_photo():
    photo = step()
    painted = photo.copy()
    painted[HOLE] = 255
    candidates = np.stack([photo, step(vertical=False)])
    np.testing.assert_array_equal(
        Structure(HOLE).penalties(painted, candidates), Structure(HOLE).penalties(photo, candidates)
    )


@pytest.mark.parametrize("kind", ["flat", "all", "corner"])
def test_without_edges_or_rim_nothing_is_compared(kind):
    photo, hole = step(), HOLE.copy()
    if kind == "flat":
        photo = np.full_like(photo, 90)
    if kind == "all":
        hole[1:-1, 1:-1] = True
    if kind == "corner":
        hole = np.zeros_like(HOLE)
        hole[:10, :10] = True
    found = Structure(hole).penalties(photo, np.stack([photo, step(vertical=False)]))
    assert found.shape == (2,) and (found == 0).all()
