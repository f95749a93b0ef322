"""Two writers at once, and folders in which nothing may be written: an error of one line, and nothing changed."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import commands
import drivers
import pytest
import whole_index

from ce_retrieval.storage import writer_lock

CHANGING = ("add", "remove", "compact", "tune", "relocate")
NOBODY = 65534


@pytest.fixture
def work(whole, collection, tmp_path):
    """A copy of the whole index, and the commands that change it."""
    index = tmp_path / "index.ceret"
    shutil.copytree(whole, index)
    shutil.copytree(collection / "elsewhere", tmp_path / "elsewhere")
    return index, commands.changing(index, collection / "photos" / "even" / "0004.png", whole)


@pytest.mark.parametrize("name", CHANGING)
def test_a_second_writer_is_refused_and_names_the_first(name, work):
    index, known = work
    before = whole_index.contents(index)
    with writer_lock(index):
        error = commands.error_of(commands.run(known[name]))
    assert error and f"is being written by process {os.getpid()}: wait until it ends" in error
    assert whole_index.contents(index) == before
    assert commands.run(known[name]).exit_code == 0


def test_readers_and_copies_need_no_lock(work, whole, collection):
    index, known = work
    read = commands.reading(index, collection / "photos" / "even" / "0004.png")
    with writer_lock(index):
        for command in (*read.values(), known["merge"], known["export"]):
            done = commands.run(command)
            assert done.exit_code == 0, done.output


def test_of_writers_that_start_at_once_one_writes_and_the_others_say_so(tmp_path, collection):
    out = tmp_path / "index.ceret"
    program = "import sys; from ce_retrieval.installation import main; main()"
    command = [
        "index",
        collection / "photos",
        "--out",
        out,
        "--features",
        "thumbnail:8",
        "--size",
        "32",
        "--kind",
        "none",
    ]
    words = [sys.executable, "-c", program, *map(str, command)]
    running = [
        subprocess.Popen(words, env=drivers.ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    for process in running:
        _, told = process.communicate(timeout=120)
        assert process.returncode == 0 or (
            process.returncode == 1 and told.startswith("Error: ") and "is being written by process" in told
        ), told
    done = commands.run(("verify", out, "--photos"))
    assert done.exit_code == 0 and "0 problems" in done.stdout


@pytest.fixture
def closed(whole):
    """A folder with an index in which this process may not write; root becomes another user for the time."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        index = folder / "index.ceret"
        shutil.copytree(whole, index)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        with as_nobody():
            yield index
        for path in (folder, *(one for one in folder.rglob("*") if one.is_dir())):
            path.chmod(0o755)


@contextlib.contextmanager
def as_nobody():
    if os.geteuid():
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def photo(collection, closed):
    """A photo of the collection where everybody may read it."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "photo.png"
        place.write_bytes(whole_index.encoded(4))
        yield place


@pytest.mark.parametrize("name", (*CHANGING, "merge", "export"))
def test_a_folder_without_permission_is_named(name, closed, photo):
    assert not os.access(closed, os.W_OK, effective_ids=True)
    before = whole_index.contents(closed)
    command = commands.changing(closed, photo, closed)[name]
    error = commands.error_of(commands.run(command))
    assert error and str(closed.parent) in error
    assert "permission" in error or name == "relocate", error
    assert whole_index.contents(closed) == before


def test_an_index_without_permission_to_write_is_searched(closed, photo):
    for name, command in commands.reading(closed, photo).items():
        done = commands.run(command)
        told = commands.fault_of(done)
        assert told is None and (done.exit_code == 0 or name == "verify"), f"{name}: {told or done.output}"
