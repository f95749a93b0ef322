"""FAISS, whole and sharded, against exact search; exact search against a plain loop."""

import numpy as np
import pytest
from exact_search import exact_search

from indexes.base import EngineError
from indexes.faiss_index import FaissIndex

DIMENSION = 16


@pytest.fixture()
def vectors():
    return np.random.default_rng(0).standard_normal((500, DIMENSION)).astype(np.float32)


@pytest.fixture()
def queries():
    return np.random.default_rng(1).standard_normal((7, DIMENSION)).astype(np.float32)


def loop_search(vectors, query, k):
    """The k best (score, id) by a plain loop in float64, ties to the smaller id."""
    scored = [(-sum(float(a) * float(b) for a, b in zip(query, x, strict=True)), i) for i, x in enumerate(vectors)]
    return [(-score, i) for score, i in sorted(scored)[:k]]


def filled(vectors, shards=None, step=500):
    index = FaissIndex(DIMENSION, shards)
    for start in range(0, len(vectors), step):
        index.add(vectors[start : start + step])
    return index


def check(found, vectors, queries, k):
    scores, ids = exact_search(vectors, queries, k)
    np.testing.assert_array_equal(found.ids, ids)
    np.testing.assert_allclose(found.scores, scores, rtol=1e-5, atol=1e-5)


def test_the_exact_search_of_these_tests_is_that_of_a_plain_loop(vectors, queries):
    vectors[100:110] = vectors[50]
    for query, scores, ids in zip(queries, *exact_search(vectors, queries, 200), strict=True):
        expected = loop_search(vectors, query, 200)
        assert ids.tolist() == [i for _, i in expected]
        np.testing.assert_allclose(scores, [score for score, _ in expected], rtol=1e-12)


@pytest.mark.parametrize("shards", [None, 1, 2, 3, 8])
@pytest.mark.parametrize("step", [500, 90, 1])
def test_search_is_exact_however_it_is_sharded_and_filled(vectors, queries, shards, step):
    index = filled(vectors, shards, step)
    assert len(index) == 500
    found = index.search(queries, 30)
    assert found.scores.dtype == np.float32 and found.ids.dtype == np.int64
    check(found, vectors, queries, 30)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_fewer_vectors_than_shards_are_all_found_and_nothing_else(vectors, queries, count):
    check(filled(vectors[:count], shards=4).search(queries, count), vectors[:count], queries, count)


def test_equal_vectors_have_equal_scores_and_ids_of_their_own(queries):
    vectors = np.repeat(np.random.default_rng(2).standard_normal((10, DIMENSION)).astype(np.float32), 20, axis=0)
    expected, _ = exact_search(vectors, queries, 50)
    found = filled(vectors, shards=3).search(queries, 50)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-5)
    for row, ids in enumerate(found.ids):
        assert len(set(ids.tolist())) == 50
        true = vectors[ids].astype(np.float64) @ queries[row]
        np.testing.assert_allclose(found.scores[row], true, rtol=1e-5, atol=1e-5)


def test_equal_scores_come_in_the_order_of_their_ids():
    index = filled(np.ones((10, DIMENSION), np.float32), shards=3)
    assert index.search(np.ones((1, DIMENSION), np.float32), 10).ids.tolist() == [list(range(10))]


@pytest.mark.parametrize("shards", [1, 3])
def test_reconstruct_gives_back_what_was_added(vectors, shards):
    index = filled(vectors, shards, step=90)
    ids = np.array([499, 0, 17, 250, 0])
    np.testing.assert_array_equal(index.reconstruct(ids), vectors[ids])


@pytest.mark.parametrize("k", [0, -1, 6])
def test_k_out_of_range_is_an_error_that_says_the_range(vectors, k):
    with pytest.raises(EngineError, match=f"k is {k}.* 1 to 5"):
        filled(vectors[:5]).search(vectors[:1], k)


def test_vectors_of_another_dimension_are_refused(vectors):
    index = filled(vectors)
    for act in (index.add, lambda v: index.search(v, 1)):
        with pytest.raises(EngineError, match="dimension 16"):
            act(vectors[:, :9])
        with pytest.raises(EngineError, match="dimension 16"):
            act(vectors[0])


def test_an_engine_that_cannot_be_made_is_named():
    with pytest.raises(EngineError, match="shards is 0"):
        FaissIndex(DIMENSION, shards=0)
