"""Runs in processes of their own: one that is killed resumes to the bit; two with half a batch each train as one does."""

import json
import multiprocessing
import os
import signal
import socket

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_cases import TINY, make_photos  # noqa: E402
from training_runs import CPU, DEVICES, assert_same, final_state  # noqa: E402

from ce_retrieval.models.checkpoint import tensors_hash  # noqa: E402
from ce_retrieval.training import Schedule, preset_config  # noqa: E402
from ce_retrieval.training.config import ENGINES  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import Team, team_of  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402


@pytest.fixture(scope="module")
def run_all():
    """A function that runs processes to their end: forks of a server that has loaded torch, and done nothing else."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch._dynamo", "ce_retrieval.training.trainer"])

    def run(function, *calls):
        processes = [context.Process(target=function, args=arguments) for arguments in calls]
        for process in processes:
            process.start()
        for process in processes:
            process.join(120)
        return [process.exitcode for process in processes]

    return run


def train_and_tell(folder, killed_after):
    """Train, from the newest checkpoint of a run that is there; write every step down; be killed after one of them."""
    torch.set_num_threads(1)

    def report(now):
        with open(f"{folder}.steps", "a") as steps:
            print(now.step, file=steps)
        if now.step == killed_after:
            os.kill(os.getpid(), signal.SIGKILL)

    config = preset_config("compact", network=TINY, batch=8, steps=16, warmup=2)
    options = {"device": CPU, "held_out": make_photos(10, 32, seed=1), "schedule": Schedule(8, 3, 8)}
    train(config, make_photos(40, 40), folder, resume=folder.exists(), report=report, **options)


def test_a_killed_process_resumes_bit_identical(tmp_path, run_all):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run_all(train_and_tell, (whole, None)) == [0]
    assert run_all(train_and_tell, (parts, 8)) == [-signal.SIGKILL]
    (parts / "checkpoints" / ".step-00000009.0123456789abcdef.tmp").mkdir()
    assert run_all(train_and_tell, (parts, None)) == [0]
    told = [[int(step) for step in (tmp_path / f"{run}.steps").read_text().split()] for run in ("whole", "parts")]
    # The newest checkpoint of the killed run is that of step 6.
    assert told == [list(range(1, 17)), [*range(1, 9), *range(7, 17)]]
    assert_same(final_state(whole, 16), final_state(parts, 16))
    assert not list(parts.rglob(".*"))


TEAM_CONFIG = preset_config("compact", network=TINY, batch=8, steps=8, warmup=2)


def loss_curve(learner, batches):
    return [learner.update(*batches.draw(step), step / 8)["reconstruction"] for step in range(8)]


def train_in_a_team(rank, port, folder, device):
    """One of two processes, as `torchrun` starts them: a loss curve by hand, then a whole run."""
    torch.set_num_threads(1)
    names = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    os.environ |= dict(zip(names, (str(rank), str(rank), "2", "2", "127.0.0.1", str(port)), strict=True))
    device = torch.device(device)  # on a GPU, both on the same one
    photos = make_photos(40, 40)
    with team_of(device) as team:
        learner = Learner(TEAM_CONFIG, device, ENGINES["plain"], team)
        curve = loss_curve(learner, Batches(photos, TEAM_CONFIG, hole_maker(TEAM_CONFIG, device), device, team))
        for loss in curve:
            torch.distributed.all_reduce(loss)
        found = {"rank": team.rank, "size": team.size, "curve": [float(loss) / team.size for loss in curve]}
        found["weights"] = tensors_hash(learner.network.state_dict())
        found["steps"] = train(
            TEAM_CONFIG, photos, folder / "run", device=device, schedule=Schedule(4, 4, 8), team=team
        ).steps
    (folder / f"{rank}.json").write_text(json.dumps(found))


@pytest.mark.parametrize("device", DEVICES)
def test_two_processes_have_the_loss_curve_of_one(tmp_path, run_all, device):
    place = torch.device(device)
    learner = Learner(TEAM_CONFIG, place, ENGINES["plain"], Team())
    batches = Batches(make_photos(40, 40), TEAM_CONFIG, hole_maker(TEAM_CONFIG, place), place, Team())
    alone = [float(loss) for loss in loss_curve(learner, batches)]
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    assert run_all(train_in_a_team, *((rank, port, tmp_path, device) for rank in range(2))) == [0, 0]
    first, second = (json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(2))
    assert (first["size"], first["rank"], second["rank"]) == (2, 0, 1)
    np.testing.assert_allclose(first["curve"], alone, rtol=1e-4 if device == "cpu" else 1e-3)
    assert first["curve"] == second["curve"] and first["weights"] == second["weights"]
    assert first["steps"] == second["steps"] == 8
    assert len((tmp_path / "run" / "metrics.csv").read_text().splitlines()) == 3


def test_alone_there_is_nobody_to_talk_to(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with team_of(CPU) as team:
        assert team == Team(0, 1) and team.leads
        assert team.first(2.5, CPU) == 2.5
