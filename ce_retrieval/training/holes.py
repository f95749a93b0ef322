"""Random holes on the training device: the strategies of `ce_retrieval.holes.strategies`, drawn by a torch generator.

Kinds, limits and defaults are those of `holes.strategies.HoleParams`, the random numbers are not: training draws a new
hole for every photo and step where the photos are, evaluation derives each hole from the photo's name.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ce_retrieval.errors import SettingsError, TrainingError
from ce_retrieval.holes.strategies import DEFAULT_HOLES as LIMITS
from ce_retrieval.models.config import PaperCenterConfig
from ce_retrieval.training.config import MASKS, TrainConfig

_BANK = 256
_BEYOND = 8.0  # above every squared distance between two points of a photo, in [-1, 1]
_HALVINGS = 20


def _uniform(shape: tuple[int, ...], generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Return uniform random numbers on the generator's device."""
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def _blobs() -> Tensor:
    """Return smooth random blobs: float32 (256, 1, 96, 96), 1 inside."""
    side = LIMITS.blob_grid
    generator = torch.Generator().manual_seed(0)
    noise = torch.randn((_BANK, 1, LIMITS.blob_waves, LIMITS.blob_waves), generator=generator)
    smooth = functional.interpolate(noise, size=(side, side), mode="bicubic", align_corners=True)
    axis = torch.linspace(-1, 1, side)
    smooth = smooth - 4 * (axis[:, None].square() + axis[None].square())  # keeps the blob inside its frame
    threshold = smooth.flatten(1).quantile(1 - LIMITS.blob_share, dim=1)
    return (smooth > threshold[:, None, None, None]).float()


def shape_bank(shapes: Sequence[np.ndarray]) -> Tensor:
    """Return shapes for region holes at one size.

    Parameters
    ----------
    shapes : bool arrays of any sizes, True inside the shape.

    Returns
    -------
    float32 (K, 1, 96, 96), 1 inside; shapes that vanish at this size are left out.

    Raises
    ------
    TrainingError : no shape remains.
    """
    side = LIMITS.blob_grid
    bank = []
    for shape in shapes:
        longest = max(shape.shape)
        square = torch.zeros(1, 1, longest, longest)
        top, left = (longest - shape.shape[0]) // 2, (longest - shape.shape[1]) // 2
        square[0, 0, top : top + shape.shape[0], left : left + shape.shape[1]] = torch.from_numpy(shape.astype("f4"))
        bank.append((functional.interpolate(square, size=(side, side), mode="area") >= 0.5).float())
    bank = [shape for shape in bank if shape.any()]
    if not bank:
        raise TrainingError(f"no shape is visible at {side} x {side} px: use other `shapes`, or none")
    return torch.cat(bank)


def hole_maker(config: TrainConfig, device: torch.device, shapes: Sequence[np.ndarray] | None = None) -> HoleMaker:
    """Return the holes of a run.

    A network that predicts the centre only has its overlap band inside that centre: its hole is smaller by the band.

    Parameters
    ----------
    config : the run's settings.
    device : where holes are drawn.
    shapes : bool arrays of any sizes, True inside, for region holes; None: smooth blobs.
    """
    margin = config.overlap if isinstance(config.network, PaperCenterConfig) else 0
    bank = shape_bank(shapes) if shapes is not None else None
    return HoleMaker(config.masks, config.network.size, device, bank=bank, margin=margin, mix=config.mix)


class HoleMaker:
    """Draws holes of one strategy on one device.

    Parameters
    ----------
    strategy : one of `config.MASKS`; "mixed" draws a centre, block or region hole for each photo.
    size : side of the photos, px.
    device : where holes are drawn.
    bank : float32 (K, 1, h, w), shapes of region holes, see `shape_bank`; None: smooth blobs.
    margin : width (px) by which the central hole is smaller on every side.
    mix : relative chances of centre, block and region under "mixed".
    """

    def __init__(
        self,
        strategy: str,
        size: int,
        device: torch.device,
        *,
        bank: Tensor | None = None,
        margin: int = 0,
        mix: tuple[float, float, float] = TrainConfig.mix,
    ) -> None:
        if strategy not in MASKS:
            raise SettingsError(f"`masks` is {strategy!r}: choose one of {', '.join(MASKS)}")
        self.strategy, self.size, self.device, self.margin, self.mix = strategy, size, device, margin, mix
        needs_bank = strategy in ("region", "mixed")
        self.bank = (_blobs() if bank is None else bank).to(device) if needs_bank else None

    def draw(self, batch: int, generator: Generator) -> Tensor:
        """Return holes bool (batch, size, size). The generator is on the device of this maker."""
        match self.strategy:
            case "center":
                return self._center(batch)
            case "block":
                return self._block(batch, generator)
            case "region":
                return self._region(batch, generator)
            case "none":
                return torch.zeros((batch, self.size, self.size), dtype=torch.bool, device=self.device)
        chance = _uniform((batch, 1, 1), generator) * sum(self.mix)
        center, block, _ = self.mix
        drawn = torch.where(chance < center + block, self._block(batch, generator), self._region(batch, generator))
        return torch.where(chance < center, self._center(batch), drawn)

    def _center(self, batch: int) -> Tensor:
        """Return the central square of half the side, less `margin` on every side (section 3.3 a)."""
        side = self.size // 2
        start = (self.size - side) // 2
        holes = torch.zeros((batch, self.size, self.size), dtype=torch.bool, device=self.device)
        inside = slice(start + self.margin, start + side - self.margin)
        holes[:, inside, inside] = True
        return holes

    def _block(self, batch: int, generator: Generator) -> Tensor:
        """Return several possibly overlapping blocks, together at most `max_share` of the photo (section 3.3 b)."""
        size = self.size
        low, high = LIMITS.block_count
        count = torch.randint(low, high + 1, (batch, 1, 1), generator=generator, device=self.device)
        axis = torch.arange(size, device=self.device)[None]
        holes = torch.zeros((batch, size, size), dtype=torch.bool, device=self.device)
        for tried in range(high):
            sides = (_uniform((2, batch, 1), generator, *LIMITS.block_side) * size).round().clamp_min(1)
            starts = (_uniform((2, batch, 1), generator) * (size - sides + 1)).floor()
            rows, columns = (axis >= starts) & (axis < starts + sides)
            more = holes | (rows[:, :, None] & columns[:, None, :])
            fits = more.float().mean(dim=(1, 2), keepdim=True) <= LIMITS.max_share
            holes = torch.where(fits & (count > tried), more, holes)
        return holes

    def _region(self, batch: int, generator: Generator) -> Tensor:
        """Return shapes, deformed (scale, rotation, stretch, shear, flip) and pasted anywhere (section 3.3 c).

        They are drawn at half resolution, and cover `region_min_share` to `max_share` of the photo: where their union is
        larger or smaller, its pixels nearest the first shape's centre are kept, or the nearest others added.
        """
        assert self.bank is not None
        half = (self.size + 1) // 2
        low, high = LIMITS.region_count
        count = torch.randint(low, high + 1, (batch,), generator=generator, device=self.device)
        field = torch.zeros((batch, half, half), device=self.device)
        first = torch.zeros((batch, 2), device=self.device)
        for tried in range(high):
            share = _uniform((batch,), generator, LIMITS.region_min_share, LIMITS.max_share) / count
            centre = _uniform((batch, 2), generator, -0.8, 0.8)
            pasted = self._pasted(share, centre, half, generator)
            field = torch.where((count > tried)[:, None, None], torch.maximum(field, pasted), field)
            first = centre if tried == 0 else first
        holes = self._within_limits(field, first)
        return holes.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : self.size, : self.size]

    def _pasted(self, share: Tensor, centre: Tensor, side: int, generator: Generator) -> Tensor:
        """Return one deformed shape per photo, covering about `share` of it: float (B, side, side) in [0, 1]."""
        assert self.bank is not None
        batch = len(share)
        chosen = self.bank[torch.randint(len(self.bank), (batch,), generator=generator, device=self.device)]
        scale = (share / chosen.mean(dim=(1, 2, 3)).clamp_min(0.01)).sqrt()
        angle = _uniform((batch,), generator, -LIMITS.rotation, LIMITS.rotation)
        stretch = (_uniform((batch,), generator, -1, 1) * math.log(LIMITS.stretch) / 2).exp()
        shear = _uniform((batch,), generator, -LIMITS.shear, LIMITS.shear)
        flip = torch.where(_uniform((batch,), generator) < 0.5, -1.0, 1.0)
        across, down = scale * stretch * flip, scale / stretch
        cosine, sine = angle.cos(), angle.sin()
        # Photo coordinates to the shape's: rotate, shear, then divide by the lengths.
        matrix = torch.stack(
            [
                torch.stack([(cosine + shear * sine) / across, (-sine + shear * cosine) / across], dim=1),
                torch.stack([sine / down, cosine / down], dim=1),
            ],
            dim=1,
        )
        shift = -(matrix @ centre[:, :, None])
        grid = functional.affine_grid(torch.cat([matrix, shift], dim=2), [batch, 1, side, side], align_corners=False)
        return functional.grid_sample(chosen, grid, align_corners=False)[:, 0]

    def _within_limits(self, field: Tensor, centre: Tensor) -> Tensor:
        """Return the field as holes, grown or shrunk about `centre` where their area is outside the limits."""
        side, quarter = field.shape[-1], self.size**2 / 4
        # A pixel here is four of the photo, fewer at the border of an odd side: 5 % more makes up for that.
        most = int(LIMITS.max_share * quarter)
        least = math.ceil(LIMITS.region_min_share * quarter * 1.05)
        inside = field > 0.5
        wanted = inside.sum(dim=(1, 2), keepdim=True).clamp(least, most)
        axis = (torch.arange(side, device=self.device) + 0.5) * 2 / side - 1
        squared = (axis[None, None, :] - centre[:, 0, None, None]).square()
        squared = squared + (axis[None, :, None] - centre[:, 1, None, None]).square()
        rank = squared + (~inside) * _BEYOND  # those inside come first, each kind by its distance
        # Bisection for the largest radius within which there are not more pixels than wanted. All photos take part,
        # those within the limits too: to choose the others would make the host wait for the device.
        low = torch.zeros_like(wanted, dtype=torch.float32)
        high = low + 2 * _BEYOND
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            fits = (rank <= middle).sum(dim=(1, 2), keepdim=True) <= wanted
            low, high = torch.where(fits, middle, low), torch.where(fits, high, middle)
        return rank <= low
