"""The engine among threads, child processes and another library's OpenMP runtime."""

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from exact_search import exact_search

from indexes.faiss_index import FaissIndex


def numbers(count, seed, dimension=24):
    return np.random.default_rng(seed).standard_normal((count, dimension)).astype(np.float32)


def best_ids(count, queries, k):
    """Build an index of its own and search: what a child process does."""
    index = FaissIndex(24)
    index.add(numbers(count, 0))
    return index.search(numbers(queries, 1), k).ids.tolist()


def exact_ids(count, queries, k):
    return exact_search(numbers(count, 0), numbers(queries, 1), k)[1].tolist()


@pytest.mark.parametrize("shards", [1, 2])
def test_many_threads_search_one_index_at_once(shards):
    index = FaissIndex(24, shards=shards)
    index.add(numbers(2000, 0))
    queries = numbers(64, 1)
    expected = exact_ids(2000, 64, 10)

    def search(row):
        return [index.search(queries[row : row + 1], 10).ids[0].tolist() for _ in range(20)]

    with ThreadPoolExecutor(8) as pool:
        for row, answers in enumerate(pool.map(search, range(64))):
            assert answers == [expected[row]] * 20


def test_a_spawned_child_searches_after_the_parent_did():
    expected = exact_ids(500, 3, 5)
    assert best_ids(500, 3, 5) == expected
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(best_ids, (500, 3, 5)).get(timeout=60) == expected


IMPORT_ORDER = """
import {first}
import {second}
import numpy as np
import torch
from indexes.faiss_index import FaissIndex

rng = np.random.default_rng(0)
vectors = rng.standard_normal((4000, 32)).astype(np.float32)
index = FaissIndex(32)
for times in (1, 2, 3):
    product = torch.from_numpy(vectors) @ torch.from_numpy(vectors[:64]).T
    expected = vectors[:64] @ vectors.T
    assert np.allclose(product.numpy().T, expected, atol=1e-3)
    index.add(vectors)
    best = np.sort(np.tile(expected, times))[:, :-6:-1]
    for rows in (1, 64):
        found = index.search(vectors[:rows], 5)
        assert np.allclose(found.scores, best[:rows], rtol=1e-4), "wrong neighbours"
print("searched rightly")
"""


@pytest.mark.parametrize(("first", "second"), [("torch", "faiss"), ("faiss", "torch")])
def test_torch_and_faiss_live_in_one_process_in_either_order(first, second):
    import importlib.util

    if importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ORDER.format(first=first, second=second)],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "OMP_NUM_THREADS": "2", "PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "searched rightly"
