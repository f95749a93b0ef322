"""Writing segments: folders of immutable files with the grids and the records of up to a few thousand photos."""

import io
import re
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.photo_index.columns import integers, texts
from ce_retrieval.photo_index.manifest import MANIFEST
from ce_retrieval.photo_index.manifest_parts import PHOTOS, VECTORS, Segment, Skipped, digest
from ce_retrieval.photo_index.repeats import Repeat
from ce_retrieval.storage import intended_name, new_folder, no_readers, storage_errors, write_file

_KIND_NAME = re.compile(r"kind-[0-9a-f]{12}\.npy")
_PLACES_NAME = re.compile(r"places-[0-9a-f]{12}\.safetensors")
_CODES_NAME = re.compile(r"codes-[0-9a-f]{12}\.safetensors")
_SEGMENT_NAME = re.compile(r"\d{6,}(\.tmp)?")  # with .tmp: the temporary name that older versions used


@dataclass(frozen=True)
class PhotoRecord:
    """What an index knows of a photo.

    Attributes
    ----------
    source : int
        Number of its source in the manifest.
    key : str
        Its name in the source.
    label, caption, licence : str
        As the source gives them, else ''.
    width, height : int
        px, after EXIF orientation.
    sha256 : str
        Of the file's bytes.
    offset, length : int
        Place in a tar shard in bytes; `offset` is the row of a parquet file; else -1.
    """

    source: int
    key: str
    label: str
    caption: str
    licence: str
    width: int
    height: int
    sha256: str
    offset: int
    length: int


def write_segment(
    folder: Path,
    name: str,
    grids: np.ndarray,
    records: Sequence[PhotoRecord],
    stamps: np.ndarray,
    *,
    items: int,
    keys_sha256: str,
    skipped: Sequence[Skipped],
    more: Mapping[str, memoryview],
    repeats: Sequence[Repeat] = (),
) -> Segment:
    """Write n photos as the segment `name` of the index `folder`, whole or not at all.

    Parameters
    ----------
    grids : float16 (n, G, C)
    records : n records
    stamps : int64 (n, 2)
        Size in bytes and time of change in ns of the file that held each photo when it was read.
    more : name -> content
        Other files of the segment.
    """
    contents = {VECTORS: _vectors_file(grids, stamps), PHOTOS: _photos_file(records), **more}
    with new_folder(folder / "segments" / name) as temporary:
        for file, content in contents.items():
            write_file(temporary / file, content)
    files = {file: digest(content) for file, content in contents.items()}
    return Segment(name, items, len(records), keys_sha256, files, tuple(skipped), repeats=tuple(repeats))


def _vectors_file(grids: np.ndarray, stamps: np.ndarray) -> memoryview:
    """Return the bytes of an HDF5 file, made in memory so that one plain write stores it."""
    import h5py

    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("grids", data=grids, track_times=False)
        file.create_dataset("stamps", data=stamps, track_times=False)
    return buffer.getbuffer()


def _photos_file(records: Sequence[PhotoRecord]) -> memoryview:
    import pyarrow as pa

    columns: dict[str, Any] = {}
    for field in fields(PhotoRecord):
        values = [getattr(record, field.name) for record in records]
        columns[field.name] = texts(values) if field.type is str else integers(values)
    return table_file(pa.Table.from_arrays(list(columns.values()), list(columns)))


def table_file(table: Any) -> memoryview:
    """Return the bytes of a parquet file that holds the records of a segment, a pyarrow table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return memoryview(sink.getvalue())


def is_leftover(path: Path) -> bool:
    """Tell whether a file of an index folder is a manifest that was being written when its writer was killed."""
    return intended_name(path.name) == MANIFEST


def is_kind_file(name: str) -> bool:
    """Tell whether a segment's file of this name holds kind features."""
    return _KIND_NAME.fullmatch(name) is not None


def is_places_file(name: str) -> bool:
    """Tell whether a segment's file of this name holds local features."""
    return _PLACES_NAME.fullmatch(name) is not None


def is_codes_file(name: str) -> bool:
    """Tell whether a segment's file of this name holds codes of its grids."""
    return _CODES_NAME.fullmatch(name) is not None


def is_beside(name: str) -> bool:
    """Tell whether a segment's file of this name may be added to it, and dropped, after it was written."""
    return is_kind_file(name) or is_places_file(name) or is_codes_file(name)


def clear_leftovers(folder: Path, segments: Sequence[Segment], keep: Collection[str | None] = ()) -> bool:
    """Delete what writers left: files and segments that the manifest does not name, half written ones too.

    Needs the lock. What an earlier manifest named stays as long as someone has the index open. Of segments, those are the ones
    whose numbers are below the highest one, since compacted segments have higher numbers than those that they replace.

    Parameters
    ----------
    keep : names
        Of a segment's files that are kept, since the caller goes on with them.

    Returns
    -------
    bool
        Whether nothing had to stay.
    """
    known = {segment.name for segment in segments}
    highest = max((int(name) for name in known), default=0)
    with storage_errors(folder), no_readers(folder) as free:
        for child in filter(is_leftover, folder.iterdir()):
            child.unlink()
        left = [
            child
            for child in (folder / "segments").glob("*")
            if child.name not in known and _SEGMENT_NAME.fullmatch(intended_name(child.name) or child.name)
        ]
        held = [child for child in left if not free and child.name.isdigit() and int(child.name) < highest]
        for child in left:
            if child not in held:
                shutil.rmtree(child)
        for segment in segments:
            for child in (folder / "segments" / segment.name).glob("*"):
                if child.name in segment.files or child.name in keep:
                    continue
                if is_beside(child.name) and not free:
                    held.append(child)
                elif is_beside(intended_name(child.name) or child.name):
                    child.unlink()
    return not held
