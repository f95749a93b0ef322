"""Local features beside an index's own: by them photos of the same place are found, from other viewpoints too."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ce_retrieval.errors import CheckpointError, NoPlacesError
from ce_retrieval.pixels import Photo
from ce_retrieval.places.codes import CodedFeatures, PlaceCodes, shipped_codes
from ce_retrieval.places.local_features import local_features

SIDE, MOST = 640, 300  # px at which a photo is looked at, and its local features at most
PACKAGES = ("opencv-python-headless", "safetensors")  # whose versions shape the bytes
# SIFT doubles a photo, and keeps eleven pictures of float32 in each octave.
_PIXEL_MEMORY = 4 * 4 * 11 * 4 // 3
_FEATURE_MEMORY = 3 * 12  # a coded feature: itself, in order, and in the file


@dataclass(frozen=True)
class StoredPlaces:
    """What made the local features of an index.

    Attributes
    ----------
    codes_sha256 : str
        Hash of the file of codes.
    side : int
        px, the longest side at which photos were looked at.
    most : int
        Local features of a photo, at most.
    """

    codes_sha256: str
    side: int
    most: int

    @property
    def file(self) -> str:
        """Name of the file in a segment. Other codes have another, so readers of the old file are not disturbed."""
        made_by = f"{self.codes_sha256}\0{self.side}\0{self.most}"
        return f"places-{hashlib.sha256(made_by.encode()).hexdigest()[:12]}.safetensors"


class PlaceFeatures:
    """Finds and codes the local features of photos, as an index stores them.

    Attributes
    ----------
    codes : PlaceCodes
    stored : StoredPlaces
    photo_memory, stored_memory : int
        Bytes for a photo that is looked at, and for one whose features wait to be written.
    """

    photo_memory = _PIXEL_MEMORY * SIDE * SIDE
    stored_memory = MOST * _FEATURE_MEMORY

    def __init__(self, codes: PlaceCodes) -> None:
        self.codes = codes
        self.stored = StoredPlaces(codes.sha256, SIDE, MOST)

    def of(self, photo: Photo, hole: str) -> CodedFeatures:
        """Return the features of a photo uint8 (H, W, 3), of which no side is longer than SIDE, under a hole protocol."""
        hidden = None
        if hole == "center":
            height, width = photo.shape[:2]
            hidden = np.zeros((height, width), bool)
            hidden[height // 4 : height - height // 4, width // 4 : width - width // 4] = True
        return self.codes.code(local_features(photo, hidden, side=SIDE, most=MOST))


def place_features() -> PlaceFeatures:
    """Make what finds local features; CheckpointError where the codes that ship with the package are missing or damaged."""
    return PlaceFeatures(shipped_codes())


def places_of_index(path: Path, stored: StoredPlaces | None) -> PlaceFeatures:
    """Make what found the local features of the index at `path`.

    Raises
    ------
    NoPlacesError
        The index has none (`stored` is None), or they were coded by codes that are missing or others now.
    """
    if stored is None:
        raise without_places(path)
    try:
        made = place_features()
    except CheckpointError as error:
        raise NoPlacesError(f"the local features of {path} cannot be compared or added to: {error}") from error
    if made.stored != stored:
        raise NoPlacesError(
            f"the local features of {path} were made by codes {stored.codes_sha256[:12]} and this ceret has "
            f"{made.stored.codes_sha256[:12]}: make them anew with `ceret add {path} --places`"
        )
    return made


def without_places(path: Path) -> NoPlacesError:
    """Return the error for an index at `path` that has no local features."""
    return NoPlacesError(f"{path} has no local features: add them with `ceret add {path} --places`")
