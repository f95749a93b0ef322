"""Search on GPUs against exact search; the fake ones refuse what real ones refuse, and the tests marked `gpu` use real ones."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exact_search import exact_search
from fake_cards import MOST

from indexes.base import EngineError
from indexes.cards import FEW, PARTS, CardIndex
from indexes.faiss_door import cards_of
from indexes.faiss_index import FaissIndex, vector_index
from indexes.masked import MaskedIndex

DIMENSION, COUNT = 16, 30_000


@pytest.fixture(scope="module")
def vectors():
    return np.random.default_rng(0).standard_normal((COUNT, DIMENSION)).astype(np.float32)


@pytest.fixture(scope="module")
def queries():
    return np.random.default_rng(1).standard_normal((4, DIMENSION)).astype(np.float32)


def filled(vectors, step=7_001, **more):
    index = CardIndex(DIMENSION, **more)
    for start in range(0, len(vectors), step):
        index.add(vectors[start : start + step])
    return index


def check(found, vectors, queries, k, allowed=None):
    """The k best of those allowed, in order, each with its score; float32 cannot order the nearly equal."""
    ids = np.arange(len(vectors)) if allowed is None else np.flatnonzero(allowed)
    expected, rows = exact_search(vectors[ids], queries, k)
    assert found.scores.dtype == np.float32 and found.ids.dtype == np.int64 and found.ids.shape == (len(queries), k)
    np.testing.assert_allclose(found.scores, expected, rtol=1e-5, atol=1e-5)
    for row, query in enumerate(queries):
        np.testing.assert_allclose(
            vectors[found.ids[row]].astype(np.float64) @ query, expected[row], rtol=1e-5, atol=1e-5
        )
        assert len(set(found.ids[row].tolist())) == k and np.isin(found.ids[row], ids).all()
    np.testing.assert_array_equal(found.ids[:, : min(k, 10)], ids[rows][:, : min(k, 10)])


@pytest.mark.parametrize("k", [1, 30, MOST, MOST + 1, 5_000, 12_000, COUNT])
def test_the_k_best_are_found_for_any_k(any_card, vectors, queries, k):
    check(filled(vectors).search(queries, k), vectors, queries, k)


@pytest.mark.parametrize("cards_there", [1, 2, 3])
@pytest.mark.parametrize("step", [COUNT, 997])
def test_vectors_are_dealt_out_evenly_to_all_cards(cards, vectors, queries, cards_there, step):
    module = cards(cards_there)
    index = filled(vectors, step)
    check(index.search(queries, 40), vectors, queries, 40)
    counts = [part.ntotal for part in module.made]
    assert len(counts) == PARTS * cards_there and max(counts) - min(counts) <= 1
    assert {device for device, _ in module.searched} == set(range(cards_there))
    ids = np.random.default_rng(2).integers(COUNT, size=500)
    np.testing.assert_array_equal(index.reconstruct(ids), vectors[ids])


@pytest.mark.parametrize("count", [1, 2, 3, 5, 9])
def test_fewer_vectors_than_parts_are_all_found(any_card, vectors, queries, count):
    check(filled(vectors[:count], step=2).search(queries, count), vectors[:count], queries, count)


def test_the_nearest_may_all_lie_in_one_part(any_card, vectors, queries):
    """More than one search returns, so that what the part has not returned is measured too."""
    near = vectors.copy()
    near[::PARTS] = queries[0] * np.linspace(5, 6, len(near[::PARTS]))[:, None]
    check(filled(near).search(queries, 5_000), near, queries, 5_000)


MASKS = {
    "one": np.arange(COUNT) == 4321,
    "few": np.arange(COUNT) % 600 == 7,
    "half": np.arange(COUNT) % 2 == 0,
    "one part": np.arange(COUNT) % PARTS == 1,
    "nearly all": np.arange(COUNT) % 100 != 0,
    "all": np.ones(COUNT, bool),
}


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("k", [10, 3_000])
def test_filters_are_exact_though_a_card_takes_no_selector(any_card, vectors, queries, mask, k):
    allowed = MASKS[mask]
    k = min(k, int(allowed.sum()))
    check(filled(vectors).search(queries, k, allowed), vectors, queries, k, allowed)


def test_a_filter_that_leaves_out_all_that_is_near_is_exact(any_card, vectors, queries):
    allowed = np.ones(COUNT, bool)
    allowed[exact_search(vectors, queries[:1], COUNT // 2)[1][0]] = False
    assert allowed.sum() > FEW
    check(filled(vectors).search(queries, 50, allowed), vectors, queries, 50, allowed)


def test_what_a_part_has_not_returned_comes_before_what_others_have(any_card, vectors, queries):
    """All that is near lies in one part, and the filter forbids the 19 of these that it returns first, of twenty."""
    near = vectors.copy()
    near[::PARTS] = queries[0] * np.linspace(6, 5, len(near[::PARTS]))[:, None]
    allowed = np.ones(COUNT, bool)
    allowed[: 19 * PARTS : PARTS] = False
    check(filled(near).search(queries[:1], 10, allowed), near, queries[:1], 10, allowed)


def test_equal_scores_come_in_the_order_of_their_ids(any_card):
    index = CardIndex(DIMENSION)
    index.add(np.ones((10, DIMENSION), np.float32))
    assert index.search(np.ones((1, DIMENSION), np.float32), 10).ids.tolist() == [list(range(10))]


def test_threads_take_turns_on_a_card(cards, vectors, queries):
    cards(2)
    index = filled(vectors)
    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(lambda _: index.search(queries, 20), range(40)):
            check(found, vectors, queries, 20)


def test_hole_aware_search_finds_the_same_on_a_card(any_card):
    rng = np.random.default_rng(4)
    grids = rng.standard_normal((3_000, 9, 4)).astype(np.float16)
    queries, weights = rng.standard_normal((5, 9, 4)).astype(np.float32), rng.random((5, 9)).astype(np.float32)
    allowed = rng.random(3_000) < 0.8
    found = []
    for engine in (vector_index(45, "cuda"), FaissIndex(45)):
        index = MaskedIndex(engine, 9, 4)
        index.add(grids)
        found.append(index.search(queries, weights, 12, allowed))
    np.testing.assert_array_equal(found[0].ids, found[1].ids)
    np.testing.assert_array_equal(found[0].scores, found[1].scores)


def test_devices_stand_for_cards(cards):
    cards(3)
    assert cards_of("cpu") == [] and cards_of("cuda") == cards_of("auto") == [0, 1, 2] and cards_of("cuda:1") == [1]
    assert isinstance(vector_index(4, "cuda:2"), CardIndex) and isinstance(vector_index(4), FaissIndex)
    with pytest.raises(
        EngineError, match=r"`device` is cuda:3, but FAISS sees 3 GPU\(s\): expected cuda, or cuda:0 to cuda:2"
    ):
        cards_of("cuda:3")
    for name in ("gpu", "cuda:", "cuda:-1", "CPU", ""):
        with pytest.raises(EngineError, match="expected auto, cpu, cuda or cuda:N"):
            cards_of(name)


def test_one_card_of_several_is_used_alone(cards, vectors, queries):
    module = cards(3)
    check(filled(vectors, device="cuda:1").search(queries, 20), vectors, queries, 20)
    assert {part.device for part in module.made} == {1}


def test_without_a_card_the_remedy_is_named(cards):
    cards(0)
    assert cards_of("auto") == []
    with pytest.raises(EngineError, match="FAISS sees no GPU: `nvidia-smi` must list one, or leave `device` at cpu"):
        vector_index(4, "cuda")
    with pytest.raises(EngineError, match="`device` auto is the CPU here"):
        CardIndex(4, "auto")


def test_a_faiss_without_gpu_support_is_named(cards):
    module = cards(0)
    del module.StandardGpuResources
    if hasattr(module, "StandardGpuResources"):
        pytest.skip("the FAISS of these tests is faiss-gpu")
    assert cards_of("auto") == []
    with pytest.raises(
        EngineError,
        match=r"has no GPU support: run `pip uninstall faiss-cpu` and, in the folder of ceret, `pip install '.\[gpu\]'`",
    ):
        cards_of("cuda")


def test_a_card_that_is_full_says_what_to_do(cards, vectors):
    cards(1, room=10_000)
    with pytest.raises(EngineError) as caught:
        filled(vectors)
    assert str(caught.value) == (
        "FAISS fails on cuda:0 ('err == cudaSuccess' failed: Failed to cudaMalloc 1610612736 bytes on device 0 (error 2 out of "
        "memory)): spread the vectors over more GPUs by `device` cuda, or use `device` cpu"
    )
    cards(3, room=10_001)
    assert len(filled(vectors)) == COUNT


def test_arguments_that_cannot_be_are_refused(cards, vectors):
    cards(1)
    index = filled(vectors)
    with pytest.raises(EngineError, match="k is 0"):
        index.search(vectors[:1], 0)
    with pytest.raises(EngineError, match="vectors of shape"):
        index.search(vectors[0], 1)
    with pytest.raises(EngineError, match="a mask of"):
        index.search(vectors[:1], 1, np.ones(3, bool))
