"""Packed photos in one HDF5 file, which training maps into memory."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import resource
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ce_retrieval.errors import SettingsError, SourceError, StorageError, counted
from ce_retrieval.own_files import foreign
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.storage import check_file, clear_leftovers, new_file, storage_errors
from ce_retrieval.training.packed import Decoding, PackedPhotos, PackReport

SUFFIXES = (".h5", ".hdf5")
_FORMAT = 1


def check_packed(out: Path) -> None:
    """Raise an error unless packed photos can be written to `out`: a new NAME.h5, or one that `write_packed` wrote.

    SettingsError for another suffix; StorageError where the file would replace one of others.
    """
    if out.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"`out` is {out}: expected NAME.h5, since training knows packed photos by their suffix")
    check_file(out)
    check_outside(out)
    if os.path.lexists(out) and not _is_packed(out):
        raise foreign(out)


def _is_packed(path: Path) -> bool:
    import h5py

    try:
        if not path.is_file() or path.stat().st_size == 0:
            return path.is_file()
        with h5py.File(path, "r") as file:
            return {"format", "count", "fingerprint"} <= file.attrs.keys() and "pixels" in file
    except OSError:
        return False


def write_packed(photos: Decoding, out: Path) -> PackReport:
    """Write photos to one contiguous, uncompressed dataset, by temporary file and rename; `check_packed` comes first.

    Raises
    ------
    SourceError : no photo can be read.
    StorageError : the file cannot be written.
    """
    import h5py

    _check_room(out, photos.total, photos.size)
    clear_leftovers(out.parent, glob.escape(out.name))
    with new_file(out, synced=False) as temporary, _system_errors(), h5py.File(temporary, "w") as file:
        pixels = file.create_dataset("pixels", (max(photos.total, 1), photos.size, photos.size, 3), np.uint8)
        for block in photos.blocks():
            count = len(photos.keys)
            pixels[count - len(block) : count] = block
        report = photos.report()
        text = h5py.string_dtype("utf-8")
        for name, values in (("keys", photos.keys), ("labels", photos.labels)):
            encoded = [value.encode("utf-8", "surrogateescape") for value in values]
            file.create_dataset(name, data=encoded, dtype=text)
        file.attrs.update(format=_FORMAT, count=report.count, fingerprint=report.fingerprint)
    return report


def _check_room(out: Path, count: int, size: int) -> None:
    """Raise StorageError, before any photo is decoded, where the disk or the limit on files has no room for all."""
    with storage_errors(out):
        room = shutil.disk_usage(out.parent).free
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    needed = count * size * size * 3
    if needed > room:
        raise StorageError(
            f"cannot write {out}: {counted(count, 'photo')} of {size} px take {needed / 1e6:.1f} MB, and there is room for "
            f"{room / 1e6:.1f} MB; free space, choose another folder, or a smaller `size`"
        )


@contextlib.contextmanager
def _system_errors() -> Iterator[None]:
    """Raise the system's error for what HDF5 makes of it: a RuntimeError where a file cannot even be closed."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        found = re.search(r"errno = (\d+)", str(error))
        if found is None:
            raise
        raise OSError(int(found[1]), os.strerror(int(found[1]))) from None


def open_packed(path: str | Path) -> PackedPhotos:
    """Map a file of `write_packed` into memory; SourceError where it is missing, truncated or of another kind."""
    import h5py

    name = str(path)
    if not Path(path).is_file():
        raise SourceError(f"{name}: no such file; pack the photos first")
    try:
        with h5py.File(name, "r") as file:
            if file.attrs.get("format") != _FORMAT or "pixels" not in file:
                raise SourceError(f"{name}: not packed photos of format {_FORMAT}; pack the photos again")
            count = int(file.attrs["count"])
            dataset, offset = file["pixels"], file["pixels"].id.get_offset()
            keys, labels = (tuple(file[part].asstr(errors="surrogateescape")[:]) for part in ("keys", "labels"))
            fingerprint, shape = str(file.attrs["fingerprint"]), dataset.shape
    except (OSError, KeyError) as error:
        raise SourceError(f"{name}: truncated, or not an HDF5 file ({error}); pack the photos again") from None
    # Copy on write: torch refuses to wrap read-only memory without a warning, and nothing here writes.
    pixels = np.memmap(name, np.uint8, "c", offset=offset, shape=(count, *shape[1:]))
    return PackedPhotos(pixels, keys, labels, fingerprint)
