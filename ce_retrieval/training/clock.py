"""Progress and speed of a training run."""

from __future__ import annotations

import math
import time

import torch

from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.team import Team

_WINDOW = 30.0  # seconds over which the speed is measured


class Clock:
    """Share of a run that is done, and its speed. Progress counts steps, or minutes including those before a resume.

    Parameters
    ----------
    elapsed : seconds of training before this start.
    team, device : in a run by minutes, all processes follow the time of the leading one.
    """

    def __init__(self, config: TrainConfig, *, elapsed: float, team: Team, device: torch.device) -> None:
        self.config, self.team, self.device = config, team, device
        self._before, self._start = elapsed, time.monotonic()
        self._marks: list[tuple[float, int]] = []
        self._rate = 0.0

    def elapsed(self) -> float:
        """Return the seconds of training, those before a resume included."""
        return self._before + time.monotonic() - self._start

    def progress(self, step: int) -> float:
        """Return the share of the run done after `step` steps, in [0, 1]; the same in every process."""
        if self.config.steps is not None:
            return min(1.0, step / self.config.steps)
        assert self.config.minutes is not None
        return min(1.0, self.team.first(self.elapsed(), self.device) / (60 * self.config.minutes))

    def done(self, step: int) -> bool:
        """Return whether the run ends after `step` steps; the same in every process."""
        return self.progress(step) >= 1

    def rest(self) -> None:
        """Exclude the time since the last `rate` (a validation, a checkpoint) from the speed."""
        self._marks = []

    def rate(self, step: int) -> float:
        """Return the photos per second over about the last half minute; without a new step, the last known value."""
        now = time.monotonic()
        self._marks = [mark for mark in self._marks if now - mark[0] < _WINDOW] or self._marks[-1:]
        self._marks.append((now, step))
        (then, first), (now, last) = self._marks[0], self._marks[-1]
        if last > first:
            self._rate = self.config.batch * (last - first) / (now - then)
        return self._rate

    def left(self, step: int) -> float:
        """Return the seconds that remain after `step` steps at the last `rate`; infinite while that is unknown."""
        if self.config.minutes is not None:
            return max(0.0, 60 * self.config.minutes - self.elapsed())
        assert self.config.steps is not None
        photos = self.config.batch * (self.config.steps - step)
        if photos == 0:
            return 0.0
        return photos / self._rate if self._rate else math.inf
