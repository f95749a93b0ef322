"""Resizing by Pillow's antialiased bicubic filter: a process that resizes many photos compiles it, for the same pixels."""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ce_retrieval.pixels import Photo

if TYPE_CHECKING:
    from collections.abc import Callable

#: Photos that a process resizes by Pillow before it loads the compiled loops. They take a third of the time, but half a second
#: to load, and some seconds to compile when a machine uses them first.
AFTER = 2048
MOST_PIXELS = (
    1 << 20
)  # of a photo: larger ones take longer to decode than to resize, and Pillow keeps them in several pieces
Box = tuple[float, float, float, float]


class Loops:
    """The compiled loops of this process, once it has resized `AFTER` photos.

    Attributes
    ----------
    resampled : callable or None
        `resize_kernel.resampled` when it is ready.
    """

    def __init__(self, after: int = AFTER) -> None:
        self.resampled: Callable[..., Photo] | None = None
        self._after, self._calls = after, itertools.count()

    def resize(self, photo: Image.Image, target: tuple[int, int], box: Box | None = None) -> Photo | None:
        """Return an RGB photo resized as `photo.resize(target, BICUBIC, box)` does; None where Pillow has to do it.

        Any thread may call it. The call that finds that there have been many loads the loops, while others go on.
        """
        if photo.mode != "RGB" or not _columns_first(photo.size, target) or photo.width * photo.height > MOST_PIXELS:
            return None
        if self.resampled is None:
            if next(self._calls) == self._after:
                self.load()
            return None
        return _by(self.resampled, photo, target, box)

    def load(self) -> None:
        """Make the loops ready, unless this machine's Pillow computes other pixels."""
        from ce_retrieval.photos.resize_kernel import resampled

        rng = np.random.default_rng(0)
        for height, width, target in ((57, 61, (32, 24)), (40, 30, (64, 48))):
            probe = Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8))
            if not np.array_equal(
                _by(resampled, probe, target), np.asarray(probe.resize(target, Image.Resampling.BICUBIC))
            ):
                return
        self.resampled = resampled


LOOPS = Loops()


def _columns_first(size: tuple[int, int], target: tuple[int, int]) -> bool:
    """Return whether every Pillow resizes the columns before the rows: from 13 on it does the rows of tall photos first.

    The order matters by a grey level, since the result of the first pass is rounded.
    """
    return size[1] - target[1] <= max(0, 2 * (size[0] - target[0]))


def _by(resampled: Callable[..., Photo], photo: Image.Image, target: tuple[int, int], box: Box | None = None) -> Photo:
    left, top, right, bottom = box or (0, 0, *photo.size)
    across, down = _weights(photo.width, left, right, target[0]), _weights(photo.height, top, bottom, target[1])
    return resampled(_pixels(photo), *across, *down)


def _pixels(photo: Image.Image) -> NDArray[np.uint32]:
    """Return an RGB photo's own memory, four bytes a pixel, without a copy."""
    import pyarrow as pa

    array: Any = pa.array(photo)
    pixels = np.frombuffer(array.buffers()[-1], np.uint32, photo.width * photo.height)
    return pixels.reshape(photo.height, photo.width)


@lru_cache(maxsize=64)
def _weights(size: int, start: float, stop: float, target: int) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return what each of `target` pixels takes of the pixels from `start` to `stop` of a side of `size`.

    Returns
    -------
    first : int64 (target,)
        The first pixel of each sum.
    weights : int32 (target, k)
        In 1 / 2**BITS.

    Notes
    -----
    Pillow's Resample.c: Keys' cubic with a = -0.5, stretched where a side becomes shorter. The order of operations is its too,
    so that no rounding differs.
    """
    from ce_retrieval.photos.resize_kernel import BITS

    scale = float(np.float32(stop) - np.float32(start)) / target
    stretch = max(scale, 1.0)
    centres = start + (np.arange(target) + 0.5) * scale
    first = np.maximum((centres - 2 * stretch + 0.5).astype(np.int64), 0)
    counts = np.minimum((centres + 2 * stretch + 0.5).astype(np.int64), size) - first
    numbers = np.arange(counts.max())
    x = np.abs((numbers + first[:, None] - centres[:, None] + 0.5) * (1.0 / stretch))
    near, far = (1.5 * x - 2.5) * x * x + 1, (((x - 5) * x + 8) * x - 4) * -0.5
    weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
    weights[numbers >= counts[:, None]] = 0
    total = np.zeros(target)
    for column in weights.T:
        total += column
    scaled = weights / total[:, None] * (1 << BITS)
    return first, np.trunc(scaled + np.copysign(0.5, scaled)).astype(np.int32)
