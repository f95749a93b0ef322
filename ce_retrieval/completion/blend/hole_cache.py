"""What is made once for a hole and used for every photo that has it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

Made = TypeVar("Made")


class PerHole(Generic[Made]):
    """Keeps what `make` returns for the last `held` holes: bool arrays of any shape, and what else it is told.

    Safe to share by threads: each is made once while it is held, and different ones in parallel. Where `make` raises, so does
    every call that waits for it, and the next one tries again.
    """

    def __init__(self, make: Callable[..., Made], held: int) -> None:
        self._make, self._held = make, held
        self._made: OrderedDict[tuple[Hashable, ...], Future[Made]] = OrderedDict()
        self._lock = Lock()

    def __call__(self, hole: np.ndarray, *more: Hashable) -> Made:
        """Return `make(hole, *more)`, made now or held."""
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
