"""Opening files to read: what stands in a file's place and is not one is an error, and is never waited for."""

import errno
import os
import stat
from io import BufferedReader


class NotAFileError(OSError):
    """What stands at a path is a pipe or a device."""


class LongFileError(OSError):
    """A file has more bytes than are read of it; `size` says how many."""

    def __init__(self, path: str | os.PathLike[str], size: int) -> None:
        super().__init__(errno.EFBIG, os.strerror(errno.EFBIG), os.fspath(path))
        self.size = size


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read, following links; OSError for a folder, NotAFileError for a pipe or a device.

    `open` would wait for ever for somebody to write into a named pipe.
    """
    return open(_opened(path)[0], "rb")


def first_bytes(path: str | os.PathLike[str], count: int) -> bytes:
    """Return the first bytes of a regular file, quicker than `open_regular` does; OSError as there."""
    descriptor, _ = _opened(path)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def read_regular(path: str | os.PathLike[str], most: int | None = None) -> bytes:
    """Return the content of a regular file, in as few calls of the system as possible.

    OSError as `open_regular`; LongFileError where the file has more than `most` bytes.
    """
    descriptor, size = _opened(path)
    try:
        if most is not None and size > most:
            raise LongFileError(path, size)
        data = os.read(descriptor, size + 1)
        if len(data) == size:  # as nearly always: the byte more was not there, so this is all
            return data
        parts = [data]
        while parts[-1]:  # it grows or shrinks meanwhile, has no true size, or is longer than one call reads
            parts.append(os.read(descriptor, 1 << 20))
        return b"".join(parts)
    finally:
        os.close(descriptor)


def _opened(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Open a regular file; return its descriptor, and its size in bytes."""
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode):
        return descriptor, status.st_size
    os.close(descriptor)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise NotAFileError(errno.EINVAL, "Not a regular file", os.fspath(path))
