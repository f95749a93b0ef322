"""The processes of a run (one, or those that `torchrun` starts) and the device that each uses."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import Tensor, nn

from ce_retrieval.errors import TrainingError


@dataclass(frozen=True)
class Team:
    """This process's number (`rank`) among `size`. A team of one communicates with nobody."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def mean(self, values: Tensor) -> Tensor:
        """The mean of a tensor over the team; a new tensor."""
        if self.size == 1:
            return values
        total = values.clone()
        distributed.all_reduce(total)
        return total / self.size

    def first(self, value: float, device: torch.device) -> float:
        """The value that the leading process has."""
        if self.size == 1:
            return value
        shared = torch.tensor([value], dtype=torch.float64, device=device)
        distributed.broadcast(shared, 0)
        return float(shared.item())

    def average_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace each gradient by its mean over the team."""
        if self.size > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    distributed.all_reduce(parameter.grad)
                    parameter.grad /= self.size

    def wait(self) -> None:
        """Until every process has come here."""
        if self.size > 1:
            distributed.barrier()


def join_team(device: torch.device) -> Team:
    """The team that the environment of `torchrun` describes, or a team of one; `leave_team` ends it."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team()
    distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return Team(distributed.get_rank(), distributed.get_world_size())


def leave_team(team: Team) -> None:
    """End the communication of a team."""
    if team.size > 1:
        distributed.destroy_process_group()


def choose_device(name: str) -> torch.device:
    """ "auto" (a GPU if there is one, else the CPU), "cpu", "cuda" or "cuda:N"; TrainingError when it is not there.

    Under `torchrun`, "auto" and "cuda" give each process the GPU of its local rank.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise TrainingError(f"device {name!r} is unknown: use auto, cpu, cuda or cuda:N") from None
    if device.type == "cpu":
        return device
    if device.type != "cuda":
        raise TrainingError(f"device {name!r} is not supported: use auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise TrainingError(
            f"device {name!r} was asked for, but torch {torch.__version__} sees no GPU: use --device cpu"
        )
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise TrainingError(f"device cuda:{index} is not there: this machine has {torch.cuda.device_count()} GPU(s)")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
