"""A run that was stopped or killed ends, once resumed, bit-identical to one that was not."""

import csv
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_runs import CPU, OFTEN, Stopped, assert_same, final_state, stop_at  # noqa: E402

from ce_retrieval.models import PaperRegionConfig  # noqa: E402
from ce_retrieval.models.checkpoint import load_tensors  # noqa: E402
from ce_retrieval.training import preset_config  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402


@pytest.mark.parametrize("kind", ["compact", "joint", "dropout"])
def test_a_stopped_and_resumed_run_ends_bit_identical(kind, tmp_path, photos, held_out, tiny_config):
    config = tiny_config()
    if kind == "joint":
        config = replace(config, network=replace(config.network, size=64), adversarial=0.01, overlap=7)
    if kind == "dropout":
        config = preset_config("paper-region", network=PaperRegionConfig(size=67), batch=4, steps=4)
    size = config.network.size
    if size != 32:
        photos = replace(photos, pixels=np.repeat(np.repeat(photos.pixels, 2, 1), 2, 2))
        held_out = replace(held_out, pixels=np.repeat(np.repeat(held_out.pixels, 2, 1), 2, 2))
    options = {"device": CPU, "held_out": held_out, "schedule": OFTEN}
    train(config, photos, tmp_path / "whole", **options)
    for stop in (2, 3):
        with pytest.raises(Stopped):
            train(config, photos, tmp_path / "parts", resume=stop > 2, report=stop_at(stop), **options)
    train(config, photos, tmp_path / "parts", resume=True, **options)
    assert_same(final_state(tmp_path / "whole", config.steps), final_state(tmp_path / "parts", config.steps))
    best = [load_tensors(tmp_path / run / "best.safetensors") for run in ("whole", "parts")]
    assert_same(best[0][0], best[1][0])
    assert best[0][1]["metrics"] == best[1][1]["metrics"]
    rows = [
        list(csv.DictReader((tmp_path / run / "metrics.csv").read_text().splitlines())) for run in ("whole", "parts")
    ]
    drop = ("seconds", "loss")  # the mean loss since the last row: a resumed run has not seen all of it
    assert [{k: v for k, v in row.items() if k not in drop} for row in rows[0]] == [
        {k: v for k, v in row.items() if k not in drop} for row in rows[1]
    ]


KILLED = """
import sys
sys.path.insert(0, sys.argv[2])
import torch
torch.set_num_threads(1)
from training_cases import TINY, make_photos
from ce_retrieval.training import preset_config
from ce_retrieval.training.config import Schedule
from ce_retrieval.training.trainer import train
config = preset_config("compact", network=TINY, batch=8, steps=16, warmup=2)
train(config, make_photos(40, 40), sys.argv[1], device=torch.device("cpu"), held_out=make_photos(10, 32, seed=1),
      schedule=Schedule(8, 3, 8), resume=sys.argv[3] == "again", report=lambda now: print(now.step, flush=True))
"""


def test_a_killed_process_resumes_bit_identical(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(KILLED)
    root = Path(__file__).resolve().parents[3]
    environment = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"}

    def start(name, which="first"):
        command = [sys.executable, str(script), str(tmp_path / name), str(Path(__file__).parent), which]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    with start("whole") as process:
        assert process.stdout.read().split()[-1] == "16" and process.wait() == 0
    with start("parts") as process:
        for line in process.stdout:
            if line.strip() == "8":
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    (tmp_path / "parts" / "checkpoints" / ".step-00000009.0123456789abcdef.tmp").mkdir()
    with start("parts", "again") as process:
        assert int(process.stdout.read().split()[0]) <= 10
    assert process.returncode == 0
    assert_same(final_state(tmp_path / "whole", 16), final_state(tmp_path / "parts", 16))
    assert not list((tmp_path / "parts").rglob(".*"))
