"""Search among some of the vectors: exactly the nearest of those, whatever the engine, shards and order of adding."""

import numpy as np
import pytest

from indexes.base import EngineError
from indexes.exact import ExactIndex
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex

COUNT, DIMENSION = 500, 24
ENGINES = {
    "exact": ExactIndex,
    "one part": lambda d: FaissIndex(d, shards=1),
    "three parts": lambda d: FaissIndex(d, shards=3),
}
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


def filled(engine, vectors):
    index = engine(vectors.shape[1])
    for block in np.array_split(vectors, [1, 60, 61, 300]):
        index.add(block)
    return index


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("engine", ENGINES)
def test_the_nearest_of_the_allowed_are_found(engine, mask, vectors, queries):
    allowed = MASKS[mask]
    index = filled(ENGINES[engine], vectors)
    products = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    products[:, ~allowed] = -np.inf
    for k in {1, min(15, int(allowed.sum())), int(allowed.sum())}:
        found = index.search(queries, k, allowed)
        expected = np.argsort(-products, axis=1, kind="stable")[:, :k]
        np.testing.assert_array_equal(found.ids, expected)
        np.testing.assert_allclose(found.scores, np.take_along_axis(products, expected, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("engine", ENGINES)
def test_vectors_added_later_are_found_too(engine, vectors, queries):
    index = filled(ENGINES[engine], vectors[:400])
    before = MASKS["half"][:400]
    products = queries.astype(np.float64) @ vectors.T.astype(np.float64)
    for count in (400, 500):
        allowed = np.arange(count) % 2 == 0 if count > 400 else before
        expected = np.argsort(np.where(allowed, -products[:, :count], np.inf), axis=1, kind="stable")[:, :9]
        np.testing.assert_array_equal(index.search(queries, 9, allowed).ids, expected)
        index.add(vectors[400:])


@pytest.mark.parametrize("factory", ["IVF8,Flat", "PCA12,IVF8,Flat", "PCA12,Flat", "SQ8"])
def test_compressed_engines_find_allowed_vectors_alone(factory, vectors, queries):
    index = FaissIndex(DIMENSION, factory)
    index.train(vectors)
    index.add(vectors)
    allowed = MASKS["random"]
    found = index.search(queries, 12, allowed)
    assert allowed[found.ids].all()
    assert all(len(set(row)) == 12 for row in found.ids.tolist())
    whole = index.search(queries, int(allowed.sum()), allowed)  # more than the probed lists hold
    assert (np.sort(whole.ids, axis=1) == np.flatnonzero(allowed)).all()


def test_an_engine_that_cannot_is_named(vectors, queries):
    index = FaissIndex(DIMENSION, "PQ4x4")
    index.train(vectors)
    index.add(vectors)
    with pytest.raises(EngineError, match="'PQ4x4' cannot search a part"):
        index.search(queries, 5, MASKS["half"])


@pytest.mark.parametrize("engine", ENGINES)
def test_masks_and_k_that_cannot_be_are_refused(engine, vectors, queries):
    index = filled(ENGINES[engine], vectors)
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
