"""What an index knows of its photos, read where it is asked for: some photos' records, or some columns of all photos."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np

from ce_retrieval.photo_index.columns import integers, values_at
from ce_retrieval.photo_index.manifest import Manifest
from ce_retrieval.photo_index.segment_files import kept_rows, read_table
from ce_retrieval.photo_index.segments import PhotoRecord
from ce_retrieval.photo_index.vectors import kept_segments

COLUMNS = tuple(field.name for field in fields(PhotoRecord))
HELD = 64  # segments whose records stay in memory


class Records:
    """The records of an index's photos; position = id. Threads may share it.

    Parameters
    ----------
    path : Path
    manifest : Manifest

    Notes
    -----
    CorruptIndexError from any method where a file is damaged.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path, self._segments = path, list(kept_segments(manifest))
        self._sources = len(manifest.sources)
        counts = [segment.count - len(segment.removed) for segment in self._segments]
        self._starts = np.cumsum([0, *counts])
        self._tables: OrderedDict[int, Any] = OrderedDict()
        self._columns: dict[str, Any] = {}
        self._lock = Lock()

    def of(self, ids: Sequence[int] | np.ndarray) -> list[PhotoRecord]:
        """Return the records of the photos with these ids; only the segments that hold them are read."""
        wanted = np.asarray(ids, np.int64)
        found: list[PhotoRecord | None] = [None] * len(wanted)
        numbers = np.searchsorted(self._starts, wanted, side="right") - 1
        for number in sorted(set(numbers.tolist())):
            mine = np.flatnonzero(numbers == number)
            table, rows = self._table(number), wanted[mine] - self._starts[number]
            columns = [values_at(table.column(name), rows) for name in COLUMNS]
            for place, values in zip(mine.tolist(), zip(*columns, strict=True), strict=True):
                found[place] = PhotoRecord(*values)
        return [record for record in found if record is not None]

    def columns(self, names: Sequence[str]) -> Any:
        """Return columns of all photos as a pyarrow table, which then stay in memory."""
        import pyarrow as pa

        with self._lock:
            missing = [name for name in names if name not in self._columns]
        if missing:
            parts = [self._kept(number, missing) for number in range(len(self._segments))]
            table = pa.concat_tables(parts).combine_chunks()  # in one piece: `take` would join the pieces each time
            with self._lock:
                self._columns.update((name, table.column(name)) for name in missing)
        return pa.table({name: self._columns[name] for name in names})

    def _table(self, number: int) -> Any:
        """Return the records of a segment's photos, removed ones left out."""
        with self._lock:
            if number in self._tables:
                self._tables.move_to_end(number)
                return self._tables[number]
        table = self._kept(number, COLUMNS)
        with self._lock:
            self._tables[number] = table
            while len(self._tables) > HELD:
                self._tables.popitem(last=False)
        return table

    def _kept(self, number: int, names: Sequence[str]) -> Any:
        segment = self._segments[number]
        table = read_table(self._path, segment, self._sources, names)
        return table.take(integers(kept_rows(segment))) if segment.removed else table
