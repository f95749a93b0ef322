"""A descriptor in the place of `kind` that takes no network: a photo's colours in 4 x 4 cells as one vector."""

from __future__ import annotations

import numpy as np

from ce_retrieval.descriptors.base import Descriptor
from ce_retrieval.descriptors.registry import DESCRIPTORS
from ce_retrieval.descriptors.thumbnail import Thumbnail
from ce_retrieval.errors import DescriptorError

OLD, NEW = "ab" * 32, "cd" * 32  # hashes of weights


class FakeKind(Descriptor):
    """Unlike photos have unlike vectors; less than a tenth of a photo does not tell its kind."""

    spec = "kind"
    cells = 1
    channels = 48
    min_share = 0.0
    weights_sha256 = OLD

    def __init__(self, size: int) -> None:
        self.size = size
        self.boxes = np.array([[0, 0, size, size]], np.int32)
        self._cells = Thumbnail(size, 4)

    def describe(self, photos, holes=None):
        if holes is not None and holes.mean(axis=(1, 2)).max() > 0.9:
            raise DescriptorError("kind: the hole leaves too little of the photo to tell its kind")
        return 7 * self._cells.describe(photos, holes).reshape(len(photos), 1, 48)


def install() -> None:
    """Put it in the place of `kind`."""
    DESCRIPTORS["kind"] = lambda argument, size: FakeKind(size)
