"""The engine among threads, child processes and another library's OpenMP runtime."""

import itertools
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
import {imports}
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


def run(program):
    """Run a program with two OpenMP threads; it is to say that it searched rightly."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=120,
        # On a busy machine, threads that spin while they wait for each other take ten times as long.
        env={**os.environ, "OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "PASSIVE", "PYTHONPATH": os.getcwd()},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "searched rightly"


ORDERS = list(itertools.permutations(("cv2", "faiss", "torch")))  # the first and the last are tried each time


@pytest.mark.parametrize(
    "order", [ORDERS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in ORDERS[1:-1]), ORDERS[-1]], ids="-".join
)
def test_torch_faiss_and_opencv_live_in_one_process_in_any_order(order):
    pytest.importorskip("torch")
    run(IMPORT_ORDER.format(imports=", ".join(order)))


# The parent's threads, its own and OpenMP's, are not there in a forked process: who waits for them waits for ever.
FORK = """
import os
import signal
import numpy as np
from indexes.codebook import Codebook
from indexes.faiss_index import FaissIndex
from indexes.masked import MaskedIndex
from indexes.pooled import PooledIndex

rng = np.random.default_rng(0)
grids = rng.random((4000, 64, 3), np.float32).astype(np.float16)
queries, weights = rng.random((40, 64, 3), np.float32), rng.random((40, 64), np.float32)
if "{kind}" == "exact":
    index = MaskedIndex(FaissIndex(64 * 4, shards=2), 64, 3)
else:
    index = PooledIndex.by_codes(Codebook.train(grids[:300], 2), lambda rows: grids[rows], 4.0)
index.add(grids)
expected = index.search(queries, weights, 5).ids
child = os.fork()
if child == 0:
    signal.alarm(30)
    again = index.search(queries, weights, 5).ids
    Codebook.train(grids[:300], 2).encode(grids)
    os._exit(0 if np.array_equal(again, expected) else 1)
assert os.waitpid(child, 0)[1] == 0, "the child searched wrongly, or waited for ever"
assert np.array_equal(index.search(queries, weights, 5).ids, expected)
print("searched rightly")
"""


@pytest.mark.parametrize("kind", ["exact", "pooled"])
def test_a_forked_child_goes_on_with_an_index_that_its_parent_searched(kind):
    run(FORK.format(kind=kind))
