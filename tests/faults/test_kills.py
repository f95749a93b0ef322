"""Commands killed at random moments while readers search; a few of them here, 200 by `benchmarks/faults.py`."""

import tempfile
from pathlib import Path

import drivers
import pytest


@pytest.mark.parametrize(
    "command",
    ["index", "add", "compact", *(pytest.param(name, marks=pytest.mark.slow) for name in ("remove", "merge", "tune"))],
)
def test_a_killed_command_loses_nothing_and_disturbs_no_reader(command):
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        done, wrong = drivers.kill(command, 2, seed=7, folder=Path(folder))
    assert done == 2 and not wrong, "\n".join(wrong)
