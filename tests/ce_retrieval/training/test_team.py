"""Two processes with half a batch each follow the loss curve of one with the whole batch."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from training_cases import TINY, make_photos  # noqa: E402

from ce_retrieval.training import preset_config  # noqa: E402
from ce_retrieval.training.config import ENGINES  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import Team, team_of  # noqa: E402

SCRIPT = """
import json, sys
sys.path.insert(0, sys.argv[1])
import torch
torch.set_num_threads(1)
from training_cases import TINY, make_photos
from ce_retrieval.models.checkpoint import tensors_hash
from ce_retrieval.training import preset_config
from ce_retrieval.training.data import Batches
from ce_retrieval.training.config import ENGINES, Schedule
from ce_retrieval.training.holes import hole_maker
from ce_retrieval.training.learner import Learner
from ce_retrieval.training.team import team_of
from ce_retrieval.training.trainer import train
device = torch.device("cpu")
config = preset_config("compact", network=TINY, batch=8, steps=8, warmup=2)
photos = make_photos(40, 40)
with team_of(device) as team:
    learner = Learner(config, device, ENGINES["plain"], team)
    batches = Batches(photos, config, hole_maker(config, device), device, team)
    curve = []
    for step in range(8):
        loss = learner.update(*batches.draw(step), step / 8)["reconstruction"]
        torch.distributed.all_reduce(loss)
        curve.append(float(loss) / team.size)
    found = {"rank": team.rank, "size": team.size, "curve": curve, "weights": tensors_hash(learner.network.state_dict())}
    found["steps"] = train(config, photos, sys.argv[2], device=device, schedule=Schedule(4, 4, 8), team=team).steps
    open(sys.argv[3] + str(team.rank), "w").write(json.dumps(found))
"""


def run(tmp_path, processes):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    root = Path(__file__).resolve().parents[3]
    common = {**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1", "WORLD_SIZE": str(processes)}
    common |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    out = tmp_path / f"result{processes}-"
    arguments = [str(script), str(Path(__file__).parent), str(tmp_path / f"run{processes}"), str(out)]
    started = [
        subprocess.Popen([sys.executable, *arguments], env={**common, "RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in range(processes)
    ]
    assert [process.wait(timeout=120) for process in started] == [0] * processes
    return [json.loads(Path(f"{out}{rank}").read_text()) for rank in range(processes)]


def test_two_processes_have_the_loss_curve_of_one(tmp_path):
    device, config = torch.device("cpu"), preset_config("compact", network=TINY, batch=8, steps=8, warmup=2)
    learner = Learner(config, device, ENGINES["plain"], Team())
    batches = Batches(make_photos(40, 40), config, hole_maker(config, device), device, Team())
    alone = [float(learner.update(*batches.draw(step), step / 8)["reconstruction"]) for step in range(8)]
    first, second = run(tmp_path, 2)
    assert (first["size"], first["rank"], second["rank"]) == (2, 0, 1)
    np.testing.assert_allclose(first["curve"], alone, rtol=1e-4)
    assert first["curve"] == second["curve"] and first["weights"] == second["weights"]
    assert first["steps"] == second["steps"] == 8
    assert len((tmp_path / "run2" / "metrics.csv").read_text().splitlines()) == 3


def test_alone_there_is_nobody_to_talk_to(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with team_of(torch.device("cpu")) as team:
        assert team == Team(0, 1) and team.leads
        assert team.first(2.5, torch.device("cpu")) == 2.5
