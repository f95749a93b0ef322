"""Columns of pyarrow from Python's values and numpy's, and back.

pyarrow's own conversions import pandas where it is installed, which takes as long as the rest of a query.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

MOST_TEXT = 2**31 - 1  # bytes of a pyarrow string array


def integers(values: Sequence[int] | np.ndarray) -> Any:
    """Return whole numbers as a pyarrow array of int64, which shares the memory of an array of int64."""
    import pyarrow as pa

    numbers = np.ascontiguousarray(values, np.int64)
    return pa.Int64Array.from_buffers(pa.int64(), len(numbers), [None, pa.py_buffer(numbers)])


def texts(values: Sequence[str]) -> Any:
    """Return texts as a pyarrow array of strings, in several pieces if they are longer than one holds."""
    import pyarrow as pa

    encoded = [value.encode() for value in values]
    ends = np.cumsum([0, *map(len, encoded)])
    if ends[-1] > MOST_TEXT and len(values) > 1:
        half = len(values) // 2
        parts = [texts(values[:half]), texts(values[half:])]
        chunks = [chunk for part in parts for chunk in (part.chunks if isinstance(part, pa.ChunkedArray) else [part])]
        return pa.chunked_array(chunks)
    return pa.StringArray.from_buffers(
        len(values), pa.py_buffer(ends.astype(np.int32)), pa.py_buffer(b"".join(encoded))
    )


def numbers_of(column: Any) -> np.ndarray:
    """Return a column of whole numbers without gaps, an array of pyarrow or one in pieces, as its own type in numpy."""
    import pyarrow as pa

    chunks = column.chunks if isinstance(column, pa.ChunkedArray) else [column]
    kind = np.dtype(f"i{column.type.bit_width // 8}")
    parts = [
        np.frombuffer(chunk.buffers()[1], kind, len(chunk), chunk.offset * kind.itemsize)
        for chunk in chunks
        if len(chunk)
    ]
    return parts[0] if len(parts) == 1 else np.concatenate([np.empty(0, kind), *parts])


def values_at(column: Any, rows: np.ndarray) -> list[Any]:
    """Return Python's values of some rows of a column in pieces: whole numbers or texts, without gaps.

    `take` would import pyarrow.compute, for a tenth of a second.
    """
    import pyarrow as pa

    if not pa.types.is_string(column.type):
        values: list[Any] = numbers_of(column)[rows].tolist()
        return values
    array = column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()
    _, ends, data = array.buffers()
    places = np.frombuffer(ends, np.int32, len(array) + 1, 4 * array.offset)
    content = memoryview(data or b"")
    return [
        str(content[start:end], "utf-8")
        for start, end in zip(places[rows].tolist(), places[rows + 1].tolist(), strict=True)
    ]
