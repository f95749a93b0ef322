"""Photos with the class of each pixel, to train on and to measure: the segmentation sets of PASCAL VOC."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SourceError
from ce_retrieval.pixels import Photo
from ce_retrieval.transfer.voc import VOID, VocFolder

TRAIN, TEST = "train", "val"  # as in the paper: VOC 2012 keeps the masks of its test set


class MaskedPhotos:
    """The photos of a segmentation set; each is decoded when it is needed.

    Parameters
    ----------
    root : a folder of PASCAL VOC.
    part : name of the set.

    Raises
    ------
    SourceError : there is no such folder, or its set is missing or malformed.
    """

    def __init__(self, root: str | Path, part: str) -> None:
        self.folder = VocFolder(root)
        self.names = self.folder.names(part, "Segmentation")

    def __len__(self) -> int:
        return len(self.names)

    def pair(self, row: int) -> tuple[Photo, NDArray[np.uint8]]:
        """Return a photo uint8 (H, W, 3) and the class of each of its pixels, uint8 (H, W) as `VocFolder.mask`.

        Raises
        ------
        SourceError : a file is missing or malformed, or the mask has another size than the photo.
        PhotoError : the photo cannot be decoded.
        """
        name = self.names[row]
        photo, mask = self.folder.photo(name), self.folder.mask(name)
        if photo.shape[:2] != mask.shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, photo.shape)]
            raise SourceError(
                f"{self.folder.mask_path(name)}: is {sizes[0]} px, its photo {sizes[1]}; copy both files again"
            )
        return photo, mask


def fingerprint(*sets: MaskedPhotos) -> str:
    """Return the SHA-256 of the names of the photos of sets."""
    return hashlib.sha256(repr([one.names for one in sets]).encode()).hexdigest()


def stacked(
    pairs: list[tuple[Photo, NDArray[np.uint8]]], mirrored: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return photos and masks of several sizes as (B, H, W, 3) and (B, H, W): grey and VOID behind the smaller ones."""
    height, width = (max(mask.shape[axis] for _, mask in pairs) for axis in (0, 1))
    photos = np.full((len(pairs), height, width, 3), 127, np.uint8)
    masks = np.full((len(pairs), height, width), VOID, np.uint8)
    for number, (photo, mask) in enumerate(pairs):
        turned = slice(None, None, -1 if mirrored[number] else 1)
        photos[number, : mask.shape[0], : mask.shape[1]] = photo[:, turned]
        masks[number, : mask.shape[0], : mask.shape[1]] = mask[:, turned]
    return photos, masks
