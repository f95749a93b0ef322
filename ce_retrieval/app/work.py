"""The work of all users, by a fixed number of threads: who waits, how far each is, and how to stop one."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from ce_retrieval.app.messages import BUSY, FAULT, NO_MEMORY, STOPPED, PageError
from ce_retrieval.completion.stages import Progress
from ce_retrieval.errors import CeretError

TICK = 0.1  # s between two looks at a job

log = logging.getLogger(__name__)


class Stopped(Exception):
    """The user, or the end of the page, has stopped a job."""


class State(NamedTuple):
    """How far a job is.

    Attributes
    ----------
    ahead : jobs that are begun before this one; 0: it is under way, or done.
    stage, done, total : as `completion.stages` tells them; "" before the first.
    seconds : since it was begun.
    """

    ahead: int
    stage: str
    done: int
    total: int
    seconds: float


class Job:
    """A piece of work of one user. `Pool.submit` makes it."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.began: float | None = None
        self.future: Future[Any] = Future()
        self._stage = ("", 0, 1)
        self._stopped = threading.Event()

    def progress(self, stage: str, done: int, total: int) -> None:
        """Note how far the work is; Stopped where it is no longer wanted."""
        if self._stopped.is_set():
            raise Stopped
        self._stage = (stage, done, total)

    def stop(self) -> None:
        """Stop the work at its next step; what waits is not begun."""
        self._stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether it has been stopped."""
        return self._stopped.is_set()

    def state(self, ahead: int) -> State:
        """Return how far it is; ahead: as in `State`."""
        return State(ahead, *self._stage, 0.0 if self.began is None else time.monotonic() - self.began)

    def result(self) -> Any:
        """Return what the work returned, or raise what it raised, as a PageError or another error of the library."""
        try:
            return self.future.result()
        except Stopped:
            raise PageError(STOPPED) from None
        except CeretError:
            raise
        except MemoryError:
            raise PageError(NO_MEMORY) from None
        except Exception as error:
            log.exception("a job of the page failed")
            raise PageError(FAULT) from error


class Pool:
    """Threads that work for all users, first come, first served.

    Parameters
    ----------
    at_once : jobs that are worked on at the same time.
    waiting : jobs that wait, at most.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(at_once, thread_name_prefix="page")
        self._waiting = waiting
        self._queue: list[Job] = []
        self._running: set[Job] = set()
        self._lock = threading.Lock()
        self._count = 0

    def submit(self, work: Callable[[Progress], Any]) -> Job:
        """Have `work` called with a `Progress` to tell; PageError where too many wait."""
        with self._lock:
            if len(self._queue) >= self._waiting:
                raise PageError(BUSY)
            self._count += 1
            job = Job(self._count)
            self._queue.append(job)
        self._pool.submit(self._run, job, work)
        return job

    def ahead(self, job: Job) -> int:
        """Return how many jobs are begun before this one."""
        with self._lock:
            return self._queue.index(job) + 1 if job in self._queue else 0

    async def states(self, job: Job) -> AsyncIterator[State]:
        """Yield how far a job is whenever that has changed, until it is done; a job that nobody looks at any more is stopped."""
        last = None
        try:
            while not job.future.done():
                state = job.state(self.ahead(job))
                shown = (*state[:4], int(state.seconds))
                if shown != last:
                    last = shown
                    yield state
                await asyncio.sleep(TICK)
        finally:
            if not job.future.done():
                job.stop()

    def close(self) -> None:
        """Stop all work; returns at once."""
        with self._lock:
            for job in (*self._queue, *self._running):
                job.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _run(self, job: Job, work: Callable[[Progress], Any]) -> None:
        with self._lock:
            self._queue.remove(job)
            self._running.add(job)
        job.began = time.monotonic()
        try:
            job.progress("", 0, 1)
            job.future.set_result(work(job.progress))
        except BaseException as error:
            job.future.set_exception(error)
        finally:
            with self._lock:
                self._running.discard(job)
