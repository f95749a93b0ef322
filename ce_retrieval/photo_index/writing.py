"""What all changes of a finished index begin with."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index.manifest import MANIFEST, Manifest, read_manifest
from ce_retrieval.photo_index.segments import clear_leftovers
from ce_retrieval.storage import writer_lock


@contextmanager
def changing_index(path: Path) -> Iterator[Manifest]:
    """Hold the lock of the index at `path` and yield its manifest, after what a killed writer left is deleted.

    Raises
    ------
    PhotoIndexError
        There is no index, or its first build has not ended.
    LockedIndexError, StorageError
    """
    read_manifest(path)  # no lock is left where no index is
    with writer_lock(path):
        manifest = read_manifest(path)
        if not manifest.complete:
            raise PhotoIndexError(f"the build of {path} was stopped: run its `ceret index` command again first")
        clear_leftovers(path, manifest.segments)
        yield manifest


def check_outside(place: str | Path) -> None:
    """Raise PhotoIndexError where something is to be put inside an index, in which only its own files may stand."""
    for folder in Path(os.path.realpath(place)).parents:
        if os.path.isfile(folder / MANIFEST) and os.path.isdir(folder / "segments"):
            raise PhotoIndexError(f"{place} lies inside the index {folder}: choose another place")
