"""Validation on photos never trained on: error of the fills, and of nearest neighbours pasted into the hole."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from ce_retrieval import metrics
from ce_retrieval.errors import TrainingError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.inference import encode_photos, predict_photos, predicted_part
from ce_retrieval.own_files import marked
from ce_retrieval.pixels import Bools, Floats, Photo, to_bytes
from ce_retrieval.storage import replace_file
from ce_retrieval.training.holes import HoleMaker
from ce_retrieval.training.packed import PackedPhotos

_SHOWN = 8
_BATCH = 64
_METRICS = (metrics.l1, metrics.l2, metrics.sharpness)


def resized(pixels: Photo, size: int) -> Photo:
    """Return photos uint8 (B, P, P, 3) at another side, bicubic with antialias; unchanged where P is `size`."""
    if pixels.shape[1] == size:
        return np.asarray(pixels)
    maps = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    maps = torch.nn.functional.interpolate(maps, size=(size, size), mode="bicubic", antialias=True)
    return maps.permute(0, 2, 3, 1).contiguous().numpy()


class Validation:
    """Fixed photos with fixed holes, and a gallery of training photos to retrieve from.

    Whole photos are resized to the network's size, without crop or flip.

    Parameters
    ----------
    held_out : photos never trained on.
    gallery : uint8 (N, P, P, 3), photos to retrieve from.
    holes : the run's holes; each held-out photo gets the same one at every validation.
    seed : seed of these holes and of the photos that are shown.
    """

    def __init__(self, held_out: PackedPhotos, gallery: Photo, holes: HoleMaker, seed: int) -> None:
        # Collections are often sorted: in random order the photos shown are of all kinds.
        order = np.random.default_rng([seed, 4]).permutation(len(held_out))
        self.photos = resized(held_out.pixels, holes.size)[order]
        self.gallery = resized(gallery, holes.size)
        generator = Generator(holes.device).manual_seed(seed * 1_000_003 - 1)
        self.holes = holes.draw(len(self.photos), generator).cpu().numpy()
        self.filled = np.ones_like(self.holes) if holes.strategy == "none" else self.holes
        # Retrieval follows the paper's protocol: every photo, query or gallery, is described without its centre.
        self.centre = center_holes(1, holes.size)[0]

    def measure(self, network: ContextEncoder, *, fast: bool) -> tuple[dict[str, float], Photo]:
        """Measure a network.

        Parameters
        ----------
        network : in evaluation mode.
        fast : bfloat16 arithmetic.

        Returns
        -------
        figures : dict, `l1`, `l2`, `psnr` and `sharpness` of `ce_retrieval.metrics` over the hole's pixels (all that
            are predicted for an autoencoder), as means over the photos; the median for `sharpness`. `psnr` leaves out
            photos filled without error, `sharpness` photos whose truth is flat. `psnr_of_l2`: PSNR of the mean `l2`.
            `paste_l2`: `l2` of the nearest neighbour's centre, pasted.
        grid : uint8 (3 (S + 2), 8 (S + 2), 3), a row each of inputs, fills and truths.

        Raises
        ------
        TrainingError : the fills are not numbers: the run has diverged.
        """
        part = self.filled & predicted_part(network)
        found, shown = [], None
        for start in range(0, len(self.photos), _BATCH):
            window = slice(start, start + _BATCH)
            photos = self.photos[window]
            predicted = predict_photos(network, photos, self.holes[window], fast=fast).clip(0, 1)
            if np.isnan(predicted).any():
                raise TrainingError("the network's fills are not numbers: start a new run with a lower `rate`")
            found.append([metric(photos, predicted, part[window]) for metric in _METRICS])
            shown = predicted[:_SHOWN] if shown is None else shown
        l1, l2, sharpness = np.concatenate(found, axis=1)
        psnr = np.array([metrics.psnr_of_mean_l2(error) for error in l2])
        assert shown is not None
        figures = {
            "l1": float(l1.mean()),
            "l2": float(l2.mean()),
            "psnr": float(_finite(psnr).mean()),
            "psnr_of_l2": metrics.psnr_of_mean_l2(l2),
            "sharpness": float(np.median(_finite(sharpness))),
            "paste_l2": self._paste_l2(network, fast),
        }
        return figures, self._grid(network, shown, part)

    def _paste_l2(self, network: ContextEncoder, fast: bool) -> float:
        """Return the l2 of each photo's centre against that of its nearest neighbour in the gallery, mean over photos."""
        queries, gallery = (self._features(network, pixels, fast) for pixels in (self.photos, self.gallery))
        nearest = torch.cdist(queries, gallery).argmin(dim=1).numpy()
        return float(metrics.l2(self.photos, self.gallery[nearest], self.centre).mean())

    def _features(self, network: ContextEncoder, pixels: Photo, fast: bool) -> Tensor:
        """Return features of photos without their centre: float32 (B, D) of norm 1, on the CPU."""
        cells = encode_photos(network, pixels, self.centre, fast=fast)
        return torch.nn.functional.normalize(torch.from_numpy(cells).flatten(1), dim=1)

    def _grid(self, network: ContextEncoder, predicted: Floats, part: Bools) -> Photo:
        """Return inputs, fills and truths in one picture, one row of photos under another, with white lines between."""
        count = len(predicted)
        truths = self.photos[:count]
        blank = to_bytes(np.array(network.config.mean, np.float32))
        inputs = np.where(self.holes[:count, ..., None], blank, truths)
        fills = np.where(part[:count, ..., None], to_bytes(predicted), truths)
        gaps = ((0, 0), (0, 2), (0, 2), (0, 0))
        rows = [np.pad(row, gaps, constant_values=255) for row in (inputs, fills, truths)]
        return np.concatenate([np.concatenate(list(row), axis=1) for row in rows])


def _finite(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the finite values; all of them where none is."""
    kept = values[np.isfinite(values)]
    return kept if kept.size else values


def save_grid(path: Path, grid: Photo) -> None:
    """Write a sample grid as PNG, atomically."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grid).save(buffer, "PNG")
    replace_file(path, marked(buffer.getvalue()))


def metrics_row(step: int, elapsed: float, loss: float, figures: dict[str, float]) -> dict[str, Any]:
    """Return a row of `metrics.csv`: step, seconds, training loss since the last row, figures of the validation."""
    rounded = {key: round(value, 4) for key, value in figures.items()}
    return {"step": step, "seconds": round(elapsed, 1), "loss": round(loss, 6), **rounded}
