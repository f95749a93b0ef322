"""Search among some of the vectors: exactly the nearest of those, whatever the shards and the order of adding."""

import numpy as np
import pytest
from exact_search import exact_search

from indexes.base import EngineError
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex

COUNT, DIMENSION = 500, 24
SHARDS = (1, 3)
MASKS = {
    "half": np.arange(COUNT) % 2 == 0,
    "random": np.random.default_rng(4).random(COUNT) < 0.3,
    "the end": np.arange(COUNT) >= COUNT - 20,
    "few": np.isin(np.arange(COUNT), [3, 170, 171, 400]),
    "one": np.arange(COUNT) == 257,
    "all": np.ones(COUNT, bool),
}


@pytest.fixture(scope="module")
def vectors() -> np.ndarray:
    return np.random.default_rng(0).standard_normal((COUNT, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def queries() -> np.ndarray:
    return np.random.default_rng(1).standard_normal((7, DIMENSION)).astype(np.float32)


def filled(shards, vectors):
    index = FaissIndex(vectors.shape[1], shards)
    for block in np.array_split(vectors, [1, 60, 61, 300]):
        index.add(block)
    return index


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("shards", SHARDS)
def test_the_nearest_of_the_allowed_are_found(shards, mask, vectors, queries):
    allowed = MASKS[mask]
    index = filled(shards, vectors)
    for k in {1, min(15, int(allowed.sum())), int(allowed.sum())}:
        found = index.search(queries, k, allowed)
        scores, ids = exact_search(vectors, queries, k, allowed)
        np.testing.assert_array_equal(found.ids, ids)
        np.testing.assert_allclose(found.scores, scores, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shards", SHARDS)
def test_vectors_added_later_are_found_too(shards, vectors, queries):
    index = filled(shards, vectors[:400])
    for count in (400, 500):
        _, expected = exact_search(vectors[:count], queries, 9, MASKS["half"][:count])
        np.testing.assert_array_equal(index.search(queries, 9, MASKS["half"][:count]).ids, expected)
        index.add(vectors[400:])


@pytest.mark.parametrize("shards", SHARDS)
def test_masks_and_k_that_cannot_be_are_refused(shards, vectors, queries):
    index = filled(shards, vectors)
    for k, allowed, message in (
        (5, MASKS["few"], "k is 5, but 4 of 500 vectors are allowed"),
        (1, np.zeros(COUNT, bool), "0 of 500 vectors are allowed"),
        (0, MASKS["half"], "k is 0"),
        (1, np.ones(COUNT - 1, bool), r"expected bool \(500,\)"),
        (1, np.ones(COUNT), r"expected bool \(500,\)"),
        (1, np.ones((COUNT, 1), bool), r"expected bool \(500,\)"),
    ):
        with pytest.raises(EngineError, match=message):
            index.search(queries, k, allowed)


@pytest.mark.parametrize("mask", MASKS)
def test_hole_aware_search_among_the_allowed(mask):
    rng = np.random.default_rng(6)
    cells, channels = 6, 5
    grids, asked = (rng.standard_normal((n, cells, channels)).astype(np.float32) for n in (COUNT, 3))
    weights = rng.random((3, cells)).astype(np.float32)
    weights[:, 1] = 0
    index = MaskedIndex(FaissIndex(cells * channels + cells, shards=2), cells, channels)
    index.add(grids[:333])
    index.add(grids[333:])
    allowed = MASKS[mask]
    k = min(10, int(allowed.sum()))
    found = index.search(asked, weights, k, allowed)
    for row in range(3):
        squares = ((grids.astype(np.float64) - asked[row]) ** 2).sum(axis=2) @ weights[row].astype(np.float64)
        distances = np.where(allowed, squares / weights[row].sum(dtype=np.float64), np.inf)
        assert found.ids[row].tolist() == np.argsort(distances, kind="stable")[:k].tolist()
        np.testing.assert_allclose(found.scores[row], np.sort(distances)[:k], rtol=1e-5)
