"""Writing to disk so that a kill, a full disk or a second writer never leaves half a file behind."""

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from ce_retrieval.errors import LockedIndexError, StorageError

LOCK = "lock"


@contextlib.contextmanager
def storage_errors(path: Path) -> Iterator[None]:
    """Turn an OSError of writing `path` into a one-line StorageError."""
    try:
        yield
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise StorageError(f"cannot write {path}: {reason}; free space or choose another folder") from error


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; StorageError where that is not possible."""
    with storage_errors(folder):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            sync_folder(folder.parent)


def write_synced(path: Path, data: bytes | memoryview) -> None:
    """Write a new file and wait until it is on the disk. The caller renames it, or the folder that it is in."""
    with open(path, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_file(path: Path, data: bytes, *, synced: bool = True) -> None:
    """Put `data` at `path` in one step: a reader sees the old file or the new one; StorageError leaves the old one.

    synced: wait until it is on the disk, so that it also outlives a loss of power.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with storage_errors(path):
        try:
            if synced:
                write_synced(temporary, data)
            else:
                temporary.write_bytes(data)
            os.replace(temporary, path)
            if synced:
                sync_folder(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the only right to write to `folder`; LockedIndexError names the process that has it.

    The lock is the operating system's (flock on the file `lock`), so a killed writer leaves none behind.
    """
    path = folder / LOCK
    with storage_errors(path):
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        with storage_errors(path):
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                message = f"{folder} is being written by process {owner}: wait until it ends, or stop it, and try again"
                raise LockedIndexError(message) from error
            # A writer that gives up an empty index removes the file: a lock on what was removed excludes nobody.
            if not path.exists() or not os.path.samestat(os.fstat(handle), os.stat(path)):
                raise LockedIndexError(f"{folder} was just removed by another process: try again")
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)
