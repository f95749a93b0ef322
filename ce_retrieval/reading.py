"""Opening files to read: what stands in a file's place and is not one is an error, and is never waited for."""

import errno
import os
import stat
from io import BufferedReader


class NotAFileError(OSError):
    """What stands at a path is a pipe or a device."""


def open_regular(path: str | os.PathLike[str]) -> BufferedReader:
    """Open a regular file to read, following links; OSError for a folder, NotAFileError for a pipe or a device.

    `open` would wait for ever for somebody to write into a named pipe.
    """
    return open(_descriptor(path), "rb")


def first_bytes(path: str | os.PathLike[str], count: int) -> bytes:
    """Return the first bytes of a regular file, quicker than `open_regular` does; OSError as there."""
    descriptor = _descriptor(path)
    try:
        return os.read(descriptor, count)
    finally:
        os.close(descriptor)


def read_regular(path: str | os.PathLike[str]) -> bytes:
    """Return the content of a regular file; OSError as `open_regular`."""
    with open_regular(path) as file:
        return file.read()


def _descriptor(path: str | os.PathLike[str]) -> int:
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    raise NotAFileError(errno.EINVAL, "Not a regular file", os.fspath(path))
