"""What is made once for a hole and used for every photo that has it."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, TypeVar

import numpy as np

Made = TypeVar("Made")


class PerHole(Generic[Made]):
    """Keeps what `make` returns for the last `held` holes: bool arrays of any shape, and what else it is told.

    Safe to share by threads: each is made once.
    """

    def __init__(self, make: Callable[..., Made], held: int) -> None:
        self._make, self._held = make, held
        self._made: OrderedDict[tuple[Hashable, ...], Made] = OrderedDict()
        self._lock = Lock()

    def __call__(self, hole: np.ndarray, *more: Hashable) -> Made:
        """Return `make(hole, *more)`, made now or held."""
        key = (hole.shape, np.packbits(hole).tobytes(), *more)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(hole, *more)
                if len(self._made) > self._held:
                    self._made.popitem(last=False)
            self._made.move_to_end(key)
            return self._made[key]
