"""Threads that stop with the work that they were started for."""

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class WorkerPool(ThreadPoolExecutor):
    """Threads, and an event that asks a long call to return early.

    Attributes
    ----------
    stopping : threading.Event
        Set when the work has failed or was interrupted: no result is needed any more.
    """

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.stopping = threading.Event()


@contextlib.contextmanager
def worker_pool(workers: int) -> Iterator[WorkerPool]:
    """Yield a pool of threads. If the block fails, calls that have not begun are dropped.

    After Ctrl-C it does not wait for the calls in progress either: one of them may decode a photo for seconds.
    """
    pool = WorkerPool(workers)
    try:
        yield pool
    except BaseException as error:
        pool.stopping.set()
        pool.shutdown(wait=isinstance(error, Exception), cancel_futures=True)
        raise
    pool.shutdown()


def in_order(
    pool: ThreadPoolExecutor, function: Callable[[Item], Result], items: Iterable[Item], ahead: int
) -> Iterator[Result]:
    """Map in order with at most `ahead` calls in progress, so that memory does not grow with `items`."""
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(pool.submit(function, item))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def batched(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield the items in lists of `size`; the last may be shorter."""
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch
