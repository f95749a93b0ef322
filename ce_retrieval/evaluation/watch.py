"""What a piece of work costs: its time, the most memory, and how much of the machine other work took meanwhile."""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, TypeVar

BUSY = 0.1  # of the cores: with more taken by other work, times are upper bounds

Result = TypeVar("Result")


class Cost(NamedTuple):
    """What a piece of work cost.

    Attributes
    ----------
    seconds : float
        Wall clock.
    memory : float
        Most resident memory of the whole process meanwhile, MB; NaN where the system does not tell.
    others : float
        Share of all cores that other processes took, in [0, 1]; NaN where the system does not tell.
    """

    seconds: float
    memory: float
    others: float


def watched(work: Callable[[], Result]) -> tuple[Result, Cost]:
    """Do a piece of work; return its result and its cost. Linux tells memory and other work, other systems do not."""
    resets = _reset_peak()
    machine, own, start = _machine_seconds(), _own_seconds(), time.perf_counter()
    result = work()
    seconds = time.perf_counter() - start
    others = (_machine_seconds() - machine) - (_own_seconds() - own)
    share = others / (max(seconds, 1e-9) * (os.cpu_count() or 1))
    memory = _peak() if resets else float("nan")
    return result, Cost(seconds, memory, share if share != share else min(1.0, max(0.0, share)))


def _reset_peak() -> bool:
    """Let the peak of resident memory begin anew; return whether the system can (proc(5), clear_refs)."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def _peak() -> float:
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return float("nan")
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), float("nan"))


def _machine_seconds() -> float:
    """Return the processor time that all processes have taken, NaN where the system does not tell (proc(5), stat)."""
    try:
        fields = [int(field) for field in Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
    except (OSError, ValueError, IndexError):
        return float("nan")
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = fields
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def _own_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
