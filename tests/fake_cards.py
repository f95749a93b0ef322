"""FAISS's GPU classes, played by its CPU ones: as strict as the real ones, and as silent about a selector."""

import threading
import types

import faiss
import numpy as np

MOST = 2048


class StandardGpuResources:
    """Of one card; the real one must not be used by two threads at a time."""

    def __init__(self):
        self.busy = threading.Lock()


class GpuIndexFlatConfig:
    device = 0
    useFloat16 = False


def fake_faiss(cards: int = 1, room: int = 10**9) -> types.ModuleType:
    """Return FAISS as if it had these GPUs, each with room for so many vectors."""
    module = types.ModuleType("faiss")
    module.__file__ = faiss.__file__
    module.__getattr__ = lambda name: getattr(faiss, name)
    module.made, module.searched = [], []

    class GpuIndexFlatIP:
        def __init__(self, resources, dimension, config):
            assert isinstance(resources, StandardGpuResources) and config.device < cards
            self.resources, self.half, self.device = resources, config.useFloat16, config.device
            self.vectors = faiss.IndexFlatIP(dimension)
            module.made.append(self)

        @property
        def ntotal(self):
            return self.vectors.ntotal

        def rounded(self, vectors):
            return vectors.astype(np.float16).astype(np.float32) if self.half else vectors

        def add(self, vectors):
            with self.alone():
                on_card = sum(one.ntotal for one in module.made if one.device == self.device)
                if on_card + len(vectors) > room:
                    raise RuntimeError(
                        "Error in void* allocMemory(const AllocRequest&) at Resources.cpp:443: Error: 'err == cudaSuccess' "
                        "failed: Failed to cudaMalloc 1610612736 bytes on device 0 (error 2 out of memory)\n"
                        "Outstanding allocations:\nAlloc type FlatData: 1 allocations, 1024 bytes\n"
                    )
                self.vectors.add(self.rounded(vectors))

        def search(self, queries, k, params=None):
            """A selector is ignored, as by the real class; and a k beyond its limit is an error."""
            with self.alone():
                if not 0 < k <= MOST:
                    raise RuntimeError(f"Error in void validateKSelect(int) at Y.cu:98: Error: k <= {MOST} failed")
                module.searched.append((self.device, k))
                return self.vectors.search(self.rounded(queries), k)

        def reconstruct_batch(self, rows):
            with self.alone():
                return self.vectors.reconstruct_batch(rows)

        def alone(self):
            assert self.resources.busy.acquire(blocking=False), "two threads use one card"
            return _Release(self.resources.busy)

    module.GpuIndexFlatIP = GpuIndexFlatIP
    module.GpuIndexFlatConfig = GpuIndexFlatConfig
    module.StandardGpuResources = StandardGpuResources
    module.get_num_gpus = lambda: cards
    return module


class _Release:
    def __init__(self, lock):
        self.lock = lock

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.lock.release()
