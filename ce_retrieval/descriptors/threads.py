"""A learned descriptor's photos shared out to the cores, each call of the network on one thread."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

CHUNK = 32  # photos a call of the network


def thread_count() -> int:
    """How many threads torch uses; to be asked before any call of `in_chunks`, which changes it for a while."""
    import torch

    return torch.get_num_threads()


def in_chunks(count: int, run: Callable[[slice], None], threads: int) -> None:
    """Call `run` with the slices of `count` photos, in parts of CHUNK; where there are many, on all cores.

    Each call runs torch on its own thread alone: many callers share the cores without getting into each other's way, and
    the many photos of one caller are shared out to all cores. Afterwards, and for threads to come, torch has `threads`.
    """
    parts = [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]

    def alone(part: slice) -> None:
        with _one_thread(threads):
            run(part)

    if len(parts) > 1:
        with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
            list(pool.map(alone, parts))
    else:
        for part in parts:
            alone(part)


@contextlib.contextmanager
def _one_thread(otherwise: int) -> Iterator[None]:
    """Run torch on the calling thread alone; afterwards on `otherwise` threads."""
    import torch

    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(otherwise)
