"""The kernel distance against its definition."""

import numpy as np
import pytest

from ce_retrieval.evaluation import kernel_distance as module
from ce_retrieval.evaluation.kernel_distance import kernel_distances


def by_definition(x, y):
    """Gretton et al. 2012, equation 4, with the kernel of Bińkowski et al. 2018, one pair at a time."""

    def k(a, b):
        return (a @ b / len(a) + 1) ** 3

    count = len(x)
    pairs = [(i, j) for i in range(count) for j in range(count) if i != j]
    return np.mean([k(x[i], x[j]) + k(y[i], y[j]) - k(x[i], y[j]) - k(x[j], y[i]) for i, j in pairs])


@pytest.fixture(scope="module")
def features():
    rng = np.random.default_rng(3)
    truth = rng.normal(size=(9, 5)).astype(np.float32)
    return truth, (truth + rng.normal(size=(9, 5)) + 0.5).astype(np.float32)


@pytest.mark.parametrize("at_once", [1, 30, 1 << 20])
def test_the_mean_is_the_distance_and_each_value_its_jackknife(features, monkeypatch, at_once):
    monkeypatch.setattr(module, "AT_ONCE", at_once)
    truth, fills = features
    values = kernel_distances(truth, fills)
    whole = by_definition(truth, fills)
    assert values.mean() == pytest.approx(whole, rel=1e-6)
    for row in range(9):
        rest = by_definition(np.delete(truth, row, 0), np.delete(fills, row, 0))
        assert values[row] == pytest.approx(9 * whole - 8 * rest, rel=1e-5)


def test_it_is_0_for_the_truth_and_grows_with_the_difference(features):
    truth, fills = features
    np.testing.assert_allclose(kernel_distances(truth, truth), 0, atol=1e-9)
    assert kernel_distances(truth, fills).mean() < kernel_distances(truth, fills + 1).mean()


def test_two_photos_are_too_few(features):
    truth, fills = features
    assert np.isnan(kernel_distances(truth[:2], fills[:2])).all()
