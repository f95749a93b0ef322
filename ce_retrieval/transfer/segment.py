"""Segmentation: how well a network with some first weights learns the class of each pixel."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as functional
from torch import Tensor

from ce_retrieval.errors import EvaluationError
from ce_retrieval.training.data import Order
from ce_retrieval.transfer.crops import as_input
from ce_retrieval.transfer.draws import DROPOUT, FIRST_SCORES, MIRRORS, generator_on
from ce_retrieval.transfer.networks.fcn import FullyConvolutional
from ce_retrieval.transfer.networks.stages import SIDE
from ce_retrieval.transfer.results import SeedResult, percent
from ce_retrieval.transfer.runs import Progress, Run, run_seeds
from ce_retrieval.transfer.sets.pixel_labels import TEST, TRAIN, MaskedPhotos
from ce_retrieval.transfer.sets.voc import VOID
from ce_retrieval.transfer.sets.voc_objects import CLASSES
from ce_retrieval.transfer.sets.voc_photos import GREY, check_apart, fingerprint, stacked
from ce_retrieval.transfer.settings import SegmentationSettings
from ce_retrieval.transfer.voc_measures import ConfusionMatrix, check_numbers

NAMES = ("background", *CLASSES)
_CPU = torch.device("cpu")


def segment(
    data: str | Path,
    out: str | Path,
    settings: SegmentationSettings,
    *,
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[SeedResult]:
    """Train on the photos of `train` and measure those of `val`, once for each seed; write results.json and table.md into `out`.

    Parameters
    ----------
    data : a folder of PASCAL VOC.
    out, device, resume, progress : as of `runs.run_seeds`.
    settings : SegmentationSettings

    Returns
    -------
    The seeds' results: the mean IU, and the share of pixels whose class is right. Pixels that are VOID do not count.

    Raises
    ------
    SettingsError : there are fewer photos than a batch needs.
    SourceError, PhotoError : photos, masks or sets cannot be read, or a photo is in both sets.
    TrainingError : the loss is not finite; memory runs out; as `runs.run_seeds`.
    EvaluationError : a score is not a number, or all pixels to measure are VOID.
    CheckpointError, StorageError : as `runs.run_seeds`.
    """
    train, test = (MaskedPhotos(data, part) for part in (TRAIN, TEST))
    check_apart(train, test)
    if not test.any_counts():
        raise EvaluationError(f"{data}: the masks of the set {TEST} hold no pixel that counts: check its masks")
    about = {"data": str(data), "photos": fingerprint(train, test), "test_photos": len(test)}
    one = partial(_one_seed, train, test, settings)
    return run_seeds(Path(out), about, settings, one, device=device, resume=resume, progress=progress)


def _one_seed(
    train: MaskedPhotos, test: MaskedPhotos, settings: SegmentationSettings, run: Run, seed: int
) -> SeedResult:
    first = run.first_network(seed, side=SIDE, classes=len(NAMES), count=len(train), pixels=train.squares)
    step = int(settings.fcn.removesuffix("s"))
    network = FullyConvolutional(first, len(NAMES), step, generator_on(_CPU, seed, FIRST_SCORES)).to(run.device)
    order = Order(len(train), settings.fine_tuning.batch, seed)

    def loss(number: int) -> Tensor:
        pairs = [train.pair(int(row)) for row in order.rows(number, _CPU)]
        mirrored = np.random.default_rng([seed, number, MIRRORS]).random(len(pairs)) < 0.5
        turned = [slice(None, None, -1 if one else 1) for one in mirrored]
        photos = stacked([photo[:, turn] for (photo, _), turn in zip(pairs, turned, strict=True)], GREY)
        masks = stacked([mask[:, turn] for (_, mask), turn in zip(pairs, turned, strict=True)], VOID)
        scores = network(as_input(photos, run.device), generator_on(run.device, seed, number, DROPOUT))
        return pixel_loss(scores, torch.from_numpy(masks).to(run.device))

    run.fine_tune(network, loss, settings.fine_tuning, seed)
    counts = ConfusionMatrix(len(NAMES))
    for row in range(len(test)):
        photo, mask = test.pair(row)
        with torch.no_grad():
            scores = network(as_input(photo[None], run.device))[0]
        scores = scores.cpu().numpy()
        check_numbers(scores, "a pixel")
        counts.add(mask, scores.argmax(0))
        run.report(f"seed {seed}: testing", row + 1, len(test))
    return _figures(counts, seed, len(train))


def pixel_loss(scores: Tensor, masks: Tensor) -> Tensor:
    """Return the mean cross-entropy over the pixels that are not VOID; 0 where all are.

    scores : float (B, classes, H, W); masks : uint8 (B, H, W).
    """
    total = functional.cross_entropy(scores.float(), masks.long(), ignore_index=VOID, reduction="sum")
    return total / (masks != VOID).sum().clamp(min=1)


def _figures(counts: ConfusionMatrix, seed: int, photos: int) -> SeedResult:
    classes = {
        name: {"iu": percent(float(value))} for name, value in zip(NAMES, counts.intersection_over_union(), strict=True)
    }
    right = float(np.diag(counts.counts).sum() / counts.counts.sum())
    return SeedResult(seed, photos, {"mean_iu": 100 * counts.mean_iu(), "pixel_accuracy": 100 * right}, classes)
