"""Rows of equal size at known places of files, read by their numbers."""

import contextlib
import os
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.base import EngineError

KEPT_OPEN = 256  # files; a process may often have 1024 open. The others are opened for each read.


class RowError(EngineError):
    """A row cannot be read, or is not as it was written."""


@dataclass(frozen=True)
class RowFile:
    """Consecutive rows in one file.

    Attributes
    ----------
    path : Path
    offset : int
        Of the first row, in bytes.
    count : int
        Rows.
    checks : uint32 (count,) or None
        `row_checks` of the rows when they were written; None: they are not checked.
    kept : int64 (n,) or None
        The rows that count, ascending; None: all.
    """

    path: Path
    offset: int
    count: int
    checks: np.ndarray | None
    kept: np.ndarray | None = None

    def __len__(self) -> int:
        return self.count if self.kept is None else len(self.kept)


class RowFiles:
    """float16 grids (G, C) in files; a row counts through all files, in their order.

    Rows are read by their offsets, after the system has been told of all of them at once: on a cold disk this is several
    times as fast as page faults of a memory map, which come one after the other. Each is compared with its checksum, if any.
    Threads may read at the same time.

    Parameters
    ----------
    files : sequence of RowFile
    cells, channels : int
        G and C.

    Raises
    ------
    RowError
        A file is missing, or too short for its rows.
    """

    def __init__(self, files: Sequence[RowFile], cells: int, channels: int) -> None:
        self._shape, self._size = (cells, channels), 2 * cells * channels
        self._files = tuple(files)
        self._open: dict[int, int] = {}
        weakref.finalize(self, _close, self._open)
        self._starts = np.cumsum([0, *(len(file) for file in files)])
        try:
            for number, file in enumerate(files):
                descriptor = self._opened(file)
                if number < KEPT_OPEN:
                    self._open[number] = descriptor
                else:
                    os.close(descriptor)
        except RowError:
            self.close()
            raise

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """Return the grids float16 (n, G, C) of rows int64 (n,).

        EngineError where a row is out of range, RowError where one cannot be read or is not as it was written.
        """
        rows = np.asarray(rows, np.int64)
        if ((rows < 0) | (rows >= len(self))).any():
            raise EngineError(
                f"rows {rows.min()} to {rows.max()} of files that hold {len(self)}: expected 0 to {len(self) - 1}"
            )
        out = np.empty((len(rows), *self._shape), np.float16)
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        order = np.argsort(numbers, kind="stable")
        places = rows - self._starts[numbers]
        with contextlib.ExitStack() as passing:
            reads = []
            for group in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1) if len(rows) else ():
                number = int(numbers[group[0]])
                file, descriptor = self._files[number], self._open.get(number, -1)
                if descriptor < 0:
                    descriptor = self._opened(file)
                    passing.callback(os.close, descriptor)
                local = places[group] if file.kept is None else file.kept[places[group]]
                offsets = (file.offset + local * self._size).tolist()
                if hasattr(os, "posix_fadvise"):  # macOS has none
                    for offset in offsets:
                        os.posix_fadvise(descriptor, offset, self._size, os.POSIX_FADV_WILLNEED)
                checks = [None] * len(local) if file.checks is None else file.checks[local].tolist()
                reads.append((file, descriptor, group.tolist(), offsets, checks))
            for read in reads:
                self._read(out, *read)
        return out

    def close(self) -> None:
        """Close the files."""
        _close(self._open)

    def _read(
        self,
        out: np.ndarray,
        file: RowFile,
        descriptor: int,
        places: list[int],
        offsets: list[int],
        checks: list[int | None],
    ) -> None:
        """Fill places of `out` with the rows of one file at these offsets."""
        whole = out.reshape(-1).view(np.uint8).data
        for place, offset, check in zip(places, offsets, checks, strict=True):
            row = whole[place * self._size : (place + 1) * self._size]
            if os.preadv(descriptor, [row], offset) != self._size:
                raise RowError(f"{file.path} has become shorter since it was opened")
            if check is not None and zlib.crc32(row) != check:
                raise RowError(
                    f"{file.path} is altered: bytes {offset} to {offset + self._size} do not match their checksum"
                )

    def _opened(self, file: RowFile) -> int:
        try:
            descriptor = os.open(file.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise RowError(f"{file.path} cannot be opened ({error.strerror})") from error
        expected = file.offset + file.count * self._size
        if (size := os.fstat(descriptor).st_size) < expected:
            os.close(descriptor)
            raise RowError(f"{file.path} has {size} bytes, expected at least {expected}")
        return descriptor


def _close(opened: dict[int, int]) -> None:
    while opened:
        os.close(opened.popitem()[1])


def row_checks(grids: np.ndarray) -> np.ndarray:
    """Return the checksum of each row of grids float16 (n, G, C): CRC-32 of its bytes, uint32 (n,)."""
    return np.array([zlib.crc32(row) for row in np.ascontiguousarray(grids, np.float16)], np.uint32)
