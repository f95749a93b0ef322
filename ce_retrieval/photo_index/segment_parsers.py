"""The contents of a segment's files as arrays and tables: what fits the segment, or a ValueError.

A right checksum says that a file is as it was written, not that what wrote it was right. So nothing is allocated because a
file claims to be large, and what is returned has the shape and the types that the rest of the program relies on.
"""

import io
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tokenize import TokenError
from typing import Any

import numpy as np

from ce_retrieval.errors import cut
from ce_retrieval.photo_index.columns import numbers_of
from ce_retrieval.photo_index.kept_out import are_hashes
from ce_retrieval.photos.base import NO_STAMP

# What h5py, numpy, pyarrow and safetensors raise for content that is not theirs.
_UNREADABLE = (
    ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, SyntaxError, TypeError, ValueError, TokenError,
)  # fmt: skip


@contextmanager
def reading_content() -> Iterator[None]:
    """Turn what a library raises for content that it cannot read into a ValueError of one line."""
    from safetensors import SafetensorError

    try:
        yield
    except (*_UNREADABLE, SafetensorError) as error:
        raise ValueError(cut(str(error), 100)) from error


def grids_in(data: bytes, count: int, grid: tuple[int, int]) -> np.ndarray:
    """Return the grids float16 (count, G, C) of a file of vectors; grid: G and C."""
    return _finite(_dataset(io.BytesIO(data), "grids", (count, *grid), np.dtype(np.float16)))


def stamps_at(path: str, count: int) -> np.ndarray:
    """Return the stamps int64 (count, 2) of a file of vectors; NO_STAMP in one that was written without them."""
    found = _dataset(path, "stamps", (count, 2), np.dtype(np.int64), optional=True)
    return np.full((count, 2), NO_STAMP, np.int64) if found is None else found


def _dataset(place: Any, name: str, shape: tuple[int, ...], dtype: np.dtype, *, optional: bool = False) -> Any:
    """Return an array of an HDF5 file, given its path or an open file; None where one that is optional is not there."""
    import h5py

    with reading_content(), h5py.File(place, "r") as file:
        if optional and name not in file:
            return None
        found = file[name]
        if not isinstance(found, h5py.Dataset):
            raise ValueError(f"{name} is not a dataset")
        _expect_array(name, found.shape, found.dtype, shape, dtype)
        return found[()]


def grids_place(path: str, count: int, grid: tuple[int, int]) -> int:
    """Return where the grids begin in a file of vectors, in bytes: they lie there row after row."""
    import h5py

    with reading_content(), h5py.File(path, "r") as file:
        offset = file["grids"].id.get_offset()
        _expect_array("grids", file["grids"].shape, file["grids"].dtype, (count, *grid), np.dtype(np.float16))
    if offset is None and count:
        raise ValueError("the grids do not lie in one piece")
    return int(offset or 0)


def kinds_in(data: bytes, count: int, channels: int) -> np.ndarray:
    """Return the kind vectors float16 (count, channels) of a file in numpy's format."""
    with reading_content():
        file = io.BytesIO(data)
        if np.lib.format.read_magic(file) != (1, 0):
            raise ValueError("it is of another version of numpy's format")
        shape, by_columns, dtype = np.lib.format.read_array_header_1_0(file)
        _expect_array("vectors", shape, dtype, (count, channels), np.dtype(np.float16))
        if by_columns or len(data) - file.tell() != 2 * count * channels:
            raise ValueError("its vectors do not follow its header row by row")
        return _finite(np.frombuffer(data, np.float16, offset=file.tell()).reshape(shape))


def tensors_in(data: bytes) -> dict[str, np.ndarray]:
    """Return the arrays of a file of the format safetensors."""
    from safetensors.numpy import load

    with reading_content():
        arrays: dict[str, np.ndarray] = load(data)
    return arrays


def records_in(data: bytes, count: int, sources: int, types: dict[str, type], columns: Sequence[str] | None) -> Any:
    """Return the records of a parquet file as a pyarrow table of `count` rows.

    Parameters
    ----------
    sources : int
        Of the index; each record names one of them by its number.
    types : column -> int or str
        The columns of a file of records.
    columns : list of str or None
        The columns to read; None: all.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    # Not pq.read_table: that imports pyarrow.dataset, which takes a quarter of a second.
    with reading_content(), pq.ParquetFile(pa.BufferReader(data)) as file:
        kinds = {int: pa.int64(), str: pa.string()}
        if list(zip(file.schema_arrow.names, file.schema_arrow.types, strict=True)) != [
            (name, kinds[kind]) for name, kind in types.items()
        ]:
            raise ValueError(f"it has the columns {', '.join(file.schema_arrow.names)}, or others in type")
        if file.metadata.num_rows != count:
            raise ValueError(f"it has {file.metadata.num_rows} records")
        table = file.read(columns)
        table.validate(full=True)  # texts are UTF-8
    for name in table.column_names:
        if table.column(name).null_count or len(table.column(name)) != count:
            raise ValueError(f"not every record has its {name}")
    if "source" in table.column_names and count:
        numbers = numbers_of(table.column("source"))
        if numbers.min() < 0 or numbers.max() >= sources:
            raise ValueError(f"it names sources {numbers.min()} to {numbers.max()} of {sources}")
    if "sha256" in table.column_names and not are_hashes(table.column("sha256").to_pylist()):
        raise ValueError("it has an invalid SHA-256")
    return table


def _finite(halves: np.ndarray) -> np.ndarray:
    """Return float16 numbers; ValueError where one is infinite or undefined: distances to it would order nothing."""
    exponents = halves.view(np.uint16) & 0x7C00  # several times as fast as np.isfinite
    if halves.size and exponents.max() == 0x7C00:
        raise ValueError("it holds numbers that are infinite or undefined")
    return halves


def _expect_array(name: str, shape: Any, dtype: Any, expected: tuple[int, ...], kind: np.dtype) -> None:
    if tuple(shape or ()) != expected or dtype != kind:
        raise ValueError(f"its {name} are {dtype} of shape {shape}, expected {kind} {expected}")
