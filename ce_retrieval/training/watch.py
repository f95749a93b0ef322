"""Eyes on a run: how far it is, and whether its loss is still one."""

from __future__ import annotations

import math
import time

import torch
from torch import Tensor

from ce_retrieval.errors import TrainingError
from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.team import Team

_SETTLED = 50
_DIVERGED = 10.0


class Clock:
    """How far a run is: by steps, or by minutes over all its sittings. elapsed: seconds of the sittings before."""

    def __init__(self, config: TrainConfig, *, elapsed: float, team: Team, device: torch.device) -> None:
        self.config, self.team, self.device = config, team, device
        self._before, self._start = elapsed, time.monotonic()
        self._marks: list[tuple[float, int]] = []
        self._rate = 0.0

    def elapsed(self) -> float:
        """Seconds of training, those before a resume included."""
        return self._before + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """The share of the run that is behind step `step`, in [0, 1]; the same in every process."""
        if self.config.steps is not None:
            return min(1.0, step / self.config.steps)
        assert self.config.minutes is not None
        return min(1.0, self.team.first(self.elapsed(), self.device) / (60 * self.config.minutes))

    def done(self, step: int) -> bool:
        """Whether the run is over after `step` steps; the same in every process."""
        return self.progress(step) >= 1

    def rest(self) -> None:
        """Leave what has passed since the last `rate` (a validation, a checkpoint) out of the next."""
        self._marks = []

    def rate(self, step: int) -> float:
        """Photos a second over the last half minute or so; the last known where there is nothing to measure."""
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if now - mark[0] < 30] or self._marks[-1:]
        self._marks.append((now, step))
        (then, first), (now, last) = self._marks[0], self._marks[-1]
        if last > first:
            self._rate = self.config.batch * (last - first) / (now - then)
        return self._rate

    def times(self, step: int) -> tuple[float, float]:
        """(seconds of training so far, seconds left at the last `rate`)."""
        elapsed = self.elapsed()
        if self.config.minutes is not None:
            return elapsed, max(0.0, 60 * self.config.minutes - elapsed)
        assert self.config.steps is not None
        photos = self.config.batch * (self.config.steps - step)
        return elapsed, photos / self._rate if photos and self._rate else math.inf if photos else 0.0


class Watch:
    """Stops a run whose loss is not finite or diverges. Losses are read from the device every `every` steps at once.

    Diverging: the smoothed reconstruction loss is 10 times the least that it has been since its 50th step.
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
        """Take the losses of the next step; True when they have been read. TrainingError as in `check`."""
        self._pending.append(losses)
        if len(self._pending) < self.every:
            return False
        self.check()
        return True

    def check(self) -> None:
        """Read what is pending; TrainingError names the first step whose loss is not finite or diverges."""
        pending, self._pending = self._pending, []
        if not pending:
            return
        names = list(pending[0])
        rows = torch.stack([torch.stack([losses[name].float() for name in names]) for losses in pending]).tolist()
        for row in rows:
            self._step += 1
            for name, value in zip(names, row, strict=True):
                if not math.isfinite(value):
                    self._stop(f"the {name} loss is {value}")
            self._take(row[names.index("reconstruction")])

    def _take(self, loss: float) -> None:
        self.loss = loss
        self._sum, self._count = self._sum + loss, self._count + 1
        self._smooth = loss if math.isnan(self._smooth) else 0.95 * self._smooth + 0.05 * loss
        self._seen += 1
        if self._seen < _SETTLED:
            return
        self._least = self._smooth if math.isnan(self._least) else min(self._least, self._smooth)
        if self._smooth > _DIVERGED * self._least:
            self._stop(f"the loss diverges ({self._smooth:.4g}, it was {self._least:.4g})")

    def _stop(self, what: str) -> None:
        raise TrainingError(
            f"step {self._step}: {what}; training stopped, the last good checkpoint is kept: "
            "resume with a lower --rate or another --seed"
        )

    def mean(self) -> float:
        """The mean reconstruction loss since the last call."""
        mean = self._sum / self._count if self._count else math.nan
        self._sum, self._count = 0.0, 0
        return mean
