"""Sparse LU factors that can be dropped by any thread.

SciPy notes in each thread what it has allocated there for factors, and frees only what the thread that drops them has
noted: factors dropped by another thread stay in memory for ever. A thread that ends while its factors are there leaves an
error behind, which spoils the end of the process. So a few threads make all factors, each frees its own, and all are ended
before the process is.
"""

from __future__ import annotations

import atexit
import itertools
import os
import threading
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

Box = list[Any]  # holds the factors: whoever else knows of the box, to clear it drops them


class _Home:
    """A thread that makes factors, and frees them."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self._tasks: SimpleQueue[tuple[Box, Any, Future[None] | None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="factors", daemon=True)
        self._thread.start()
        atexit.register(self._end)

    def make(self, matrix: Any) -> Box:
        """Factorise a matrix; raises what SciPy raises."""
        box: Box = []
        made: Future[None] = Future()
        self._tasks.put((box, matrix, made))
        made.result()
        return box

    def free(self, box: Box) -> None:
        """Drop factors; a garbage collection may call it at any time."""
        self._tasks.put((box, None, None))

    def _end(self) -> None:
        if self.process == os.getpid():
            self._tasks.put(None)
            self._thread.join()

    def _work(self) -> None:
        from scipy.sparse.linalg import splu

        live: dict[int, Box] = {}
        while (task := self._tasks.get()) is not None:
            box, matrix, made = task
            if made is None:
                live.pop(id(box), box).clear()
                continue
            live[id(box)] = box
            try:
                # The order and the pivots are those for a symmetric positive definite matrix.
                options = {"SymmetricMode": True}
                box.append(splu(matrix, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options=options))
                made.set_result(None)
            except BaseException as error:
                made.set_exception(error)
            del task, box, matrix, made  # until the next one
        for box in live.values():
            box.clear()


class Factors:
    """The LU factors of a sparse matrix (N, N), symmetric and positive definite. Threads may share them."""

    def __init__(self, matrix: Any) -> None:
        self._home = _next_home()
        self._box = self._home.make(matrix)

    def solve(self, right: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the solution float64 (N, K) for right-hand sides (N, K)."""
        solution: NDArray[np.float64] = self._box[0].solve(right)
        return solution

    def __del__(self) -> None:
        """Have the factors freed where they were made; in a forked process that thread is not there."""
        box = getattr(self, "_box", None)
        if box is not None and self._home.process == os.getpid():
            self._home.free(box)


_turn = itertools.count()
_homes: dict[int, list[_Home]] = {}  # by process: a forked one starts threads of its own
_lock = threading.Lock()


def _next_home() -> _Home:
    with _lock:
        homes = _homes.get(os.getpid())
        if homes is None:
            homes = _homes[os.getpid()] = [_Home() for _ in range(os.cpu_count() or 1)]
    return homes[next(_turn) % len(homes)]
