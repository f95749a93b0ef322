"""What the sets of detection and of segmentation share: photos of PASCAL VOC that are decoded when they are needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.pixels import Photo, resize
from ce_retrieval.transfer.networks.stages import SIDE
from ce_retrieval.transfer.sets.voc import VocFolder, check_names_apart

GREY = 127  # behind a photo that is smaller than others of its batch
_SQUARE = round(SIDE * 256 / 227)  # px, to which the photos are resized by which first weights are rescaled


class PhotoSet:
    """The photos of an image set.

    Parameters
    ----------
    root : a folder of PASCAL VOC.
    part, task : of the set, as of `VocFolder.names`.

    Raises
    ------
    SourceError : there is no such folder, its set is missing or malformed, or a photo is missing.
    """

    def __init__(self, root: str | Path, part: str, task: str) -> None:
        self.folder, self.part = VocFolder(root), part
        self.names = self.folder.names(part, task)
        self.sizes = self.folder.file_sizes(map(self.folder.photo_path, self.names))  # of all files that it reads

    def __len__(self) -> int:
        return len(self.names)

    def photo(self, row: int) -> Photo:
        """Return a photo uint8 (H, W, 3); SourceError, PhotoError."""
        return self.folder.photo(self.names[row])

    def squares(self, rows: NDArray[np.int64]) -> Photo:
        """Return some photos resized whole, as `Run.first_network` takes them: uint8 (N, P, P, 3)."""
        return np.stack([resize(self.photo(int(row)), (_SQUARE, _SQUARE)) for row in rows])


def fingerprint(*sets: PhotoSet) -> str:
    """Return the SHA-256 of the names of the photos of sets, and of the sizes of their files."""
    return hashlib.sha256(repr([(one.names, one.sizes) for one in sets]).encode()).hexdigest()


def check_apart(train: PhotoSet, test: PhotoSet) -> None:
    """Raise SourceError where a photo is in both sets."""
    check_names_apart(train.folder.root, {train.part: train.names, test.part: test.names})


def stacked(maps: Sequence[NDArray[np.uint8]], behind: int) -> NDArray[np.uint8]:
    """Return photos or masks (H, W, ...) of several sizes as one array (B, H, W, ...): `behind` the smaller ones, a value."""
    height, width = (max(one.shape[axis] for one in maps) for axis in (0, 1))
    whole = np.full((len(maps), height, width, *maps[0].shape[2:]), behind, np.uint8)
    for number, one in enumerate(maps):
        whole[number, : one.shape[0], : one.shape[1]] = one
    return whole
