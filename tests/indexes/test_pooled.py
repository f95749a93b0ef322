"""Pooled codes against the exact search: the same distances, nearly the same neighbours, and all of them where it says so."""

import numpy as np
import pytest
from pooled_cases import (
    CELLS,
    CHANNELS,
    COUNT,
    MASKS,
    check_distances,
    check_equal,
    collection,
    exact_index,
    one_group,
    pooled_index,
    random_weights,
    recall,
)

from indexes import pooled
from indexes.base import EngineError
from indexes.codebook import Codebook
from indexes.pooled import PooledIndex, candidate_counts


@pytest.fixture(scope="module")
def codes(grids):
    return pooled_index(grids)


@pytest.fixture
def read_rows(grids):
    """Return an index over `grids`, and the list of the numbers of rows that it reads."""
    read = []

    def rows(ids):
        read.append(len(ids))
        return grids[ids]

    return pooled_index(grids, rows), read


@pytest.mark.parametrize("count", [1, 2, 15, 17, 400])
def test_few_photos_are_all_measured(count):
    few, queries, weights = collection(count), collection(5, seed=1), random_weights(5)
    k = min(count, 10)
    check_equal(pooled_index(few).search(queries, weights, k), exact_index(few).search(queries, weights, k))


def test_where_all_are_candidates_the_answer_is_exact(codes, exact, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", COUNT)
    queries, weights = collection(5, seed=1), random_weights(5)
    check_equal(codes.search(queries, weights, 50), exact.search(queries, weights, 50))


def test_many_neighbours_asked_for_are_all_found(codes, exact):
    queries, weights = collection(2, seed=1), random_weights(2)
    check_equal(codes.search(queries, weights, COUNT), exact.search(queries, weights, COUNT))


def test_nearly_all_neighbours_are_found_at_their_exact_distances(codes, exact, grids, read_rows, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)  # so that the fewest are measured
    index, read = read_rows
    queries, weights = collection(30, seed=1), random_weights(30)
    found = index.search(queries, weights, 10)
    assert sum(read) == 30 * pooled.FEWEST
    check_distances(found, grids, queries, weights)
    assert recall(found, exact.search(queries, weights, 10)) > 0.97
    check_equal(codes.search(queries, weights, 10), found)


def test_codes_name_better_candidates_than_chance(exact, codes, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", 40)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    assert recall(codes.search(queries, weights, 10), exact.search(queries, weights, 10)) > 0.6  # by chance 0.007


def test_queries_at_once_and_one_by_one_are_the_same(codes):
    queries, weights = collection(4, seed=1), random_weights(4)
    weights[1] = one_group(1)
    together = codes.search(queries, weights, 12)
    for row in range(4):
        alone = codes.search(queries[row : row + 1], weights[row : row + 1], 12)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


def test_a_query_that_sees_one_group_is_answered_exactly(exact, read_rows):
    index, read = read_rows
    queries = collection(3, seed=1)
    check_equal(index.search(queries, one_group(3), 30), exact.search(queries, one_group(3), 30))
    assert sum(read) == 3 * COUNT


def test_the_fewer_groups_count_the_more_are_measured():
    weights = np.array([[1] * 64, [1] * 8 + [0] * 56, [1, 1] + [0] * 62, [1] + [0] * 63], np.float32)
    few, eight, two, one = candidate_counts(weights, 10).tolist()
    assert (few, eight, two) == (500, 2500, 6000)
    assert one > 10**12, "all are measured"
    assert candidate_counts(weights, 1000).tolist()[:3] == [4000, 4000, 6000]


@pytest.mark.parametrize("mask", MASKS)
def test_only_the_allowed_are_found(mask, codes, exact, grids):
    allowed, queries, weights = MASKS[mask], collection(6, seed=1), random_weights(6)
    k = min(10, int(allowed.sum()))
    found, expected = codes.search(queries, weights, k, allowed), exact.search(queries, weights, k, allowed)
    check_distances(found, grids, queries, weights, allowed)
    assert recall(found, expected) > 0.97
    if allowed.sum() <= 500:
        check_equal(found, expected)


def test_a_filter_that_leaves_out_the_nearest_is_answered_exactly(codes, exact, grids):
    """The codes' best are all forbidden: over-fetching finds too few, so the allowed are measured."""
    query, weights = collection(1, seed=1), np.ones((1, CELLS), np.float32)
    near = exact.search(query, weights, COUNT // 2).ids[0]
    allowed = np.ones(COUNT, bool)
    allowed[near] = False
    check_equal(codes.search(query, weights, 10, allowed), exact.search(query, weights, 10, allowed))


def test_equal_photos_come_in_the_order_of_their_ids():
    few = collection(3).repeat(1000, axis=0)
    rng = np.random.default_rng(2)
    mixed = few[rng.permutation(3000)]
    query, weights = mixed[:1], np.ones((1, CELLS), np.float32)
    same = np.flatnonzero((mixed == query).all(axis=(1, 2)))
    # Candidates of equal codes are cut anywhere, but those measured are in order; where all are measured, the first come.
    found = pooled_index(mixed).search(query, weights, 10)
    assert (found.scores == 0).all() and (np.diff(found.ids[0]) > 0).all() and np.isin(found.ids[0], same).all()
    assert pooled_index(mixed).search(query, one_group(1), 10).ids[0].tolist() == same[:10].tolist()


def test_what_all_photos_share_changes_no_neighbour():
    """Codes are of what differs from the mean, so an offset that float16 can add exactly leaves them alone."""
    few = np.round(collection(3000) * 4).astype(np.float16) / np.float16(4)
    queries, weights = np.round(collection(8, seed=1) * 4).astype(np.float16) / np.float16(4), random_weights(8)
    moved = pooled_index(few + np.float16(64)).search(queries + np.float16(64), weights, 10)
    check_equal(moved, pooled_index(few).search(queries, weights, 10))


def test_what_lies_in_cells_of_weight_0_changes_nothing(codes):
    queries, weights = collection(3, seed=1), random_weights(3)
    other = queries.copy()
    other[weights == 0] = 1000
    check_equal(codes.search(other, weights, 30), codes.search(queries, weights, 30))


def test_more_parts_take_more_memory_and_know_better(exact, grids, codes, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", 40)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    fine = pooled_index(grids, parts=4)
    assert (codes.first.bytes_a_vector, fine.first.bytes_a_vector) == (36, 72)
    queries, weights = collection(30, seed=1), random_weights(30)
    expected = exact.search(queries, weights, 10)
    assert recall(fine.search(queries, weights, 10), expected) > recall(codes.search(queries, weights, 10), expected)


def test_more_effort_measures_more_and_knows_better(exact, grids, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", 40)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    expected = exact.search(queries, weights, 10)
    shares = [recall(pooled_index(grids, effort=effort).search(queries, weights, 10), expected) for effort in (1, 4)]
    assert shares[1] > shares[0]
    assert candidate_counts(np.ones((1, 64), np.float32), 10, 3).tolist() == [120]


def test_arguments_that_cannot_be_are_refused(codes):
    query, ones = collection(1), np.ones((1, CELLS), np.float32)
    with pytest.raises(EngineError, match="every weight is 0"):
        codes.search(query, 0 * ones, 1)
    for bad in (-ones, 2 * ones, np.nan * ones, ones[:, :5]):
        with pytest.raises(EngineError, match="in \\[0, 1\\]"):
            codes.search(query, bad, 1)
    for k in (0, COUNT + 1):
        with pytest.raises(EngineError, match=f"k is {k}"):
            codes.search(query, ones, k)
    with pytest.raises(EngineError, match="grids of shape"):
        codes.search(query.transpose(0, 2, 1), ones, 1)
    with pytest.raises(EngineError, match="grids of shape"):
        codes.add(query[0])
    with pytest.raises(EngineError, match="effort is 0: expected a number above 0"):
        PooledIndex(codes.first, codes.pooling, np.zeros((CELLS, CHANNELS)), grids_of, 0)
    with pytest.raises(EngineError, match="k is 1, but the index holds 0 vectors"):
        PooledIndex.by_codes(Codebook.train(query, 2), grids_of).search(query, ones, 1)


def grids_of(ids):
    raise AssertionError("nothing is read")


def test_codes_are_scanned_where_many_are_allowed(codes, monkeypatch):
    """A scan looks at all of them: of few that are allowed, measuring each takes less."""
    asked, best = [], codes.first.best

    def spied(queries, needed, allowed):
        asked.append(len(queries))
        return best(queries, needed, allowed)

    monkeypatch.setattr(codes.first, "best", spied)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    query, weights = collection(1, seed=1), np.ones((1, CELLS), np.float32)
    for count, scans in ((4 * 500, 0), (4 * 500 + 4, 1), (COUNT, 1)):
        codes.search(query, weights, 10, np.arange(COUNT) < count)
        assert len(asked) == scans, f"{count} allowed"
        asked.clear()
    codes.search(query, weights, 10)
    monkeypatch.setattr(pooled, "FEWEST", 5999)
    codes.search(query, weights, 10)
    monkeypatch.setattr(pooled, "FEWEST", COUNT)
    codes.search(query, weights, 10)
    assert len(asked) == 2, "all are measured where all are candidates"
