"""Photos decoded once: to a file, to shards, or into memory. No torch here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ce_retrieval.errors import SettingsError, shown
from ce_retrieval.training.packed import THREADS, Decoding, PackedPhotos, PackReport, opened
from ce_retrieval.training.packed_file import SUFFIXES, check_packed, open_packed, write_packed
from ce_retrieval.training.packed_shards import (
    DEFAULT_QUALITY,
    DEFAULT_SHARD_BYTES,
    check_shards,
    write_shards,
)

FORMATS = ("h5", "webp")


def pack_photos(
    paths: Sequence[str | Path],
    out: str | Path,
    size: int,
    *,
    format: str = "h5",
    quality: int | None = None,
    shard_size: int | None = None,
    workers: int = THREADS,
    progress: Callable[[int, int], None] | None = None,
) -> PackReport:
    """Decode every photo of some sources once, resize it to a square whatever its shape, and write all of them.

    Parameters
    ----------
    paths : folders, tar shards, parquet files or photos.
    out : file or folder to write; it appears when it is complete.
    size : side of the packed photos, 16 to 4096 px.
    format : "h5", uint8 pixels in one HDF5 file NAME.h5, which training maps into memory; "webp", WebP photos in
        WebDataset tars in a new folder, which training decodes first.
    quality : of WebP, 1 to 100; None: 80.
    shard_size : most bytes of a tar, of which each has one photo or more; None: 40 MiB.
    workers : threads that decode.
    progress : called with (done, total).

    Returns
    -------
    Number of photos, and which ones were skipped because they could not be read.

    Raises
    ------
    SettingsError : a number is out of range, `format` is unknown, `out` has not the suffix of its format, or `quality` or
        `shard_size` is given for HDF5.
    SourceError : no photo can be read.
    StorageError : `out` cannot be written, or would replace something that ceret did not write.
    """
    if format not in FORMATS:
        raise SettingsError(f"`format` is {shown(format)}: expected one of {', '.join(FORMATS)}")
    out = Path(out)
    (check_packed if format == "h5" else check_shards)(out)
    if format == "h5" and (quality is not None or shard_size is not None):
        raise SettingsError("`quality` and `shard_size` belong to `format` webp: leave them out, or choose that format")
    with opened(paths) as sources:
        photos = Decoding(sources, size, workers, progress)
        if format == "h5":
            return write_packed(photos, out)
        return write_shards(
            photos,
            out,
            quality=DEFAULT_QUALITY if quality is None else quality,
            shard_bytes=DEFAULT_SHARD_BYTES if shard_size is None else shard_size,
        )


def open_photos(
    paths: Sequence[str | Path],
    size: int,
    *,
    apart: Iterable[str | Path] = (),
    workers: int = THREADS,
    progress: Callable[[int, int], None] | None = None,
) -> tuple[PackedPhotos, PackReport]:
    """Open packed photos, or decode photo sources into memory: N * size^2 * 3 bytes.

    Parameters
    ----------
    paths : one HDF5 file of `pack_photos`, or folders, tar shards, parquet files or photos.
    size : side to decode photos at that are not in HDF5, 16 to 4096 px.
    apart : subfolders that are not read.
    workers : threads that decode.
    progress : called with (done, total).

    Returns
    -------
    The photos, and what was skipped.

    Raises
    ------
    SettingsError : `size` or `workers` is out of range, or a packed file is not the only path.
    SourceError : the file is not one of packed photos, or no photo can be read.
    """
    if any(Path(path).suffix.lower() in SUFFIXES for path in paths):
        if len(paths) > 1:
            raise SettingsError(
                "a packed .h5 file is read alone: pack all photos into one file, or give the photos themselves"
            )
        packed = open_packed(paths[0])
        return packed, PackReport(len(packed), (), packed.fingerprint)
    with opened(paths, apart) as sources:
        photos = Decoding(sources, size, workers, progress)
        pixels = np.empty((photos.total, size, size, 3), np.uint8)
        for block in photos.blocks():
            count = len(photos.keys)
            pixels[count - len(block) : count] = block
        report = photos.report()
    return PackedPhotos(pixels[: report.count], tuple(photos.keys), tuple(photos.labels), report.fingerprint), report
