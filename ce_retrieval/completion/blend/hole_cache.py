"""A cache of what is computed once for a hole and used for every photo with that hole."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

Made = TypeVar("Made")


class HoleCache(Generic[Made]):
    """Calls `make` once for each hole and keeps its results for the last `held` holes; the least recently used goes first.

    Threads may share it: they wait for each other only for the same hole. If `make` raises, all calls that wait for it
    raise the same error, and the next call tries again.

    Parameters
    ----------
    make : called with the hole, a bool array of any shape, and further hashable arguments.
    held : how many results are kept.
    """

    def __init__(self, make: Callable[..., Made], held: int) -> None:
        self._make, self._held = make, held
        self._made: OrderedDict[tuple[Hashable, ...], Future[Made]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, hole: np.ndarray, *more: Hashable) -> Made:
        """Return `make(hole, *more)`, from the cache if it is there."""
        key = (hole.shape, np.packbits(hole).tobytes(), *more)
        mine: Future[Made] = Future()
        with self._lock:
            made = self._made.setdefault(key, mine)
            self._made.move_to_end(key)
            if len(self._made) > self._held:
                self._made.popitem(last=False)
        if made is mine:
            try:
                made.set_result(self._make(hole, *more))
            except BaseException as error:
                with self._lock:
                    if self._made.get(key) is made:
                        del self._made[key]
                made.set_exception(error)
        return made.result()
