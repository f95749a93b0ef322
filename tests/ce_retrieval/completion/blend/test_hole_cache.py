from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from time import sleep

import numpy as np
import pytest

from ce_retrieval.completion.blend.hole_cache import HoleCache

HOLES = [np.arange(12).reshape(3, 4) == place for place in range(5)]
WAIT = 20  # s, far more than a thread needs to get where it is waited for


class Maker:
    """Returns a new object each time, once `go` is set, and remembers what for. Raises as long as `broken`."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, tuple[object, ...]]] = []
        self.started, self.go, self.broken = Event(), Event(), False
        self.go.set()

    def __call__(self, hole: np.ndarray, *more: object) -> object:
        self.calls.append((int(np.flatnonzero(hole)[0]), more))
        self.started.set()
        assert self.go.wait(WAIT)
        if self.broken:
            raise ValueError("not this time")
        return object()


def test_it_is_made_once_for_concurrent_callers():
    maker = Maker()
    maker.go.clear()
    kept = HoleCache(maker, 2)
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(kept, HOLES[0].copy()) for _ in range(4)]
        assert maker.started.wait(WAIT)
        sleep(0.05)  # so that the others ask meanwhile
        maker.go.set()
        made = [one.result(WAIT) for one in asked]
    assert len({id(one) for one in made}) == len(maker.calls) == 1
    assert kept(HOLES[0]) is made[0]


def test_shape_and_further_arguments_tell_apart():
    maker = Maker()
    kept = HoleCache(maker, 9)
    made = [kept(hole, *more) for hole in (HOLES[0], HOLES[0].reshape(4, 3), HOLES[1]) for more in ((), (1,), (2,))]
    assert len({id(one) for one in made}) == 9
    assert maker.calls == [(place, more) for place in (0, 0, 1) for more in ((), (1,), (2,))]


def test_different_holes_do_not_wait_for_each_other():
    both = Barrier(2)  # passed when both are being made at once

    def make(hole: np.ndarray) -> int:
        both.wait(WAIT)
        return int(np.flatnonzero(hole)[0])

    kept = HoleCache(make, 4)
    with ThreadPoolExecutor(2) as pool:
        assert list(pool.map(kept, HOLES[:2])) == [0, 1]


def test_what_is_held_is_returned_while_another_is_made():
    maker = Maker()
    kept = HoleCache(maker, 2)
    first = kept(HOLES[0])
    maker.started.clear()
    maker.go.clear()
    with ThreadPoolExecutor(2) as pool:
        other = pool.submit(kept, HOLES[1])
        assert maker.started.wait(WAIT)
        try:
            assert pool.submit(kept, HOLES[0]).result(WAIT) is first
            assert not other.done()
        finally:
            maker.go.set()


def test_the_least_recently_used_goes_first():
    maker = Maker()
    kept = HoleCache(maker, 2)
    for place in (0, 1, 0, 2, 0, 1):
        kept(HOLES[place])
    assert [place for place, _ in maker.calls] == [0, 1, 2, 1]


def test_what_went_while_it_was_made_is_returned_all_the_same():
    maker = Maker()
    maker.go.clear()
    kept = HoleCache(maker, 1)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(kept, hole) for hole in HOLES[:3]]
        while len(maker.calls) < 3:
            sleep(0.01)
        maker.go.set()
        made = [one.result(WAIT) for one in asked]
    assert len({id(one) for one in made}) == 3
    assert sum(kept(hole) is one for hole, one in zip(HOLES[:3], made, strict=True)) <= 1


def test_an_error_is_raised_in_all_that_wait_and_not_kept():
    maker = Maker()
    maker.go.clear()
    maker.broken = True
    kept = HoleCache(maker, 2)
    with ThreadPoolExecutor(3) as pool:
        asked = [pool.submit(kept, HOLES[0]) for _ in range(3)]
        assert maker.started.wait(WAIT)
        sleep(0.05)
        maker.go.set()
        for one in asked:
            with pytest.raises(ValueError, match="not this time"):
                one.result(WAIT)
    failed = len(maker.calls)
    maker.broken = False
    assert kept(HOLES[0]) is kept(HOLES[0])
    assert len(maker.calls) == failed + 1
