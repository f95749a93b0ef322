"""The private folder of a running page: what the browser may fetch, and what it may not. Removed when the page ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from ce_retrieval.storage import storage_errors

MOST_BYTES = 8 << 30  # of all files together


class Home:
    """The private folder of a running page, with mode 700.

    Attributes
    ----------
    served : what the browser may fetch by its path: uploads while they arrive, previews, downloads.
    kept : what it may not: photos that were chosen, and results with all they say of their sources.
    """

    def __init__(self, root: Path) -> None:
        self.served, self.kept = root / "served", root / "kept"
        for folder in (self.served, self.kept):
            folder.mkdir(mode=0o700)

    def rooms(self) -> tuple[Path, Path]:
        """Make a folder for one user in `served` and one in `kept`, of a name that cannot be guessed."""
        name = secrets.token_urlsafe(18)
        made = self.served / name, self.kept / name
        for folder in made:
            folder.mkdir(mode=0o700)
        return made

    def is_served(self, path: str) -> bool:
        """Return whether the browser may name a file: it is a regular one in `served`, and no link leads to it."""
        if "\0" in path:
            return False
        real = os.path.realpath(path)
        return (
            real == os.path.abspath(path) and Path(real).is_relative_to(self.served.resolve()) and os.path.isfile(real)
        )

    def sweep(self, age: float, most: int = MOST_BYTES) -> None:
        """Delete all files that were written more than `age` seconds ago, and of what is left the oldest beyond `most` bytes."""
        oldest, found = time.time() - age, []
        for folder in (self.served, self.kept):
            for place, folders, files in os.walk(folder, topdown=False):
                for path in (os.path.join(place, name) for name in files):
                    with contextlib.suppress(OSError):
                        status = os.lstat(path)
                        found.append((status.st_mtime, status.st_size, path))
                for path in (os.path.join(place, name) for name in folders):
                    with contextlib.suppress(OSError):  # not empty
                        if os.lstat(path).st_mtime < oldest:
                            os.rmdir(path)
        left = sum(size for _, size, _ in found)
        for written, size, path in sorted(found):
            if written < oldest or left > most:
                left -= size
                with contextlib.suppress(OSError):
                    os.unlink(path)


@contextlib.contextmanager
def made_home() -> Iterator[Home]:
    """Yield a private folder, and remove it with all it holds at the end."""
    place = Path(tempfile.gettempdir())
    with storage_errors(place):
        root = tempfile.mkdtemp(prefix="ceret-app-")
        home = Home(Path(os.path.realpath(root)))
    try:
        yield home
    finally:
        shutil.rmtree(root, ignore_errors=True)
