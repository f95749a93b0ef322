"""Pooled grids on GPUs: float16 vectors name the candidates, and the second pass is that of the codes."""

import numpy as np
import pytest
from fake_cards import MOST
from test_pooled import CELLS, CHANNELS, COUNT, MASKS, check_distances, collection, exact_index, random_weights, recall

from indexes import pooled
from indexes.base import EngineError
from indexes.first_pass import CardVectors, FastScanCodes
from indexes.pooled import PooledIndex, training_ids
from indexes.pooling import Pooling


@pytest.fixture(scope="module")
def grids():
    return collection()


@pytest.fixture(scope="module")
def exact(grids):
    return exact_index(grids)


def on_cards(grids, **more):
    index = PooledIndex(CELLS, CHANNELS, grids.__getitem__, device="cuda", **more)
    index.train(grids[training_ids(len(grids))])
    for block in np.array_split(grids, 3):
        index.add(block)
    return index


def test_nearly_all_neighbours_are_found(any_card, grids, exact, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    index = on_cards(grids)
    assert len(index) == COUNT and index.bytes_a_photo == 2 * 36 * 5, "float16 means and their norm"
    found = index.search(queries, weights, 10)
    check_distances(found, grids, queries, weights)
    assert recall(found, exact.search(queries, weights, 10)) > 0.99


def test_vectors_name_better_candidates_than_codes(any_card, grids, exact, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", 40)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    expected = exact.search(queries, weights, 10)
    codes = PooledIndex(CELLS, CHANNELS, grids.__getitem__)
    codes.train(grids[training_ids(COUNT)])
    codes.add(grids)
    by_codes = recall(codes.search(queries, weights, 10), expected)
    assert recall(on_cards(grids).search(queries, weights, 10), expected) > by_codes + 0.05


def test_more_candidates_than_a_card_returns_at_once(cards, grids, exact, monkeypatch):
    module = cards(1)
    monkeypatch.setattr(pooled, "FEWEST", 5_900)
    queries, weights = collection(3, seed=1), random_weights(3)
    found, expected = on_cards(grids).search(queries, weights, 300), exact.search(queries, weights, 300)
    assert recall(found, expected) > 0.99
    assert max(k for _, k in module.searched) <= MOST


@pytest.mark.parametrize("mask", MASKS)
def test_only_the_allowed_are_found(any_card, mask, grids, exact):
    allowed, queries, weights = MASKS[mask], collection(6, seed=1), random_weights(6)
    k = min(10, int(allowed.sum()))
    found, expected = on_cards(grids).search(queries, weights, k, allowed), exact.search(queries, weights, k, allowed)
    check_distances(found, grids, queries, weights, allowed)
    assert recall(found, expected) > 0.99


@pytest.mark.parametrize("factor", [400.0, 2.0**-12])
def test_features_of_any_size_fit_into_float16(any_card, factor, monkeypatch):
    """Squared norms of large ones do not, unless all are scaled."""
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    grids = (collection().astype(np.float32) * factor).astype(np.float16)
    queries, weights = (collection(10, seed=1).astype(np.float32) * factor).astype(np.float16), random_weights(10)
    expected = exact_index(grids).search(queries, weights, 10)
    assert recall(on_cards(grids).search(queries, weights, 10), expected) > 0.97


def test_a_query_of_nothing_but_zeros_can_be_asked(any_card, grids):
    first = CardVectors(4)
    first.train(np.zeros((3, 4), np.float32))
    first.add(np.zeros((3, 4), np.float32))
    (ids,) = first.best(np.zeros((1, 4), np.float32), np.array([2]), None)
    assert len(ids) == 2


def test_a_device_that_is_not_there_is_refused_before_any_work(cards):
    cards(0)
    with pytest.raises(EngineError, match="FAISS sees no GPU"):
        PooledIndex(CELLS, CHANNELS, lambda ids: ids, device="cuda")


def test_codes_given_are_used_with_their_origin(grids, exact):
    """As where they were stored: an index of trained codes takes no training."""
    built = PooledIndex(CELLS, CHANNELS, grids.__getitem__)
    origin = grids[:500].mean(axis=0, dtype=np.float32)
    codes = FastScanCodes(36 * 2 * 3, 36 * 2)
    index = PooledIndex(CELLS, CHANNELS, grids.__getitem__, codes=codes, origin=origin)
    built.train(grids[:500])
    with pytest.raises(EngineError, match="trained already"):
        index.train(grids[:500])
    codes.train(Pooling(CELLS, CHANNELS, 2).photos(grids[:500], origin))
    for one in (built, index):
        one.add(grids)
    queries, weights = collection(5, seed=1), random_weights(5)
    np.testing.assert_array_equal(index.search(queries, weights, 10).ids, built.search(queries, weights, 10).ids)
