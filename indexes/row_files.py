"""Rows of equal size at known places of files, read by their numbers."""

import contextlib
import os
import resource
import weakref
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from indexes.base import EngineError

# Files that are kept open, as a share of those that the process may open; the others are opened for each read, which doubles
# its time.
OPEN_SHARE, MOST_OPEN = 0.5, 8192


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
        # Arrays over files and rows, so that no step but the reads themselves goes row by row.
        self._starts = np.cumsum([0, *(len(file) for file in files)])
        self._offsets = np.array([file.offset for file in files], np.int64)
        self._places: np.ndarray | None = None
        if any(file.kept is not None for file in files):
            self._places = np.concatenate([_kept(file) for file in files])
        self._checks: np.ndarray | None = None
        if files and all(file.checks is not None for file in files):
            self._checks = np.concatenate([file.checks[_kept(file)] for file in files if file.checks is not None])
        kept = _may_be_kept_open()
        try:
            for number, file in enumerate(files):
                descriptor = self._opened(file)
                if number < kept:
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
        numbers = np.searchsorted(self._starts, rows, side="right") - 1
        local = rows - self._starts[numbers] if self._places is None else self._places[rows]
        offsets = (self._offsets[numbers] + local * self._size).tolist()
        out = np.empty((len(rows), *self._shape), np.float16)
        with contextlib.ExitStack() as passing:
            opened = self._descriptors(numbers, passing)
            if hasattr(os, "posix_fadvise"):  # macOS has none
                for descriptor, offset in zip(opened, offsets, strict=True):
                    os.posix_fadvise(descriptor, offset, self._size, os.POSIX_FADV_WILLNEED)
            whole, size = out.reshape(-1).view(np.uint8).data, self._size
            for number, (descriptor, offset) in enumerate(zip(opened, offsets, strict=True)):
                if os.preadv(descriptor, [whole[number * size : (number + 1) * size]], offset) != size:
                    path = self._files[int(numbers[number])].path
                    raise RowError(f"{path} has become shorter since it was opened")
        if self._checks is not None:
            wrong = np.flatnonzero(row_checks(out) != self._checks[rows])
            if len(wrong):
                first = int(wrong[0])
                path = self._files[int(numbers[first])].path
                raise RowError(
                    f"{path} is altered: bytes {offsets[first]} to {offsets[first] + self._size} do not match their checksum"
                )
        return out

    def _descriptors(self, numbers: np.ndarray, passing: contextlib.ExitStack) -> list[int]:
        """Return the descriptor of each file int64 (n,); those that are not kept open are closed at the end of `passing`."""
        found = dict(self._open)
        for number in set(numbers[numbers >= len(found)].tolist()):
            found[number] = self._opened(self._files[number])
            passing.callback(os.close, found[number])
        return [found[number] for number in numbers.tolist()]

    def close(self) -> None:
        """Close the files."""
        _close(self._open)

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


def _may_be_kept_open() -> int:
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return MOST_OPEN if allowed < 0 else min(int(OPEN_SHARE * allowed), MOST_OPEN)


def _kept(file: RowFile) -> np.ndarray:
    return np.arange(file.count) if file.kept is None else file.kept


def row_checks(grids: np.ndarray) -> np.ndarray:
    """Return the checksum of each row of grids float16 (n, G, C): CRC-32 of its bytes, uint32 (n,)."""
    size = 2 * int(np.prod(grids.shape[1:]))
    whole = np.ascontiguousarray(grids, np.float16).reshape(-1).view(np.uint8).data
    return np.array([zlib.crc32(whole[start : start + size]) for start in range(0, len(whole), size)], np.uint32)
