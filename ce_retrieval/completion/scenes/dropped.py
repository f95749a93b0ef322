"""The scenes that a photo is not filled from, and what to say where too few are left."""

from __future__ import annotations

from ce_retrieval.errors import PhotoError

SHOWN_REASONS = 3


class Dropped:
    """Why scenes were left out, one line each: lost, of those that could not be read (any more); lines, of all."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.lost: list[str] = []

    def lose(self, *lines: str) -> None:
        """Scenes that vanished or changed since they were indexed."""
        self.lines += lines
        self.lost += lines

    def refuse(self, *lines: str) -> None:
        """Scenes that could be read, and do not fit."""
        self.lines += lines

    def nothing_left(self, *, more: str) -> PhotoError:
        """Return the error where all are left out. more: settings that would try further ones, "" for none."""
        count, all_lost = len(self.lines), len(self.lost) == len(self.lines)
        remedies = [] if all_lost else ["mark a smaller one", "index others"]
        remedies += ["restore lost files"] if self.lost else []
        remedies += [f"choose a larger {more}"] if more else []
        shown = "; ".join(self.lines[:SHOWN_REASONS])
        rest = f"; and {count - SHOWN_REASONS} more" if count > SHOWN_REASONS else ""
        what = "the only scene cannot" if count == 1 else f"none of the {count} scenes can"
        return PhotoError(f"{what} {'be read' if all_lost else 'fill the hole'} ({_either(remedies)}): {shown}{rest}")


def too_few(pick: int, left: int, *, cut: bool, more: str) -> PhotoError:
    """Return the error where fewer scenes are left than `pick`. cut: a larger `top` would keep further ones; more: as above."""
    remedies = ["choose 1" if left == 1 else f"choose 1 to {left}"]
    remedies += ["a larger top"] if cut else []
    remedies += [f"a larger {more}"] if more else []
    return PhotoError(f"pick is {pick}, but {left} candidate{'s are' if left > 1 else ' is'} left: {_either(remedies)}")


def _either(remedies: list[str]) -> str:
    return ", or ".join([", ".join(remedies[:-1]), remedies[-1]] if remedies[1:] else remedies)
