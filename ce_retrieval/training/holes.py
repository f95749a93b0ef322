"""Fresh holes on the training device: the strategies of `ce_retrieval.holes.strategies`, drawn by a torch generator.

The same kinds, limits and defaults (`masks.HoleParams`), another stream of random numbers: training wants a new hole
for every photo and step where the photos are, evaluation wants holes that hang on the photo's name alone.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Generator, Tensor

from ce_retrieval.errors import TrainingError
from ce_retrieval.holes.strategies import DEFAULT_HOLES, HoleParams
from ce_retrieval.training.config import MASKS, TrainConfig

_BANK = 256


def _uniform(shape: tuple[int, ...], generator: Generator, low: float = 0.0, high: float = 1.0) -> Tensor:
    return torch.rand(shape, generator=generator, device=generator.device) * (high - low) + low


def shape_bank(shapes: Sequence[np.ndarray] | None, seed: int, params: HoleParams = DEFAULT_HOLES) -> Tensor:
    """Shapes for region holes: float32 (K, 1, 96, 96), 1 inside. shapes: bool arrays of any sizes; None: smooth blobs."""
    side = params.blob_grid
    if shapes is None:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn((_BANK, 1, params.blob_waves, params.blob_waves), generator=generator)
        smooth = functional.interpolate(noise, size=(side, side), mode="bicubic", align_corners=True)
        axis = torch.linspace(-1, 1, side)
        smooth = smooth - 4 * (axis[:, None].square() + axis[None].square())  # keeps the blob inside its frame
        threshold = smooth.flatten(1).quantile(1 - params.blob_share, dim=1)
        return (smooth > threshold[:, None, None, None]).float()
    bank = []
    for shape in shapes:
        longest = max(shape.shape)
        square = torch.zeros(1, 1, longest, longest)
        top, left = (longest - shape.shape[0]) // 2, (longest - shape.shape[1]) // 2
        square[0, 0, top : top + shape.shape[0], left : left + shape.shape[1]] = torch.from_numpy(shape.astype("f4"))
        bank.append((functional.interpolate(square, size=(side, side), mode="area") >= 0.5).float())
    bank = [shape for shape in bank if shape.any()]
    if not bank:
        raise TrainingError("the folder of shapes holds none that is visible at 96 x 96 px: use other shapes or none")
    return torch.cat(bank)


class HoleMaker:
    """Draws holes of one strategy on one device.

    strategy: one of `config.MASKS`; "mixed" gives each photo a centre, block or region hole, with the chances `mix`. margin:
    px by which the central hole is smaller on every side (the overlap of a network that predicts the centre only).
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
        params: HoleParams = DEFAULT_HOLES,
    ) -> None:
        if strategy not in MASKS:
            raise TrainingError(f"masks {strategy!r} are unknown: use one of {', '.join(MASKS)}")
        self.strategy, self.size, self.device, self.margin, self.params = strategy, size, device, margin, params
        self.mix = mix
        needs_bank = strategy in ("region", "mixed")
        self.bank = (shape_bank(None, 0, params) if bank is None else bank).to(device) if needs_bank else None

    def draw(self, batch: int, generator: Generator) -> Tensor:
        """Holes: bool (batch, size, size). generator: on the device of this maker."""
        match self.strategy:
            case "center":
                return self.center(batch)
            case "block":
                return self.block(batch, generator)
            case "region":
                return self.region(batch, generator)
            case "none":
                return torch.zeros((batch, self.size, self.size), dtype=torch.bool, device=self.device)
        chance = _uniform((batch, 1, 1), generator) * sum(self.mix)
        center, block, _ = self.mix
        drawn = torch.where(chance < center + block, self.block(batch, generator), self.region(batch, generator))
        return torch.where(chance < center, self.center(batch), drawn)

    def center(self, batch: int) -> Tensor:
        """The central square of half the side, less `margin` on every side (section 3.3 a)."""
        side = self.size // 2
        start = (self.size - side) // 2
        holes = torch.zeros((batch, self.size, self.size), dtype=torch.bool, device=self.device)
        inside = slice(start + self.margin, start + side - self.margin)
        holes[:, inside, inside] = True
        return holes

    def block(self, batch: int, generator: Generator) -> Tensor:
        """Several possibly overlapping blocks, at most `max_share` of the photo in all (section 3.3 b)."""
        params, size = self.params, self.size
        low, high = params.block_count
        count = torch.randint(low, high + 1, (batch, 1, 1), generator=generator, device=self.device)
        axis = torch.arange(size, device=self.device)[None]
        holes = torch.zeros((batch, size, size), dtype=torch.bool, device=self.device)
        for tried in range(high):
            sides = (_uniform((2, batch, 1), generator, *params.block_side) * size).round().clamp_min(1)
            starts = (_uniform((2, batch, 1), generator) * (size - sides + 1)).floor()
            rows, columns = (axis >= starts) & (axis < starts + sides)
            more = holes | (rows[:, :, None] & columns[:, None, :])
            fits = more.float().mean(dim=(1, 2), keepdim=True) <= params.max_share
            holes = torch.where(fits & (count > tried), more, holes)
        return holes

    def region(self, batch: int, generator: Generator) -> Tensor:
        """Shapes, deformed (scale, rotation, stretch, shear, flip) and pasted anywhere (section 3.3 c).

        Drawn at half resolution; `region_min_share` to `max_share` of the photo is missing. Where the union of the
        shapes is too large or too small for that, the pixels nearest the first shape's centre are kept or added.
        """
        assert self.bank is not None
        params, half = self.params, (self.size + 1) // 2
        low, high = params.region_count
        count = torch.randint(low, high + 1, (batch,), generator=generator, device=self.device)
        field = torch.zeros((batch, half, half), device=self.device)
        first = torch.zeros((batch, 2), device=self.device)
        for tried in range(high):
            share = _uniform((batch,), generator, params.region_min_share, params.max_share) / count
            centre = _uniform((batch, 2), generator, -0.8, 0.8)
            pasted = self._pasted(share, centre, half, generator)
            field = torch.where((count > tried)[:, None, None], torch.maximum(field, pasted), field)
            first = centre if tried == 0 else first
        holes = self._within_limits(field, first)
        return holes.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, : self.size, : self.size]

    def _pasted(self, share: Tensor, centre: Tensor, side: int, generator: Generator) -> Tensor:
        """One deformed shape a photo, of about `share` of it: float (B, side, side) in [0, 1]."""
        assert self.bank is not None
        batch, params = len(share), self.params
        chosen = self.bank[torch.randint(len(self.bank), (batch,), generator=generator, device=self.device)]
        scale = (share / chosen.mean(dim=(1, 2, 3)).clamp_min(0.01)).sqrt()
        angle = _uniform((batch,), generator, -params.rotation, params.rotation)
        stretch = (_uniform((batch,), generator, -1, 1) * math.log(params.stretch) / 2).exp()
        shear = _uniform((batch,), generator, -params.shear, params.shear)
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
        side, quarter = field.shape[-1], self.size**2 / 4
        # A pixel here is four of the photo, or fewer at the border of an odd side: the minimum gets some room for that.
        most = int(self.params.max_share * quarter)
        least = math.ceil(self.params.region_min_share * quarter * 1.05)
        holes = field > 0.5
        areas = holes.sum(dim=(1, 2))
        wrong = ((areas > most) | (areas < least)).nonzero()[:, 0]
        if len(wrong):
            axis = (torch.arange(side, device=self.device) + 0.5) * 2 / side - 1
            squared = (axis[None, None, :] - centre[wrong, 0, None, None]).square()
            squared = squared + (axis[None, :, None] - centre[wrong, 1, None, None]).square()
            score = ((field[wrong] > 0.5).float() * 100 - squared).flatten(1)
            rank = score.argsort(dim=1, descending=True, stable=True).argsort(dim=1)
            kept = rank < areas[wrong].clamp(least, most)[:, None]
            holes[wrong] = kept.view(-1, side, side)
        return holes
