"""What all changes of a finished index begin with."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index.manifest import Manifest, read_manifest
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
