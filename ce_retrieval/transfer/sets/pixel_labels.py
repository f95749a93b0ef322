"""Photos with the class of each pixel, to train on and to measure: the segmentation sets of PASCAL VOC."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SourceError
from ce_retrieval.pixels import Photo
from ce_retrieval.transfer.sets.voc import VOID
from ce_retrieval.transfer.sets.voc_photos import PhotoSet

TRAIN, TEST = "train", "val"  # as in the paper: VOC 2012 keeps the masks of its test set


class MaskedPhotos(PhotoSet):
    """The photos of a segmentation set; each is decoded when it is needed.

    Parameters
    ----------
    root : a folder of PASCAL VOC.
    part : name of the set.

    Raises
    ------
    SourceError : as `PhotoSet`, or a mask is missing.
    """

    def __init__(self, root: str | Path, part: str) -> None:
        super().__init__(root, part, "Segmentation")
        self.sizes += self.folder.file_sizes(map(self.folder.mask_path, self.names))

    def any_counts(self) -> bool:
        """Return whether the mask of any photo has a pixel that is not VOID; SourceError where one before it is malformed."""
        return any(bool((self.folder.mask(name) != VOID).any()) for name in self.names)

    def pair(self, row: int) -> tuple[Photo, NDArray[np.uint8]]:
        """Return a photo uint8 (H, W, 3) and the class of each of its pixels, uint8 (H, W) as `VocFolder.mask`.

        Raises
        ------
        SourceError : the mask is malformed, or has another size than the photo.
        PhotoError : the photo cannot be decoded.
        """
        name = self.names[row]
        photo, mask = self.photo(row), self.folder.mask(name)
        if photo.shape[:2] != mask.shape:
            sizes = [f"{shape[1]}x{shape[0]}" for shape in (mask.shape, photo.shape)]
            raise SourceError(
                f"{self.folder.mask_path(name)}: is {sizes[0]} px, its photo {sizes[1]}; copy both files again"
            )
        return photo, mask
