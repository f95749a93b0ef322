"""What descriptors by a torch network share: their use of threads, their memory, the size of their photos."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

from ce_retrieval.errors import SettingsError

CHUNK = 32  # photos per call of the network
LIBRARY_MEMORY = 250 << 20  # bytes of torch, loaded and running
PIXEL_MEMORY = 160  # bytes of feature maps per pixel of a photo, at most


def check_size(spec: str, size: int, needed: int) -> None:
    """Raise SettingsError unless the network, which needs photos of one size, takes those of `size`."""
    if size != needed:
        raise SettingsError(f"{spec}: its network takes photos of {needed} px, not {size}: use `size` {needed}")


def network_memory(numbers: int, size: int) -> tuple[int, int]:
    """Return upper bounds in bytes: of torch with a network of `numbers` weights, and of the feature maps of one photo."""
    # As read, in float32, and in bfloat16 beside it.
    return LIBRARY_MEMORY + 10 * numbers, PIXEL_MEMORY * size**2


def in_chunks(count: int, run: Callable[[slice], None]) -> None:
    """Call `run` with slices of CHUNK of `count` photos, on all cores where there are several.

    Each call runs torch on one thread: several callers do not compete for cores, and a large batch still uses them all.
    Afterwards torch has as many threads as before the first of the calls that run at a time.
    """
    parts = [slice(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]

    def alone(part: slice) -> None:
        with _one_thread():
            run(part)

    if len(parts) > 1:
        with ThreadPoolExecutor(min(len(parts), os.cpu_count() or 1)) as pool:
            list(pool.map(alone, parts))
    else:
        for part in parts:
            alone(part)


class _Running:
    """The calls that hold torch to one thread, and how many threads it had before the first."""

    lock = threading.Lock()
    calls = 0
    threads = 1


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Run torch on one thread; afterwards on as many as before."""
    import torch

    with _Running.lock:
        if not _Running.calls:
            _Running.threads = torch.get_num_threads()
        _Running.calls += 1
        torch.set_num_threads(1)
    try:
        yield
    finally:
        with _Running.lock:
            _Running.calls -= 1
            torch.set_num_threads(_Running.threads)
