"""The programs beside this file, run in processes of their own: malformed input, and kills while readers search."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(
        map(str, (HERE.parents[1], HERE.parent, HERE, HERE.parent / "ce_retrieval" / "photo_index"))
    ),
    "OMP_NUM_THREADS": "1",
}


def fuzz(what: str, first: int, last: int, folder: Path) -> tuple[int, list[str]]:
    """Return how many cases were tried, and a line or more for each that ceret took wrongly.

    A case that ends the child, or takes it too long, is one of them; another child goes on after it.
    """
    tried, faults = 0, []
    while first < last:
        command = [sys.executable, str(HERE / "fuzz_driver.py"), what, str(first), str(last), str(folder)]
        done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True)
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        begun = [line["begun"] for line in lines if "begun" in line]
        results = [line for line in lines if "case" in line]
        tried += len(results)
        faults += [f"{what} {one['case']} ({one['what']}): {one['fault']}" for one in results if one["fault"]]
        if len(begun) == len(results):
            if done.returncode:
                raise RuntimeError(done.stderr)
            break
        tried += 1
        faults.append(f"{what} {begun[-1]}: the process ended with {done.returncode}: {done.stderr[-2000:]}")
        first = begun[-1] + 1
    return tried, faults


def kill(command: str, kills: int, seed: int, folder: Path) -> tuple[int, list[str]]:
    """Kill a command at so many random moments; return how often that was done, and what was wrong after it."""
    words = [sys.executable, str(HERE / "kill_soak.py"), command, str(kills), str(seed), str(folder)]
    done = subprocess.run(words, env=ENVIRONMENT, capture_output=True, text=True, timeout=120 + 30 * kills)
    if done.returncode:
        raise RuntimeError(done.stderr)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    return len(lines), [f"{command}, kill {number}: {wrong}" for number, line in enumerate(lines) for wrong in line]
