"""The training loop: draw, update, watch, and now and then validate and save."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ce_retrieval.errors import TrainingError
from ce_retrieval.models.build import build_network
from ce_retrieval.models.checkpoint import load_tensors, restore
from ce_retrieval.models.compression import MOST_PHOTOS
from ce_retrieval.models.config import PaperCenterConfig
from ce_retrieval.training.config import TrainConfig
from ce_retrieval.training.data import Batches, split_photos
from ce_retrieval.training.holes import HoleMaker, shape_bank
from ce_retrieval.training.learner import Engine, Learner
from ce_retrieval.training.memory import is_out_of_memory, out_of_memory_error
from ce_retrieval.training.packing import PackedPhotos
from ce_retrieval.training.run_folder import RunFolder
from ce_retrieval.training.team import Team
from ce_retrieval.training.validation import Validation, metrics_row, resized, save_grid
from ce_retrieval.training.watch import Clock, Watch


@dataclass(frozen=True)
class Progress:
    """What a run tells while it goes on. metrics: of a validation that has just been made, else None."""

    step: int
    photos_per_second: float
    loss: float
    elapsed: float
    left: float
    metrics: dict[str, float] | None = None


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    best: metrics of the best validation (least L2; with an adversary, the last); weights: the file of its weights.
    """

    steps: int
    seconds: float
    best_step: int
    best: dict[str, float]
    weights: Path


@dataclass(frozen=True)
class Schedule:
    """Steps between validations and between checkpoints, and how many photos the validation retrieves from."""

    validate_every: int = 500
    checkpoint_every: int = 250
    gallery: int = 1024


def hole_maker(config: TrainConfig, device: torch.device, shapes: list[np.ndarray] | None = None) -> HoleMaker:
    """The holes of a run; a network that predicts the centre only gets its overlap band from inside that centre."""
    margin = config.overlap if isinstance(config.network, PaperCenterConfig) else 0
    bank = shape_bank(shapes, config.seed) if shapes is not None else None
    return HoleMaker(config.masks, config.network.size, device, bank=bank, margin=margin, mix=config.mix)


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
) -> Summary:
    """Train a network on packed photos; everything that comes of it is in the folder `out` (see `RunFolder`).

    held_out: photos to validate on, by default a part of `photos` (`split_photos`). shapes: object masks for region
    holes. resume: go on from the newest checkpoint in `out`; a run of so many steps then ends exactly as if it had
    never been interrupted. begin_with: a file of weights to start from, instead of random
    ones. report: called after every step whose losses are known.

    Raises TrainingError: too few or too small photos, a loss that is not finite or diverges (the last good checkpoint is
    kept), no memory (it names the batch that fits), a folder that holds another run. StorageError: a checkpoint cannot
    be written. CheckpointError: the one to resume from is damaged.
    """
    engine, schedule, team = engine or Engine(), schedule or Schedule(), team or Team()
    folder = RunFolder(out)
    if not resume and folder.newest() is not None:
        raise TrainingError(f"{folder.path} already holds a run: add --resume to go on with it, or give another --out")
    fingerprint = photos.fingerprint
    if held_out is None:
        photos, held_out = split_photos(photos, config.seed)
    holes = hole_maker(config, device, shapes)
    batches = Batches(photos, config, holes, device, team)
    learner = Learner(config, device, engine, team)
    if begin_with is not None:
        learner.begin_from(load_tensors(begin_with)[0], name=str(begin_with))
    header = folder.resume(learner, fingerprint) if resume else None
    run = _Run(config, learner, folder, fingerprint, header, team)
    if team.leads:
        gallery = np.random.default_rng([config.seed, 3]).permutation(len(photos))[: schedule.gallery]
        size = config.network.size
        run.validation = Validation(held_out, photos.pixels[np.sort(gallery)], size, holes, device, config.seed)
    run.watch = watch = Watch(learner.step, every=1 if device.type == "cpu" else 20)
    clock = Clock(config, elapsed=header["elapsed"] if header else 0.0, team=team, device=device)
    try:
        while not clock.done(learner.step):
            inputs = batches.draw(learner.step)
            try:
                losses = learner.update(*inputs, clock.progress(learner.step))
            except (RuntimeError, MemoryError) as error:
                if is_out_of_memory(error):
                    raise out_of_memory_error(learner, inputs) from None
                raise
            known = watch.add(losses)
            rate = clock.rate(learner.step)
            last = clock.done(learner.step)
            metrics = run.validate(clock) if last or learner.step % schedule.validate_every == 0 else None
            if last or learner.step % schedule.checkpoint_every == 0:
                run.save(clock)
            if report is not None and team.leads and (known or metrics):
                report(Progress(learner.step, rate, watch.loss, *clock.times(learner.step), metrics))
            if metrics is not None:
                clock.rest()
    finally:
        batches.close()
    if team.leads and folder.best.is_file():
        chosen = np.random.default_rng([config.seed, 4]).permutation(len(photos))[:MOST_PHOTOS]
        folder.finish(resized(photos.pixels[np.sort(chosen)], config.network.size), device)
    team.wait()
    return Summary(learner.step, clock.elapsed(), run.best["step"], run.best["metrics"], folder.best)


class _Run:
    """What the loop hands over to: validation, checkpoints and the choice of the best weights."""

    def __init__(
        self,
        config: TrainConfig,
        learner: Learner,
        folder: RunFolder,
        fingerprint: str,
        header: dict[str, Any] | None,
        team: Team,
    ) -> None:
        self.config, self.learner, self.folder, self.team = config, learner, folder, team
        self.fingerprint = fingerprint
        self.best: dict[str, Any] = header["best"] if header else {"step": 0, "metrics": {}}
        self.validation: Validation | None = None
        self.watch: Watch
        self.judged = build_network(config.network).to(learner.device, memory_format=torch.channels_last).eval()

    def header(self, elapsed: float) -> dict[str, Any]:
        return {
            "step": self.learner.step,
            "elapsed": elapsed,
            "training": self.config.to_dict(),
            "photos": self.fingerprint,
            "best": self.best,
        }

    def validate(self, clock: Clock) -> dict[str, float] | None:
        """Measure, write the row and the grid, and keep the weights if they are the best so far."""
        self.watch.check()
        metrics = None
        if self.validation is not None:
            restore(self.judged, self.learner.weights(), name="the weights under training")
            metrics, grid = self.validation.measure(self.judged, fast=self.learner.engine.bf16)
            step = self.learner.step
            self.folder.append_metrics(metrics_row(step, clock.elapsed(), self.watch.mean(), metrics))
            save_grid(self.folder.path / "samples" / f"step-{step:08d}.png", grid)
            self._board(step, metrics)
            # No figure tells which of two sharp fills is better, and L2 prefers the blurred: with an adversary, the newest.
            newest = self.config.adversarial > 0
            if newest or not self.best["metrics"] or metrics["l2"] < self.best["metrics"]["l2"]:
                self.best = {"step": step, "metrics": metrics}
                self.folder.save_best(self.learner, {**self.header(clock.elapsed()), "metrics": metrics})
        self.team.wait()
        return metrics

    def save(self, clock: Clock) -> None:
        """Write a checkpoint, of finite weights only."""
        self.watch.check()
        if self.team.leads:
            self.folder.save(self.learner, self.header(clock.elapsed()))
        self.team.wait()

    def _board(self, step: int, metrics: dict[str, float]) -> None:
        """TensorBoard's event file, where TensorBoard is installed."""
        from importlib.util import find_spec

        if find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        with SummaryWriter(str(self.folder.path / "tensorboard")) as writer:
            for name, value in metrics.items():
                writer.add_scalar(f"validation/{name}", value, step)
