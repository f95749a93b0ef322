"""Bootstrap intervals: their width by theory, paired differences, and what is undefined."""

import math

import numpy as np
import pytest

from ce_retrieval.evaluation.intervals import Bootstrap

RNG = np.random.default_rng(0)
MANY = RNG.normal(5, 2, 400)


def test_the_interval_of_a_mean_is_that_of_theory():
    value, low, high = Bootstrap(400, 0).interval(MANY)
    assert value == pytest.approx(MANY.mean(), abs=1e-12)
    half = 1.96 * MANY.std() / math.sqrt(400)
    assert (low, high) == pytest.approx((value - half, value + half), abs=0.1 * half)


def test_it_covers_the_truth_about_as_often_as_it_says():
    samples = np.random.default_rng(1).exponential(1.0, (200, 60))
    held = [
        low <= 1.0 <= high for _, low, high in (Bootstrap(60, seed).interval(one) for seed, one in enumerate(samples))
    ]
    assert 0.87 <= np.mean(held) <= 0.98


def test_the_seed_decides_the_draws():
    assert Bootstrap(400, 3).interval(MANY) == Bootstrap(400, 3).interval(MANY) != Bootstrap(400, 4).interval(MANY)


def test_a_paired_difference_is_surer_than_its_parts():
    """Both methods find the same photos hard; one is always a little better."""
    values = {"a": MANY, "b": MANY + RNG.normal(0.1, 0.05, 400)}
    bootstrap = Bootstrap(400, 0)
    found = bootstrap.difference(values, "b", "a")
    assert found.is_clear and found.interval.value == pytest.approx((values["b"] - MANY).mean())
    first, second = bootstrap.interval(values["a"]), bootstrap.interval(values["b"])
    assert first.high > second.low, "apart, they overlap"
    assert not bootstrap.difference({"a": MANY, "b": MANY[::-1]}, "b", "a").is_clear
    assert bootstrap.difference(values, "a", "b").interval.value == -found.interval.value


def test_what_is_undefined_does_not_count():
    some = np.array([1.0, np.nan, 3.0, np.inf])
    value, low, high = Bootstrap(4, 0).interval(some)
    assert value == 2 and 1 <= low <= high <= 3
    assert all(math.isnan(one) for one in Bootstrap(4, 0).interval(np.full(4, np.nan)))
    found = Bootstrap(4, 0).difference({"a": some, "b": np.array([5.0, 5.0, np.nan, 5.0])}, "b", "a")
    assert found.interval == (4, 4, 4), "the first photo alone has both"


def test_figures_are_of_the_whole_draw():
    values = np.array([1.0, 2.0, 3.0, 100.0])
    assert Bootstrap(4, 0).interval(values, "median").value == 2.5
    assert Bootstrap(1, 0).interval(np.array([7.0])) == (7, 7, 7)


def test_other_numbers_of_photos_are_refused():
    with pytest.raises(ValueError, match="3 values of 4 photos"):
        Bootstrap(4, 0).interval(np.ones(3))
    with pytest.raises(ValueError, match="0 photos: expected 1 or more"):
        Bootstrap(0, 0)


def test_many_photos_are_drawn_in_parts_without_another_result(monkeypatch):
    from ce_retrieval.evaluation import intervals

    whole = Bootstrap(400, 0).interval(MANY)
    monkeypatch.setattr(intervals, "AT_ONCE", 4000)
    assert Bootstrap(400, 0).interval(MANY) == whole
