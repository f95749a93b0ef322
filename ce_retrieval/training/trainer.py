"""A training run: draw, update, check the loss, and from time to time validate and save."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import counted
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import load_tensors, restore
from ce_retrieval.models.compression import MOST_PHOTOS
from ce_retrieval.training.clock import Clock
from ce_retrieval.training.config import Engine, Schedule, TrainConfig
from ce_retrieval.training.data import Batches, split_photos
from ce_retrieval.training.divergence import DivergenceGuard
from ce_retrieval.training.holes import HoleMaker, hole_maker
from ce_retrieval.training.learner import Learner
from ce_retrieval.training.memory import is_out_of_memory, out_of_memory_error
from ce_retrieval.training.packed import PackedPhotos
from ce_retrieval.training.run_folder import RunFolder
from ce_retrieval.training.team import Team
from ce_retrieval.training.validation import Validation, metrics_row, resized, save_grid


@dataclass(frozen=True)
class Progress:
    """State of a run after a step.

    Attributes
    ----------
    step : number of steps made.
    photos_per_second : speed of the last half minute, without validations.
    loss : reconstruction loss of the step.
    left : seconds that remain.
    metrics : figures of the validation after this step, or None.
    """

    step: int
    photos_per_second: float
    loss: float
    left: float
    metrics: dict[str, float] | None = None


@dataclass(frozen=True)
class Summary:
    """Result of a run.

    Attributes
    ----------
    steps, seconds : number of steps made, and seconds of training, those before a resume included.
    best_step : step of the best validation: of the least L2, or the last one of a run with an adversary.
    best : figures of that validation.
    weights : file of its weights.
    """

    steps: int
    seconds: float
    best_step: int
    best: dict[str, float]
    weights: Path


def train(
    config: TrainConfig,
    photos: PackedPhotos,
    out: str | Path,
    *,
    device: torch.device,
    held_out: PackedPhotos | None = None,
    shapes: list[np.ndarray] | None = None,
    engine: Engine | None = None,
    schedule: Schedule | None = None,
    resume: bool = False,
    begin_with: str | Path | None = None,
    team: Team | None = None,
    report: Callable[[Progress], None] | None = None,
    warn: Callable[[str], None] | None = None,
) -> Summary:
    """Train a network on packed photos.

    Parameters
    ----------
    config : the run's settings.
    photos : to train on.
    out : folder of the run, see `RunFolder`.
    device : where to train.
    held_out : to validate on; None: a part of `photos`, see `split_photos`.
    shapes : bool arrays of any sizes, object shapes for region holes; None: smooth blobs.
    engine : how a step is computed.
    schedule : when to validate and to save.
    resume : continue from the newest checkpoint in `out`. A run of `steps` then ends bit-identical to one that was never
        interrupted.
    begin_with : file of weights to start from; None: random weights.
    team : the processes of the run; None: this one alone.
    report : called after every step whose losses have been read.
    warn : called before the first step with what makes the figures too good: photos of `held_out` that are trained on.

    Raises
    ------
    SettingsError : the batch does not suit the photos or the processes.
    TrainingError : too few or too small photos; a loss that is not finite or diverges (the last good checkpoint is
        kept); too little memory (the message names the batch that fits); a folder that holds another run or its results,
        or nothing to resume.
    StorageError : a checkpoint cannot be written.
    CheckpointError : the checkpoint to resume from is damaged, or `begin_with` holds another network.
    """
    engine, schedule, team = engine or Engine(), schedule or Schedule(), team or Team()
    folder = RunFolder(out)
    folder.check(resume=resume)
    fingerprint, given = photos.fingerprint, held_out
    if held_out is None:
        photos, held_out = split_photos(photos, config.seed)
    holes = hole_maker(config, device, shapes)
    batches = Batches(photos, config, holes, device, team)
    learner = Learner(config, device, engine, team)
    if begin_with is not None:
        learner.begin_from(load_tensors(begin_with)[0], name=str(begin_with))
    validation = _validation(photos, held_out, holes, schedule, config.seed) if team.leads else None
    with folder.writing() if team.leads else contextlib.nullcontext():
        if team.leads:
            folder.check(resume=resume)  # again: another run may have ended since
        team.wait()  # until the leader holds the folder, and nobody else writes checkpoints
        header = folder.resume(learner, fingerprint) if resume else None
        if team.leads:
            if not (resume and folder.seen.exists()):
                folder.note_photos(photos.pixels)
            if given is not None and warn and (seen := folder.count_seen(given.pixels)):
                warn(
                    f"{seen} of {counted(len(given), 'photo')} to validate on are trained on, too: their figures are too good"
                )
        run = _Run(learner, folder, schedule, fingerprint, validation, elapsed=header["elapsed"] if header else 0.0)
        if header:
            run.best = header["best"]
        with contextlib.closing(batches):
            run.loop(batches, report)
        if team.leads and folder.best.is_file():
            chosen = np.random.default_rng([config.seed, 4]).permutation(len(photos))[:MOST_PHOTOS]
            folder.finish(resized(photos.pixels[np.sort(chosen)], config.network.size), device)
        team.wait()
    return Summary(learner.step, run.clock.elapsed(), run.best["step"], run.best["metrics"], folder.best)


def _validation(
    photos: PackedPhotos, held_out: PackedPhotos, holes: HoleMaker, schedule: Schedule, seed: int
) -> Validation:
    """Return the validation of a run, with a random part of its photos as the gallery."""
    gallery = np.random.default_rng([seed, 3]).permutation(len(photos))[: schedule.gallery]
    return Validation(held_out, photos.pixels[np.sort(gallery)], holes, seed)


class _Run:
    """The loop of a run, its validations and checkpoints, and the choice of the best weights.

    Parameters
    ----------
    learner, folder, schedule : what is trained, where it is saved, and when.
    fingerprint : of the photos; checkpoints store it.
    validation : None in the processes that do not lead.
    elapsed : seconds of training before a resume.
    """

    def __init__(
        self,
        learner: Learner,
        folder: RunFolder,
        schedule: Schedule,
        fingerprint: str,
        validation: Validation | None,
        *,
        elapsed: float,
    ) -> None:
        self.config, self.team, device = learner.config, learner.team, learner.device
        self.learner, self.folder, self.schedule = learner, folder, schedule
        self.fingerprint, self.validation = fingerprint, validation
        self.best: dict[str, Any] = {"step": 0, "metrics": {}}
        self.judged = build_network(self.config.network).to(device, memory_format=torch.channels_last).eval()
        self.guard = DivergenceGuard(learner.step, every=1 if device.type == "cpu" else 20)
        self.clock = Clock(self.config, elapsed=elapsed, team=self.team, device=device)

    def loop(self, batches: Batches, report: Callable[[Progress], None] | None) -> None:
        """Make steps until the run is done."""
        learner, clock, schedule = self.learner, self.clock, self.schedule
        while learner.step == 0 or not clock.done(learner.step):  # a run of no time at all makes one step
            known = self.guard.add(self._update(batches.draw(learner.step)))
            rate = clock.rate(learner.step)
            last = clock.done(learner.step)
            metrics = self._validate() if last or learner.step % schedule.validate_every == 0 else None
            if last or learner.step % schedule.checkpoint_every == 0:
                self._save()
            if report is not None and self.team.leads and (known or metrics):
                report(Progress(learner.step, rate, self.guard.loss, clock.left(learner.step), metrics))
            if metrics is not None:
                clock.rest()

    def _update(self, inputs: tuple[Tensor, Tensor]) -> dict[str, Tensor]:
        """Make one step; TrainingError names the batch that fits where memory runs out."""
        try:
            return self.learner.update(*inputs, self.clock.progress(self.learner.step))
        except (RuntimeError, MemoryError) as error:
            if is_out_of_memory(error):
                raise out_of_memory_error(self.learner, inputs) from None
            raise

    def _header(self) -> dict[str, Any]:
        """Return what a checkpoint stores beside its tensors."""
        return {
            "step": self.learner.step,
            "elapsed": self.clock.elapsed(),
            "training": self.config.to_dict(),
            "photos": self.fingerprint,
            "best": self.best,
        }

    def _validate(self) -> dict[str, float] | None:
        """Measure, write the row and the grid, and keep the weights if they are the best so far."""
        self.guard.check()
        metrics = None
        if self.validation is not None:
            restore(self.judged, self.learner.weights(), name="the weights under training")
            metrics, grid = self.validation.measure(self.judged, fast=self.learner.engine.bf16)
            step = self.learner.step
            self.folder.append_metrics(metrics_row(step, self.clock.elapsed(), self.guard.take_mean(), metrics))
            save_grid(self.folder.samples / f"step-{step:08d}.png", grid)
            self._board(step, metrics)
            # L2 prefers blurred fills, and no figure says which of two sharp ones is better: with an adversary, the newest.
            newest = self.config.adversarial > 0
            if newest or not self.best["metrics"] or metrics["l2"] < self.best["metrics"]["l2"]:
                self.best = {"step": step, "metrics": metrics}
                self.folder.save_best(self.learner, {**self._header(), "metrics": metrics})
        self.team.wait()
        return metrics

    def _save(self) -> None:
        """Write a checkpoint, of finite weights only."""
        self.guard.check()
        # The losses are from before the step; a last one can spoil the weights.
        if not all(bool(value.isfinite().all()) for value in self.learner.weights().values()):
            self.guard.stop("the weights are not finite")
        if self.team.leads:
            self.folder.save(self.learner, self._header())
        self.team.wait()

    def _board(self, step: int, metrics: dict[str, float]) -> None:
        """Write TensorBoard's event file, where TensorBoard is installed."""
        if find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder.path / "tensorboard")) as writer:
            for name, value in metrics.items():
                writer.add_scalar(f"validation/{name}", value, step)
