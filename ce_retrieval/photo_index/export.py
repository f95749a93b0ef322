"""Exporting an index for other programs: a plain FAISS file, parquet, Lance; segment by segment."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from ce_retrieval.errors import InstallationError, PhotoIndexError
from ce_retrieval.photo_index.batches import Progress
from ce_retrieval.photo_index.reader import PhotoIndex
from ce_retrieval.photo_index.segment_files import kept_rows, read_grids, read_table
from ce_retrieval.photo_index.vectors import kept_segments, origin_of
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.photos.base import plain_text
from ce_retrieval.settings import Range
from ce_retrieval.storage import check_folder, clear_new_folders, new_folder, write_file

ABOUT, VECTORS, PHOTOS, LANCE = "about.json", "vectors.faiss", "photos.parquet", "photos.lance"

_DISTANCE = (
    "the distance of a query grid q, with a weight w_g in [0, 1] for each cell g (0: hidden by the hole), from a photo's grid "
    "x is d^2 = sum_g w_g |q_g - x_g|^2 / sum_g w_g"
)
_LIFTED = (
    "with x' = x - origin, the vector of a photo is [x'_1 ... x'_G ; |x'_1|^2 ... |x'_G|^2], G cells of C numbers and G "
    "squared norms; search with [2 w_1 q'_1 ... 2 w_G q'_G ; -w_1 ... -w_G], q' = q - origin, for the largest inner products "
    "p; then d^2 = (sum_g w_g |q'_g|^2 - p) / sum_g w_g"
)


@dataclass(frozen=True)
class Export:
    """What `export_index` wrote.

    Attributes
    ----------
    photos : int
    files : tuple of str
        Names in the folder.
    bytes : int
        Of all files.
    """

    photos: int
    files: tuple[str, ...]
    bytes: int


@dataclass(frozen=True)
class Part:
    """The photos of a segment: grids float16 (n, G, C), kind vectors float16 (n, C) or None, records as a pyarrow table."""

    grids: np.ndarray
    kinds: np.ndarray | None
    records: Any


Told = Callable[[Iterator[Part]], Iterator[Part]]  # passes parts on, and tells of each when it is written


def export_index(path: str | Path, out: str | Path, to: str = "faiss", *, progress: Progress | None = None) -> Export:
    """Write the photos of the index at `path` into a new folder `out`, for programs that do not know ceret.

    A file `about.json` says what the vectors are and how to search them. The folder appears when it is whole.

    Parameters
    ----------
    path : path
        The index. Programs may have it open.
    out : path
        Nothing may stand there.
    to : str
        A key of `FORMATS`: "faiss", the vectors lifted to an exact inner-product index, and a parquet file of the photos;
        "parquet", the photos with their grids in one parquet file; "lance", the same as a Lance data set.
    progress : callable or None
        Called with the photos written and the photos in total.

    Raises
    ------
    SettingsError
        `to` is unknown.
    InstallationError
        What writes the format is not installed.
    PhotoIndexError
        There is no index, or something stands at `out`.
    CorruptIndexError, StorageError
    """
    Range(choices=tuple(FORMATS)).check("`to`", to)
    if to == "lance" and find_spec("lance") is None:
        raise InstallationError("export to lance needs pylance: pip install '.[lance]' in the folder of ceret")
    out = Path(out)
    if os.path.lexists(out):
        raise PhotoIndexError(f"{out} exists already: choose another name, or delete it first")
    check_outside(out)
    check_folder(out)
    index = PhotoIndex.open(path)
    clear_new_folders(out)

    def told(parts: Iterator[Part]) -> Iterator[Part]:
        done = 0
        for part in parts:
            yield part
            done += len(part.grids)
            if progress:
                progress(done, len(index))

    with new_folder(out) as folder:
        about = FORMATS[to](index, folder, told)
        content = {"format": "ceret-export", "version": 1, "to": to, **_about(index), **about}
        write_file(folder / ABOUT, (json.dumps(content, indent=1, ensure_ascii=False) + "\n").encode())
        files = [one for one in folder.rglob("*") if one.is_file()]
        names, size = sorted(one.name for one in folder.iterdir()), sum(one.stat().st_size for one in files)
    return Export(len(index), tuple(names), size)


def _about(index: PhotoIndex) -> dict[str, Any]:
    from importlib import metadata

    manifest = index.manifest
    return {
        "ceret": metadata.version("ceret"),
        "index_sha256": manifest.sha256,
        "photos": len(index),
        "descriptor": plain_text(manifest.descriptor),
        "weights_sha256": manifest.weights_sha256,
        "photo_size": manifest.size,
        "hole": manifest.hole,
        "cells": manifest.cells,
        "channels": manifest.channels,
        "distance": _DISTANCE,
    }


def _to_faiss(index: PhotoIndex, folder: Path, told: Told) -> dict[str, Any]:
    """Write the lifted vectors, and the records beside them."""
    from indexes.flat_file import write_flat
    from indexes.masked import lift

    origin = origin_of(index.path, index.manifest)
    dimension = index.manifest.cells * (index.manifest.channels + 1)
    with _table_writer(folder / PHOTOS) as write:

        def lifted() -> Iterator[np.ndarray]:
            for start, part in _numbered(told(_parts(index))):
                write(_table_of(index, part, start, vectors=False))
                yield lift(part.grids, origin)

        write_flat(folder / VECTORS, dimension, len(index), lifted())
    files = {VECTORS: "the vectors, a faiss.IndexFlatIP; position = id", PHOTOS: "the photos; row = id"}
    return {"files": files, "dimension": dimension, "search": _LIFTED, "origin": origin.tolist()}


def _to_parquet(index: PhotoIndex, folder: Path, told: Told) -> dict[str, Any]:
    """Write one table with the grids in it, a row group for each segment."""
    with _table_writer(folder / PHOTOS) as write:
        for start, part in _numbered(told(_parts(index))):
            write(_table_of(index, part, start))
    return {"files": {PHOTOS: _columns_told(index)}}


def _to_lance(index: PhotoIndex, folder: Path, told: Told) -> dict[str, Any]:
    """Write the same columns as a Lance data set."""
    import lance
    import pyarrow as pa

    schema = _table_of(index, next(_parts(index)), 0).schema
    tables = (_table_of(index, part, start) for start, part in _numbered(told(_parts(index))))
    batches = (batch for table in tables for batch in table.to_batches())
    lance.write_dataset(pa.RecordBatchReader.from_batches(schema, batches), folder / LANCE)
    return {"files": {LANCE: _columns_told(index)}}


#: Name -> what writes an index into a folder, and returns what `about.json` says of it.
FORMATS: dict[str, Callable[[PhotoIndex, Path, Told], dict[str, Any]]] = {
    "faiss": _to_faiss,
    "parquet": _to_parquet,
    "lance": _to_lance,
}


def _columns_told(index: PhotoIndex) -> str:
    kind = "; `kind`, the vector of norm 1 that says what sort of place it shows" if index.manifest.kind else ""
    return f"the photos; row = id; `grid`, float16, the cells of a photo one after another{kind}"


def _parts(index: PhotoIndex) -> Iterator[Part]:
    """Yield the photos, segment by segment, in the order of the ids."""
    manifest, kinds = index.manifest, index.kinds() if index.manifest.kind else None
    for segment in kept_segments(manifest):
        rows = kept_rows(segment)
        records = read_table(index.path, segment, len(manifest.sources)).take(rows)
        yield Part(read_grids(index.path, segment, manifest.grid)[rows], next(kinds) if kinds else None, records)


def _numbered(parts: Iterator[Part]) -> Iterator[tuple[int, Part]]:
    """Yield parts with the id of their first photo."""
    start = 0
    for part in parts:
        yield start, part
        start += len(part.grids)


def _table_of(index: PhotoIndex, part: Part, start: int, *, vectors: bool = True) -> Any:
    """Return photos with their ids, full names, the paths of their sources, all that is known of them, and their vectors."""
    import pyarrow as pa

    manifest, records = index.manifest, part.records
    numbers, keys = records.column("source").to_pylist(), records.column("key").to_pylist()
    columns = {
        "id": pa.array(np.arange(start, start + len(keys))),
        "name": pa.array([plain_text(manifest.name_of(*one)) for one in zip(numbers, keys, strict=True)], pa.string()),
        "source": pa.array([plain_text(manifest.sources[number].root) for number in numbers], pa.string()),
        **{name: records.column(name) for name in records.column_names if name != "source"},
    }
    if vectors:
        columns["grid"] = _lists(part.grids)
        if part.kinds is not None:
            columns["kind"] = _lists(part.kinds)
    return pa.table(columns)


def _lists(vectors: np.ndarray) -> Any:
    """Return vectors float16 (n, ...) as an array of lists of one length."""
    import pyarrow as pa

    flat = vectors.reshape(len(vectors), -1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat.reshape(-1), pa.float16()), flat.shape[1])


@contextlib.contextmanager
def _table_writer(path: Path) -> Iterator[Callable[[Any], None]]:
    """Yield a function that writes tables of one schema into a parquet file, each as a row group."""
    import pyarrow.parquet as pq

    with contextlib.ExitStack() as opened:
        file = opened.enter_context(open(path, "wb"))  # here: pyarrow takes no names that are not UTF-8
        writer: Any = None

        def write(table: Any) -> None:
            nonlocal writer
            writer = writer or opened.enter_context(pq.ParquetWriter(file, table.schema))
            writer.write_table(table)

        yield write
