"""What each user of the page has chosen and made, for as long as it is kept."""

from __future__ import annotations

import contextlib
import shutil
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ce_retrieval.app.home import Home
from ce_retrieval.app.messages import NO_PHOTO, PHOTO_GONE, RESULT_GONE, PageError
from ce_retrieval.app.others import Others
from ce_retrieval.app.uploads import GivenMask, GivenPhoto
from ce_retrieval.app.work import Job

if TYPE_CHECKING:
    from ce_retrieval.app.filling import Filled
    from ce_retrieval.photo_index import PhotoRecord

MOST = 500  # users that are remembered; the one who has done nothing for the longest goes first


class Session:
    """One user's photo, mask and results. Gradio calls one event of a user at a time, except for those that stop another.

    Attributes
    ----------
    served, kept : the user's folders (`Home.rooms`).
    photo, mask : as chosen, or None.
    filled : the last results: one, or two of which the methods are compared.
    others : other photos of the place.
    offered : the collection whose photos are offered to be taken, and these.
    job : what is worked on for the user, or was last.
    """

    def __init__(self, served: Path, kept: Path) -> None:
        self.served, self.kept = served, kept
        self.photo: GivenPhoto | None = None
        self.mask: GivenMask | None = None
        self.others = Others(served, kept)
        self.filled: list[Filled] = []
        self.offered: tuple[str, list[PhotoRecord]] = ("", [])
        self.job: Job | None = None
        self.seen = time.monotonic()
        self._number = 0

    def number(self) -> int:
        """Return a number that no other result of this user has."""
        self._number += 2  # a result may be made twice (`Filler.picked`)
        return self._number

    def chosen(self) -> GivenPhoto:
        """Return the photo; PageError where none is chosen, or it has been deleted."""
        if self.photo is None:
            raise PageError(NO_PHOTO)
        if not self.photo.file.exists():
            raise PageError(PHOTO_GONE)
        return self.photo

    def result(self) -> Filled:
        """Return the last result; PageError where there is none any more."""
        if not self.filled or not self.filled[0].picture.exists():
            raise PageError(RESULT_GONE)
        return self.filled[0]

    def begin(self, job: Job) -> None:
        """Let a job take the place of the one before, which is stopped."""
        self.stop()
        self.job = job

    def stop(self) -> None:
        """Stop what is worked on."""
        if self.job is not None:
            self.job.stop()

    def close(self) -> None:
        """Stop what is worked on, and delete all files."""
        self.stop()
        for folder in (self.served, self.kept):
            shutil.rmtree(folder, ignore_errors=True)


class Sessions:
    """The users of the page, by the names that Gradio gives to their browser tabs. Threads may share it."""

    def __init__(self, home: Home, kept_for: float) -> None:
        self._home, self._kept_for = home, kept_for
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, name: str) -> Session:
        """Return a user's session, a new one at first."""
        with self._lock:
            session = self._sessions.get(name)
            if session is None or not session.kept.exists():
                session = self._sessions[name] = Session(*self._home.rooms())
            self._sessions.move_to_end(name)
            session.seen = time.monotonic()
            old = [self._sessions.popitem(last=False)[1] for _ in range(len(self._sessions) - MOST)]
        for one in old:
            one.close()
        return session

    @contextlib.contextmanager
    def passing(self) -> Iterator[Session]:
        """Yield a session for one call of a program; what it shows stays until it is swept, the rest goes at once."""
        session = Session(*self._home.rooms())
        try:
            yield session
        finally:
            session.stop()
            shutil.rmtree(session.kept, ignore_errors=True)
            for path in session.served.rglob("*"):
                if path.suffix in (".webp", ".jpg"):  # results are a .png and a .json
                    path.unlink(missing_ok=True)

    def drop(self, name: str) -> None:
        """Forget a user, whose tab has been closed."""
        with self._lock:
            session = self._sessions.pop(name, None)
        if session is not None:
            session.close()

    def sweep(self) -> None:
        """Forget users who have done nothing for as long as uploads are kept, and delete all files as old."""
        oldest = time.monotonic() - self._kept_for
        with self._lock:
            names = [name for name, session in self._sessions.items() if session.seen < oldest]
        for name in names:
            self.drop(name)
        self._home.sweep(self._kept_for)

    def close(self) -> None:
        """Forget all users."""
        with self._lock:
            names = list(self._sessions)
        for name in names:
            self.drop(name)
