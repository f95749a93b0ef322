"""Training of all layers on a task. On a CPU, a run that was stopped and resumed ends bit-identical."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ce_retrieval.errors import CheckpointError, TrainingError, counted
from ce_retrieval.models.checkpoint import load_tensors, save_tensors
from ce_retrieval.training.memory import is_out_of_memory
from ce_retrieval.transfer.settings import FineTuning

MOMENTUM, DECAY = 0.9, 5e-4  # as CaffeNet's
KIND = "transfer"  # of a checkpoint


class FineTuner:
    """Stochastic gradient descent. Everything random is a pure function of (seed, step), if it is so of the loss.

    Parameters
    ----------
    network : is trained in place; on its device.
    loss : from the number of a step, from 0, to the loss of that step's photos by `network`.
    settings : FineTuning
    """

    def __init__(self, network: nn.Module, loss: Callable[[int], Tensor], settings: FineTuning) -> None:
        self.network, self.step = network, 0
        self._loss, self._settings = loss, settings
        self._momentum = {name: torch.zeros_like(value) for name, value in network.named_parameters()}

    def run(self, report: Callable[[int, int], None], save: Callable[[FineTuner], None]) -> None:
        """Make the steps that are left, and leave the network in evaluation mode.

        Parameters
        ----------
        report : called with (done, total) after each step.
        save : called after every `checkpoint_every` steps and after the last: measuring may take long, too.

        Raises
        ------
        TrainingError : the loss is not finite, or memory runs out.
        """
        settings = self._settings
        self.network.train()
        try:
            while self.step < settings.steps:
                self._update()
                self.step += 1
                report(self.step, settings.steps)
                if self.step % settings.checkpoint_every == 0 or self.step == settings.steps:
                    save(self)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise TrainingError(
                f"`batch` {settings.batch} does not fit into the memory of {self._device()}: use a smaller one"
            ) from None
        self.network.eval()

    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _update(self) -> None:
        """Make one step."""
        settings = self._settings
        loss = self._loss(self.step)
        if not math.isfinite(value := float(loss.detach())):
            raise TrainingError(
                f"the loss is {value} after {counted(self.step, 'step')}: start a new run with a lower `rate`"
            )
        self.network.zero_grad()
        loss.backward()
        rate = settings.rate * 0.5 ** (8 * self.step // settings.steps)
        with torch.no_grad():
            for name, weights in self.network.named_parameters():
                assert weights.grad is not None
                speed = self._momentum[name].mul_(MOMENTUM).add_(weights.grad).add_(weights, alpha=DECAY)
                weights.sub_(speed, alpha=rate)

    def save(self, path: Path, header: dict[str, Any]) -> None:
        """Write a checkpoint, atomically; StorageError where that is not possible."""
        tensors = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        tensors |= {f"momentum.{name}": value for name, value in self._momentum.items()}
        save_tensors(path, tensors, {"kind": KIND, "step": self.step, **header})

    def load(self, path: Path) -> None:
        """Continue from a checkpoint of the same settings; CheckpointError where it is damaged or of another network."""
        tensors, header = load_tensors(path)
        own = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        own |= {f"momentum.{name}": value for name, value in self._momentum.items()}
        if {name: value.shape for name, value in tensors.items()} != {name: value.shape for name, value in own.items()}:
            raise CheckpointError(f"{path}: its weights are of another network: remove it, and start again")
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(tensors[name])
        self.step = int(header["step"])
