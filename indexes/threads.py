"""Threads that an index keeps, made anew in a forked process: those of its parent are not there."""

import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class Threads:
    """Some threads, started at first use, in each process for itself.

    Parameters
    ----------
    workers : int
    initializer : callable or None
        Called in each of them when it starts.
    """

    def __init__(self, workers: int, initializer: Callable[[], None] | None = None) -> None:
        self._workers, self._initializer = workers, initializer
        # One object, so that a thread sees both or neither. Two that start at once make two pools, of which one is dropped.
        self._made: tuple[int, ThreadPoolExecutor] | None = None

    def map(self, function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
        """Call a function with each of the items; return the results in their order."""
        made = self._made
        if made is None or made[0] != os.getpid():
            made = self._made = os.getpid(), ThreadPoolExecutor(self._workers, initializer=self._initializer)
        return made[1].map(function, items)
