"""Photos decoded once: a block of uint8 pixels in memory or in an HDF5 file. No torch here."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import os
import re
import resource
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import PhotoError, SettingsError, SourceError, StorageError
from ce_retrieval.own_files import foreign
from ce_retrieval.pool import worker_pool
from ce_retrieval.settings import WORKERS, Range
from ce_retrieval.storage import check_file, clear_leftovers, new_file, storage_errors

FORMAT = 1
SIZES = Range(low=16, high=4096, whole=True)  # sides of packed photos, px
THREADS = 2  # that decode, by default
PACKED_SUFFIXES = (".h5", ".hdf5")
_BLOCK = 256


@dataclass(frozen=True)
class PackedPhotos:
    """Square photos of one size.

    Attributes
    ----------
    pixels : uint8 (N, P, P, 3), array or memory-mapped file.
    keys, labels : of each photo, N.
    fingerprint : SHA-256 of keys and pixels.
    """

    pixels: np.ndarray
    keys: tuple[str, ...]
    labels: tuple[str, ...]
    fingerprint: str

    def __len__(self) -> int:
        """Return the number of photos."""
        return len(self.keys)

    @property
    def size(self) -> int:
        """Side of the photos, px."""
        return int(self.pixels.shape[1])


@dataclass(frozen=True)
class PackReport:
    """Result of packing.

    Attributes
    ----------
    count : photos.
    skipped : (key, reason) of photos that could not be read.
    fingerprint : SHA-256 of keys and pixels.
    notes : (path, line) for folders and kinds of files that were passed over.
    """

    count: int
    skipped: tuple[tuple[str, str], ...]
    fingerprint: str
    notes: tuple[tuple[str, str], ...] = ()


def _decoded(source: Any, size: int, workers: int) -> Iterator[list[tuple[Any, np.ndarray | PhotoError]]]:
    """Yield blocks of (item, its pixels or the error), in the source's order; one block at a time is in memory."""
    WORKERS.check("`workers`", workers)
    from ce_retrieval.photos import decode_photo

    def decode(item: Any) -> np.ndarray | PhotoError:
        try:
            return decode_photo(source.read(item), name=item.key, size=size).pixels
        except PhotoError as error:
            return error

    items = iter(source.items())
    with worker_pool(workers) as pool:
        while block := list(islice(items, _BLOCK)):
            yield list(zip(block, pool.map(decode, block), strict=True))


class _Packer:
    """Fills rows one after another and collects keys, labels, skipped photos and the fingerprint."""

    def __init__(self, pixels: Any) -> None:
        self.pixels = pixels
        self.keys: list[str] = []
        self.labels: list[str] = []
        self.skipped: list[tuple[str, str]] = []
        self.digest = hashlib.sha256()

    def add(self, block: list[tuple[Any, np.ndarray | PhotoError]]) -> None:
        good = []
        for item, result in block:
            if isinstance(result, PhotoError):
                self.skipped.append((item.key, str(result)))
                continue
            good.append(result)
            self.keys.append(item.key)
            self.labels.append(item.label)
            self.digest.update(item.key.encode("utf-8", "surrogateescape"))
            self.digest.update(result.tobytes())
        if good:
            self.pixels[len(self.keys) - len(good) : len(self.keys)] = np.stack(good)

    def report(self, source: Any) -> PackReport:
        if not self.keys:
            reason = self.skipped[0][1] if self.skipped else "it is empty"
            raise SourceError(f"{source.root}: no photo could be read ({reason})")
        notes = tuple(source.passed_over.notes(source.root))
        return PackReport(len(self.keys), tuple(self.skipped), self.digest.hexdigest(), notes)


def _check_room(out: Path, count: int, size: int) -> None:
    """Raise StorageError, before any photo is decoded, where the disk or the limit on files has no room for all."""
    check_file(out)
    with storage_errors(out):
        room = shutil.disk_usage(out.parent).free
    limit, _ = resource.getrlimit(resource.RLIMIT_FSIZE)
    room = room if limit == resource.RLIM_INFINITY else min(room, limit)
    needed = count * size * size * 3
    if needed > room:
        raise StorageError(
            f"cannot write {out}: {count} photos of {size} px need {needed / 1e6:.1f} MB, and there is room for "
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


def check_place(out: str | Path) -> None:
    """Raise an error unless packed photos can be written to `out`: a new NAME.h5, or one that `pack_photos` wrote.

    SettingsError for another suffix; StorageError where the file would replace one of others.
    """
    path = Path(out)
    if path.suffix.lower() not in PACKED_SUFFIXES:
        raise SettingsError(f"`out` is {path}: expected NAME.h5, since training knows packed photos by their suffix")
    if os.path.lexists(path) and not _is_packed(path):
        raise foreign(path)


def _is_packed(path: Path) -> bool:
    import h5py

    try:
        if path.stat().st_size == 0:
            return True
        with h5py.File(path, "r") as file:
            return {"format", "count", "fingerprint"} <= file.attrs.keys() and "pixels" in file
    except OSError:
        return False


def pack_photos(
    source: Any,
    out: str | Path,
    size: int,
    *,
    workers: int = THREADS,
    progress: Callable[[int, int], None] | None = None,
) -> PackReport:
    """Decode every photo of a source once, resize it to a square whatever its shape, and write all of them to HDF5.

    Parameters
    ----------
    source : a `photos.PhotoSource`.
    out : file to write, by temporary file and rename.
    size : side of the packed photos, 16 to 4096 px.
    workers : threads that decode.
    progress : called with (done, total).

    Returns
    -------
    Number of photos, and which ones were skipped because they could not be read.

    Raises
    ------
    SettingsError : `size` or `workers` is out of range, or `out` has another suffix than .h5 or .hdf5.
    SourceError : no photo can be read.
    StorageError : the file cannot be written, or would replace one that ceret did not write.

    Notes
    -----
    The pixels form one contiguous, uncompressed dataset: training maps the file into memory and reads single crops.
    """
    import h5py

    SIZES.check("`size`", size)
    check_place(out)
    out, total = Path(out), source.count()
    _check_room(out, total, size)
    clear_leftovers(out.parent, glob.escape(out.name))
    with new_file(out, synced=False) as temporary, _system_errors(), h5py.File(temporary, "w") as file:
        packer = _Packer(file.create_dataset("pixels", (max(total, 1), size, size, 3), np.uint8))
        done = 0
        for block in _decoded(source, size, workers):
            packer.add(block)
            done += len(block)
            if progress is not None:
                progress(done, total)
        report = packer.report(source)
        text = h5py.string_dtype("utf-8")
        for name, values in (("keys", packer.keys), ("labels", packer.labels)):
            encoded = [value.encode("utf-8", "surrogateescape") for value in values]
            file.create_dataset(name, data=encoded, dtype=text)
        file.attrs.update(format=FORMAT, count=report.count, fingerprint=report.fingerprint)
    return report


def photos_in_memory(
    source: Any, size: int, *, workers: int = THREADS, progress: Callable[[int, int], None] | None = None
) -> tuple[PackedPhotos, PackReport]:
    """Do the same as `pack_photos`, but in memory: N * size^2 * 3 bytes."""
    SIZES.check("`size`", size)
    packer = _Packer(np.empty((source.count(), size, size, 3), np.uint8))
    done = 0
    for block in _decoded(source, size, workers):
        packer.add(block)
        done += len(block)
        if progress is not None:
            progress(done, len(packer.pixels))
    report = packer.report(source)
    pixels = packer.pixels[: report.count]
    return PackedPhotos(pixels, tuple(packer.keys), tuple(packer.labels), report.fingerprint), report


def open_packed(path: str | Path) -> PackedPhotos:
    """Map a file of `pack_photos` into memory; SourceError where it is missing, truncated or of another kind."""
    import h5py

    name = str(path)
    if not Path(path).is_file():
        raise SourceError(f"{name}: no such file; pack the photos first")
    try:
        with h5py.File(name, "r") as file:
            if file.attrs.get("format") != FORMAT or "pixels" not in file:
                raise SourceError(f"{name}: not packed photos of format {FORMAT}; pack the photos again")
            count = int(file.attrs["count"])
            dataset, offset = file["pixels"], file["pixels"].id.get_offset()
            keys, labels = (tuple(file[part].asstr(errors="surrogateescape")[:]) for part in ("keys", "labels"))
            fingerprint, shape = str(file.attrs["fingerprint"]), dataset.shape
    except (OSError, KeyError) as error:
        raise SourceError(f"{name}: truncated, or not an HDF5 file ({error}); pack the photos again") from None
    # Copy on write: torch refuses to wrap read-only memory without a warning, and nothing here writes.
    pixels = np.memmap(name, np.uint8, "c", offset=offset, shape=(count, *shape[1:]))
    return PackedPhotos(pixels, keys, labels, fingerprint)


def open_photos(
    path: str | Path,
    size: int,
    *,
    apart: Iterable[str | Path] = (),
    workers: int = THREADS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PackedPhotos, PackReport]:
    """Open packed photos, or decode any photo source into memory.

    Parameters
    ----------
    path : HDF5 file of `pack_photos`, or a folder, tar shard or parquet file.
    size : side to decode photos at that are not packed, 16 to 4096 px.
    apart : subfolders that are not read.
    workers : threads that decode.
    progress : called with (done, total).

    Returns
    -------
    The photos, and what was skipped.

    Raises
    ------
    SettingsError : `size` or `workers` is out of range.
    SourceError : the file is not one of packed photos, or no photo can be read.
    """
    if Path(path).suffix.lower() in PACKED_SUFFIXES:
        packed = open_packed(path)
        return packed, PackReport(len(packed), (), packed.fingerprint)
    from ce_retrieval.photos import open_source

    source = open_source(path, apart=apart)
    try:
        return photos_in_memory(source, size, workers=workers, progress=progress)
    finally:
        source.close()
