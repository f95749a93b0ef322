"""Runs of a task over several seeds: what is written and when, and how an unfinished run continues."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ce_retrieval.errors import CheckpointError, LockedIndexError, TrainingError
from ce_retrieval.models.checkpoint import load_tensors
from ce_retrieval.own_files import RESULTS, foreign
from ce_retrieval.photo_index.manifest import library_versions
from ce_retrieval.photo_index.writing import check_outside
from ce_retrieval.pixels import Photo
from ce_retrieval.storage import LOCK, make_folder, writer_lock
from ce_retrieval.training.memory import is_out_of_memory
from ce_retrieval.transfer.crops import as_input, random_crops
from ce_retrieval.transfer.draws import FIRST_CROPS, FIRST_LOSSES, generator_on
from ce_retrieval.transfer.fine_tuning import KIND, FineTuner
from ce_retrieval.transfer.networks.alexnet import AlexNet
from ce_retrieval.transfer.networks.initialisation import initialised, weights_hash
from ce_retrieval.transfer.networks.rescaling import rescale
from ce_retrieval.transfer.results import ResultFiles, SeedResult, same_run
from ce_retrieval.transfer.settings import FineTuning, TransferSettings, parse_initialisation

CHECKPOINT = "checkpoint.safetensors"
RESCALED = 64  # photos by which first weights are rescaled
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Run:
    """What the seeds of a run share.

    Attributes
    ----------
    settings : TransferSettings
    files : where the results go.
    device : where the network runs.
    report : called with (step's text, done, total).
    resumed : whether a seed continues from its checkpoint.
    """

    settings: TransferSettings
    files: ResultFiles
    device: torch.device
    report: Progress
    resumed: bool

    def first_network(
        self, seed: int, *, side: int, classes: int, count: int, pixels: Callable[[NDArray[np.int64]], Photo]
    ) -> AlexNet:
        """Return the network of classification at its start, on the device.

        Parameters
        ----------
        seed : of its random weights.
        side : px of the crops that it takes.
        classes : its outputs.
        count : of training photos.
        pixels : from some of their numbers to uint8 (N, P, P, 3), P >= side; called for RESCALED of them, with `rescale` alone.
        """
        settings = self.settings
        init = parse_initialisation(settings.init)
        network = initialised(init, side=side, units=settings.units, classes=classes, seed=seed).to(self.device)
        if settings.rescale:
            rng = np.random.default_rng([seed, FIRST_CROPS])
            few = pixels(rng.permutation(count)[:RESCALED])
            crops = as_input(random_crops(few, side, rng, mirror=True), self.device)
            rescale(network, crops, generator_on(torch.device("cpu"), seed, FIRST_LOSSES))
        return network

    def fine_tune(self, network: nn.Module, loss: Callable[[int], Tensor], fine_tuning: FineTuning, seed: int) -> None:
        """Train all layers in place; from the seed's checkpoint, where an unfinished run is continued and has one.

        loss : as of `FineTuner`.
        """
        path = self.files.out / CHECKPOINT
        tuner = FineTuner(network, loss, fine_tuning)
        header: dict[str, Any] = {"seed": seed, "about": self.files.about}
        if self.resumed and path.exists() and load_tensors(path)[1]["seed"] == seed:
            tuner.load(path)

        def save(now: FineTuner) -> None:
            self.files.begin()
            now.save(path, header)

        tuner.run(partial(self.report, f"seed {seed}: training"), save)


def run_seeds(
    out: Path,
    about: dict[str, Any],
    settings: TransferSettings,
    one: Callable[[Run, int], SeedResult],
    *,
    device: torch.device,
    resume: bool,
    progress: Progress | None,
) -> list[SeedResult]:
    """Train and measure once for each seed; write results.json and table.md into `out`.

    Parameters
    ----------
    out : folder of the results, and of the checkpoint of an unfinished run.
    about : JSON values that tell the photos of the task.
    settings : TransferSettings
    one : trains and measures one seed.
    device : where the network runs.
    resume : continue the run of `out`, with more seeds too; one that has all of them gives its results.
    progress : called with (step's text, done, total).

    Raises
    ------
    CheckpointError : weights or the checkpoint are missing, damaged or of another network.
    TrainingError : `out` holds a run, or with `resume` another one, more seeds, or none; memory runs out.
    StorageError : `out` cannot be written, or holds files that ceret did not write.
    """
    weights = weights_hash(parse_initialisation(settings.init))
    about = {"task": settings.task, **about, "settings": asdict(settings), "weights_sha256": weights}
    files = ResultFiles(out, about, {"device": str(device), **library_versions(("torch",))})
    files.check()
    check_outside(out / RESULTS)
    with _writing(out):
        done = _to_resume(files, settings) if resume else _start(files)
        run = Run(settings, files, device, progress or (lambda text, done, total: None), resumed=resume)
        for seed in range(settings.seed + len(done), settings.seed + settings.seeds):
            done.append(_learned(one, run, seed))
            files.write(done, settings.seeds)
            (out / CHECKPOINT).unlink(missing_ok=True)
        files.write(done, settings.seeds)
        (out / CHECKPOINT).unlink(missing_ok=True)  # of a run that ended between the two lines above
    return done


def _learned(one: Callable[[Run, int], SeedResult], run: Run, seed: int) -> SeedResult:
    """Return the result of a seed; TrainingError where its network does not fit into memory."""
    try:
        # On a GPU, the quickest way to compute differs from run to run, and with it the last bits.
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True):
            return one(run, seed)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(
            f"a photo and the network do not fit into the memory of {run.device}: use smaller photos or fewer `units`"
        ) from None


@contextlib.contextmanager
def _writing(out: Path) -> Iterator[None]:
    """Make the folder and hold the right to write to it; TrainingError where another process writes.

    Where nothing is written, what was made for it goes again.
    """
    was_there = out.is_dir()
    make_folder(out)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(writer_lock(out))
        except LockedIndexError as error:
            raise TrainingError(str(error)) from None
        try:
            yield
        finally:
            if os.listdir(out) == [LOCK]:
                (out / LOCK).unlink(missing_ok=True)
                if not was_there:
                    out.rmdir()


def _checkpoint_header(out: Path) -> dict[str, Any] | None:
    """Return the header of the checkpoint in a folder, if there is one; StorageError where ceret did not write the file."""
    path = out / CHECKPOINT
    if not os.path.lexists(path) or (path.is_file() and not path.stat().st_size):
        return None
    try:
        header = load_tensors(path)[1]
    except CheckpointError:
        raise foreign(path) from None
    if header.get("kind") != KIND:
        raise foreign(path)
    return header


def _start(files: ResultFiles) -> list[SeedResult]:
    if _checkpoint_header(files.out) or files.complete is False:
        raise TrainingError(f"{files.out} holds an unfinished run: set `resume` to continue it, or use another `out`")
    if files.complete:
        raise TrainingError(f"{files.out} holds the results of a run: set `resume` to add seeds, or use another `out`")
    return []


def _to_resume(files: ResultFiles, settings: TransferSettings) -> list[SeedResult]:
    """Return the seeds that a run has finished; TrainingError where it is another run, or there is none."""
    out, done = files.out, files.finished()
    header = _checkpoint_header(out)
    another_run = "is of another run: resume with the same photos and settings, or use another `out`"
    if header and not same_run(header["about"], files.about):
        raise TrainingError(f"{out / CHECKPOINT} {another_run}")
    if not header and not done:
        if (out / RESULTS).exists():
            raise TrainingError(f"{out / RESULTS} {another_run}")
        raise TrainingError(f"{out} holds nothing to resume: leave out `resume` to start a run, or check `out`")
    if len(done) > settings.seeds:
        raise TrainingError(
            f"{out / RESULTS} has {len(done)} seeds: set `seeds` to {len(done)} or more, or use another `out`"
        )
    return list(done)
