"""Run in a process of its own: builds an index again and again, killing the builder at every step that touches the disk.

A step is a moment before or after a call that changes the disk (rename, fsync, mkdir, unlink, ...), and the middle of
every write. For n = 1, 1 + CERET_KILL_EVERY, ...: a forked child prepares an index and kills itself at its n-th step
(SIGKILL), a reader looks at what is left, then an undisturbed child goes on. Prints one JSON line per n; ends after the
first n that is never reached.

With `command`, children that run `ceret index` are killed at random moments instead, each when there are more segments than
before; prints one JSON line per kill.

Indexes have kind features, of a descriptor that takes no network. kind: an index without them gets them;
places: it gets local features. remove: every other photo is removed; compact: its segments are rewritten after that. merge:
an index of PHOTOS and one of MORE become one. duplicates: an index that leaves them out is brought up to date with MORE, when
the photo that it had of three copies has vanished.

update: photos that were indexed change, vanish, come back and become readable, and new ones come. relocate: PHOTOS moves to
MORE.

usage: kill_driver.py build|add|update|kind|places|relocate|remove|compact|merge|duplicates|command PHOTOS MORE FOLDER
"""

import builtins
import contextlib
import dataclasses
import importlib
import json
import os
import random
import select
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path

import fake_kind

from ce_retrieval import storage
from ce_retrieval.errors import CeretError, PhotoIndexError, SourceError
from ce_retrieval.photo_index import (
    IndexSettings,
    add_photos,
    batches,
    build_index,
    builder,
    compact_index,
    merge_indexes,
    read_manifest,
    relocate_index,
    remove_photos,
    resume,
    verify_index,
)
from cli.main import main as ceret

batches.SEGMENT_ITEMS, batches.BATCH_ITEMS = 8, 4
VERSIONS = resume.library_versions()
resume.library_versions = lambda names=(): VERSIONS
SETTINGS = IndexSettings(features="thumbnail:8", size=32, workers=2, kind="kind")
fake_kind.install()
builder.missing_packages = list
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


def start(function):
    """Start a forked child that runs a function; return its number and the pipe that tells how it ends."""
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
        with os.fdopen(sending, "wb") as pipe:
            pipe.write(str(message).encode())
        os._exit(0)
    os.close(sending)
    return child, os.fdopen(receiving, "rb")


def end(child, pipe):
    """Wait for a child; return how it ended: "done", what it returned, "killed", or its error."""
    with pipe:
        message = pipe.read().decode()
    _, status = os.waitpid(child, 0)
    return "killed" if os.WIFSIGNALED(status) else message


def in_child(function):
    """Run a function in a forked child; return how it ended."""
    return end(*start(function))


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


def kill_at_every_step(index, prepare, act):
    """Kill at the first step, then at later ones (CERET_KILL_EVERY); print what is left by each, and how the next run ends."""

    def resumed():
        found = state(index)
        try:
            act()
        except PhotoIndexError as error:
            if not any(
                text in str(error) for text in ("no source of", "was removed before", "exists already")
            ):  # it is done already
                raise
        except SourceError as error:
            return json.dumps({"between": found, "error": str(error)})
        return json.dumps({"between": found, "after": state(index)})

    for moment in range(1, 10_000, int(os.environ["CERET_KILL_EVERY"])):
        prepare()

        def killed(moment=moment):
            kill_at(moment)
            act()

        ended = in_child(killed)
        later = in_child(resumed)
        line = {"moment": moment, "ended": ended, "later": later, "exists": index.exists(), "files": digest(index)}
        print(json.dumps(line), flush=True)
        if ended != "killed":
            break


def kill_at_random_moments(index, act, kills):
    """Kill so many runs, each at work on another segment; print what is left by each."""
    rng = random.Random(0)
    lines = []
    while len(lines) < kills:
        whole = lines[-1]["segments"] if lines else 0
        child, pipe = start(act)
        while len(list(index.glob("segments/??????"))) <= whole and not select.select([pipe], [], [], 0.002)[0]:
            pass
        time.sleep(rng.random() * 0.06)
        os.kill(child, signal.SIGKILL)
        if end(child, pipe) != "killed":  # over before it could be killed, on a busy machine: all from the start again
            shutil.rmtree(index)
            lines = []
            continue
        left = in_child(lambda: state(index))
        lines.append({"segments": len(read_manifest(index).segments), "left": left})
    for line in lines:
        print(json.dumps(line), flush=True)


def change(photos, index):
    """Change indexed photos in every way that an update knows."""
    names = sorted(photos.rglob("*.png"))
    away = names[0].rename(photos.parent / "away.png")
    add_photos(index, [photos], workers=2)
    away.rename(names[0])
    (photos / "bad.png").write_bytes(names[1].read_bytes())
    names[2].write_bytes(names[1].read_bytes())
    names[3].unlink()
    for number in range(3):
        (photos / f"new{number}.png").write_bytes(names[1].read_bytes())
    (photos / "new9.png").write_bytes(b"")
    (photos / "unread.gif").touch()


def main():
    what, photos, more, folder = sys.argv[1], *map(Path, sys.argv[2:])
    first, index = folder / "first.ceret", folder / "index.ceret"

    def act():
        if what == "relocate":
            relocate_index(index, photos, more)
        elif what == "remove":
            remove_photos(index, sorted(photos.rglob("*.png"))[::2])
        elif what == "compact":
            compact_index(index)
        elif what == "merge":
            merge_indexes(index, [first, folder / "more.ceret"])
        elif what == "kind":
            add_photos(index, [photos], kind="kind", workers=2)
        elif what == "places":
            add_photos(index, [photos], places=True, workers=2)
        elif what in ("add", "update", "duplicates"):
            add_photos(index, [photos] if what == "update" else [photos, more], workers=2)
        elif what == "command":
            command = ["index", photos, "--out", index, "--features", SETTINGS.features, "--size", SETTINGS.size]
            with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
                ceret([str(word) for word in command], standalone_mode=False)
        else:
            build_index([photos], index, SETTINGS)

    def prepare():
        shutil.rmtree(index, ignore_errors=True)
        if what not in ("build", "command", "merge"):
            shutil.copytree(first, index)

    def build_first():
        with contextlib.suppress(SourceError):
            changes = {"kind": "none" if what == "kind" else "kind", "places": what == "compact"}
            changes["skip_duplicates"] = what == "duplicates"
            build_index([photos], first, dataclasses.replace(SETTINGS, **changes))
            if what == "merge":
                build_index([more], folder / "more.ceret", SETTINGS)
                merge_indexes(folder / "warm.ceret", [first, folder / "more.ceret"])  # imports what it needs
            if what == "compact":
                remove_photos(first, sorted(photos.rglob("*.png"))[::2])
            state(first)
        return " ".join(sys.modules)

    # Imported before the first kill, so that children are fast; in a child, so that no thread of a build is forked.
    for name in in_child(build_first).split():
        with contextlib.suppress(ImportError):  # not all are modules of a file
            importlib.import_module(name)
    if what == "update":
        in_child(lambda: change(photos, first))
    if what == "relocate":
        photos.rename(more)
    if what == "duplicates":
        (photos / "even" / "0000.png").unlink()
    if what == "command":
        kill_at_random_moments(index, act, kills=6)
    else:
        kill_at_every_step(index, prepare, act)


if __name__ == "__main__":
    main()
