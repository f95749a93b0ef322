"""The parts of a hole, and the models of what fills them best."""

import math

import numpy as np
import pytest

from ce_retrieval.completion.auto.choice import Model, Weighed
from ce_retrieval.completion.auto.evidence import of_fill, of_photo, of_shape
from ce_retrieval.completion.parts import parts_of


def squares(*corners: tuple[int, int, int]) -> np.ndarray:
    hole = np.zeros((100, 120), bool)
    for top, left, side in corners:
        hole[top : top + side, left : left + side] = True
    return hole


def test_parts_are_apart_the_largest_first():
    hole = squares((10, 10, 10), (40, 40, 30))
    large, small = parts_of(hole)
    np.testing.assert_array_equal(large, squares((40, 40, 30)))
    np.testing.assert_array_equal(small, squares((10, 10, 10)))


def test_parts_a_few_px_apart_are_one():
    (part,) = parts_of(hole := squares((10, 10, 10), (10, 24, 10)))
    np.testing.assert_array_equal(part, hole)


def test_a_model_is_a_logistic_of_what_is_known():
    model = Model(0.5, {"a": Weighed(1.0, 2.0, 3.0), "b": Weighed(0.0, 1.0, -1.0)})

    def chance(total: float) -> float:
        return pytest.approx(1 / (1 + math.exp(-total)))

    assert model.chance({"a": 2.0, "b": 0.5, "c": 9.0}) == chance(0.5 + 1.5 - 0.5)
    assert model.chance({}) == chance(0.5)
    assert model.chance({"a": 1e9, "b": -1e9}) == chance(0.5 + 9 + 3)


def test_the_shape_says_how_wide_a_part_is():
    shape = of_shape(squares((40, 40, 30), (0, 0, 10)), squares((40, 40, 30)))
    assert math.exp(shape["share"]) == pytest.approx(900 / 12000)
    assert math.exp(shape["width"]) == pytest.approx(30 / math.sqrt(12000), rel=0.07)
    assert shape["known"] == pytest.approx(1 - 1000 / 12000)


@pytest.fixture
def stripes() -> np.ndarray:
    rows, cols = np.mgrid[:100, :120]
    waves = 127 + 90 * np.sign(np.sin((rows + cols) / 2.5))
    return np.repeat(waves[..., None], 3, axis=2).astype(np.uint8)


def test_a_smooth_fill_and_one_with_a_border_are_told_from_the_truth(stripes):
    hole = squares((40, 40, 30))
    flat = np.where(hole[..., None], np.uint8(127), stripes)
    own, smooth, bright = (
        of_fill(stripes, hole, hole, fill)
        for fill in (stripes, flat, np.where(hole[..., None], np.uint8(255), stripes))
    )
    assert smooth["sharp"] < own["sharp"] - 1
    assert own["border"] == pytest.approx(0, abs=0.2) and bright["border"] > own["border"] + 0.5


def test_what_lies_under_the_hole_is_not_evidence(stripes):
    hole = squares((40, 40, 30), (5, 5, 4))
    part = squares((40, 40, 30))
    junk = np.where(hole[..., None], np.uint8(255), stripes)
    assert of_photo(stripes, hole, part) == of_photo(junk, hole, part)


@pytest.mark.parametrize("shape", [(16, 16), (200, 4), (4, 200)])
def test_photos_of_any_shape_have_evidence(shape):
    photo = np.random.default_rng(1).integers(0, 256, (*shape, 3)).astype(np.uint8)
    hole = np.zeros(shape, bool)
    hole[1:3, 1:3] = True
    for found in (of_shape(hole, hole), of_photo(photo, hole, hole), of_fill(photo, hole, hole, photo)):
        assert np.isfinite([*found.values()]).all()
