"""The processes of a run (one, or those that `torchrun` starts) and the device of each."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.distributed as distributed
from torch import nn

from ce_retrieval.errors import SettingsError, TrainingError, shown


@dataclass(frozen=True)
class Team:
    """Number of a process (`rank`) among `size`. A team of one communicates with no other process."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports."""
        return self.rank == 0

    def first(self, value: float, device: torch.device) -> float:
        """Return the value of the leading process."""
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
        """Return once every process has called this."""
        if self.size > 1:
            distributed.barrier()


@contextlib.contextmanager
def team_of(device: torch.device) -> Iterator[Team]:
    """Open the team that the environment of `torchrun` describes, or a team of one, until the block ends."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield Team()
        return
    distributed.init_process_group(_backend(device))
    try:
        yield Team(distributed.get_rank(), distributed.get_world_size())
    finally:
        distributed.destroy_process_group()


def _backend(device: torch.device) -> str:
    """Return the library that carries tensors between processes; NCCL refuses two processes on one GPU."""
    here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return "nccl" if device.type == "cuda" and here <= torch.cuda.device_count() else "gloo"


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Parameters
    ----------
    name : "auto" (a GPU, or else the CPU), "cpu", "cuda" or "cuda:N". Under `torchrun`, "auto" and "cuda" give each
        process the GPU of its local rank.

    Raises
    ------
    SettingsError : the name is unknown.
    TrainingError : the machine does not have this device.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError:
        raise SettingsError(f"`device` is {shown(name)}: choose auto, cpu, cuda or cuda:N") from None
    if name == "cpu":
        return device
    if device.type != "cuda":
        raise SettingsError(f"`device` is {shown(name)}: choose auto, cpu, cuda or cuda:N")
    if not torch.cuda.is_available():
        raise TrainingError(f"`device` {name} is not there: torch {torch.__version__} sees no GPU; use `device` cpu")
    index = int(os.environ.get("LOCAL_RANK", "0")) if device.index is None else device.index
    if index >= torch.cuda.device_count():
        raise TrainingError(f"`device` cuda:{index} is not there: this machine has {torch.cuda.device_count()} GPU(s)")
    torch.cuda.set_device(index)
    return torch.device("cuda", index)
