"""One scale of `patchmatch`: the patch of the canvas that each patch over the hole resembles most, and their vote."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.patches.pyramid import CHANNELS, PATCH, Level
from ce_retrieval.pixels import distance_from

BAND = 2048  # patches that one thread takes at a time. Part of the result: bands see each other's last pass
DEEPEST = 60.0  # px from the known pixels, beyond which trust falls no further
LEAST_SHARE = 1e-6  # of the vote that even the worst patch keeps, so that every pixel gets a value

_HALF = PATCH // 2
_WORD = (1 << 64) - 1


class PatchField:
    """The nearest-neighbour field over one scale's hole, and the window of the photo that it completes.

    Parameters
    ----------
    level : Level
    pool : Executor
        Runs the bands of a pass.
    seed : int, 64 bits
        The field is a function of it and of the calls made.
    texture : float
        Weight of the texture channel, against 1 for a colour.
    falloff : float, 1 or more
        A missing pixel d px from the known ones counts falloff^-d in the distance and in the vote of a patch.

    Attributes
    ----------
    target : float32 (h, w, 4)
        The window; known pixels are never written.
    places : int64 (N,)
        Flat first pixels of the patches that overlap the hole.
    field : int32 (h * w,)
        Flat pixel of the canvas at which the patch found for a place begins; -1 elsewhere.
    cost : float32 (h * w,)
        The weighted squared distance of the two patches.
    total : float32 (h * w,)
        The weight of the pixels of the patch at each place.
    """

    def __init__(self, level: Level, pool: Executor, seed: int, *, texture: float, falloff: float) -> None:
        import cv2

        self.level, self._pool, self._seed, self._passes = level, pool, seed, 0
        height, width = level.hole.shape
        self.target = level.canvas[level.window].astype(np.float32)
        self.places = np.flatnonzero(_overlapping(level.hole))
        self.field = np.full(height * width, -1, np.int32)
        self.cost = np.zeros(height * width, np.float32)
        self._holes = np.flatnonzero(level.hole)
        self._share = np.zeros(height * width, np.float32)
        self._trust = np.float32(falloff) ** -np.minimum(distance_from(~level.hole), np.float32(DEEPEST))
        self._weight = np.repeat(self._trust[..., None], CHANNELS, axis=2)
        self._weight[..., 3] *= np.float32(texture)
        total = cv2.boxFilter(
            self._trust, -1, (PATCH, PATCH), anchor=(0, 0), normalize=False, borderType=cv2.BORDER_CONSTANT
        )
        self.total = total.ravel()

    def begin(self, guess: NDArray[np.uint8]) -> None:
        """Start from a fill of the window, uint8 (h, w, 3), its texture continued smoothly, and from random places."""
        hole = self.level.hole
        self.target[hole, :3] = guess[hole]
        texture = np.repeat(self.target[..., 3:] / np.float32(255), 3, axis=2)
        self.target[..., 3] = PoissonSolver(hole).smooth(texture)[..., 0] * np.float32(255)
        self.field[self.places] = self._anywhere(len(self.places))

    def inherit(self, coarse: PatchField) -> None:
        """Start from the field of the coarser scale: a patch goes where the one with the same centre went; then vote."""
        height, width = coarse.level.hole.shape
        row, col = np.divmod(self.places, self.level.hole.shape[1])
        above = np.clip((row + _HALF) // 2 - _HALF, 0, height - PATCH)
        left = np.clip((col + _HALF) // 2 - _HALF, 0, width - PATCH)
        at = above * width + left
        found = coarse.field[at].astype(np.int64)
        source_row, source_col = np.divmod(found, coarse.level.valid.shape[1])
        source_row = row + 2 * (source_row - above)
        source_col = col + 2 * (source_col - left)
        rows, cols = self.level.valid.shape
        kept = (found >= 0) & (source_row >= 0) & (source_col >= 0) & (source_row < rows) & (source_col < cols)
        flat = np.where(kept, source_row * cols + source_col, 0)
        kept &= self.level.valid.ravel()[flat]
        flat[~kept] = self._anywhere(int(np.count_nonzero(~kept)))
        self.field[self.places] = flat
        # Until the first search the distances of the coarser scale stand in; a place drawn at random gets the least share.
        mean = np.where(kept, coarse.cost[at] / np.maximum(coarse.total[at], np.float32(1e-12)), np.float32(np.inf))
        self.cost[self.places] = mean * self.total[self.places]
        self.vote()

    def search(self, passes: int) -> None:
        """Look for nearer patches by this many passes of PatchMatch, every second one backwards."""
        from ce_retrieval.completion.patches import field_kernel as kernel

        target, weight, canvas = self.target.ravel(), self._weight.ravel(), self.level.canvas.ravel()
        valid = self.level.valid.view(np.uint8).ravel()
        width, canvas_width = self.level.hole.shape[1], self.level.valid.shape[1]

        def measure(first: int, last: int) -> None:
            kernel.costs(
                self.places, first, last, self.field, self.cost, target, weight, width, canvas, canvas_width, kernel.ROW
            )

        def improve(first: int, last: int) -> None:
            kernel.improve(
                self.places, first, last, self._passes % 2 == 1, self.field, before, self.cost, target, weight, width,
                canvas, valid, canvas_width, kernel.ROW, key,
            )  # fmt: skip

        self._in_bands(len(self.places), measure)
        for _ in range(passes):
            before = self.field.copy()
            key = np.uint64((self._seed + (self._passes + 1) * 0x632BE59BD9B4E019) & _WORD)
            self._in_bands(len(self.places), improve)
            self._passes += 1

    def vote(self, *, spread: float = 1.0) -> None:
        """Set every missing pixel to the mean of what the patches over it found there.

        A patch's share is exp(-d / 2 s), for its distance d and the 75th percentile s of all distances (Wexler et al.,
        section 3.1) times `spread`. A spread below 1 leaves the vote to the best patches, which is sharper.
        """
        from ce_retrieval.completion.patches import field_kernel as kernel

        cost = self.cost[self.places] / self.total[self.places]
        usual = max(float(np.quantile(cost, 0.75)), 1.0) * spread
        row, col = np.divmod(self.places, self.level.hole.shape[1])
        likeness = np.maximum(np.exp(cost / np.float32(-2.0 * usual)), np.float32(LEAST_SHARE))
        self._share[self.places] = likeness * self._trust[row + _HALF, col + _HALF]
        target, canvas = self.target.ravel(), self.level.canvas.ravel()
        width, canvas_width = self.level.hole.shape[1], self.level.valid.shape[1]
        self._in_bands(
            len(self._holes),
            lambda first, last: kernel.vote(
                self._holes, first, last, self.field, self._share, width, canvas, canvas_width, target
            ),
        )

    def _anywhere(self, count: int) -> NDArray[np.int64]:
        """Draw this many places of the canvas where a patch may begin."""
        begins = np.flatnonzero(self.level.valid)
        drawn: NDArray[np.int64] = begins[
            np.random.Generator(np.random.Philox(self._seed)).integers(0, len(begins), count)
        ]
        return drawn

    def _in_bands(self, count: int, work: Callable[[int, int], Any]) -> None:
        firsts = range(0, count, BAND)
        if len(firsts) == 1:
            work(0, count)
            return
        for _ in self._pool.map(lambda first: work(first, min(first + BAND, count)), firsts):
            pass


def _overlapping(hole: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where patches within the window that overlap the hole begin: bool (h, w)."""
    import cv2

    height, width = hole.shape
    patch = np.ones((PATCH, PATCH), np.uint8)
    begins = cv2.dilate(hole.astype(np.uint8), patch, anchor=(0, 0)).astype(bool)
    begins[height - PATCH + 1 :] = False
    begins[:, width - PATCH + 1 :] = False
    return begins
