"""Rows of equal size at known places of files, read by their numbers."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.base import EngineError


@dataclass(frozen=True)
class RowFile:
    """Consecutive rows in one file.

    Attributes
    ----------
    path : Path
    offset : int
        Of the first row, in bytes.
    count : int
    """

    path: Path
    offset: int
    count: int


class RowFiles:
    """float16 grids (G, C) in files; a row counts through all files, in their order.

    Rows are read by their offsets, after the system has been told of all of them at once: on a cold disk this is several
    times as fast as page faults of a memory map, which come one after the other. Threads may read at the same time.

    Parameters
    ----------
    files : sequence of RowFile
    cells, channels : int
        G and C.

    Raises
    ------
    EngineError
        A file is missing, or too short for its rows.
    """

    def __init__(self, files: Sequence[RowFile], cells: int, channels: int) -> None:
        self._shape, self._size = (cells, channels), 2 * cells * channels
        self._descriptors: list[int] = []
        self._offsets = np.array([file.offset for file in files], np.int64)
        self._starts = np.cumsum([0, *(file.count for file in files)])
        try:
            for file in files:
                self._open(file)
        except EngineError:
            self.close()
            raise

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the grids float16 (n, G, C) of rows int64 (n,); EngineError where one is out of range or cannot be read."""
        rows = np.asarray(rows, np.int64)
        if ((rows < 0) | (rows >= len(self))).any():
            raise EngineError(
                f"rows {rows.min()} to {rows.max()} of files that hold {len(self)}: expected 0 to {len(self) - 1}"
            )
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        offsets = (self._offsets[numbers] + (rows - self._starts[numbers]) * self._size).tolist()
        opened = [self._descriptors[number] for number in numbers.tolist()]
        if hasattr(os, "posix_fadvise"):  # macOS has none
            for descriptor, offset in zip(opened, offsets, strict=True):
                os.posix_fadvise(descriptor, offset, self._size, os.POSIX_FADV_WILLNEED)
        out = np.empty((len(rows), *self._shape), np.float16)
        places = out.reshape(-1).view(np.uint8).data
        for number, (descriptor, offset) in enumerate(zip(opened, offsets, strict=True)):
            place = places[number * self._size : (number + 1) * self._size]
            if os.preadv(descriptor, [place], offset) != self._size:
                raise EngineError("a file of grids has become shorter since it was opened: open the index again")
        return out

    def close(self) -> None:
        """Close the files."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def _open(self, file: RowFile) -> None:
        try:
            self._descriptors.append(os.open(file.path, os.O_RDONLY | os.O_CLOEXEC))
        except OSError as error:
            raise EngineError(f"{file.path} cannot be opened ({error.strerror}): build the index again") from error
        expected = file.offset + file.count * self._size
        if (size := os.fstat(self._descriptors[-1]).st_size) < expected:
            raise EngineError(f"{file.path} has {size} bytes, expected at least {expected}: build the index again")
