"""Files and folders are written whole or not at all, and nothing temporary stays behind."""

import errno
import os
from concurrent.futures import ThreadPoolExecutor

import pytest

from ce_retrieval import storage
from ce_retrieval.errors import StorageError
from ce_retrieval.storage import (
    ReaderLock,
    check_folder,
    clear_leftovers,
    clear_new_folders,
    intended_name,
    new_file,
    new_folder,
    no_readers,
    replace_file,
    storage_errors,
    taken_back,
    write_file,
    writer_lock,
)

STEPS = ("fsync", "replace", "rename")


def names(folder):
    return sorted(entry.name for entry in folder.iterdir())


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("synced", [True, False])
def test_a_file_is_replaced_in_one_step(tmp_path, synced, monkeypatch):
    path = tmp_path / "a.bin"
    replace_file(path, b"old", synced=synced)
    seen = []
    for name in STEPS:
        step = getattr(os, name)
        monkeypatch.setattr(
            os, name, lambda *names, n=name, f=step: (seen.append((n, path.read_bytes())), f(*names))[1]
        )
    with new_file(path, synced=synced) as temporary:
        temporary.write_bytes(b"new, written bit by bit")
        assert path.read_bytes() == b"old" and temporary.parent == tmp_path
    assert path.read_bytes() == b"new, written bit by bit" and names(tmp_path) == ["a.bin"]
    before = [("fsync", b"old"), ("replace", b"old"), ("fsync", b"new, written bit by bit")]
    assert seen == (before if synced else before[1:2])


@pytest.mark.parametrize("step", STEPS[:2])
def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path, step, monkeypatch):
    path = tmp_path / "a.bin"
    replace_file(path, b"old")
    monkeypatch.setattr(os, step, full)
    with pytest.raises(StorageError, match=r"cannot write .*a\.bin: no space left on device; free space or choose"):
        replace_file(path, b"new")
    assert path.read_bytes() == b"old" and names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError("in the block")])
def test_any_error_in_the_block_removes_what_was_written(tmp_path, error):
    with pytest.raises(type(error) if isinstance(error, Exception) else error), new_file(tmp_path / "a") as temporary:
        temporary.write_bytes(b"half")
        raise error
    with pytest.raises(type(error) if isinstance(error, Exception) else error), new_folder(tmp_path / "b") as temporary:
        write_file(temporary / "c", b"half")
        raise error
    assert names(tmp_path) == []


def test_a_folder_appears_with_all_of_its_files_on_the_disk(tmp_path, monkeypatch):
    path, seen, fsync = tmp_path / "parent" / "folder", [], os.fsync

    def synced(handle):
        assert path.exists() == (len(seen) == 4)  # two files, their folder and the folder in it first
        seen.append(os.fstat(handle).st_ino)
        fsync(handle)

    monkeypatch.setattr(os, "fsync", synced)
    with new_folder(path) as temporary:
        write_file(temporary / "a", b"1")
        (temporary / "in").mkdir()
        write_file(temporary / "in" / "b", b"2")
        assert not path.exists()
    whole = [path / "a", path / "in", path / "in" / "b", path, path.parent]
    assert sorted(seen[:4]) == sorted(os.stat(part).st_ino for part in whole[:4])
    assert seen[4:] == [os.stat(path.parent).st_ino]
    assert (path / "a").read_bytes() == b"1" and names(path.parent) == ["folder"]


@pytest.mark.parametrize("step", ["fsync", "rename"])
def test_a_full_disk_leaves_no_folder(tmp_path, step, monkeypatch):
    monkeypatch.setattr(os, step, full)
    with (
        pytest.raises(StorageError, match=r"cannot write .*folder: no space left"),
        new_folder(tmp_path / "folder") as new,
    ):
        write_file(new / "a", b"1")
    assert names(tmp_path) == []


def test_a_folder_with_content_is_never_replaced(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "old").touch()
    with pytest.raises(StorageError, match="not empty"), new_folder(tmp_path / "folder") as temporary:
        write_file(temporary / "new", b"")
    assert names(tmp_path) == ["folder"] and names(tmp_path / "folder") == ["old"]


def test_threads_that_write_one_path_do_not_disturb_each_other(tmp_path):
    contents = [bytes([number]) * 100_000 for number in range(40)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda data: replace_file(tmp_path / "a", data, synced=False), contents))
    assert (tmp_path / "a").read_bytes() in contents and names(tmp_path) == ["a"]


@pytest.mark.parametrize("name", ["x" * 255, "森" * 85])
def test_the_longest_names_can_be_written(tmp_path, name):
    replace_file(tmp_path / name, b"1")
    assert names(tmp_path) == [name]


def test_temporary_names_tell_what_they_were_to_become(tmp_path):
    with new_file(tmp_path / "manifest.json") as temporary:
        assert intended_name(temporary.name) == "manifest.json"
        temporary.touch()
    for other in ("manifest.json", ".manifest.json", "x.1f.tmp", ".hidden.tmp", ".a.xyz.tmp"):
        assert intended_name(other) is None


def test_only_a_file_is_ever_replaced(tmp_path):
    """As root, a rename would put a file in the place of a device such as /dev/full."""
    (tmp_path / "folder").mkdir()
    os.mkfifo(tmp_path / "pipe")
    for name, message in (
        ("folder", "it is a folder: add the name of a file"),
        ("pipe", "it is a device or a pipe: choose a file"),
        ("none/a.png", "none does not exist; make it, or choose another folder"),
    ):
        with pytest.raises(StorageError, match=rf"^cannot write .*{name}: .*{message}"):
            replace_file(tmp_path / name, b"data")
    assert names(tmp_path) == ["folder", "pipe"] and (tmp_path / "pipe").is_fifo()


def test_a_place_without_permission_is_named_before_work(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path)  # root may write anywhere
    for place in (tmp_path, tmp_path / "a" / "b"):
        with pytest.raises(StorageError, match=f"no permission to write in {tmp_path}; choose another folder"):
            check_folder(place)
    assert names(tmp_path) == []


def test_leftovers_are_told_by_the_name_that_they_were_meant_for(tmp_path):
    for name in (".a.h5.00ff.tmp", ".b.h5.00ff.tmp", ".a.h5.tmp", "a.h5.00ff.tmp", "a.h5"):
        (tmp_path / name).write_text("text")
    clear_leftovers(tmp_path, "a.h5")
    assert names(tmp_path) == [".a.h5.tmp", ".b.h5.00ff.tmp", "a.h5", "a.h5.00ff.tmp"]
    clear_leftovers(tmp_path / "none", "a.h5")


def test_what_a_failing_block_put_there_is_taken_back(tmp_path):
    (tmp_path / "old.png").write_text("old")
    (tmp_path / "kept").mkdir()
    paths = [tmp_path / name for name in ("old.png", "kept", "new/a.png", "new", "never")]
    for error in (StorageError, KeyboardInterrupt):
        with pytest.raises(error), taken_back(paths):
            (tmp_path / "new").mkdir()
            (tmp_path / "new" / "a.png").write_text("new")
            raise error
        assert names(tmp_path) == ["kept", "old.png"]
    with pytest.raises(StorageError), taken_back(paths):
        (tmp_path / "new").mkdir()
        (tmp_path / "new" / "notes").write_text("of others")
        raise StorageError
    assert names(tmp_path / "new") == ["notes"]


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_is_there_and_cannot_be_written_is_to_be_made_writable(tmp_path, monkeypatch, number):
    """Space helps nobody, and an index cannot be another one."""

    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "open", refuse)
    expected = f"cannot write .*lock: {os.strerror(number).lower()}; make {tmp_path} writable, or work on a copy of it"
    with pytest.raises(StorageError, match=expected), writer_lock(tmp_path):
        pass
    with pytest.raises(StorageError, match="; make it writable, or choose another folder"), storage_errors(tmp_path):
        refuse()


@pytest.mark.parametrize("link", [False, True])
def test_a_file_of_others_that_is_named_like_the_lock_is_kept(tmp_path, link):
    """Also one that a link leads to, and one that is not there yet."""
    notes = tmp_path / "notes.txt"
    notes.write_text("my notes")
    lock = tmp_path / "out/lock"
    lock.parent.mkdir()
    if link:
        lock.symlink_to(notes)
    else:
        notes.rename(lock)
    with (
        pytest.raises(StorageError, match="lock is there already, and ceret did not write it"),
        writer_lock(lock.parent),
    ):
        pass
    assert lock.read_text() == "my notes"
    lock.unlink()
    lock.symlink_to(tmp_path / "nowhere")
    with pytest.raises(StorageError, match="did not write it"), writer_lock(lock.parent):
        pass
    assert not (tmp_path / "nowhere").exists()
    lock.unlink()
    lock.write_text("4711\n")  # of a writer that was killed
    with writer_lock(lock.parent):
        assert lock.read_text() == f"{os.getpid()}\n"


def test_a_folder_has_no_readers_when_the_last_lock_is_closed_or_forgotten(tmp_path):
    def free():
        with no_readers(tmp_path) as found:
            return found

    first, second = ReaderLock(tmp_path), ReaderLock(tmp_path)
    assert not free()
    first.close()
    first.close()
    assert not free()
    del second
    assert free() and names(tmp_path) == []


def test_a_reader_waits_while_files_are_deleted(tmp_path):
    with ThreadPoolExecutor(1) as pool:
        with no_readers(tmp_path) as free:
            waiting = pool.submit(ReaderLock, tmp_path)
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.1)
        waiting.result(timeout=10).close()
    assert free


def test_a_lock_on_a_folder_that_is_not_there_is_left_to_the_readers_own_error(tmp_path):
    ReaderLock(tmp_path / "none").close()
    with pytest.raises(StorageError, match=r"cannot write .*none: no such file"), no_readers(tmp_path / "none"):
        pass


def test_where_no_one_can_tell_there_may_be_readers(tmp_path, monkeypatch):
    def without_locks(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr(storage.fcntl, "flock", without_locks)
    ReaderLock(tmp_path).close()
    with no_readers(tmp_path) as free:
        assert not free


def test_folders_of_others_that_look_temporary_stay(tmp_path):
    """A folder is deleted with all that is in it: only one of the very name that a writer gives, and never through a link."""
    out = tmp_path / "out"
    theirs = [tmp_path / ".out.cafe.tmp", tmp_path / ".out.2024.tmp", tmp_path / ".other.0123456789abcdef.tmp"]
    (linked := tmp_path / "linked").mkdir()
    for folder in (*theirs, tmp_path / ".out.0123456789abcdef.tmp", linked):
        folder.mkdir(exist_ok=True)
        (folder / "x").touch()
    (link := tmp_path / ".out.fedcba9876543210.tmp").symlink_to(linked)
    clear_new_folders(out)
    assert all((folder / "x").exists() for folder in (*theirs, linked)) and link.is_symlink()
    assert not (tmp_path / ".out.0123456789abcdef.tmp").exists()
