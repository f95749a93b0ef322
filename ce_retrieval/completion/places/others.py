"""The photos of a folder, as those of one place: read at once, and filled from without an index."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import PhotoError, SourceError, counted
from ce_retrieval.photo_index import PhotoRecord
from ce_retrieval.photos import PhotoItem, decode_photo, open_source
from ce_retrieval.photos.collected import check_side, reason_of
from ce_retrieval.retrieval.neighbor import Neighbor

LOOK = 16  # px, to which a photo is decoded at first
MOST = 500  # photos: more are found faster in an index


class OtherPhotos:
    """The photos of a folder, tar or parquet file, or one photo.

    Parameters
    ----------
    path : where they are.

    Attributes
    ----------
    neighbors : an entry for each photo that can be read, by name.
    about : what results say of them, as JSON types: path, number of photos, and a hash of their names and bytes.
    notes : (path, line) for what was passed over.

    Raises
    ------
    SourceError : there is no photo, or more than MOST.
    """

    def __init__(self, path: str | Path) -> None:
        self._source = open_source(path)
        count = self._source.count()
        if count > MOST:
            raise SourceError(
                f"{path}: {count} photos are more than the {MOST} that are looked through one by one: run `ceret index {path} "
                "--places --out NAME.ceret` once, and give that index"
            )
        self.neighbors: list[Neighbor] = []
        self._items: dict[str, PhotoItem] = {}
        skipped = []
        for item in self._source.items():
            try:
                self._add(item)
            except PhotoError as error:
                skipped.append(f"{item.key}: {reason_of(error, self._source, item)}")
        self.notes = [*self._source.passed_over.notes(self._source.root)]
        if skipped:
            self.notes.append(
                (self._source.root, f"{counted(len(skipped), 'photo')} not read, the first: {skipped[0]}")
            )
        if not self.neighbors:
            raise SourceError(f"{path}: no photo that can be read; the first: {skipped[0]}")
        names = "".join(f"{one.record.key}\0{one.record.sha256}\n" for one in self.neighbors)
        self.about: dict[str, Any] = {
            "path": self._source.root,
            "photos": len(self.neighbors),
            "sha256": hashlib.sha256(names.encode(errors="surrogateescape")).hexdigest(),
        }

    def _add(self, item: PhotoItem) -> None:
        data = self._source.read(item)
        photo = decode_photo(
            data, name=item.key, size=LOOK
        )  # whether it can be read, and its size: JPEGs in an eighth of the time
        check_side(photo.width, photo.height)
        sha256 = hashlib.sha256(data).hexdigest()
        record = PhotoRecord(
            0,
            item.key,
            item.label,
            item.caption,
            item.licence,
            photo.width,
            photo.height,
            sha256,
            item.offset,
            item.length,
        )
        number = len(self.neighbors)
        root = self._source.root
        name = os.path.join(root, item.key) if self._source.kind == "folder" else f"{root}::{item.key}"
        name = root if self._source.kind == "file" else name
        self.neighbors.append(Neighbor(number + 1, number, 0.0, name, record))
        self._items[sha256] = item

    def read(self, neighbor: Neighbor) -> np.ndarray:
        """Return a photo uint8 (h, w, 3); PhotoError where it has vanished or changed."""
        data = self._source.read(self._items[neighbor.record.sha256])
        if hashlib.sha256(data).hexdigest() != neighbor.record.sha256:
            raise PhotoError(f"{neighbor.name} has changed while it was used: run the command again")
        return decode_photo(data, name=neighbor.name).pixels
