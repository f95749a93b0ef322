"""Exact search against a float64 loop; FAISS, whole, sharded and compressed, against exact search."""

import numpy as np
import pytest

from indexes import exact
from indexes.base import EngineError
from indexes.exact import ExactIndex
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


def filled(engine, vectors, step=None):
    engine.train(vectors)
    for start in range(0, len(vectors), step or len(vectors)):
        engine.add(vectors[start : start + (step or len(vectors))])
    return engine


def test_exact_search_is_that_of_a_plain_loop_over_many_blocks(vectors, queries, monkeypatch):
    monkeypatch.setattr(exact, "BLOCK_ROWS", 64)
    found = filled(ExactIndex(DIMENSION), vectors, step=100).search(queries, 20)
    assert found.scores.dtype == np.float32 and found.ids.dtype == np.int64
    for query, scores, ids in zip(queries, found.scores, found.ids, strict=True):
        expected = loop_search(vectors, query, 20)
        assert ids.tolist() == [i for _, i in expected]
        np.testing.assert_allclose(scores, [score for score, _ in expected], rtol=1e-6)


def test_exact_search_gives_equal_scores_to_the_smaller_id(monkeypatch):
    monkeypatch.setattr(exact, "BLOCK_ROWS", 3)
    index = filled(ExactIndex(2), np.ones((10, 2), np.float32))
    assert index.search(np.ones((1, 2), np.float32), 7).ids.tolist() == [list(range(7))]


@pytest.mark.parametrize("shards", [1, 2, 3, 8])
@pytest.mark.parametrize("step", [500, 90, 1])
def test_flat_search_equals_exact_search_however_it_is_sharded_and_filled(vectors, queries, shards, step):
    found = filled(FaissIndex(DIMENSION, shards=shards), vectors, step).search(queries, 30)
    expected = filled(ExactIndex(DIMENSION), vectors).search(queries, 30)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_fewer_vectors_than_shards_are_all_found_and_nothing_else(vectors, queries, count):
    index = filled(FaissIndex(DIMENSION, shards=4), vectors[:count])
    expected = filled(ExactIndex(DIMENSION), vectors[:count]).search(queries, count)
    found = index.search(queries, count)
    np.testing.assert_array_equal(found.ids, expected.ids)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)


def test_equal_vectors_have_equal_scores_and_ids_of_their_own(queries):
    vectors = np.repeat(np.random.default_rng(2).standard_normal((10, DIMENSION)).astype(np.float32), 20, axis=0)
    expected = filled(ExactIndex(DIMENSION), vectors).search(queries, 50)
    found = filled(FaissIndex(DIMENSION, shards=3), vectors).search(queries, 50)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-5, atol=1e-5)
    for row, ids in enumerate(found.ids):
        assert len(set(ids.tolist())) == 50
        true = vectors[ids].astype(np.float64) @ queries[row]
        np.testing.assert_allclose(found.scores[row], true, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("factory", "recall"), [("IVF16,Flat", 0.1), ("PQ8x4", 0.4), ("SQ8", 0.95), ("PCA8,IVF4,Flat", 0.2)]
)
def test_compressed_search_finds_most_of_the_exact_neighbours(vectors, queries, factory, recall):
    found = filled(FaissIndex(DIMENSION, factory), vectors).search(queries, 20)
    expected = filled(ExactIndex(DIMENSION), vectors).search(queries, 20)
    shared = [len(set(a) & set(b)) / 20 for a, b in zip(found.ids.tolist(), expected.ids.tolist(), strict=True)]
    assert np.mean(shared) >= recall
    assert all(len(set(ids)) == 20 and min(ids) >= 0 for ids in found.ids.tolist())


@pytest.mark.parametrize("factory", ["IVF16,Flat", "PCA8,IVF16,Flat"])
def test_inverted_lists_that_hold_too_few_are_all_searched(vectors, queries, factory):
    k = 450  # more than one list of 16 holds
    found = filled(FaissIndex(DIMENSION, factory), vectors).search(queries, k)
    assert (found.ids >= 0).all() and all(len(set(ids)) == k for ids in found.ids.tolist())
    if factory == "IVF16,Flat":
        expected = filled(ExactIndex(DIMENSION), vectors).search(queries, k)
        np.testing.assert_array_equal(found.ids, expected.ids)


@pytest.mark.parametrize(("factory", "error"), [("Flat", 0), ("IVF16,Flat", 0), ("SQ8", 0.05), ("PQ8x4", 3)])
def test_reconstruct_gives_back_what_was_added(vectors, factory, error):
    index = filled(FaissIndex(DIMENSION, factory, shards=3), vectors, step=90)
    ids = np.array([499, 0, 17, 250, 0])
    assert np.abs(index.reconstruct(ids) - vectors[ids]).max() <= error


@pytest.mark.parametrize(("factory", "shards"), [("Flat", 1), ("Flat", 3), ("IVF16,Flat", None), ("PQ8x4", None)])
def test_a_saved_index_loads_to_the_same_results_and_is_frozen(vectors, queries, tmp_path, factory, shards):
    path = str(tmp_path / "index.faiss")
    index = filled(FaissIndex(DIMENSION, factory, shards), vectors, step=90)
    index.save(path)
    loaded = FaissIndex.load(path)
    assert len(loaded) == 500 and loaded.dimension == DIMENSION
    np.testing.assert_array_equal(loaded.search(queries, 9).ids, index.search(queries, 9).ids)
    np.testing.assert_array_equal(loaded.reconstruct(np.arange(40)), index.reconstruct(np.arange(40)))
    with pytest.raises(EngineError, match="immutable"):
        loaded.add(vectors)
    assert len(loaded) == 500


def test_an_exact_index_saves_and_loads(vectors, queries, tmp_path):
    index = filled(ExactIndex(DIMENSION), vectors)
    index.save(str(tmp_path / "exact"))
    loaded = ExactIndex.load(str(tmp_path / "exact"))
    np.testing.assert_array_equal(loaded.search(queries, 9).ids, index.search(queries, 9).ids)
    np.testing.assert_array_equal(loaded.reconstruct(np.array([3, 1])), vectors[[3, 1]])


@pytest.mark.parametrize("engine", [ExactIndex, FaissIndex])
def test_a_file_that_is_no_index_is_named(engine, tmp_path):
    path = tmp_path / "noise"
    path.write_bytes(b"no index at all")
    with pytest.raises(EngineError, match="noise"):
        engine.load(str(path))


def test_an_index_of_another_metric_is_refused(tmp_path):
    import faiss

    faiss.write_index(faiss.IndexFlatL2(4), str(tmp_path / "l2"))
    with pytest.raises(EngineError, match="metric"):
        FaissIndex.load(str(tmp_path / "l2"))


@pytest.mark.parametrize("engine", [ExactIndex, FaissIndex])
@pytest.mark.parametrize("k", [0, -1, 6])
def test_k_out_of_range_is_an_error_that_says_the_range(vectors, engine, k):
    index = filled(engine(DIMENSION), vectors[:5])
    with pytest.raises(EngineError, match=f"k is {k}.* 1 to 5"):
        index.search(vectors[:1], k)


@pytest.mark.parametrize("engine", [ExactIndex, FaissIndex])
def test_vectors_of_another_dimension_are_refused(vectors, engine):
    index = filled(engine(DIMENSION), vectors)
    for act in (index.add, index.train, lambda v: index.search(v, 1)):
        with pytest.raises(EngineError, match="dimension 16"):
            act(vectors[:, :9])
        with pytest.raises(EngineError, match="dimension 16"):
            act(vectors[0])


def test_bad_factories_and_untrained_engines_are_named(vectors):
    with pytest.raises(EngineError, match="Nonsense7"):
        FaissIndex(DIMENSION, "Nonsense7")
    with pytest.raises(EngineError, match="shards is 0"):
        FaissIndex(DIMENSION, shards=0)
    with pytest.raises(EngineError, match="must be trained"):
        FaissIndex(DIMENSION, "IVF16,Flat").add(vectors)
    with pytest.raises(EngineError, match="5 vectors cannot train"):
        FaissIndex(DIMENSION, "IVF16,Flat").train(vectors[:5])


def test_an_unwritable_path_is_an_engine_error(vectors, tmp_path):
    index = filled(FaissIndex(DIMENSION), vectors)
    with pytest.raises(EngineError, match="cannot be written"):
        index.save(str(tmp_path / "missing" / "index.faiss"))
