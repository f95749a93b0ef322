"""A bit that flips in a file of an index: who finds it, and that nobody answers wrongly or writes it on with a new checksum."""

import random
import shutil
from pathlib import Path

import commands
import whole_index

from ce_retrieval.photo_index import verify_index


class Flips:
    """Flips bits in copies of an index.

    Parameters
    ----------
    folder : Path
        Of `whole_index.make_collection`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._whole, self._index = folder, folder / "whole.ceret", folder / "index.ceret"
        photo = folder / "photos" / "even" / "0004.png"
        self._reading = commands.reading(self._index, photo)
        self._changing = commands.changing(self._index, photo, self._whole)
        self._right: dict[str, object] = {}
        for name, command in self._reading.items():
            commands.renew(self._whole, self._index)
            self._right[name] = self._answer(commands.run(command))
        for name, command in self._changing.items():
            commands.renew(self._whole, self._index)
            done = commands.run(command)
            assert done.exit_code == 0, done.output
            self._right[name] = self._written(name)

    def faults(self, file: Path, rng: random.Random) -> tuple[list[str], set[str]]:
        """Flip one bit of a file of the index; return what is wrong, and the commands that found the bit."""
        data = bytearray(file.read_bytes())
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        commands.renew(self._whole, self._index)
        (self._index / file.relative_to(self._whole)).write_bytes(data)
        flipped = self._folder / "flipped.ceret"
        shutil.rmtree(flipped, ignore_errors=True)
        shutil.copytree(self._index, flipped)
        wrong, found = [], set()
        for name, command in {**self._reading, **self._changing}.items():
            commands.renew(flipped, self._index)
            done = commands.run(command)
            if fault := commands.fault_of(done):
                wrong.append(f"{name}: {fault}")
            elif done.exit_code == 1:
                found.add(name)
                if whole_index.contents(self._index) != whole_index.contents(flipped):
                    wrong.append(f"{name}: failed, and changed the index")
            elif name in self._reading:
                if self._answer(done) != self._right[name]:
                    wrong.append(f"{name}: another answer")
            elif self._written(name) != self._right[name] and not self._is_found_in_what_was_written(name):
                wrong.append(f"{name}: wrote what is wrong with a checksum that is right")
        if "verify" not in found and whole_index.read_content(flipped) != whole_index.read_content(self._whole):
            wrong.append("verify: finds nothing")
        return wrong, found

    @staticmethod
    def _answer(done: object) -> object:
        return done.exit_code, done.stdout

    def _place(self, name: str) -> Path:
        made = {"merge": "merged.ceret", "export": "exported"}
        return self._folder / made.get(name, "index.ceret")

    def _written(self, name: str) -> dict[str, bytes]:
        return whole_index.contents(self._place(name))

    def _is_found_in_what_was_written(self, name: str) -> bool:
        return name != "export" and bool(verify_index(self._place(name)).problems)
