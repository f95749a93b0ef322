"""Codes in lists: which list a photo is in, which lists a query scans, and what is refused."""

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
    random_weights,
    recall,
)

from indexes import first_pass, pooled
from indexes.base import EngineError
from indexes.codebook import Codebook
from indexes.lists import ALL_LISTS, ListCodebook
from indexes.pooled import PooledIndex


@pytest.fixture(scope="module")
def book(grids):
    return Codebook.train(grids[:3000], 2)


def listed(book, grids, lists=64):
    codebook = ListCodebook.of(book, grids[:3000], lists)
    index = PooledIndex.by_codes(codebook, grids.__getitem__)
    for block in np.array_split(grids, 3):
        index.add(block)
    return index


@pytest.fixture
def scanned(monkeypatch):
    """Return the list that tells how many lists each scan looked at."""
    seen, scan = [], ListCodebook.scan

    class Watched:
        def __init__(self, scanner):
            self.scanner = scanner

        def search(self, queries, most, params):
            seen.append(params.nprobe)
            return self.scanner.search(queries, most, params=params)

    monkeypatch.setattr(ListCodebook, "scan", lambda self, one, *rest: scan(self, Watched(one), *rest))
    return seen


@pytest.mark.parametrize(("lists", "prefix"), [(2, 1), (256, 1), (257, 2), (700, 2)])
def test_a_photo_is_in_the_list_of_the_nearest_head(book, grids, lists, prefix):
    codebook = ListCodebook.of(book, grids[:3000], lists)
    codes = codebook.encode(grids[:200])
    assert codebook.bytes_a_photo == codes.shape[1] == 36 + prefix and len(codebook.heads) == lists
    np.testing.assert_array_equal(codes[:, prefix:], book.encode(grids[:200]))
    numbers = codes[:, :prefix].astype(int) @ [1, 256][:prefix]
    bare = lambda vectors: vectors.reshape(len(vectors), -1, 3)[:, :, :2].reshape(len(vectors), -1)  # noqa: E731
    photos, heads = bare(book.pooling.photos(grids[:200], book.origin)), bare(book.photos(codebook.heads))
    away = ((photos[:, None] - heads) ** 2).sum(axis=2)
    np.testing.assert_allclose(away[np.arange(200), numbers], away.min(axis=1), rtol=1e-4)
    assert len(set(numbers.tolist())) > 1


def test_a_share_of_the_lists_holds_nearly_all_neighbours(book, grids, exact, scanned, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    index = listed(book, grids)
    queries, weights = collection(30, seed=1), random_weights(30)
    found = index.search(queries, weights, 10)
    assert set(scanned) == {64 * pooled.FEWEST // ALL_LISTS}
    check_distances(found, grids, queries, weights)
    assert recall(found, exact.search(queries, weights, 10)) > 0.93, "by chance 0.125"


def test_the_more_candidates_are_needed_the_more_lists_are_scanned(book, grids, scanned, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    index, query, weights = listed(book, grids), collection(1, seed=1), np.ones((1, CELLS), np.float32)
    for fewest, lists in ((20, 1), (1000, 16), (1001, 17), (4000, 64), (5000, 64)):
        monkeypatch.setattr(pooled, "FEWEST", fewest)
        index.search(query, weights, 5)
        assert scanned.pop() == lists and not scanned


def test_lists_that_hold_too_few_are_not_all_that_is_scanned(grids, scanned, monkeypatch):
    """One photo is unlike all others: its list holds it alone."""
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    monkeypatch.setattr(pooled, "FEWEST", 20)
    some = np.concatenate([collection(999) * np.float16(0.1), np.full((1, CELLS, CHANNELS), 30, np.float16)])
    index = listed(Codebook.train(some, 2), some)
    found = index.search(some[-1:], np.ones((1, CELLS), np.float32), 5)
    assert scanned == [1, 64] and found.ids[0, 0] == 999 and len(set(found.ids[0].tolist())) == 5
    assert found.ids.min() >= 0


def test_lists_are_chosen_by_what_a_query_sees(book, grids, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(6, seed=1), random_weights(6)
    other = queries.copy()
    other[weights == 0] = 1000
    index = listed(book, grids)
    check_equal(index.search(other, weights, 10), index.search(queries, weights, 10))


@pytest.mark.parametrize("mask", MASKS)
def test_only_the_allowed_are_found(mask, book, grids, exact):
    allowed, queries, weights = MASKS[mask], collection(6, seed=1), random_weights(6)
    k = min(10, int(allowed.sum()))
    found, expected = (
        listed(book, grids).search(queries, weights, k, allowed),
        exact.search(queries, weights, k, allowed),
    )
    check_distances(found, grids, queries, weights, allowed)
    assert recall(found, expected) > 0.95


def test_shards_answer_as_one_scan_does(book, grids, monkeypatch):
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    queries, weights = collection(8, seed=1), random_weights(8)
    whole = listed(book, grids).search(queries, weights, 20)
    monkeypatch.setattr(first_pass, "MOST_CODES", COUNT // 4)
    index = listed(book, grids)
    found = index.search(queries, weights, 20)
    check_distances(found, grids, queries, weights)
    assert recall(found, whole) > 0.98, "a share of each shard's lists, whose best are cut at another place"


def test_many_neighbours_asked_for_are_all_found(book, grids, exact):
    queries, weights = collection(2, seed=1), random_weights(2)
    check_equal(listed(book, grids).search(queries, weights, COUNT), exact.search(queries, weights, COUNT))


def test_heads_and_codes_that_do_not_fit_are_refused(book, grids):
    codes = book.encode(grids[:5])
    for heads in (codes[:, 1:], codes[:1], codes.astype(np.int16), codes[0]):
        with pytest.raises(EngineError, match=r"heads of .*: expected uint8 \(L, 36\), L from 2 to 65536"):
            ListCodebook(book.origin, book.centroids, heads)
    codebook = ListCodebook(book.origin, book.centroids, codes)
    index = PooledIndex.by_codes(codebook, grids.__getitem__)
    wrong = codebook.encode(grids[:9])
    wrong[3, 0] = 5
    with pytest.raises(EngineError, match="codes of list 5: the lists are 0 to 4"):
        index.first.add_codes(wrong)
    with pytest.raises(EngineError, match=r"codes of uint8 .*: expected uint8 \(N, 37\)"):
        index.first.add_codes(codes)
