"""What descriptors by a torch network share: their use of threads, their memory, the size of their photos."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from ce_retrieval.errors import SettingsError

if TYPE_CHECKING:
    from ce_retrieval.models.context_encoder import ContextEncoder
    from ce_retrieval.models.kind_network import KindNetwork

CHUNK = 32  # photos per call of the network
LIBRARY_MEMORY = 250 << 20  # bytes of torch, loaded and running
PIXEL_MEMORY = 160  # bytes of feature maps per pixel of a photo, at most


def check_size(spec: str, size: int, network: ContextEncoder | KindNetwork) -> None:
    """Raise SettingsError unless the network takes photos of this size."""
    needed = network.config.size
    if size != needed:
        raise SettingsError(f"{spec}: its network takes photos of {needed} px, not {size}: use `size` {needed}")


def network_memory(network: ContextEncoder | KindNetwork) -> tuple[int, int]:
    """Return at most how many bytes torch and the network take, and the feature maps of each photo."""
    parameters = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    return (
        LIBRARY_MEMORY + 3 * parameters // 2,
        PIXEL_MEMORY * network.config.size**2,
    )  # float32, and bfloat16 beside it


def thread_count() -> int:
    """Return how many threads torch uses. Ask before any call of `in_chunks`, which changes it for a while."""
    import torch

    return torch.get_num_threads()


def in_chunks(count: int, run: Callable[[slice], None], threads: int) -> None:
    """Call `run` with slices of CHUNK of `count` photos, on all cores where there are several.

    Each call runs torch on one thread: several callers do not compete for cores, and a large batch still uses them all.
    Afterwards torch has `threads` again.
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
    """Run torch on one thread; afterwards on `otherwise` threads."""
    import torch

    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(otherwise)
