"""The scenes that are left out while a photo is completed, and the errors where too few are left."""

from __future__ import annotations

from ce_retrieval.completion.candidate import copy_line
from ce_retrieval.errors import PhotoError, some


class Dropped:
    """Why scenes were left out.

    Parameters
    ----------
    more : the setting that would try further scenes; "" if there are none.

    Attributes
    ----------
    lines : one line for each scene.
    lost : those of them whose scene cannot be read any more.
    copies : names of those scenes that are copies of the photo.
    more : as above.
    """

    def __init__(self, more: str) -> None:
        self.lines: list[str] = []
        self.lost: list[str] = []
        self.copies: list[str] = []
        self.more = more

    def lose(self, *lines: str) -> None:
        """Add scenes that vanished or changed since they were indexed."""
        self.lines += lines
        self.lost += lines

    def lose_copies(self, *names: str) -> None:
        """Add scenes that are copies of the photo."""
        self.lines += [copy_line(name) for name in names]
        self.copies += names

    def refuse(self, *lines: str) -> None:
        """Add scenes that could be read and do not fit."""
        self.lines += lines

    def nothing_left(self) -> PhotoError:
        """Return the error for a photo whose scenes are all left out."""
        count, all_lost = len(self.lines), len(self.lost) == len(self.lines)
        fits = len(self.lost) + len(self.copies) == len(self.lines)
        remedies = [] if fits else ["mark a smaller one"]
        remedies += [] if all_lost else ["index others"]
        remedies += ["restore lost files"] if self.lost else []
        remedies += ["set `allow_same_photo`"] if self.copies else []
        remedies += [f"choose a larger `{self.more}`"] if self.more else []
        lines = some(self.lines, between="; ")
        what = "the only scene cannot" if count == 1 else f"none of the {count} scenes can"
        return PhotoError(f"{what} {'be read' if all_lost else 'fill the hole'} ({_either(remedies)}): {lines}")

    def too_few(self, pick: int, left: int, *, cut: bool) -> PhotoError:
        """Return the error for fewer scenes left than `pick`; cut: whether a larger `top` would keep further ones."""
        remedies = ["choose 1" if left == 1 else f"choose 1 to {left}"]
        remedies += ["a larger `top`"] if cut else []
        remedies += [f"a larger `{self.more}`"] if self.more else []
        return PhotoError(
            f"`pick` is {pick}, but {left} candidate{'s are' if left > 1 else ' is'} left: {_either(remedies)}"
        )


def _either(remedies: list[str]) -> str:
    return ", or ".join([", ".join(remedies[:-1]), remedies[-1]] if remedies[1:] else remedies)
