"""What a piece of work costs."""

import os
import subprocess
import sys
import time

import numpy as np
import pytest

from ce_retrieval.evaluation import watch
from ce_retrieval.evaluation.watch import watched


def test_memory_is_that_of_the_work_alone():
    def large():
        return int(np.ones(200 << 20, np.uint8).sum() > 0)

    result, cost = watched(large)
    _, after = watched(lambda: time.sleep(0.05))
    assert result == 1 and cost.seconds > 0
    assert cost.memory - after.memory > 150


def test_other_work_is_told_from_our_own():
    def ours():
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass

    code = "import sys, time; end = time.time() + 20; print(1, flush=True)\nwhile time.time() < end: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        other.stdout.read(1)
        _, cost = watched(lambda: time.sleep(0.5))
        other.kill()
    assert cost.others > 0.3 / os.cpu_count()
    _, alone = watched(ours)
    assert alone.others <= 1 - 0.2 / (alone.seconds * os.cpu_count())


@pytest.mark.parametrize("fault", ["_peak", "_machine_seconds"])
def test_what_the_system_does_not_tell_is_undefined(monkeypatch, fault):
    monkeypatch.setattr(watch, fault, lambda: float("nan"))
    _, cost = watched(lambda: None)
    told = cost._asdict()
    assert np.isnan(told["memory" if fault == "_peak" else "others"]) and cost.seconds >= 0
