"""Run in a process of its own: builds an index again and again, killing the builder at every step that touches the disk.

A step is a moment before or after a call that changes the disk (rename, fsync, mkdir, unlink, ...), and the middle of
every write. For n = 1, 2, ...: a forked child prepares an index and kills itself at its n-th step (SIGKILL), a reader looks at
what is left, then an undisturbed child goes on. Prints one JSON line per n; ends after the first n that is never reached.

usage: kill_driver.py build|add|update|relocate PHOTOS MORE FOLDER

update: photos that were indexed change, vanish, come back and become readable, new ones come. relocate: PHOTOS moves to MORE.
"""

import builtins
import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path

# Imported before the first fork, so that a child is fast.
import h5py  # noqa: F401
import PIL.PngImagePlugin  # noqa: F401
import pyarrow.parquet  # noqa: F401

from ce_retrieval import storage
from ce_retrieval.errors import CeretError, PhotoIndexError, SourceError
from ce_retrieval.photo_index import (
    IndexSettings,
    add_photos,
    batches,
    build_index,
    builder,
    read_manifest,
    relocate_index,
    verify_index,
)

batches.SEGMENT_ITEMS, batches.BATCH_ITEMS = 8, 4
VERSIONS = builder.library_versions()
builder.library_versions = lambda names=(): VERSIONS
SETTINGS = IndexSettings(features="thumbnail:8", size=32, workers=2)
CALLS = ("replace", "rename", "fsync", "mkdir", "unlink", "rmdir", "ftruncate", "pwrite")


def kill_at(moment):
    """Make this process kill itself at its `moment`-th step."""
    steps = 0

    def step():
        nonlocal steps
        steps += 1
        if steps == moment:
            os.kill(os.getpid(), signal.SIGKILL)

    def wrapped(function):
        def call(*args, **kwargs):
            step()
            result = function(*args, **kwargs)
            step()
            return result

        return call

    class Torn:
        """A file whose every write stops half-way once."""

        def __init__(self, file):
            self.file = file

        def write(self, data):
            half = len(data) // 2
            self.file.write(data[:half])
            self.file.flush()
            step()
            self.file.write(data[half:])

        def __getattr__(self, name):
            return getattr(self.file, name)

        def __enter__(self):
            return self

        def __exit__(self, *error):
            self.file.close()

    for name in CALLS:
        setattr(os, name, wrapped(getattr(os, name)))
    storage.open = lambda *args: Torn(builtins.open(*args))  # noqa: SIM115


def in_child(function):
    """Run in a forked child; return how it ended: "done", "killed", or its error."""
    receiving, sending = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(receiving)
            message = function() or "done"
        except CeretError as error:
            message = f"{type(error).__name__}: {error}"
        except BaseException:
            message = traceback.format_exc()
        os.write(sending, str(message).encode()[:4000])
        os._exit(0)
    os.close(sending)
    with os.fdopen(receiving, "rb") as pipe:
        message = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else message


def digest(folder):
    import hashlib

    hashes = {}
    for path in sorted(folder.rglob("*")) if folder.exists() else ():
        if path.is_file() and path.name != "lock":
            hashes[str(path.relative_to(folder))] = hashlib.sha256(path.read_bytes()).hexdigest()
    return hashes


def state(index):
    """What a reader finds between a kill and the next run: no index, or one whose every named segment is whole."""
    if not (index / "manifest.json").exists():
        return "no manifest"
    problems = [problem for problem in verify_index(index).problems if "the build was stopped" not in problem]
    return "; ".join(problems) or f"{len(read_manifest(index).segments)} whole segments"


def change(photos, index):
    """Change indexed photos in every way that an update knows."""
    names = sorted(path for path in photos.rglob("*.png"))
    away = names[0].rename(photos.parent / "away.png")
    add_photos(index, [photos], workers=2)
    away.rename(names[0])
    (photos / "bad.png").write_bytes(names[1].read_bytes())
    names[2].write_bytes(names[1].read_bytes())
    names[3].unlink()
    for number in range(3):
        (photos / f"new{number}.png").write_bytes(names[1].read_bytes())
    (photos / "new9.png").write_bytes(b"")


def main():
    what, photos, more, folder = sys.argv[1], *map(Path, sys.argv[2:])
    first, index = folder / "first.ceret", folder / "index.ceret"

    def act():
        if what == "relocate":
            relocate_index(index, photos, more)
        elif what == "build":
            build_index([photos], index, SETTINGS)
        else:
            add_photos(index, [photos, more] if what == "add" else [photos], workers=2)

    def prepare():
        shutil.rmtree(index, ignore_errors=True)
        if what != "build":
            shutil.copytree(first, index)

    if what != "build":
        in_child(lambda: build_index([photos], first, SETTINGS) and None)
    if what == "update":
        in_child(lambda: change(photos, first))
    if what == "relocate":
        photos.rename(more)
    for moment in range(1, 10_000):
        prepare()

        def killed(moment=moment):
            kill_at(moment)
            act()

        def resumed():
            found = state(index)
            try:
                act()
            except PhotoIndexError as error:
                if "no source of" not in str(error):  # it is relocated already
                    raise
            except SourceError as error:
                return json.dumps({"between": found, "error": str(error)})
            return json.dumps({"between": found, "after": state(index)})

        ended = in_child(killed)
        later = in_child(resumed)
        line = {"moment": moment, "ended": ended, "later": later, "exists": index.exists(), "files": digest(index)}
        print(json.dumps(line), flush=True)
        if ended != "killed":
            break


if __name__ == "__main__":
    main()
