"""Features of a layer in fewer channels: a principal component analysis over cells, kept beside the weights.

Each cell is projected on its own, so a grid stays a grid of comparable cells, and hole-aware search is exact on what is
stored. The projection is part of the weights file, and so of the hash by which an index knows its weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.checkpoint import (
    COMPRESSION,
    load_tensors,
    own_header,
    ready_network,
    save_network,
    tensors_beside,
)
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.inference import encode_photos

LEAST_CHANNELS = 48
PHOTO_VALUES = 1024  # a photo described by few cells keeps more channels a cell
MOST_PHOTOS = 2048
BATCH = 64


@dataclass(frozen=True)
class Compression:
    """y = scale * (x - mean) @ basis, of the last axis.

    mean: float32 (C,); basis: float32 (C, C'), orthonormal columns, the most variance first; scale: makes the root mean
    square of |y| 1 on the photos it was fitted to.
    """

    mean: Tensor
    basis: Tensor
    scale: float

    @property
    def channels(self) -> int:
        """C', what is left."""
        return self.basis.shape[1]

    def apply(self, features: Tensor) -> Tensor:
        """float32 (..., C) -> (..., C')."""
        return (features - self.mean) @ self.basis * self.scale

    def tensors(self, layer: str) -> dict[str, Tensor]:
        """What a weights file holds of it."""
        values = {"mean": self.mean, "basis": self.basis, "scale": torch.tensor([self.scale], dtype=torch.float32)}
        return {f"{COMPRESSION}{layer}.{name}": value for name, value in values.items()}


def default_channels(cells: int, channels: int) -> int:
    """How many channels are kept of (cells, channels): 48 a cell, more where a photo has few cells, never more than C."""
    return min(channels, max(LEAST_CHANNELS, PHOTO_VALUES // cells))


def fit_compression(
    network: ContextEncoder,
    photos: np.ndarray,
    layer: str,
    channels: int | None = None,
    holes: np.ndarray | None = None,
) -> tuple[Compression, float]:
    """The compression of a layer, and the share of variance that it keeps.

    photos: uint8 (N, S, S, 3), N > 0, S the network's size. layer: one of `network.LAYERS`. channels: C', by default
    `default_channels`; never more than there are samples. holes: bool (N, S, S) or (S, S) to describe them with, or None for
    whole photos. Every cell of every photo is one sample; arithmetic is float64. The sign of a component is that of its
    greatest value, so the result is a function of the inputs.
    """
    grids = _grids(network, photos, layer, holes)
    first = next(grids)
    cells, whole = first.shape[1], first.shape[2]
    mean, variance, vectors = _principal(itertools.chain([first], grids), len(photos) * cells)
    kept = min(default_channels(cells, whole) if channels is None else channels, len(variance))
    vectors = vectors[:, :kept]
    vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    power, total = variance[:kept].sum(), variance.sum()
    scale = float(np.float32(1 / math.sqrt(power))) if power > 0 else 1.0
    offset, basis = (torch.from_numpy(np.ascontiguousarray(a, np.float32)) for a in (mean, vectors))
    return Compression(offset, basis, scale), float(power / total) if total > 0 else 1.0


def _grids(network: ContextEncoder, photos: np.ndarray, layer: str, holes: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield float64 (B, G, C), batch by batch."""
    for start in range(0, len(photos), BATCH):
        window = slice(start, start + BATCH)
        part = holes if holes is None or holes.ndim == 2 else holes[window]
        grids = encode_photos(network, photos[window], part, layer=layer, batch=BATCH)
        yield grids.reshape(len(grids), -1, grids.shape[-1]).astype(np.float64)


def _principal(batches: Iterable[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean (C,), variances (n,), most first, and their directions (C, n) of `count` samples in batches (B, G, C)."""
    rows: Iterator[np.ndarray] = (batch.reshape(-1, batch.shape[-1]) for batch in batches)
    first = next(rows)
    rows = itertools.chain([first], rows)
    channels = first.shape[1]
    if count < channels:
        samples = np.concatenate(list(rows))
        mean = samples.mean(axis=0)
        _, values, directions = np.linalg.svd(samples - mean, full_matrices=False)
        return mean, values**2 / count, directions.T
    origin = first.mean(axis=0)  # second moments about a point near the mean lose no digits
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for part in rows:
        total += (part - origin).sum(axis=0)
        products += (part - origin).T @ (part - origin)
    offset = total / count
    variance, vectors = np.linalg.eigh(products / count - np.outer(offset, offset))
    return origin + offset, np.maximum(variance[::-1], 0), vectors[:, ::-1]


def stored_compressions(tensors: dict[str, Tensor], layers: tuple[str, ...], *, name: str) -> dict[str, Compression]:
    """The compressions of a weights file, by layer; CheckpointError where one is incomplete, misshapen or of no layer."""
    found: dict[str, Compression] = {}
    beside = tensors_beside(tensors)
    for layer in layers:
        prefix = f"{COMPRESSION}{layer}."
        parts = {key.removeprefix(prefix): beside.pop(key) for key in list(beside) if key.startswith(prefix)}
        if not parts:
            continue
        mean, basis, scale = (parts.pop(key, torch.empty(0)) for key in ("mean", "basis", "scale"))
        whole = mean.ndim == 1 and basis.ndim == 2 and len(basis) == len(mean) >= basis.shape[1] > 0
        if parts or not whole or scale.shape != (1,) or any(t.dtype != torch.float32 for t in (mean, basis, scale)):
            raise CheckpointError(f"{name}: the compression of layer {layer} is incomplete; export the weights anew")
        found[layer] = Compression(mean, basis, float(scale))
    if beside:
        raise CheckpointError(f"{name}: {min(beside)} compresses no layer of its network; export the weights anew")
    return found


def export_compressed(
    source: str | Path,
    target: str | Path,
    photos: np.ndarray,
    holes_of: Callable[[str], np.ndarray | None] = lambda layer: None,
    *,
    channels: int | None = None,
    device: torch.device | str = "cpu",
) -> str:
    """Write a network's weights as float16 with a compression of each of its layers; returns the new weights' hash.

    photos: uint8 (N, S, S, 3) to fit them to. holes_of: layer -> the hole bool (S, S) to describe them with, or None. What
    each keeps is in the header under `compression`. The fit is made with the float16 weights, those of the file.
    """
    tensors, header = load_tensors(source)
    network = ready_network(tensors, header, name=str(source), device=device).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(parameter.half())
    beside: dict[str, Tensor] = {}
    about = {}
    for layer in network.LAYERS:
        hole = holes_of(layer)
        compression, kept = fit_compression(network, photos, layer, channels, hole)
        beside |= compression.tensors(layer)
        about[layer] = {
            "channels": compression.channels,
            "variance_kept": round(kept, 4),
            "photos": len(photos),
            "hole": "none" if hole is None else "center",
        }
    return save_network(target, network, extra={**own_header(header), "compression": about}, half=True, beside=beside)
