"""Run in a process of its own: kills a command at random moments while readers search its index, again and again.

For each kill: two readers start, one that has the index open and one that opens it anew each time. A child runs the command and
is killed (SIGKILL) at a random moment of the time that it takes. Another child opens what is left and compares its answers
with brute force. Then the command runs again while the readers go on, and once more without them; the index has then the bytes
of an undisturbed run. Prints a JSON line with what is wrong after each kill, [] where
nothing is.

usage: kill_soak.py index|add|remove|compact|merge|tune KILLS SEED FOLDER
"""

import contextlib
import importlib
import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import numpy as np
import whole_index
from kill_driver import digest, end, in_child, start

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_index,
    compact_index,
    merge_indexes,
    remove_photos,
    verify_index,
)
from ce_retrieval.retrieval.tuning import TuningSettings, tune_index

NEW = ("index", "merge")  # commands before which there is no index
NO_INDEX = ("no index at", "is not a ceret index", "was stopped after")
K = 5


class Soak:
    """A command, the index that it works on, and what that answers before and after an undisturbed run."""

    def __init__(self, command: str, folder: Path) -> None:
        self.command, self.index = command, folder / "index.ceret"
        self._folder, self._photos = folder, folder / "photos"
        self._stop = folder / "stop"
        for made in (self._make_first, lambda: self._measure(folder / "measured")):
            if (ended := in_child(made)) != "done":
                raise RuntimeError(ended)
        known = json.loads((folder / "measured").read_text())
        for name in known["modules"]:  # imported before children are forked, which are fast then
            with contextlib.suppress(ImportError):  # not all are modules of a file
                importlib.import_module(name)
        self.seconds, self._whole, self._all, self._always = (
            known[name] for name in ("seconds", "files", "all", "always")
        )

    def act(self) -> None:
        """Run the command, or find that it has been done."""
        try:
            if self.command == "index":
                build_index([self._photos], self.index, whole_index.SETTINGS)
            elif self.command == "add":
                add_photos(self.index, workers=1)
            elif self.command == "remove":
                remove_photos(self.index, [self._photos / "odd"])
            elif self.command == "compact":
                compact_index(self.index)
            elif self.command == "merge":
                merge_indexes(self.index, [self._folder / "first.ceret", self._folder / "second.ceret"])
            else:
                tune_index(self.index, TuningSettings(recipe="pooled", queries=4))
        except PhotoIndexError as error:
            if not any(text in str(error) for text in ("was removed before", "exists already")):
                raise

    def kill_once(self, rng: random.Random) -> tuple[bool, list[str]]:
        """Return whether the command was at work when it was to be killed, and what is wrong after that."""
        self._prepare()
        self._stop.unlink(missing_ok=True)
        readers = [start(self._come_again)]
        if self.command not in NEW:
            readers.append(start(self._hold))
        while len(list(self._folder.glob("ready-*"))) < len(readers):
            time.sleep(0.002)
        child, pipe = start(self.act)
        time.sleep(rng.random() * self.seconds)
        os.kill(child, signal.SIGKILL)
        ended = end(child, pipe)
        found = {"killed": "" if ended in ("killed", "done") else ended, "left": in_child(self._check)}
        found["again"] = in_child(self.act)
        self._stop.touch()
        found |= {f"reader {number}": end(*reader) for number, reader in enumerate(readers)}
        # What readers held, and left-overs, are deleted by the next run without readers.
        found["alone"] = in_child(self.act)
        found["after"] = in_child(self._check)
        wrong = [f"{what}: {told}" for what, told in found.items() if told not in ("", "done")]
        if digest(self.index) != self._whole:
            wrong.append("other bytes than an undisturbed run")
        return ended == "killed", wrong

    def _make_first(self) -> None:
        first = whole_index.make_index(self._photos, self._folder / "first.ceret")
        if self.command == "compact":
            remove_photos(first, [self._photos / "odd"])
        if self.command == "add":
            whole_index.write_photos(self._photos, range(20, 44))
            (self._photos / "odd" / "0005.png").unlink()
        if self.command == "merge":
            more = whole_index.write_photos(self._folder / "more", range(50, 70))
            build_index([more], self._folder / "second.ceret", whole_index.SETTINGS)

    def _measure(self, told: Path) -> None:
        """Note what an undisturbed run takes, and what it leaves."""
        keys: list[set[str]] = []
        for _ in range(2):  # the second time all is imported, as in the children that are forked later
            self._prepare()
            keys = [set() if self.command in NEW else self._right_keys()]
            begun = time.perf_counter()
            self.act()
            seconds = time.perf_counter() - begun
            keys.append(self._right_keys())
        known = {"seconds": seconds, "files": digest(self.index), "modules": list(sys.modules)}
        told.write_text(json.dumps({**known, "all": sorted(keys[0] | keys[1]), "always": sorted(keys[0] & keys[1])}))

    def _prepare(self) -> None:
        shutil.rmtree(self.index, ignore_errors=True)
        for ready in self._folder.glob("ready-*"):
            ready.unlink()
        if self.command not in NEW:
            shutil.copytree(self._folder / "first.ceret", self.index)

    def _check(self) -> str | None:
        """Return what is wrong with what is on the disk."""
        self._come(verify=True)
        return None

    def _come_again(self) -> str | None:
        while True:
            self._come()
            (self._folder / "ready-come").touch()
            if self._stop.exists():
                return None

    def _come(self, verify: bool = False) -> None:
        try:
            keys = self._right_keys()
        except PhotoIndexError as error:
            if self.command not in NEW or not any(text in str(error) for text in NO_INDEX):
                raise
            return
        if not set(self._always) <= keys <= set(self._all):
            raise AssertionError(f"the index holds {sorted(keys)}")
        if verify and (problems := verify_index(self.index).problems):
            raise AssertionError(problems)

    def _hold(self) -> str | None:
        """Read all of an index that is open, for the first time again and again; its answers stay the same."""
        held = PhotoIndex.open(self.index)
        first = _answers(PhotoIndex(held.path, held.manifest))
        (self._folder / "ready-hold").touch()
        while not self._stop.exists():
            again = _answers(PhotoIndex(held.path, held.manifest))
            if again != first:
                return f"{again} instead of {first}"
        return None

    def _right_keys(self) -> set[str]:
        """Open the index and return the keys of its photos; AssertionError where it answers otherwise than brute force."""
        index = PhotoIndex.open(self.index)
        keys, found, _, counts = _answers(index)
        queries, weights = _queries()
        grids = np.concatenate(list(index.grids())).astype(np.float64)
        exact = np.einsum("bg,nbg->bn", weights, ((grids[:, None] - queries) ** 2).sum(-1))
        best = [[keys[row] for row in np.argsort(of, kind="stable")[:K]] for of in exact]
        if best != found or counts != len(keys):
            raise AssertionError(f"found {found} of {counts}, expected {best} of {len(keys)}")
        return set(keys)


def _queries() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.random((3, 64, 3), np.float32), rng.random((3, 64), np.float32)


def _answers(index: PhotoIndex) -> tuple[list[str], list[list[str]], float, int]:
    """Read every file of an index: all keys, those found for each query, a sum of the kinds, photos with local features."""
    keys = [record.key for record in index.records(range(len(index)))]
    ids = index.search(*_queries(), K).ids
    kinds = float(sum(vectors.astype(np.float64).sum() for vectors in index.kinds()))
    counts = sum(int((ids >= 0).sum()) for _, ids in index.place_files())
    return keys, [[keys[one] for one in row] for row in ids.tolist()], kinds, counts


def main() -> None:
    command, kills, seed, folder = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4])
    soak, rng = Soak(command, folder), random.Random(seed)
    while kills:
        killed, wrong = soak.kill_once(rng)
        kills -= killed  # a command that ended before does not count
        if killed or wrong:
            print(json.dumps(wrong), flush=True)


if __name__ == "__main__":
    main()
