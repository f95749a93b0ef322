"""The parameters of block and region holes, and how a count is drawn from them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SettingsError


@dataclass(frozen=True)
class HoleParams:
    """The limit of Context Encoders on block and region holes, and the numbers that the paper leaves open.

    Lengths and areas are shares of the photo's side and pixels; ranges include both ends.
    """

    max_share: float = 0.25  # of the pixels: the paper's "up to 1/4", never exceeded
    block_count: tuple[int, int] = (1, 5)  # blocks tried; one that would break max_share is left out
    block_side: tuple[float, float] = (1 / 8, 3 / 8)
    region_count: tuple[int, int] = (1, 3)  # shapes pasted
    region_min_share: float = 0.05
    rotation: float = np.pi  # largest angle in either direction, radians
    stretch: float = 1.4  # largest change of the ratio of height to width, or its inverse
    shear: float = 0.3  # largest shear in either direction
    blob_grid: int = 96  # side of a procedural shape, px
    blob_waves: int = 5  # cosine waves per axis of a procedural shape
    blob_share: float = 0.4  # of its grid that a procedural shape fills

    def __post_init__(self) -> None:
        low, high = self.block_side
        if not (0 < low <= high and high * high <= self.max_share < 1):
            raise SettingsError(
                f"`block_side` is {self.block_side}: expected 0 < low <= high <= {self.max_share**0.5:.3f}, the root of "
                "`max_share`"
            )
        if not 0 < self.region_min_share <= self.max_share:
            raise SettingsError(
                f"`region_min_share` is {self.region_min_share}: expected a share up to `max_share`, {self.max_share}"
            )
        for name in ("block_count", "region_count"):
            if not 1 <= getattr(self, name)[0] <= getattr(self, name)[1]:
                raise SettingsError(f"`{name}` is {getattr(self, name)}: expected 1 <= low <= high")


DEFAULT_HOLES = HoleParams()


def drawn_count(uniforms: NDArray[np.float64], limits: tuple[int, int]) -> NDArray[np.int64]:
    """Turn uniform numbers in [0, 1) into whole numbers between the limits, both included."""
    low, high = limits
    return low + (uniforms * (high - low + 1)).astype(np.int64)
