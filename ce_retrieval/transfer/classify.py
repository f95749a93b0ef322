"""Classification: how well a network with some first weights learns which classes photos show."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ce_retrieval.pixels import Photo
from ce_retrieval.training.data import Order
from ce_retrieval.transfer.crops import as_input, averaged_outputs, random_crops
from ce_retrieval.transfer.draws import DROPOUT, TRAINING_CROPS, generator_on
from ce_retrieval.transfer.losses import classification_loss
from ce_retrieval.transfer.networks.alexnet import AlexNet
from ce_retrieval.transfer.probe import LinearProbe, probed_features
from ce_retrieval.transfer.results import SeedResult, measured
from ce_retrieval.transfer.runs import Progress, Run, run_seeds
from ce_retrieval.transfer.sets.class_labels import LabelledPhotos, Task, open_task
from ce_retrieval.transfer.settings import ClassificationSettings

_AT_ONCE = 64  # photos that are decoded between two reports


def classify(
    data: str | Path,
    out: str | Path,
    settings: ClassificationSettings,
    *,
    val: str | Path | None = None,
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
    say_passed_over: Callable[[Sequence[tuple[str, str]]], None] | None = None,
) -> list[SeedResult]:
    """Train on photos and measure others, once for each seed; write results.json and table.md into `out`.

    Parameters
    ----------
    data, val : as of `class_labels.open_task`.
    out, device, resume, progress : as of `runs.run_seeds`.
    settings : ClassificationSettings
    say_passed_over : called before the training with (path, line) for each kind of file that was not taken for a photo.

    Returns
    -------
    The seeds' results.

    Raises
    ------
    SettingsError : settings do not suit the photos.
    SourceError, PhotoError : the photos or their labels cannot be read.
    TrainingError : the loss is not finite; memory runs out; as `runs.run_seeds`.
    CheckpointError, StorageError : as `runs.run_seeds`.
    """
    out = Path(out)
    with open_task(data, val, apart=[out]) as task:
        if say_passed_over and task.passed_over:
            say_passed_over(task.passed_over)
        about = {
            "data": str(data),
            "val": None if val is None else str(val),
            "photos": task.fingerprint,
            "test_photos": len(task.test),
        }
        one = partial(_one_seed, task, settings)
        return run_seeds(out, about, settings, one, device=device, resume=resume, progress=progress)


def _one_seed(task: Task, settings: ClassificationSettings, run: Run, seed: int) -> SeedResult:
    rows = task.chosen(settings.labels, seed)
    if settings.fine_tuning is None:
        scores = _probed(task, settings, run, rows, seed)
    else:
        scores = _fine_tuned(task, settings, run, rows, seed)
    return measured(task, scores.numpy(), seed=seed, photos=len(rows))


def _probed(task: Task, settings: ClassificationSettings, run: Run, rows: NDArray[np.int64], seed: int) -> Tensor:
    """Return the scores of a probe on a layer; the features of each photo are computed once."""

    def pixels(few: NDArray[np.int64]) -> Photo:
        return task.train.pixels(rows[few], settings.decoded_side)

    network = _first_network(task, settings, run, seed, len(rows), pixels)
    compute = probed_features(network.trunk, settings.layer)
    features = _outputs(compute, task.train, rows, settings, run, f"seed {seed}: training photos")
    probe = LinearProbe(features, torch.from_numpy(task.train.targets[rows]), len(task.classes))
    every = np.arange(len(task.test))
    return probe.scores(_outputs(compute, task.test, every, settings, run, f"seed {seed}: testing"))


def _fine_tuned(task: Task, settings: ClassificationSettings, run: Run, rows: NDArray[np.int64], seed: int) -> Tensor:
    """Return the scores of a network whose layers have all been trained; its photos are in memory."""
    assert settings.fine_tuning is not None
    pixels = _decoded(task.train, rows, settings.decoded_side, partial(run.report, f"seed {seed}: decoding"))
    targets = torch.from_numpy(task.train.targets[rows])
    network = _first_network(task, settings, run, seed, len(rows), lambda few: pixels[few])
    order = Order(len(rows), settings.fine_tuning.batch, seed)

    def loss(step: int) -> Tensor:
        chosen = order.rows(step, torch.device("cpu")).numpy()
        rng = np.random.default_rng([seed, step, TRAINING_CROPS])
        photos = as_input(random_crops(pixels[chosen], settings.size, rng, mirror=True), run.device)
        scores = network(photos, generator_on(run.device, seed, step, DROPOUT))
        return classification_loss(scores, targets[chosen].to(run.device))

    run.fine_tune(network, loss, settings.fine_tuning, seed)
    return _outputs(network, task.test, np.arange(len(task.test)), settings, run, f"seed {seed}: testing")


def _first_network(
    task: Task,
    settings: ClassificationSettings,
    run: Run,
    seed: int,
    count: int,
    pixels: Callable[[NDArray[np.int64]], Photo],
) -> AlexNet:
    return run.first_network(seed, side=settings.size, classes=len(task.classes), count=count, pixels=pixels)


def _decoded(photos: LabelledPhotos, rows: NDArray[np.int64], side: int, report: Callable[[int, int], None]) -> Photo:
    pixels = np.empty((len(rows), side, side, 3), np.uint8)
    for start in range(0, len(rows), _AT_ONCE):
        part = rows[start : start + _AT_ONCE]
        pixels[start : start + len(part)] = photos.pixels(part, side)
        report(start + len(part), len(rows))
    return pixels


def _outputs(
    compute: Callable[[Tensor], Tensor],
    photos: LabelledPhotos,
    rows: NDArray[np.int64],
    settings: ClassificationSettings,
    run: Run,
    text: str,
) -> Tensor:
    sides = {"decoded_side": settings.decoded_side, "side": settings.size, "crops": settings.crops}
    return averaged_outputs(compute, photos, rows, **sides, device=run.device, report=partial(run.report, text))
