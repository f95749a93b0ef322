"""The pool of the page: who waits, how far each is, and how a job ends."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from ce_retrieval.app.messages import BUSY, FAULT, NO_MEMORY, STOPPED, PageError
from ce_retrieval.app.work import Pool
from ce_retrieval.errors import PhotoError


@pytest.fixture
def pool():
    pool = Pool(1, 3)
    yield pool
    pool.close()


def run(coroutine):
    """Run a coroutine to its end, in a thread of its own: this one may have a loop, of a browser's driver."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def watched(pool, job):
    async def all_states():
        return [state async for state in pool.states(job)]

    return run(all_states())


def test_jobs_run_in_their_order_and_say_how_many_are_before_them(pool):
    gate, done = threading.Event(), []
    first = pool.submit(lambda progress: gate.wait(10))
    others = [pool.submit(lambda progress, number=number: done.append(number)) for number in (1, 2)]
    while first.began is None:
        pass
    assert [pool.ahead(job) for job in (first, *others)] == [0, 1, 2]
    gate.set()
    for job in others:
        job.result()
    assert done == [1, 2] and first.result() is True and pool.ahead(others[1]) == 0


def test_a_second_user_is_served_while_the_first_waits():
    pool, gate = Pool(2, 3), threading.Event()
    slow = pool.submit(lambda progress: gate.wait(10))
    assert pool.submit(lambda progress: "done").result() == "done" and not slow.future.done()
    gate.set()
    pool.close()


def test_states_tell_stages(pool):
    def work(progress):
        progress("place", 3, 20)
        gate.wait(10)
        return "done"

    gate = threading.Event()
    job = pool.submit(work)
    threading.Timer(0.4, gate.set).start()
    states = watched(pool, job)
    assert (states[-1].stage, states[-1].done, states[-1].total, states[-1].ahead) == ("place", 3, 20, 0)
    assert job.result() == "done"


def test_a_stopped_job_ends_at_its_next_step_and_one_that_waits_is_never_begun(pool):
    begun, gate = [], threading.Event()

    def work(progress):
        gate.wait(10)
        progress("blend", 0, 1)
        begun.append("more")

    first, second = pool.submit(work), pool.submit(lambda progress: begun.append("second"))
    first.stop()
    second.stop()
    gate.set()
    for job in (first, second):
        with pytest.raises(PageError, match=STOPPED):
            job.result()
    assert begun == []


def test_work_that_nobody_looks_at_any_more_is_stopped(pool):
    gate = threading.Event()

    def work(progress):
        while not gate.wait(0.01):
            progress("search", 0, 1)

    async def look_once(job):
        states = pool.states(job)
        await anext(states)
        await states.aclose()

    job = pool.submit(work)
    run(look_once(job))
    with pytest.raises(PageError, match=STOPPED):
        job.result()


def test_too_many_are_refused_and_places_get_free_again(pool):
    gate = threading.Event()
    first = pool.submit(lambda progress: gate.wait(10))
    while first.began is None:
        pass
    waiting = [pool.submit(lambda progress: None) for _ in range(3)]
    with pytest.raises(PageError, match="Too many people"):
        pool.submit(lambda progress: None)
    assert BUSY.startswith("Too many people")
    gate.set()
    for job in waiting:
        job.result()
    assert pool.submit(lambda progress: 5).result() == 5


@pytest.mark.parametrize(
    ("error", "said"),
    [(MemoryError(), NO_MEMORY), (ZeroDivisionError("secret"), FAULT), (PhotoError("small"), "small")],
)
def test_errors_are_for_people(pool, error, said, caplog):
    def work(progress):
        raise error

    with pytest.raises((PageError, PhotoError)) as raised:
        pool.submit(work).result()
    assert str(raised.value) == said
    assert ("secret" in caplog.text) == isinstance(error, ZeroDivisionError), (
        "whoever runs the page finds it in the log"
    )
