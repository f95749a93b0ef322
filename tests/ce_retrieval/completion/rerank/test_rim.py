"""The rim and its weights against loops, and the distance of candidates in it against numpy."""

import numpy as np
import pytest

from ce_retrieval.completion.rerank.rim import rim_distance, rim_of, rim_weights
from ce_retrieval.errors import MaskError


def rim_by_hand(hole: np.ndarray, width: int) -> np.ndarray:
    marked = np.argwhere(hole)
    rim = np.zeros_like(hole)
    for place in np.argwhere(~hole):
        rim[tuple(place)] = np.abs(marked - place).max(axis=1).min() <= width
    return rim


def test_rim_of_the_papers_hole() -> None:
    hole = np.zeros((128, 128), dtype=bool)
    hole[32:96, 32:96] = True
    expected = np.zeros_like(hole)
    expected[24:104, 24:104] = True
    assert (rim_of(hole, 8) == (expected & ~hole)).all()
    assert rim_of(hole, 8).sum() == 80**2 - 64**2


@pytest.mark.parametrize("width", [1, 2, 5, 40])
@pytest.mark.parametrize("share", [0.005, 0.05, 0.5, 0.95])
def test_rim_is_the_chessboard_distance(width: int, share: float) -> None:
    hole = np.random.default_rng(int(share * 1000) + width).random((23, 31)) < share
    hole[7, 11], hole[0, 0] = True, False
    assert (rim_of(hole, width) == rim_by_hand(hole, width)).all()


def test_rim_at_the_border_and_around_islands() -> None:
    hole = np.zeros((9, 9), dtype=bool)
    hole[:, :3] = True
    hole[4, 1] = False
    assert (rim_of(hole, 2) == rim_by_hand(hole, 2)).all()
    assert rim_of(hole, 2)[4, 1]


@pytest.mark.parametrize(("value", "message"), [(False, "the hole is empty"), (True, "covers the whole photo")])
def test_rim_needs_a_hole(value: bool, message: str) -> None:
    with pytest.raises(MaskError, match=message):
        rim_of(np.full((4, 4), value))


def test_rim_arguments_are_checked() -> None:
    hole = np.eye(4, dtype=bool)
    with pytest.raises(ValueError, match="width"):
        rim_of(hole, 0)
    with pytest.raises(MaskError, match="expected bool"):
        rim_of(hole.astype(np.uint8), 2)


def test_distance_is_the_mean_square_over_the_rim() -> None:
    rng = np.random.default_rng(0)
    photo, *candidates = rng.integers(0, 256, (8, 30, 40, 3), dtype=np.uint8)
    hole = np.zeros((30, 40), dtype=bool)
    hole[10:20, 0:9] = True
    rim = rim_of(hole, 3)
    distances = rim_distance(photo, np.stack(candidates), rim.astype(np.float32))
    assert distances.dtype == np.float32 and distances.shape == (7,)
    for candidate, distance in zip(candidates, distances, strict=True):
        expected = np.mean((photo[rim] / 255.0 - candidate[rim] / 255.0) ** 2)
        np.testing.assert_allclose(distance, expected, rtol=1e-6)


def test_distance_does_not_see_beyond_the_rim() -> None:
    rng = np.random.default_rng(1)
    photo, candidate = rng.integers(0, 256, (2, 20, 20, 3), dtype=np.uint8)
    hole = np.zeros((20, 20), dtype=bool)
    hole[8:12, 8:12] = True
    rim = rim_of(hole, 2)
    candidate[rim] = photo[rim]
    assert rim_distance(photo, candidate[None], rim.astype(np.float32))[0] == 0
    candidate[6, 6, 0] ^= 1
    assert rim_distance(photo, candidate[None], rim.astype(np.float32))[0] > 0


def test_distance_does_not_overflow_and_ties_stay_ties() -> None:
    photo = np.zeros((300, 300, 3), dtype=np.uint8)
    hole = np.zeros((300, 300), dtype=bool)
    hole[150, 150] = True
    candidates = np.full((3, 300, 300, 3), 255, dtype=np.uint8)
    candidates[1, 0, 0], candidates[2, 299, 299] = 254, 254
    distances = rim_distance(photo, candidates, rim_of(hole, 300).astype(np.float32))
    assert distances[0] == pytest.approx(1.0, rel=1e-5)
    assert distances[1] == distances[2] < 1.0


def test_distance_takes_views() -> None:
    rng = np.random.default_rng(2)
    large = rng.integers(0, 256, (4, 40, 40, 3), dtype=np.uint8)
    weights = rim_weights(np.pad(np.ones((4, 4), dtype=bool), 8), 2, 1.0)
    view = large[:, 3:23, 9:29]
    np.testing.assert_array_equal(
        rim_distance(view[0], view[1:], weights), rim_distance(view[0].copy(), view[1:].copy(), weights)
    )


def test_distance_arguments_are_checked() -> None:
    photo = np.zeros((6, 6, 3), dtype=np.uint8)
    weights = np.eye(6, dtype=np.float32)
    with pytest.raises(ValueError, match="uint8"):
        rim_distance(photo.astype(np.float32), photo[None], weights)
    with pytest.raises(ValueError, match="match"):
        rim_distance(photo, photo[None, :5], weights)
    with pytest.raises(MaskError, match="the rim is empty"):
        rim_distance(photo, photo[None], np.zeros_like(weights))


def test_weights_fall_with_the_distance_from_the_hole() -> None:
    hole = np.zeros((40, 40), dtype=bool)
    hole[18:22, 18:22] = True
    weights = rim_weights(hole, 6, 2.0)
    assert ((weights > 0) == rim_of(hole, 6)).all()
    assert weights[17, 18] == 1
    assert weights[14, 20] == pytest.approx(np.exp(-1.5))
    assert weights[17, 17] == pytest.approx(np.exp(-(np.sqrt(2) - 1) / 2))
    with pytest.raises(ValueError, match="falloff"):
        rim_weights(hole, 6, 0.0)


def test_weighted_distance_against_numpy() -> None:
    rng = np.random.default_rng(5)
    photo, *candidates = rng.integers(0, 256, (21, 40, 40, 3), dtype=np.uint8)
    hole = rng.random((40, 40)) < 0.2
    weights = rim_weights(hole, 4, 3.0)
    squares = ((np.stack(candidates) / 255.0 - photo / 255.0) ** 2).mean(axis=-1)
    expected = [np.average(square, weights=weights) for square in squares]
    np.testing.assert_allclose(rim_distance(photo, np.stack(candidates), weights), expected, rtol=1e-5)
