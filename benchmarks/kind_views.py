"""Pairs of views of photos, from which `train_kind.py` learns what two parts of one photo have in common."""

import math

import torch
import torch.nn.functional as functional

from ce_retrieval.training.holes import HoleMaker

APART = 0.5  # share of the pairs that are the two sides of a cut
GAP = 0.03  # width hidden on each side of a cut, in halves of the photo's side
NEAR, ANY = 0.7, 0.2  # smallest area of the crop that the sides of a cut share, and of the crops of other pairs
COLOUR = 0.4  # largest change of brightness, and of the logarithm of the contrast
GREY = (0.299, 0.587, 0.114)


class Views:
    """Draws pairs on the device.

    In half of the pairs a cut goes through one crop, a line at any angle or a box, and each view shows one side of it: no
    pixel is in both. The other pairs are two crops, each with a random hole at a chance of a half. Colours change in both.

    Parameters
    ----------
    pixels : uint8 (N, P, P, 3) on the device.
    size : side of the views, px.
    seed : of everything random.
    """

    def __init__(self, pixels, size, seed=0):
        self.pixels, self.size, self.device = pixels, size, pixels.device
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.holes = HoleMaker("mixed", size, self.device)
        axis = (torch.arange(size, device=self.device) + 0.5) * 2 / size - 1
        self.rows, self.columns = axis[:, None], axis[None, :]

    def draw(self, batch):
        """Return two views of the same random photos: each float (B, 3, S, S) in [-1, 1] and holes bool (B, S, S)."""
        chosen = torch.randint(len(self.pixels), (batch,), generator=self.generator, device=self.device)
        photos = self.pixels[chosen].permute(0, 3, 1, 2).float() / 127.5 - 1
        apart = self._uniform(batch) < APART
        one, shared, two = (self._boxes(batch, least) for least in (ANY, NEAR, ANY))
        cut = self._cuts(batch)
        views = []
        for boxes, side in ((one, cut < GAP), (two, cut > -GAP)):
            boxes = torch.where(apart[:, None], shared, boxes)
            random = self.holes.draw(batch, self.generator) & (self._uniform(batch, 1, 1) < 0.5)
            hole = torch.where(apart[:, None, None], side, random)
            view = self._coloured(self._cropped(photos, boxes))
            mirrored = self._uniform(batch, 1, 1) < 0.5
            hole = torch.where(mirrored, hole.flip(2), hole)
            views.append((torch.where(mirrored[:, None], view.flip(3), view), hole))
        return views

    def _uniform(self, *shape, low=0.0, high=1.0):
        return torch.rand(shape, generator=self.generator, device=self.device) * (high - low) + low

    def _boxes(self, batch, least):
        """Return crops of an area of `least` to 1: (centre x, centre y, half width, half height), the photo being [-1, 1]."""
        area = self._uniform(batch, low=least)
        stretch = (self._uniform(batch, low=-1) * math.log(4 / 3) / 2).exp()
        width, height = (area.sqrt() * stretch).clamp(max=1), (area.sqrt() / stretch).clamp(max=1)
        x, y = self._uniform(batch, low=-1) * (1 - width), self._uniform(batch, low=-1) * (1 - height)
        return torch.stack([x, y, width, height], dim=1)

    def _cropped(self, photos, boxes):
        """Return crops of photos at the size of the views."""
        zero = torch.zeros_like(boxes[:, 0])
        rows = [[boxes[:, 2], zero, boxes[:, 0]], [zero, boxes[:, 3], boxes[:, 1]]]
        matrix = torch.stack([torch.stack(row, dim=1) for row in rows], dim=1)
        grid = functional.affine_grid(matrix, [len(photos), 3, self.size, self.size], align_corners=False)
        return functional.grid_sample(photos, grid, align_corners=False, padding_mode="border")

    def _cuts(self, batch):
        """Return float (B, S, S): above 0 on one side of a cut, below on the other, 1 being half of the photo's side."""
        angle = self._uniform(batch, 1, 1, high=2 * math.pi)
        line = self.columns * angle.cos() + self.rows * angle.sin() + self._uniform(batch, 1, 1, low=-0.35, high=0.35)
        half = self._uniform(2, batch, 1, 1, low=0.4, high=0.75)
        at = self._uniform(2, batch, 1, 1, low=-1) * (0.9 - half)
        box = torch.maximum((self.columns - at[0]).abs() - half[0], (self.rows - at[1]).abs() - half[1])
        box = torch.where(self._uniform(batch, 1, 1) < 0.5, box, -box)
        return torch.where(self._uniform(batch, 1, 1) < 0.5, box, line)

    def _coloured(self, photos):
        """Change brightness, contrast, saturation and tint; one photo in five loses its colours."""
        batch = len(photos)
        grey = (photos * torch.tensor(GREY, device=self.device)[:, None, None]).sum(1, keepdim=True)
        saturation = 1 + COLOUR * self._uniform(batch, 1, 1, 1, low=-1) * 1.5
        saturation = torch.where(self._uniform(batch, 1, 1, 1) < 0.2, torch.zeros_like(saturation), saturation)
        photos = grey + (photos - grey) * saturation
        contrast = (COLOUR * self._uniform(batch, 1, 1, 1, low=-1)).exp()
        tint = 0.4 * COLOUR * self._uniform(batch, 3, 1, 1, low=-1)
        bright = COLOUR * self._uniform(batch, 1, 1, 1, low=-1)
        mean = photos.mean(dim=(2, 3), keepdim=True)
        return ((photos - mean) * contrast + mean + bright + tint).clamp(-1, 1)
