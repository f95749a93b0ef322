"""Stop of a run whose loss is not finite or diverges."""

from __future__ import annotations

import math
from typing import NoReturn

import torch
from torch import Tensor

from ce_retrieval.errors import TrainingError

_SETTLED = 50
_DIVERGED = 10.0


class DivergenceGuard:
    """Reads the losses of a run and stops it when one is not finite or when the loss diverges.

    A run diverges when its smoothed reconstruction loss reaches 10 times the least value since the 50th step.

    Parameters
    ----------
    step : number of the last step before the first loss.
    every : losses are read from the device once in this many steps: reading waits for the device.

    Attributes
    ----------
    loss : the last reconstruction loss that was read; nan before the first.
    """

    def __init__(self, step: int, *, every: int) -> None:
        self.loss = math.nan
        self.every = every
        self._step = step
        self._pending: list[dict[str, Tensor]] = []
        self._smooth = self._least = math.nan
        self._seen = 0
        self._sum, self._count = 0.0, 0

    def add(self, losses: dict[str, Tensor]) -> bool:
        """Take the losses of the next step; return whether they have been read. Raises as `check` does."""
        self._pending.append(losses)
        if len(self._pending) < self.every:
            return False
        self.check()
        return True

    def check(self) -> None:
        """Read the pending losses; TrainingError names the first step whose loss is not finite or diverges."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        names = list(pending[0])
        rows = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in pending]).tolist()
        for row in rows:
            self._step += 1
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    self.stop(f"the {name} loss is {value}")
            self._take(row[names.index("reconstruction")])

    def _take(self, loss: float) -> None:
        """Add one loss to the means, and stop the run if they show that it diverges."""
        self.loss = loss
        self._sum, self._count = self._sum + loss, self._count + 1
        self._smooth = loss if math.isnan(self._smooth) else 0.95 * self._smooth + 0.05 * loss
        self._seen += 1
        if self._seen < _SETTLED:
            return
        self._least = self._smooth if math.isnan(self._least) else min(self._least, self._smooth)
        if self._smooth > _DIVERGED * self._least:
            self.stop(f"the loss diverges ({self._smooth:.4g}, it was {self._least:.4g})")

    def stop(self, reason: str) -> NoReturn:
        """Raise the TrainingError that ends the run."""
        raise TrainingError(
            f"step {self._step}: {reason}; training stopped, the last good checkpoint is kept: "
            "start a new run with a lower `rate`, from the weights of that checkpoint (`begin_with`)"
        )

    def take_mean(self) -> float:
        """Return the mean reconstruction loss since the last call."""
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean
