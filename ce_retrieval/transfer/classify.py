"""Classification: how well a network with some first weights learns which classes photos show."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from ce_retrieval.errors import LockedIndexError, TrainingError
from ce_retrieval.models.checkpoint import load_tensors
from ce_retrieval.own_files import RESULTS
from ce_retrieval.pixels import Photo
from ce_retrieval.storage import make_folder, writer_lock
from ce_retrieval.transfer.alexnet import AlexNet
from ce_retrieval.transfer.crops import as_input, averaged_outputs, random_crops
from ce_retrieval.transfer.fine_tuning import KIND, FineTuner
from ce_retrieval.transfer.initialisation import initialised, weights_hash
from ce_retrieval.transfer.labelled import LabelledPhotos, Progress, Task, open_task
from ce_retrieval.transfer.probe import LinearProbe
from ce_retrieval.transfer.rescaling import rescale
from ce_retrieval.transfer.results import ResultFiles, SeedResult, measured
from ce_retrieval.transfer.settings import TransferSettings, parse_initialisation

CHECKPOINT = "checkpoint.safetensors"
_RESCALED = 64  # photos by which first weights are rescaled
_CROPS, _LOSSES = 15, 16  # tell these draws from others of the same seed


def classify(
    data: str | Path,
    out: str | Path,
    settings: TransferSettings,
    *,
    val: str | Path | None = None,
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[SeedResult]:
    """Train on photos and measure others, once for each seed; write results.json and table.md into `out`.

    Parameters
    ----------
    data, val : as of `labelled.open_task`.
    out : folder of the results, and of the checkpoint of an unfinished run.
    settings : TransferSettings
    device : where the network runs.
    resume : continue the unfinished run of `out`; one that has ended gives its results.
    progress : called with (step's text, done, total).

    Returns
    -------
    The seeds' results.

    Raises
    ------
    SettingsError : settings do not suit the photos.
    SourceError, PhotoError : the photos or their labels cannot be read.
    CheckpointError : weights or the checkpoint are missing, damaged or of another network.
    TrainingError : `out` holds an unfinished run, another one, or nothing to resume; the loss is not finite; memory runs out.
    StorageError : `out` cannot be written, or holds files that ceret did not write.
    """
    out = Path(out)
    report = progress or (lambda text, done, total: None)
    with open_task(data, val, apart=[out]) as task:
        about = {
            "task": "classify",
            "data": str(data),
            "val": None if val is None else str(val),
            "photos": task.fingerprint,
            "test_photos": len(task.test),
            "settings": asdict(settings),
            "weights_sha256": weights_hash(parse_initialisation(settings.init)),
        }
        files = ResultFiles(out, about)
        files.check()
        with _writing(out):
            done = _to_resume(out, files, settings) if resume else _start(out, files)
            run = _Run(task, settings, files, device, report)
            for seed in range(settings.seed + len(done), settings.seed + settings.seeds):
                done.append(run.seed(seed, go_on=resume))
                files.write(done, settings.seeds)
                (out / CHECKPOINT).unlink(missing_ok=True)
            files.write(done, settings.seeds)
    return done


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Make the folder and hold the right to write to it; TrainingError where another process writes."""
    make_folder(out)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(out))
        except LockedIndexError as error:
            raise TrainingError(str(error)) from None
        yield


def _start(out: Path, files: ResultFiles) -> list[SeedResult]:
    if (out / CHECKPOINT).exists() or files.are_of_unfinished_run():
        raise TrainingError(f"{out} holds an unfinished run: set `resume` to continue it, or use another `out`")
    return []


def _to_resume(out: Path, files: ResultFiles, settings: TransferSettings) -> list[SeedResult]:
    """Return the seeds that a run has finished; TrainingError where it is another run, or there is none."""
    path, done = out / CHECKPOINT, files.finished()
    if path.exists():
        header = load_tensors(path)[1]
        if header.get("kind") != KIND or header["about"] != files.about:
            raise TrainingError(
                f"{path} is of another run: resume with the same photos and settings, or use another `out`"
            )
    elif not done:
        what = f"{out / RESULTS} is of another run" if (out / RESULTS).exists() else f"{out} holds nothing to resume"
        raise TrainingError(f"{what}: leave out `resume` to start a run, or check `out` and the settings")
    return list(done)[: settings.seeds]


@dataclass(frozen=True)
class _Run:
    """What the seeds of a run share."""

    task: Task
    settings: TransferSettings
    files: ResultFiles
    device: torch.device
    report: Callable[[str, int, int], None]

    def seed(self, seed: int, *, go_on: bool) -> SeedResult:
        """Train and measure; go_on: from the checkpoint, where there is one of this seed."""
        task, settings = self.task, self.settings
        rows = task.chosen(settings.labels, seed)
        pixels = self._pixels(rows, seed)
        # On a GPU, the quickest way to compute differs from run to run, and with it the last bits.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            network = self._network(pixels, seed)
            if settings.fine_tuning is None:
                scores = self._probed(network, rows, seed)
            else:
                self._fine_tune(network, pixels, rows, seed, go_on)
                scores = self._outputs(network, task.test, np.arange(len(task.test)), f"seed {seed}: testing")
        return measured(task, scores.numpy(), seed=seed, photos=len(rows))

    def _pixels(self, rows: np.ndarray, seed: int) -> Photo:
        """Return the photos to learn from; for a probe, which reads them once more, those by which weights are rescaled."""
        settings = self.settings
        if settings.fine_tuning is None:
            rows = np.random.default_rng([seed, _CROPS]).permutation(rows)[: _RESCALED if settings.rescale else 0]
        side, text = settings.decoded_side, f"seed {seed}: decoding"
        pixels = np.empty((len(rows), side, side, 3), np.uint8)
        for start in range(0, len(rows), _RESCALED):
            part = rows[start : start + _RESCALED]
            pixels[start : start + len(part)] = self.task.train.pixels(part, side)
            self.report(text, start + len(part), len(rows))
        return pixels

    def _network(self, pixels: Photo, seed: int) -> AlexNet:
        """Return the network at its start, on the device."""
        settings = self.settings
        classes = len(self.task.classes)
        init = parse_initialisation(settings.init)
        network = initialised(init, side=settings.size, units=settings.units, classes=classes, seed=seed).to(
            self.device
        )
        if settings.rescale:
            rng = np.random.default_rng([seed, _CROPS])
            few = pixels[rng.permutation(len(pixels))[:_RESCALED]]
            crops = as_input(random_crops(few, settings.size, rng, mirror=True), self.device)
            number = np.random.default_rng([seed, _LOSSES]).integers(2**62)
            rescale(network, crops, Generator().manual_seed(int(number)))
        return network

    def _fine_tune(self, network: AlexNet, pixels: Photo, rows: np.ndarray, seed: int, go_on: bool) -> None:
        settings, path = self.settings, self.files.out / CHECKPOINT
        assert settings.fine_tuning is not None
        targets = torch.from_numpy(self.task.train.targets[rows])
        tuner = FineTuner(network, pixels, targets, side=settings.size, settings=settings.fine_tuning, seed=seed)
        header: dict[str, Any] = {"seed": seed, "about": self.files.about}
        if go_on and path.exists() and load_tensors(path)[1]["seed"] == seed:
            tuner.load(path)
        tuner.run(partial(self.report, f"seed {seed}: training"), lambda now: now.save(path, header))

    def _probed(self, network: AlexNet, rows: np.ndarray, seed: int) -> Tensor:
        """Return the scores of a probe on pool5; the features of each photo are computed once."""
        task = self.task
        features = self._outputs(network.features, task.train, rows, f"seed {seed}: training photos")
        probe = LinearProbe(features, torch.from_numpy(task.train.targets[rows]), len(task.classes))
        every = np.arange(len(task.test))
        return probe.scores(self._outputs(network.features, task.test, every, f"seed {seed}: testing"))

    def _outputs(
        self, compute: Callable[[Tensor], Tensor], photos: LabelledPhotos, rows: np.ndarray, text: str
    ) -> Tensor:
        settings = self.settings
        sides = {"decoded_side": settings.decoded_side, "side": settings.size, "crops": settings.crops}
        return averaged_outputs(compute, photos, rows, **sides, device=self.device, report=partial(self.report, text))
