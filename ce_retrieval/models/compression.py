"""Features of a layer in fewer channels: a principal component analysis over cells, stored with the weights.

Each cell is projected alone, so a grid stays a grid of comparable cells, and hole-aware search is exact on the projected
features. The projection is part of the weights file, and so of the hash by which an index recognises its weights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import CheckpointError
from ce_retrieval.models.checkpoint import (
    load_tensors,
    network_from,
    own_header,
    save_network,
)
from ce_retrieval.models.checkpoint_file import COMPRESSION
from ce_retrieval.models.context_encoder import ContextEncoder
from ce_retrieval.models.inference import BATCH, encode_photos
from ce_retrieval.models.projection import Compression

LEAST_CHANNELS = 48
PHOTO_VALUES = 1024  # channels of all cells of a photo: with few cells each keeps more
MOST_PHOTOS = 2048  # enough to fit to


def compression_tensors(compression: Compression, layer: str) -> dict[str, Tensor]:
    """Return the tensors of the compression of a layer in a weights file."""
    scale = np.array([compression.scale], np.float32)
    values = {"mean": compression.mean, "basis": compression.basis, "scale": scale}
    return {f"{COMPRESSION}{layer}.{name}": torch.from_numpy(value) for name, value in values.items()}


def default_channels(cells: int, channels: int) -> int:
    """Return how many channels to keep: 48 per cell, more where a photo has few cells, never more than there are."""
    return min(channels, max(LEAST_CHANNELS, PHOTO_VALUES // cells))


def fit_compression(
    network: ContextEncoder,
    photos: np.ndarray,
    layer: str,
    channels: int | None = None,
    hole: np.ndarray | None = None,
) -> tuple[Compression, float]:
    """Fit the compression of a layer; return it and the share of the variance that it keeps.

    Parameters
    ----------
    network : ContextEncoder
    photos : uint8 (N, S, S, 3)
        N > 0, S the network's size.
    layer : str
        One of `network.LAYERS`.
    channels : int or None
        C', by default `default_channels`; at most as many as samples.
    hole : bool (S, S) or None
        The hole of all photos while they are described; None for whole photos.

    Notes
    -----
    Every cell of every photo is one sample; arithmetic is float64. Each component has the sign that makes its largest value
    positive, so the result is a function of the inputs.
    """
    grids = _grids(network, photos, layer, hole)
    first = next(grids)
    cells, whole = first.shape[1], first.shape[2]
    mean, variance, vectors = _principal(itertools.chain([first], grids), len(photos) * cells)
    kept = min(default_channels(cells, whole) if channels is None else channels, len(variance))
    vectors = vectors[:, :kept]
    vectors = vectors * np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    power, total = variance[:kept].sum(), variance.sum()
    scale = float(np.float32(1 / math.sqrt(power))) if power > 0 else 1.0
    offset, basis = (np.ascontiguousarray(a, np.float32) for a in (mean, vectors))
    return Compression(offset, basis, scale), float(power / total) if total > 0 else 1.0


def _grids(network: ContextEncoder, photos: np.ndarray, layer: str, hole: np.ndarray | None) -> Iterator[np.ndarray]:
    """Yield features float64 (B, G, C), batch by batch; CheckpointError where they are not finite."""
    for start in range(0, len(photos), BATCH):
        grids = encode_photos(network, photos[start : start + BATCH], hole, layer=layer)
        if not np.isfinite(grids).all():
            raise CheckpointError(f"the features of layer {layer} are not finite in float16")
        yield grids.reshape(len(grids), -1, grids.shape[-1]).astype(np.float64)


def _principal(batches: Iterable[np.ndarray], count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the mean (C,), the variances (n,), largest first, and their directions (C, n) of `count` samples (B, G, C)."""
    rows: Iterator[np.ndarray] = (batch.reshape(-1, batch.shape[-1]) for batch in batches)
    first = next(rows)
    rows = itertools.chain([first], rows)
    channels = first.shape[1]
    if count < channels:
        samples = np.concatenate(list(rows))
        mean = samples.mean(axis=0)
        _, values, directions = np.linalg.svd(samples - mean, full_matrices=False)
        return mean, values**2 / count, directions.T
    origin = first.mean(axis=0)  # second moments about a point near the mean lose few digits
    total, products = np.zeros(channels), np.zeros((channels, channels))
    for part in rows:
        total += (part - origin).sum(axis=0)
        products += (part - origin).T @ (part - origin)
    offset = total / count
    variance, vectors = np.linalg.eigh(products / count - np.outer(offset, offset))
    return origin + offset, np.maximum(variance[::-1], 0), vectors[:, ::-1]


def export_compressed(
    source: str | Path,
    target: str | Path,
    photos: np.ndarray,
    holes_of: Callable[[str], np.ndarray | None] = lambda layer: None,
    *,
    channels: int | None = None,
    device: torch.device | str = "cpu",
) -> str:
    """Write a network's weights as float16 with a compression of each layer; return the new hash.

    Parameters
    ----------
    source, target : path
        Files of `save_network`.
    photos : uint8 (N, S, S, 3)
        To fit the compressions to.
    holes_of : function
        layer -> the hole bool (S, S) of the photos while that layer is fitted, or None for whole photos.
    channels : int or None
        As in `fit_compression`.
    device : torch.device or str
        Where the network runs.

    Notes
    -----
    The header holds what each compression keeps, under `compression`. The fit uses the float16 weights of the new file.
    """
    tensors, header = load_tensors(source)
    network = network_from(tensors, header, name=str(source), device=device).requires_grad_(False)
    for parameter in network.parameters():
        parameter.copy_(parameter.half())
    beside: dict[str, Tensor] = {}
    about = {}
    for layer in network.LAYERS:
        hole = holes_of(layer)
        compression, kept = fit_compression(network, photos, layer, channels, hole)
        beside |= compression_tensors(compression, layer)
        about[layer] = {
            "channels": compression.channels,
            "variance_kept": round(kept, 4),
            "photos": len(photos),
            "hole": "none" if hole is None else "center",
        }
    return save_network(target, network, extra={**own_header(header), "compression": about}, half=True, beside=beside)
