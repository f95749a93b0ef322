"""Which photos of an index may be found: those that pass an expression, and none from the query's own source."""

import copy
import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ce_retrieval.errors import FilterError, counted
from ce_retrieval.photo_index.columns import integers, numbers_of, texts
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photos.files import read_bytes


class Origin(NamedTuple):
    """The file that a query comes from: its path, and the SHA-256 of its bytes in hexadecimal."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: str | Path) -> "Origin":
        """Read a file; PhotoError if that fails."""
        return cls(Path(path), hashlib.sha256(read_bytes(path)).hexdigest())


# The files of several queries; None for a query without a file, or for all of them.
Origins = Sequence[Origin | None] | None


def restricted(index: PhotoIndex, allowed: np.ndarray | None) -> PhotoIndex:
    """Return an index of which only some photos may be found, by any search: bool (N,), at least one; None: the index itself.

    Ids, records and labels are those of all photos. What the given index has loaded is shared.
    """
    if allowed is None:
        return index
    part = copy.copy(index)
    part.allowed = allowed if index.allowed is None else index.allowed & allowed
    return part


def findable(index: PhotoIndex) -> int:
    """Return how many photos of an index may be found."""
    return len(index) if index.allowed is None else int(np.count_nonzero(index.allowed))


def allowed_photos(index: PhotoIndex, where: str | None) -> np.ndarray | None:
    """Return which photos may be found and pass an expression, bool (N,); None: all.

    FilterError if the expression is invalid (`photo_index.where`), or no photo passes.
    """
    if where is None:
        return index.allowed
    allowed = index.matching(where)
    if index.allowed is not None:
        allowed &= index.allowed
    if not allowed.any():
        shown = where if len(where) <= 200 else f"{where[:197]}..."
        raise FilterError(
            f"none of {counted(findable(index), 'photo')} of {index.path} passes the filter {shown!r}: loosen it"
        )
    return allowed


class SameSource:
    """Finds the photos of an index that come from a query's own source: its folder, or a file with the same bytes.

    A photo's folder is the one that holds its file. Folders are compared by device and inode, so links do not matter. Photos
    in tars and tables have no folder.
    """

    def __init__(self, index: PhotoIndex) -> None:
        self._index = index
        self._folder_of = np.full(len(index), -1, np.int64)
        self._folders: list[tuple[int, int] | None] = []
        self._number_folders()

    def _number_folders(self) -> None:
        import pyarrow.compute as pc

        numbers = numbers_of(self._index.column("source"))
        for number, source in enumerate(self._index.manifest.sources):
            rows = np.flatnonzero(numbers == number)
            if source.kind == "file":
                self._folder_of[rows] = len(self._folders)
                self._folders.append(_identity(os.path.dirname(source.root)))
            elif source.is_folder and len(rows):
                keys = self._index.column("key").take(integers(rows)).combine_chunks()
                parents = pc.replace_substring_regex(keys, "[^/]*$", "").dictionary_encode()
                self._folder_of[rows] = numbers_of(parents.indices) + len(self._folders)
                names = parents.dictionary.to_pylist()
                self._folders += [_identity(os.path.join(source.root, name)) for name in names]

    def photos(self, origin: Origin) -> np.ndarray:
        """Return which photos lie in the folder of the query's file or have its bytes: bool (N,)."""
        import pyarrow.compute as pc

        # A link lies in one folder, its target in another: both are the query's own.
        homes = {_identity(origin.path.parent), _identity(Path(os.path.realpath(origin.path)).parent)} - {None}
        mine = [number for number, folder in enumerate(self._folders) if folder in homes]
        equal = pc.equal(self._index.column("sha256"), texts([origin.sha256])[0]).cast("int8")
        return np.isin(self._folder_of, mine) | (numbers_of(equal) == 1)


def _identity(folder: str | Path) -> tuple[int, int] | None:
    """Return the device and inode of a folder, None if it does not exist."""
    try:
        status = os.stat(folder)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino
