"""A disk that is full: an error of one line, an index as good as before, and a next run that ends as if nothing had happened."""

import gc
import os
import shutil
import subprocess

import commands
import pytest
import whole_index

from ce_retrieval.photo_index import verify_index

SIZE = 6 << 20
COMMANDS = ("index", "add", "remove", "compact", "tune", "relocate", "merge", "export")


@pytest.fixture(scope="module")
def small_disk(tmp_path_factory):
    """A mounted file system of SIZE bytes; needs root."""
    place = tmp_path_factory.mktemp("disk")
    mount = ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    gc.collect()  # an error that was caught holds what read the index
    subprocess.run(["umount", str(place)], check=True)


def command_of(name, collection, index):
    photos = collection / "photos"
    if name == "index":
        return (
            "index",
            photos,
            "--out",
            index,
            "--features",
            "thumbnail:8",
            "--size",
            32,
            "--places",
            "--recipe",
            "pooled",
        )
    if name == "add":
        return ("add", index, photos, collection / "more", "--workers", 1)
    command = commands.changing(index, photos / "even" / "0004.png", collection / "whole.ceret")[name]
    return tuple(collection / "elsewhere" if one == index.parent / "elsewhere" else one for one in command)


def begin(name, collection, index):
    """Put what the command works on in its place; return where its result is to be."""
    shutil.rmtree(index.parent, ignore_errors=True)
    index.parent.mkdir()
    if name != "index":
        shutil.copytree(collection / "whole.ceret", index)
    return index.parent / {"merge": "merged.ceret", "export": "exported"}.get(name, "index.ceret")


def check(name, collection, index, filled):
    """Run a command in `filled`, where it fails; then without, where it ends as one that never failed."""
    made = begin(name, collection, index)
    whole_index.write_photos(collection / "more", range(60, 68))
    command = command_of(name, collection, index)
    done = commands.run(command)
    assert done.exit_code == 0, done.output
    expected = whole_index.contents(made)
    begin(name, collection, index)
    before = whole_index.contents(index)
    with filled():
        done = commands.run(command)
    assert commands.error_of(done) and "cannot write" in done.stderr and "free space" in done.stderr, done.output
    after = whole_index.contents(index)
    if name == "add":  # segments that were whole before the disk was full may stay
        assert {one: data for one, data in after.items() if one in before and one != "manifest.json"} == {
            one: data for one, data in before.items() if one != "manifest.json"
        }
    elif name != "index":
        assert after == before
    if name != "index":
        assert verify_index(index).problems == ()
    assert made == index or not made.exists()
    done = commands.run(command)
    assert done.exit_code == 0, done.output
    assert whole_index.contents(made) == expected
    assert not [left for left in index.parent.iterdir() if left.name.startswith(".")]


@pytest.mark.parametrize("limit", [0, 1500])
@pytest.mark.parametrize("name", COMMANDS)
def test_no_file_grows_beyond_a_limit(name, limit, collection, tmp_path, full_disk):
    check(name, collection, tmp_path / "work" / "index.ceret", lambda: full_disk(limit))


@pytest.mark.parametrize("free", [12 << 10])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_file_system_without_space_and_then_with(name, free, collection, small_disk):
    filler = small_disk / "filler"

    class Filled:
        def __enter__(self):
            with open(filler, "wb", buffering=0) as file:
                left = os.statvfs(small_disk)
                file.write(bytes(max(0, left.f_bavail * left.f_bsize - free)))

        def __exit__(self, *error):
            filler.unlink()

    check(name, collection, small_disk / "work" / "index.ceret", Filled)
