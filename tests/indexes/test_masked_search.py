"""Hole-aware search against brute force by the definition, in float64."""

import numpy as np
import pytest

from indexes.base import EngineError
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex, lift, lift_queries, masked_distances

CELLS, CHANNELS = 12, 5
DIMENSION = CELLS * CHANNELS + CELLS


def definition(grid, weights, others):
    """sum_g w_g |q_g - x_g|^2 / sum_g w_g, in float64."""
    squares = ((others.astype(np.float64) - grid.astype(np.float64)) ** 2).sum(axis=2)
    return squares @ weights.astype(np.float64) / weights.sum(dtype=np.float64)


def collection(count=600, scale=1.0, offset=0.0, seed=0):
    rng = np.random.default_rng(seed)
    return (offset + scale * rng.standard_normal((count, CELLS, CHANNELS))).astype(np.float32)


def random_weights(rows, seed=3):
    rng = np.random.default_rng(seed)
    weights = rng.random((rows, CELLS)).astype(np.float32)
    weights[rng.random((rows, CELLS)) < 0.4] = 0
    weights[:, 0] = 1
    return weights


def check_search(index, grids, queries, weights, k, rtol=1e-5):
    found = index.search(queries, weights, k)
    assert found.scores.shape == found.ids.shape == (len(queries), k)
    for row in range(len(queries)):
        true = definition(queries[row], weights[row], grids)
        assert len(set(found.ids[row].tolist())) == k
        np.testing.assert_allclose(found.scores[row], true[found.ids[row]], rtol=rtol, atol=1e-9)
        np.testing.assert_allclose(found.scores[row], np.sort(true)[:k], rtol=rtol, atol=1e-9)
        assert (np.diff(found.scores[row]) >= 0).all()


@pytest.mark.parametrize("shards", [None, 1])
@pytest.mark.parametrize(("scale", "offset"), [(1, 0), (1000, 0), (0.001, 0), (1, 300), (0.01, 30)])
def test_search_is_that_of_the_definition(shards, scale, offset):
    grids, queries = collection(scale=scale, offset=offset), collection(9, scale, offset, seed=1)
    index = MaskedIndex(FaissIndex(DIMENSION, shards), CELLS, CHANNELS)
    for start in range(0, 600, 200):
        index.add(grids[start : start + 200])
    # Where an offset swallows digits of float32 itself, so it does in any distance.
    check_search(index, grids, queries, random_weights(9), 25, rtol=1e-5 if offset == 0 else 1e-3)


def test_nearly_equal_grids_of_large_norm_are_told_apart():
    rng = np.random.default_rng(5)
    base = 100 * rng.standard_normal((1, CELLS, CHANNELS))
    grids = (base + 0.01 * rng.standard_normal((600, CELLS, CHANNELS))).astype(np.float32)
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(grids)
    check_search(index, grids, grids[:4] + np.float32(0.005), random_weights(4), 10, rtol=1e-2)


def test_a_photo_of_the_collection_is_its_own_nearest_at_distance_0():
    grids = collection()
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(grids)
    found = index.search(grids[40:44], random_weights(4), 1)
    assert found.ids[:, 0].tolist() == [40, 41, 42, 43]
    assert (found.scores == 0).all()


def test_what_lies_in_cells_of_weight_0_changes_nothing():
    grids, queries, weights = collection(), collection(3, seed=1), random_weights(3)
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(grids)
    other = queries.copy()
    other[weights == 0] = 1000
    before, after = index.search(queries, weights, 30), index.search(other, weights, 30)
    np.testing.assert_array_equal(before.ids, after.ids)
    np.testing.assert_allclose(before.scores, after.scores, rtol=1e-6)


def test_scaling_all_weights_changes_no_distance():
    grids, queries, weights = collection(), collection(3, seed=1), random_weights(3)
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(grids)
    np.testing.assert_allclose(
        index.search(queries, weights, 9).scores, index.search(queries, weights / 1000, 9).scores, rtol=1e-5
    )


def test_equal_photos_come_in_the_order_of_their_ids():
    grids = np.repeat(collection(1), 8, axis=0)
    index = MaskedIndex(FaissIndex(DIMENSION, shards=3), CELLS, CHANNELS)
    index.add(grids)
    assert index.search(grids[:1], np.ones((1, CELLS), np.float32), 8).ids.tolist() == [list(range(8))]


def test_the_lift_is_the_identity_of_the_module():
    grids, queries, weights = collection(5), collection(3, seed=1), random_weights(3)
    products = (
        lift_queries(queries, weights).astype(np.float64)
        @ lift(grids, np.zeros((CELLS, CHANNELS))).astype(np.float64).T
    )
    for row in range(3):
        constant = (weights[row] * (queries[row].astype(np.float64) ** 2).sum(axis=1)).sum()
        expected = definition(queries[row], weights[row], grids)
        np.testing.assert_allclose((constant - products[row]) / weights[row].sum(), expected, rtol=1e-5)
        np.testing.assert_allclose(masked_distances(queries[row], weights[row], grids), expected, rtol=1e-5)


def test_the_lift_takes_float16_and_an_origin():
    grids = collection(5).astype(np.float16)
    origin = collection(1, seed=7)[0]
    lifted = lift(grids, origin)
    body = (grids.astype(np.float64) - origin).reshape(5, -1)
    np.testing.assert_allclose(lifted[:, : CELLS * CHANNELS], body, rtol=1e-5, atol=1e-6)
    norms = (body.reshape(5, CELLS, CHANNELS) ** 2).sum(axis=2)
    np.testing.assert_allclose(lifted[:, CELLS * CHANNELS :], norms, rtol=1e-5)


def test_an_engine_that_holds_vectors_is_refused():
    engine = FaissIndex(DIMENSION)
    engine.add(np.zeros((3, DIMENSION), np.float32))
    with pytest.raises(EngineError, match="holds 3 vectors"):
        MaskedIndex(engine, CELLS, CHANNELS)


def test_no_grids_change_nothing():
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(collection(0))
    index.add(collection())
    index.add(collection(0))
    check_search(index, collection(), collection(3, seed=1), random_weights(3), 10)


@pytest.mark.parametrize("k", [0, 601])
def test_k_out_of_range(k):
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(collection())
    with pytest.raises(EngineError, match=f"k is {k}"):
        index.search(collection(1), np.ones((1, CELLS), np.float32), k)


def test_weights_and_shapes_that_cannot_be_are_refused():
    index = MaskedIndex(FaissIndex(DIMENSION), CELLS, CHANNELS)
    index.add(collection())
    query, ones = collection(1), np.ones((1, CELLS), np.float32)
    with pytest.raises(EngineError, match="every weight is 0"):
        index.search(query, 0 * ones, 1)
    for bad in (-ones, 2 * ones, np.nan * ones, ones[:, :5]):
        with pytest.raises(EngineError, match="in \\[0, 1\\]"):
            index.search(query, bad, 1)
    with pytest.raises(EngineError, match="grids of shape"):
        index.search(query.transpose(0, 2, 1), ones, 1)
    with pytest.raises(EngineError, match="grids of shape"):
        index.add(query[0])
    with pytest.raises(EngineError, match="cannot hold 12 cells"):
        MaskedIndex(FaissIndex(DIMENSION + 1), CELLS, CHANNELS)
