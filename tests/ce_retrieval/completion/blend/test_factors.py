"""LU factors: made in one thread, used and dropped in others, and freed all the same."""

import subprocess
import sys
import threading

import numpy as np
import pytest
from scipy import sparse

from ce_retrieval.completion.blend.factors import Factors


def laplacian(side):
    line = sparse.diags([-1.0, 4.0, -1.0], [-1, 0, 1], shape=(side, side))
    beside = sparse.diags([-1.0, -1.0], [-1, 1], shape=(side, side))
    return (sparse.kron(sparse.eye(side), line) + sparse.kron(beside, sparse.eye(side))).tocsc()


def test_the_solution_is_that_of_the_matrix_from_any_thread():
    matrix, right = laplacian(20), np.random.default_rng(0).random((400, 3))
    factors, found = Factors(matrix), []
    for _ in range(3):
        thread = threading.Thread(target=lambda: found.append(factors.solve(right)))
        thread.start()
        thread.join()
    for solution in found:
        np.testing.assert_allclose(matrix @ solution, right, atol=1e-12)
        np.testing.assert_array_equal(solution, factors.solve(right))


def test_a_singular_matrix_raises_and_leaves_the_thread_alive():
    with pytest.raises(RuntimeError, match="singular"):
        Factors(sparse.csc_matrix((3, 3)))
    assert Factors(sparse.eye(3, format="csc")).solve(np.ones((3, 1))).tolist() == [[1.0]] * 3


MEMORY = """
import threading
from pathlib import Path
from test_factors import laplacian
from ce_retrieval.completion.blend.factors import Factors

def resident():
    return 4096 * int(Path("/proc/self/statm").read_text().split()[1])

matrix, held = laplacian(80), []
def make():
    held.append(Factors(matrix))
sizes = []
for number in range(60):
    thread = threading.Thread(target=make)
    thread.start()
    thread.join()
    held.clear()
    sizes.append(resident())
print(sizes[-1] - sizes[19])
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_factors_made_in_one_thread_and_dropped_in_another_are_freed(request):
    """Each takes 3 MB."""
    assert int(run_alone(request, MEMORY)) < 20 << 20


FORK = """
import multiprocessing
import numpy as np
from test_factors import laplacian
from ce_retrieval.completion.blend.factors import Factors

mine, right = Factors(laplacian(10)), np.ones((100, 1))
def in_child(queue):
    queue.put((Factors(laplacian(10)).solve(right), mine.solve(right)))
context = multiprocessing.get_context("fork")
queue = context.Queue()
child = context.Process(target=in_child, args=(queue,))
child.start()
found = queue.get(timeout=60)
child.join(timeout=60)
print(child.exitcode, all(np.array_equal(one, mine.solve(right)) for one in found))
"""


def run_alone(request, code):
    path = [str(request.path.parent), str(request.config.rootpath)]
    command = [sys.executable, "-c", f"import sys; sys.path[:0] = {path}\n{code}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_forked_process_makes_its_own(request):
    assert run_alone(request, FORK) == "0 True\n"
