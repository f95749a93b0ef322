"""Pooled grids on GPUs: float16 vectors name the candidates, and the second pass is that of the codes."""

import numpy as np
import pytest
from fake_cards import MOST
from pooled_cases import (
    CELLS,
    CHANNELS,
    COUNT,
    MASKS,
    check_distances,
    check_equal,
    collection,
    exact_index,
    pooled_index,
    random_weights,
    recall,
)

from indexes import first_pass, pooled
from indexes.base import EngineError
from indexes.codebook import Codebook
from indexes.first_pass import CardVectors, CodeScan
from indexes.pooled import PooledIndex
from indexes.pooling import Pooling


def on_cards(grids):
    pooling = Pooling(CELLS, CHANNELS, 1)
    first, origin = CardVectors(pooling.dimension, "cuda"), grids[:500].mean(axis=0, dtype=np.float32)
    index = PooledIndex(first, pooling, origin, grids.__getitem__)
    for block in np.array_split(grids, 3):
        index.add(block)
    return index


def test_nearly_all_neighbours_are_found(any_card, grids, exact, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    index = on_cards(grids)
    assert len(index) == COUNT and index.first.bytes_a_vector == 2 * 36 * 5, "float16 means and their norm"
    found = index.search(queries, weights, 10)
    check_distances(found, grids, queries, weights)
    assert recall(found, exact.search(queries, weights, 10)) > 0.99


def test_vectors_name_better_candidates_than_codes(any_card, grids, exact, monkeypatch):
    monkeypatch.setattr(pooled, "FEWEST", 40)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(30, seed=1), random_weights(30)
    expected = exact.search(queries, weights, 10)
    codes = pooled_index(grids)
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
    first.add(np.zeros((3, 4), np.float32))
    (ids,) = first.best(np.zeros((1, 4), np.float32), np.array([2]), None)
    assert len(ids) == 2


def test_a_device_that_is_not_there_is_refused_before_any_work(cards):
    cards(0)
    with pytest.raises(EngineError, match="FAISS sees no GPU"):
        CardVectors(4, "cuda")


def test_shards_answer_as_one_scan_does(grids, monkeypatch):
    """The codes are dealt out at the first search: there are as many scans as cores then."""
    monkeypatch.setattr(first_pass, "SHARD", COUNT // 3)
    monkeypatch.setattr(pooled, "FEWEST", 100)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    dealt, whole = [], Codebook.scanner

    def scanner(self, codes):
        dealt.append(len(codes))
        return whole(self, codes)

    monkeypatch.setattr(Codebook, "scanner", scanner)
    queries, weights = collection(8, seed=1), random_weights(8)
    found = {}
    for cores, shards in ((3, [COUNT // 3] * 3), (1, [COUNT])):
        monkeypatch.setattr(first_pass.os, "cpu_count", lambda cores=cores: cores)
        index = pooled_index(grids, np.concatenate([grids, grids[:100]]).__getitem__)
        found[cores] = index.search(queries, weights, 20)
        assert dealt == shards
        dealt.clear()
    check_equal(found[3], found[1])
    index.add(grids[:100])
    nearest = index.search(grids[:8], np.ones((8, CELLS), np.float32), 2)
    assert nearest.ids.tolist() == [[one, COUNT + one] for one in range(8)], "what was added has a scan of its own"
    assert dealt == [100]


def test_a_scan_names_the_best_of_the_allowed(grids):
    """All of them, best first, are known from one scan; the first photo may be among them."""
    book = Codebook.train(grids[:3000], 2)
    scan = CodeScan(book)
    scan.add(book.pooling.photos(grids, book.origin))
    queries = book.pooling.queries(grids[:3], np.ones((3, CELLS), np.float32), book.origin)
    needed, allowed = np.array([40, 7, 1]), np.arange(COUNT) % 3 != 1
    every = scan.best(queries, np.full(3, COUNT), None)
    assert all(len(ids) == COUNT for ids in every)
    found = scan.best(queries, needed, allowed)
    assert [len(ids) for ids in found] == needed.tolist() and found[0][0] == 0 and 2 in found[2]
    assert all(allowed[ids].all() and (np.diff(ids) > 0).all() for ids in found)
    far = ~np.isin(np.arange(COUNT), scan.best(queries[:1], np.array([COUNT // 2]), None)[0])
    assert scan.best(queries[:1], np.array([100]), far) == [None], (
        "the farther half: too few of those looked at are allowed"
    )


def test_no_shard_holds_more_codes_than_are_made_at_once(grids, monkeypatch):
    monkeypatch.setattr(first_pass, "MOST_CODES", COUNT // 4)
    queries, weights = collection(8, seed=1), random_weights(8)
    codes = Codebook.train(grids[:3000], 2)
    many, one = (PooledIndex.by_codes(codes, grids.__getitem__) for _ in range(2))
    for block in np.array_split(grids, 40):
        many.add(block)
    found = many.search(queries, weights, 20)
    monkeypatch.undo()
    one.add(grids)
    check_equal(found, one.search(queries, weights, 20))
    sizes = [scanner.ntotal for scanner in many.first._scanners]
    assert sum(sizes) == COUNT and len(sizes) == 4 and max(sizes) <= COUNT // 4 + COUNT // 40


def test_codes_that_were_stored_answer_as_those_made_anew(grids):
    book = Codebook.train(grids[:3000], 2)
    scan = CodeScan(Codebook(book.origin, book.centroids))
    scan.add_codes(book.encode(grids))
    stored = PooledIndex(scan, book.pooling, book.origin, grids.__getitem__)
    made = PooledIndex.by_codes(book, grids.__getitem__)
    made.add(grids)
    queries, weights = collection(8, seed=1), random_weights(8)
    check_equal(stored.search(queries, weights, 20), made.search(queries, weights, 20))
    with pytest.raises(EngineError, match=r"codes of uint8 .*: expected uint8 \(N, 36\)"):
        scan.add_codes(np.zeros((2, 5), np.uint8))
