"""What a network is worth on photos it never saw: error of its fills, and of its nearest neighbours pasted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.storage import replace_file
from ce_retrieval.training.holes import HoleMaker
from ce_retrieval.training.packing import PackedPhotos

_SHOWN = 8


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """uint8 (B, P, P, 3) -> (B, size, size, 3), bicubic with antialias; unchanged where P is size."""
    if pixels.shape[1] == size:
        return np.asarray(pixels)
    maps = torch.from_numpy(np.array(pixels)).permute(0, 3, 1, 2)
    maps = torch.nn.functional.interpolate(maps, size=(size, size), mode="bicubic", antialias=True)
    return maps.permute(0, 2, 3, 1).contiguous().numpy()


class Validation:
    """Fixed photos with fixed holes, and a gallery of training photos to find neighbours in.

    held_out: photos never trained on. gallery: photos to retrieve from. holes: the run's maker of holes; each held-out
    photo gets the same one at every validation. Whole photos are resized to the network's size, no crop, no flip.
    """

    def __init__(
        self, held_out: PackedPhotos, gallery: np.ndarray, size: int, holes: HoleMaker, device: torch.device, seed: int
    ) -> None:
        # Shuffled, so that the photos shown are of all kinds where the collection is sorted by them.
        order = np.random.default_rng([seed, 4]).permutation(len(held_out))
        self.photos = resized(held_out.pixels, size)[order]
        self.gallery = resized(gallery, size)
        self.device = device
        generator = Generator(device).manual_seed(seed * 1_000_003 - 1)
        self.holes = holes.draw(len(self.photos), generator)
        self.whole = holes.strategy == "none"
        # Retrieval is compared under the paper's protocol: every photo, query or gallery, without its centre.
        self.centre = HoleMaker("center", size, device).draw(1, generator)[0]

    def _on_device(self, pixels: np.ndarray) -> Tensor:
        maps = torch.from_numpy(np.array(pixels)).to(self.device).permute(0, 3, 1, 2)
        return maps.float().div_(127.5).sub_(1)

    @torch.inference_mode()
    def measure(self, network: ContextEncoder, *, fast: bool, batch: int = 64) -> tuple[dict[str, float], np.ndarray]:
        """(metrics, sample grid). The network must be in evaluation mode.

        l1, l2: percent of the range of [0, 1] photos, over hole pixels (whole photos for an autoencoder); psnr: dB, the
        mean over photos; psnr_of_l2: dB, of the mean L2; sharpness: median over photos of the fill's mean absolute
        differences over the truth's; paste_l2: percent, of the nearest neighbour's centre, pasted. The grid is uint8:
        a row each of inputs, fills and truths.
        """
        parts, shown = [], None
        for start in range(0, len(self.photos), batch):
            photos, holes = self._on_device(self.photos[start : start + batch]), self.holes[start : start + batch]
            with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
                predicted = network(photos, holes)
            counted = torch.ones_like(holes) if self.whole else holes
            filled = network.compose(photos, counted, predicted).clamp(-1, 1)
            parts.append(_errors((photos + 1) / 2, (filled + 1) / 2, _predicted_part(network, counted)))
            if shown is None:
                shown = [((x[:_SHOWN] + 1) * 127.5) for x in (network.inputs(photos, holes), filled, photos)]
        l1, l2, sharpness = torch.cat(parts, dim=1).double().cpu().numpy()
        metrics = {
            "l1": float(100 * l1.mean()),
            "l2": float(100 * l2.mean()),
            "psnr": float((-10 * np.log10(np.maximum(l2, 1e-10))).mean()),
            "psnr_of_l2": float(-10 * np.log10(max(l2.mean(), 1e-10))),
            "sharpness": float(np.median(sharpness)),
            "paste_l2": self._paste_l2(network, fast, batch),
        }
        assert shown is not None
        return metrics, _grid(shown)

    def _paste_l2(self, network: ContextEncoder, fast: bool, batch: int) -> float:
        queries, gallery = (self._features(network, pixels, fast, batch) for pixels in (self.photos, self.gallery))
        nearest = torch.cdist(queries, gallery).argmin(dim=1).cpu().numpy()
        centre = self.centre.cpu().numpy()
        total = 0.0
        for query, row in zip(self.photos, nearest, strict=True):
            difference = query[centre].astype(np.float32) - self.gallery[row][centre]
            total += float(np.square(difference / 255).mean())
        return 100 * total / len(self.photos)

    def _features(self, network: ContextEncoder, pixels: np.ndarray, fast: bool, batch: int) -> Tensor:
        parts = []
        for start in range(0, len(pixels), batch):
            photos = self._on_device(pixels[start : start + batch])
            with torch.autocast(self.device.type, torch.bfloat16, enabled=fast):
                parts.append(network.encode(photos, self.centre.expand(len(photos), -1, -1)).flatten(1).float())
        return torch.nn.functional.normalize(torch.cat(parts), dim=1)


def _predicted_part(network: ContextEncoder, holes: Tensor) -> Tensor:
    """The part of the holes that the network predicts."""
    inside = torch.zeros_like(holes)
    network.region(inside).fill_(True)
    return holes & inside


def _errors(truth: Tensor, fill: Tensor, holes: Tensor) -> Tensor:
    """(3, B): mean absolute and mean squared error over the holes, and sharpness inside them; photos in [0, 1]."""
    counted = holes[:, None].float()
    area = 3 * counted.sum((1, 2, 3))
    error = (fill - truth) * counted
    down, across = counted[:, :, 1:] * counted[:, :, :-1], counted[..., 1:] * counted[..., :-1]

    def detail(photos: Tensor) -> Tensor:
        vertical = ((photos[:, :, 1:] - photos[:, :, :-1]).abs() * down).sum((1, 2, 3)) / down.sum((1, 2, 3)).clamp_min(
            1
        )
        horizontal = ((photos[..., 1:] - photos[..., :-1]).abs() * across).sum((1, 2, 3))
        return vertical + horizontal / across.sum((1, 2, 3)).clamp_min(1)

    sharpness = detail(fill) / detail(truth).clamp_min(1e-6)
    return torch.stack([error.abs().sum((1, 2, 3)) / area, error.square().sum((1, 2, 3)) / area, sharpness])


def _grid(rows: list[Tensor]) -> np.ndarray:
    """uint8 (3 (S + 2), N (S + 2), 3): one row of photos under another, white lines between."""
    lines = []
    for row in rows:
        pixels = row.round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()
        padded = np.pad(pixels, ((0, 0), (0, 2), (0, 2), (0, 0)), constant_values=255)
        lines.append(np.concatenate(list(padded), axis=1))
    return np.concatenate(lines)


def save_grid(path: Path, grid: np.ndarray) -> None:
    """Write a sample grid as PNG, atomically."""
    import io

    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(grid).save(buffer, "PNG")
    replace_file(path, buffer.getvalue())


def metrics_row(step: int, elapsed: float, loss: float, metrics: dict[str, float]) -> dict[str, Any]:
    """A row of `metrics.csv`: step, seconds, training loss since the last row, validation metrics."""
    rounded = {key: round(value, 4) for key, value in metrics.items()}
    return {"step": step, "seconds": round(elapsed, 1), "loss": round(loss, 6), **rounded}
