"""Kind: what sort of place a photo shows, learned from photos without labels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.cells import check_batch
from ce_retrieval.descriptors.networks import in_chunks, network_memory
from ce_retrieval.errors import DescriptorError, SettingsError, cut
from ce_retrieval.models.plain import FEW

if TYPE_CHECKING:
    from pathlib import Path

    from ce_retrieval.models.kind_weights import KindWeights

SIZE = 128  # px, of the network that ships
LEAST_VISIBLE = 0.02  # of a photo: less says nothing


class Kind(Descriptor):
    """What sort of place a photo shows: one vector of norm 1, from whatever of the photo is visible.

    Notes
    -----
    `models.kind_network.KindNetwork`, trained so that two parts of one photo agree and parts of two photos do not
    (benchmarks/train_kind.py). bfloat16 arithmetic, where the processor has it; float32 for one or two photos with holes.
    """

    spec = "kind"
    cells = 1
    libraries = ("torch",)

    def __init__(self, weights: KindWeights) -> None:
        self._weights, self.weights_sha256, self.trained = weights, weights.sha256, weights.path
        size = self.size = weights.config.size
        self.channels = weights.config.components
        self.boxes = np.array([[0, 0, size, size]], np.int32)
        self.min_share = 0.0
        self.memory, self.photo_memory = network_memory(weights.numbers, size)

    def describe(self, photos: NDArray[np.uint8], holes: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Describe a batch, uint8 (B, S, S, 3) -> float32 (B, 1, C); DescriptorError for a hole that leaves too little."""
        check_batch(self.spec, self.size, photos, holes)
        if holes is not None and (1 - holes.mean(axis=(1, 2)) < LEAST_VISIBLE).any():
            raise DescriptorError("the hole leaves too little of the photo to tell its kind: make the hole smaller")
        if holes is not None and len(photos) <= FEW:
            return self._weights.plain.kinds(photos, holes)[:, None]
        from ce_retrieval.models.inference import kinds_of_photos

        network = self._weights.network
        out = np.empty((len(photos), 1, self.channels), np.float32)

        def run(part: slice) -> None:
            out[part, 0] = kinds_of_photos(network, photos[part], None if holes is None else holes[part])

        in_chunks(len(photos), run)
        return out


def load_kind(path: str | Path) -> Kind:
    """Return the descriptor of a file of `models.kind_network.save_kind`; CheckpointError where it is another."""
    from ce_retrieval.models.kind_weights import KindWeights

    return Kind(KindWeights(path))


def make_kind(argument: str | None, size: int) -> Kind:
    """Make ``kind``; SettingsError for an argument or another size, CheckpointError where its weights are missing or damaged."""
    from ce_retrieval.models.requirements import require_torch
    from ce_retrieval.models.shipped import FOLDER, KIND

    if argument is not None:
        raise SettingsError(f"{cut(f'kind:{argument}')}: expected kind, without anything behind it")
    require_torch("kind")
    descriptor = load_kind(FOLDER / KIND)
    if size != descriptor.size:
        raise SettingsError(f"kind: `size` is {size} px: use {descriptor.size}")
    return descriptor
