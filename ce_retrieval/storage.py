"""The one writer of files and folders: a kill, a full disk or a second writer never leaves half of one behind."""

import contextlib
import errno
import fcntl
import fnmatch
import os
import re
import shutil
import weakref
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from ce_retrieval.errors import LockedIndexError, StorageError, reason_of
from ce_retrieval.reading import open_regular

LOCK = "lock"
_OWN_LOCK = re.compile(rb"\d*\n?")  # the number of the process that wrote last, or a part of it from a full disk
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
_REMEDIES = {
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.ENOTDIR: "choose another folder",
    errno.EBUSY: "choose another name",
}
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]+\.tmp", re.DOTALL)
_OWN_FOLDER = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tmp", re.DOTALL)  # as `_temporary` names them, and no one else
_NAME_KEPT = 40  # characters of a name that its temporary one repeats: file systems allow 255 bytes in all


@contextlib.contextmanager
def storage_errors(path: Path, denied: str = "make it writable, or choose another folder") -> Iterator[None]:
    """Turn an OSError of writing `path` into a one-line StorageError; denied: the remedy where nothing may be written."""
    try:
        yield
    except OSError as error:
        remedy = (
            denied if error.errno in _DENIED else _REMEDIES.get(error.errno or 0, "free space or choose another folder")
        )
        raise StorageError(f"cannot write {path}: {reason_of(error)}; {remedy}") from error


def check_folder(folder: Path) -> None:
    """Raise StorageError where a folder can neither be written to nor made; to be called before long work."""
    _check_writable(folder, next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one)))


def check_file(path: Path) -> None:
    """Raise StorageError where no file can be put: its folder is missing, or what stands there is not a regular file."""
    check_is_file(path)
    if not path.parent.exists():
        raise StorageError(
            f"cannot write {path}: the folder {path.parent} does not exist; make it, or choose another folder"
        )
    _check_writable(path, path.parent)


def check_is_file(path: Path) -> None:
    """Raise StorageError where a folder, a pipe or a device stands; a link can be replaced, whatever it leads to."""
    if os.path.lexists(path) and not path.is_symlink() and not path.is_file():
        what = "a folder: add the name of a file" if path.is_dir() else "a device or a pipe: choose a file"
        raise StorageError(f"cannot write {path}: it is {what}")


def _check_writable(path: Path, place: Path) -> None:
    if not place.is_dir():
        raise StorageError(f"cannot write {path}: {place} is not a folder; choose another folder")
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        raise StorageError(f"cannot write {path}: {place} is on a read-only file system; choose another folder")
    if not os.access(place, os.W_OK | os.X_OK):
        raise StorageError(f"cannot write {path}: no permission to write in {place}; choose another folder")


def make_folder(folder: Path) -> None:
    """Create a folder and its parents; StorageError where that is not possible."""
    check_folder(folder)
    with storage_errors(folder):
        if not folder.is_dir():
            folder.mkdir(parents=True, exist_ok=True)
            _sync(folder.parent)


def replace_file(path: Path, data: bytes | memoryview, *, synced: bool = True) -> None:
    """Put `data` at `path` in one step: `new_file` with `write_file` in its block."""
    with new_file(path, synced=synced) as temporary:
        write_file(temporary, data)


def write_file(path: Path, data: bytes | memoryview) -> None:
    """Write a file in the block of `new_file` or `new_folder`, which sees to its errors."""
    with open(path, "wb") as file:
        file.write(data)


@contextlib.contextmanager
def new_file(path: Path, *, synced: bool = True) -> Iterator[Path]:
    """Yield a temporary path to write to, and rename it to `path` at the end of the block.

    Readers see the old file or the new one, never a part. If anything fails, the temporary file is removed and the old
    file stays.

    Parameters
    ----------
    path : Path
        the file to write; its folder must exist.
    synced : bool
        wait until the file is on the disk, so that it also survives a loss of power.

    Raises
    ------
    StorageError
        the file cannot be written, something other than a file stands there, or the block raised an OSError.
    """
    check_file(path)
    temporary = _temporary(path)
    with storage_errors(path):
        try:
            yield temporary
            if synced:
                _sync(temporary)
            os.replace(temporary, path)
            if synced:
                _sync(path.parent)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def taken_back(paths: Iterable[Path]) -> Iterator[None]:
    """Delete, if the block fails, what it has put at these paths: files, and empty folders; what was there before stays."""
    new = [path for path in paths if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        for path in new:
            with contextlib.suppress(OSError):
                path.rmdir() if path.is_dir() else path.unlink()
        raise


@contextlib.contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill, and rename it to `path` at the end of the block, when all of it is on the disk.

    If anything fails, the temporary folder is removed. Parents of `path` are created; nothing but an empty folder may
    stand at `path` at the end of the block.

    Raises
    ------
    StorageError
        the folder cannot be written, or the block raised an OSError.
    """
    temporary, lock = _temporary(path), None
    with storage_errors(path):
        try:
            temporary.mkdir(parents=True)
            lock = ReaderLock(temporary)  # tells `clear_new_folders` that this writer lives
            yield temporary
            for part in temporary.rglob("*"):
                _sync(part)
            _sync(temporary)
            os.rename(temporary, path)
            _sync(path.parent)
        finally:
            if lock:
                lock.close()
            shutil.rmtree(temporary, ignore_errors=True)


def clear_new_folders(path: Path) -> None:
    """Delete what killed writers of `new_folder` left beside `path`; what others are writing stays."""
    meant = path.name[:_NAME_KEPT]
    with storage_errors(path):
        named = {one: _OWN_FOLDER.fullmatch(one.name) for one in path.parent.glob(".*.tmp")}
        for folder in (one for one, found in named.items() if found and found[1] == meant):
            if folder.is_symlink() or not folder.is_dir():
                continue
            with no_readers(folder) as free:
                if free:
                    shutil.rmtree(folder)


def clear_leftovers(folder: Path, pattern: str) -> None:
    """Delete the temporary files and folders that killed writers left, unless a process holds a lock on them.

    Parameters
    ----------
    folder : Path
        where they lie.
    pattern : str
        of the names that they were meant for, as in "step-*".
    """
    if not folder.is_dir():
        return
    with storage_errors(folder):
        entries = [entry for entry in folder.iterdir() if fnmatch.fnmatchcase(intended_name(entry.name) or "", pattern)]
    for entry in entries:
        if entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
            continue
        with contextlib.suppress(OSError), open_regular(entry) as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            entry.unlink(missing_ok=True)


def intended_name(name: str) -> str | None:
    """Return the name for which a killed writer made the temporary `name`; None where `name` is not a temporary one."""
    found = _TEMPORARY.fullmatch(name)
    return found[1] if found else None


@contextlib.contextmanager
def writer_lock(folder: Path) -> Iterator[None]:
    """Hold the exclusive right to write to `folder`; LockedIndexError names the process that holds it.

    StorageError where ceret did not write the file `lock`. What locks is the operating system's flock on it, so a killed
    writer leaves none behind.
    """
    path = folder / LOCK
    check_is_file(path)
    if path.is_symlink():
        raise _foreign_lock(path)
    with storage_errors(path, f"make {folder} writable, or work on a copy of it"):
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    try:
        with storage_errors(path):
            if not _OWN_LOCK.fullmatch(os.pread(handle, 32, 0)):
                raise _foreign_lock(path)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                owner = os.pread(handle, 32, 0).decode(errors="replace").strip() or "unknown"
                message = f"{folder} is being written by process {owner}: wait until it ends, or stop it, and try again"
                raise LockedIndexError(message) from error
            # A writer that gives up an empty index removes the file; a lock on a removed file excludes nobody.
            if not path.exists() or not os.path.samestat(os.fstat(handle), os.stat(path)):
                raise LockedIndexError(f"{folder} was just removed by another process: try again")
            os.ftruncate(handle, 0)
            os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        yield
    finally:
        os.close(handle)


def _foreign_lock(path: Path) -> StorageError:
    return StorageError(f"{path} is there already, and ceret did not write it: move it away, or choose another folder")


class ReaderLock:
    """Says, until it is closed or forgotten, that someone reads the files of `folder`.

    It is made before the first of them is looked at, and waits while a writer deletes files. Any number of readers hold it at
    once. It is a flock on the folder itself: nothing is written, and a killed reader leaves none behind. Where the file
    system has no locks it does nothing.
    """

    def __init__(self, folder: Path) -> None:
        self._ending: Callable[[], object] | None = None
        with contextlib.suppress(OSError):
            handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
            self._ending = weakref.finalize(self, os.close, handle)
            fcntl.flock(handle, fcntl.LOCK_SH)

    def close(self) -> None:
        """Let writers delete what they have replaced."""
        if self._ending:
            self._ending()


@contextlib.contextmanager
def no_readers(folder: Path) -> Iterator[bool]:
    """Yield whether no one holds a `ReaderLock` on `folder`: then its files may be deleted, and new readers wait for that."""
    with storage_errors(folder):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free = True
        except OSError:  # held, or without locks, where no one can tell
            free = False
        yield free
    finally:
        os.close(handle)


def is_lock(path: Path) -> bool:
    """Return whether a file is one that `writer_lock` wrote: it holds a process number, or nothing."""
    try:
        with open_regular(path) as file:
            return path.name == LOCK and re.fullmatch(rb"\d{0,20}\n?", file.read(32)) is not None
    except OSError:
        return False


def _temporary(path: Path) -> Path:
    """A free name beside `path`: random, since two threads may write the same path at once."""
    return path.with_name(f".{path.name[:_NAME_KEPT]}.{os.urandom(8).hex()}.tmp")


def _sync(path: Path) -> None:
    """Wait until a file's content, or a folder's names, are on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
