"""Random crops of photos, and outputs of a network averaged over them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ce_retrieval.pixels import Photo
from ce_retrieval.transfer.draws import TEST_CROPS
from ce_retrieval.transfer.sets.class_labels import LabelledPhotos

_AT_ONCE = 64  # crops that a network sees at a time


def as_input(pixels: Photo, device: torch.device) -> Tensor:
    """Return photos uint8 (B, S, S, 3) as a network takes them: float32 (B, 3, S, S) in [-1, 1] on a device."""
    maps = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(0, 3, 1, 2)
    return maps.to(torch.float32).div_(127.5).sub_(1)


def random_crops(pixels: Photo, side: int, rng: np.random.Generator, *, mirror: bool) -> Photo:
    """Return a random crop of each photo uint8 (B, P, P, 3): uint8 (B, side, side, 3).

    mirror : whether half of them are mirrored.
    """
    count, most = len(pixels), pixels.shape[1] - side
    tops, lefts = rng.integers(0, most + 1, (2, count))
    turned = rng.random(count) < 0.5
    crops = np.empty((count, side, side, 3), np.uint8)
    for number, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        crop = pixels[number, top : top + side, left : left + side]
        crops[number] = crop[:, ::-1] if mirror and turned[number] else crop
    return crops


def averaged_outputs(
    compute: Callable[[Tensor], Tensor],
    photos: LabelledPhotos,
    rows: NDArray[np.int64],
    *,
    decoded_side: int,
    side: int,
    crops: int,
    device: torch.device,
    report: Callable[[int, int], None],
) -> Tensor:
    """Return what a network computes of some photos, each the mean over its random crops: float32 (len(rows), D) on the CPU.

    Parameters
    ----------
    compute : from float (B, 3, side, side) on the device to (B, D).
    photos, rows : which photos. The crops of a photo depend on its row alone, so all networks see the same.
    decoded_side, side : px, of the whole photo and of a crop.
    crops : of each photo.
    device : where the network is.
    report : called with (done, total).
    """
    found = []
    step = max(1, _AT_ONCE // crops)
    for start in range(0, len(rows), step):
        block = rows[start : start + step]
        pixels = photos.pixels(block, decoded_side)
        drawn = [
            random_crops(
                np.repeat(photo[None], crops, axis=0), side, np.random.default_rng([TEST_CROPS, int(row)]), mirror=False
            )
            for photo, row in zip(pixels, block, strict=True)
        ]
        parts = np.concatenate(drawn)
        with torch.no_grad():
            outputs = [
                compute(as_input(parts[first : first + _AT_ONCE], device)) for first in range(0, len(parts), _AT_ONCE)
            ]
        found.append(torch.cat(outputs).float().unflatten(0, (len(block), crops)).mean(dim=1).cpu())
        report(start + len(block), len(rows))
    return torch.cat(found)
