"""What the parts of the page share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ce_retrieval.app.collections import Collections
from ce_retrieval.app.filling import Filler
from ce_retrieval.app.home import Home
from ce_retrieval.app.messages import NOT_UPLOADED, PageError, told
from ce_retrieval.app.sessions import Session, Sessions
from ce_retrieval.app.settings import AppSettings
from ce_retrieval.app.work import Pool, State
from ce_retrieval.completion.stages import Progress
from ce_retrieval.errors import CeretError


class Services(NamedTuple):
    """What the parts of the page share.

    Attributes
    ----------
    report : folder of an evaluation's results, None for none.
    """

    settings: AppSettings
    home: Home
    collections: Collections
    filler: Filler
    pool: Pool
    sessions: Sessions
    report: Path | None

    def say(self, error: CeretError) -> str:
        """Return an error as the page shows it."""
        return told(error, hide=self.settings.no_sources)

    def lines(self, notes: Sequence[str]) -> list[str]:
        """Return notes of the library as the page shows them."""
        return [self.say(CeretError(line)) for line in notes]

    async def done(self, session: Session, work: Callable[[Progress], Any]) -> AsyncIterator[State | Any]:
        """Do a piece of work for a user, in place of the one before: yield its states, and last what it returned.

        PageError, CeretError : as `Job.result`, or too many wait.
        """
        job = self.pool.submit(work)
        session.begin(job)
        async for state in self.pool.states(job):
            yield state
        yield job.result()

    def upload(self, path: str) -> bytes:
        """Return the content of a file that a user has uploaded, and delete it; PageError where it is none, or too large."""
        if not self.home.is_served(path):
            raise PageError(NOT_UPLOADED)
        file = Path(path)
        if file.stat().st_size > self.settings.max_upload:
            raise PageError(f"This file is larger than {self.settings.max_upload / 1e6:.0f} MB: make it smaller.")
        data = file.read_bytes()
        file.unlink(missing_ok=True)
        return data
