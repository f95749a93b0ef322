"""Packed photos as WebP in WebDataset tars: a tenth of the size of pixels, to send to a machine that trains."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

from ce_retrieval.errors import StorageError
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.pixels import Photo
from ce_retrieval.settings import Range
from ce_retrieval.storage import check_folder, clear_new_folders, new_folder
from ce_retrieval.training.packed import Decoding, PackReport

QUALITY = Range(low=1, high=100, whole=True)
SHARD_BYTES = Range(low=1 << 20, high=1 << 44, whole=True)
DEFAULT_QUALITY, DEFAULT_SHARD_BYTES = 80, 40 << 20
_BLOCK = 512  # bytes: a member's header, and what its data are padded to
_END = 20 * _BLOCK  # that a tar is padded to
_FOLDER = re.compile(r"[^./\\:\s][^/\\:]{0,80}")


def check_shards(out: Path) -> None:
    """Raise StorageError unless shards can be written to `out`: a new or an empty folder."""
    check_outside(out / "00000.tar")
    if out.is_dir() and any(out.iterdir()):
        raise StorageError(f"{out} is not empty: choose a new folder for the shards, or move its files away")
    check_folder(out)


def write_shards(photos: Decoding, out: Path, *, quality: int, shard_bytes: int) -> PackReport:
    """Write photos to `out`/00000.tar, 00001.tar, ..., which appear together at the end; `check_shards` comes first.

    A photo is the member LABEL/NUMBER.webp, or NUMBER.webp with NUMBER.cls where the label cannot be a folder's name.

    Parameters
    ----------
    photos, out : the photos, and a new or empty folder.
    quality : of WebP, 1 to 100.
    shard_bytes : a tar is at most this large, or holds one photo.

    Raises
    ------
    SettingsError : `quality` or `shard_bytes` is out of range.
    SourceError : no photo can be read.
    StorageError : the folder cannot be written, or is not empty.
    """
    QUALITY.check("`quality`", quality)
    SHARD_BYTES.check("`shard_size`", shard_bytes)
    clear_new_folders(out)
    with new_folder(out) as temporary:
        shard, count, size = None, 0, 0
        try:
            for members in _members(photos, quality):
                added = sum(_BLOCK + -(-len(data) // _BLOCK) * _BLOCK for _, data in members)
                if shard is None or size + added + _END > shard_bytes:
                    if shard is not None:
                        shard.close()
                    shard, count, size = tarfile.open(temporary / f"{count:05d}.tar", "w"), count + 1, 0  # noqa: SIM115
                for name, data in members:
                    member = tarfile.TarInfo(name)
                    member.size = len(data)
                    shard.addfile(member, io.BytesIO(data))
                size += added
        finally:
            if shard is not None:
                shard.close()
        return photos.report()


def _members(photos: Decoding, quality: int) -> Iterator[list[tuple[str, bytes]]]:
    """Yield the (name, data) of each photo's members."""
    number = 0
    for block in photos.blocks():
        for photo in block:
            label, name = photos.labels[number], f"{number:07d}"
            data = _webp(photo, quality)
            if not label or _FOLDER.fullmatch(label):
                yield [(f"{label}/{name}.webp".lstrip("/"), data)]
            else:
                yield [(f"{name}.webp", data), (f"{name}.cls", label.encode("utf-8", "surrogateescape"))]
            number += 1


def _webp(photo: Photo, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(photo).save(buffer, "WEBP", quality=quality, method=4)
    return buffer.getvalue()
