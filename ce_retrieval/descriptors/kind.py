"""Kind: what sort of place a photo shows, learned from photos without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import check_batch, grid_boxes, visible_share
from ce_retrieval.descriptors.encoder_spec import make_encoder
from ce_retrieval.descriptors.gist import Gist
from ce_retrieval.descriptors.hog import Hog
from ce_retrieval.descriptors.kind_map import GRID, KindMap, fit_kind_map
from ce_retrieval.errors import CheckpointError, SettingsError, cut

if TYPE_CHECKING:
    from pathlib import Path

SIZE = 128  # px, of the network that ships
MIN_SHARE = 0.5  # of a cell that must be visible
BATCH = 64
_FILE_KIND = "kind"


class KindFeatures:
    """Features of 4 x 4 cells to tell kinds by: `gist`, and mean and root mean square of `encoder:cells` and `hog` in each."""

    def __init__(self) -> None:
        self._encoder = make_encoder("cells", SIZE)
        self._gist, self._hog = Gist(SIZE), Hog(SIZE)
        self.network_sha256 = self._encoder.weights_sha256
        self.memory, self.photo_memory = self._encoder.memory, self._encoder.photo_memory

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None) -> NDArray[np.float32]:
        """Return float32 (B, 16, D) of photos uint8 (B, 128, 128, 3) with holes bool (B, 128, 128), or None."""
        parts = [self._gist.describe(photos, holes)]
        parts += [_pooled(each.describe(photos, holes)) for each in (self._encoder, self._hog)]
        return np.concatenate(parts, axis=2)


class Kind(Descriptor):
    """What sort of place a photo shows: one vector of norm 1, from whatever of the photo is visible.

    Photos of 128 px. `kind_map.KindMap` is the method, `KindFeatures` what it reads; the map was fitted to photos of outdoor
    scenes, without their labels (MODEL_CARD.md).
    """

    spec = "kind"
    size = SIZE
    cells = 1
    libraries = ("torch",)

    def __init__(self, kind_map: KindMap, features: KindFeatures, sha256: str | None) -> None:
        self._map, self._features, self.weights_sha256 = kind_map, features, sha256
        self.channels = kind_map.components
        self.boxes = np.array([[0, 0, SIZE, SIZE]], np.int32)
        self.min_share = 0.0
        self.memory, self.photo_memory = features.memory, features.photo_memory
        self._cells = grid_boxes(GRID, SIZE // GRID, SIZE // GRID)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, 1, C); DescriptorError for a hole that leaves no cell."""
        check_batch(self.spec, self.size, photos, holes)
        features = self._features.describe(photos, holes)
        visible = np.ones((len(photos), GRID * GRID), bool)
        if holes is not None:
            visible = np.stack([visible_share(self._cells, hole) >= MIN_SHARE for hole in holes])
        out = np.empty((len(photos), 1, self.channels), np.float32)
        patterns, of = np.unique(visible, axis=0, return_inverse=True)
        for number, pattern in enumerate(patterns):
            rows = of.reshape(-1) == number
            out[rows, 0] = self._map.apply(features[rows], pattern)
        return out


def _pooled(grids: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return mean and root mean square over 4 x 4 blocks: square grids (B, G, C) -> (B, 16, 2 C)."""
    batch, cells, channels = grids.shape
    side = round(cells**0.5)
    edges = np.rint(np.linspace(0, side, GRID + 1)).astype(int)
    square = grids.reshape(batch, side, side, channels)
    out = np.empty((batch, GRID, GRID, 2 * channels), np.float32)
    for row in range(GRID):
        for column in range(GRID):
            block = square[:, edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
            out[:, row, column, :channels] = block.mean(axis=(1, 2))
            out[:, row, column, channels:] = np.sqrt(np.square(block).mean(axis=(1, 2)))
    return out.reshape(batch, GRID * GRID, 2 * channels)


def fit_kind(photos: NDArray[np.uint8]) -> tuple[KindMap, KindFeatures]:
    """Fit the map to photos uint8 (N, 128, 128, 3); DescriptorError where they are too few or all alike."""
    features = KindFeatures()
    starts = range(0, len(photos), BATCH)
    found = [features.describe(np.ascontiguousarray(photos[start : start + BATCH]), None) for start in starts]
    return fit_kind_map(np.concatenate(found)), features


def save_kind(path: str | Path, kind_map: KindMap, network_sha256: str | None, about: dict[str, Any]) -> str:
    """Write a map as float16, with the hash of the network that it reads; return the hash of its numbers."""
    import torch

    from ce_retrieval.models.checkpoint import save_tensors

    parts = {name: getattr(kind_map, name) for name in ("mean", "scale", "directions", "factors")}
    tensors = {name: torch.from_numpy(value).half() for name, value in parts.items()}
    tensors["noise"] = torch.tensor([kind_map.noise])
    return save_tensors(path, tensors, {"kind": _FILE_KIND, "network_sha256": network_sha256, **about})


def load_kind(path: str | Path) -> Kind:
    """Return the descriptor of a file of `save_kind`; CheckpointError where it is another, or reads another network."""
    from ce_retrieval.models.checkpoint import load_tensors

    tensors, header = load_tensors(path)
    if header.get("kind") != _FILE_KIND:
        raise CheckpointError(f"{path}: no map of kinds; fit one, or use the one that ships with ceret")
    features = KindFeatures()
    if header["network_sha256"] != features.network_sha256:
        raise CheckpointError(
            f"{path}: was fitted with other weights of the network than those installed; install ceret again"
        )
    parts = {name: tensors[name].float().numpy() for name in ("mean", "scale", "directions", "factors")}
    return Kind(KindMap(**parts, noise=float(tensors["noise"])), features, header["sha256"])


def make_kind(argument: str | None, size: int) -> Kind:
    """Make ``kind``; SettingsError for an argument or another size, CheckpointError where its map is missing or damaged."""
    from ce_retrieval.models.requirements import require_torch
    from ce_retrieval.models.shipped import FOLDER, KIND

    if argument is not None:
        raise SettingsError(f"{cut(f'kind:{argument}')}: expected kind, without anything behind it")
    if size != SIZE:
        raise SettingsError(f"kind: `size` is {size} px: use {SIZE}")
    require_torch("kind")
    return load_kind(FOLDER / KIND)
