"""The search of a stream against the definition of the distance."""

import numpy as np
import pytest

from indexes.base import EngineError
from indexes.exhaustive import exhaustive_search
from indexes.masked import masked_distances

RNG = np.random.default_rng(0)
GRIDS = (5 + RNG.standard_normal((90, 9, 2))).astype(np.float16)
QUERIES = (5 + RNG.standard_normal((4, 9, 2))).astype(np.float32)
WEIGHTS = RNG.random((4, 9)).astype(np.float32)


@pytest.mark.parametrize("pieces", [1, 4, 90])
@pytest.mark.parametrize("k", [1, 7, 90])
def test_the_nearest_of_all_blocks_are_found(pieces, k):
    found = exhaustive_search(np.array_split(GRIDS, pieces), QUERIES, WEIGHTS, k)
    for row in range(4):
        exact = masked_distances(QUERIES[row], WEIGHTS[row], GRIDS.astype(np.float32))
        order = np.argsort(exact)[:k]
        assert found.ids[row].tolist() == order.tolist()
        np.testing.assert_allclose(found.scores[row], exact[order], rtol=1e-4)


def test_too_few_grids_are_an_error():
    with pytest.raises(EngineError, match="k is 91, but there are 90 grids"):
        exhaustive_search([GRIDS], QUERIES, WEIGHTS, 91)
    with pytest.raises(EngineError, match="there are 0 grids"):
        exhaustive_search([], QUERIES, WEIGHTS, 1)


@pytest.mark.parametrize("k", [1, 10, 40])
def test_none_of_many_is_missed(k):
    """Of few, numpy sorts more than it is asked for."""
    grids = np.random.default_rng(1).standard_normal((3000, 9, 2)).astype(np.float16)
    found = exhaustive_search([grids[:2000], grids[2000:]], QUERIES - 5, WEIGHTS, k)
    for row in range(4):
        exact = masked_distances(QUERIES[row] - 5, WEIGHTS[row], grids.astype(np.float32))
        np.testing.assert_allclose(found.scores[row], np.sort(exact)[:k], rtol=1e-4)
