"""Detection: how well a network with some first weights learns to find objects."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ce_retrieval.errors import EvaluationError
from ce_retrieval.pixels import Photo, resize
from ce_retrieval.training.data import Order
from ce_retrieval.transfer.boxes import corrected, surest
from ce_retrieval.transfer.crops import as_input
from ce_retrieval.transfer.draws import DROPOUT, FIRST_SCORES, MIRRORS, REGIONS, generator_on
from ce_retrieval.transfer.networks.fast_rcnn import FastRCNN, detection_loss
from ce_retrieval.transfer.networks.stages import SIDE
from ce_retrieval.transfer.results import SeedResult, average_precisions
from ce_retrieval.transfer.runs import Progress, Run, run_seeds
from ce_retrieval.transfer.sets.box_labels import (
    TEST,
    TRAIN,
    ObjectPhotos,
    Objects,
    drawn_regions,
    mirrored_boxes,
)
from ce_retrieval.transfer.sets.proposals import Proposals
from ce_retrieval.transfer.sets.voc_objects import CLASSES
from ce_retrieval.transfer.sets.voc_photos import GREY, check_apart, fingerprint, stacked
from ce_retrieval.transfer.settings import DetectionSettings
from ce_retrieval.transfer.voc_measures import Numbers, TrueBoxes, check_numbers, detection_curve

# As in py-faster-rcnn. Fast R-CNN's first program keeps 40 detections of a class and photo on average, however unsure.
LEAST_SCORE = 0.05  # of a detection; less sure ones are dropped
MOST_DETECTIONS = 100  # of a photo; more where the last of them are equally sure
_CPU = torch.device("cpu")


def detect(
    data: str | Path,
    out: str | Path,
    settings: DetectionSettings,
    *,
    proposals: Sequence[str | Path],
    device: torch.device,
    resume: bool = False,
    progress: Progress | None = None,
) -> list[SeedResult]:
    """Train on the photos of `trainval` and measure those of `test`, once for each seed; write results.json and table.md.

    Parameters
    ----------
    data : a folder of PASCAL VOC.
    out, device, resume, progress : as of `runs.run_seeds`.
    settings : DetectionSettings
    proposals : files of `proposals.Proposals`, of all photos together.

    Returns
    -------
    The seeds' results: the mean average precision after the rules of VOC 2007 (11 points) and of VOC 2010 (area).

    Raises
    ------
    SettingsError : there are fewer photos than a batch needs.
    SourceError, PhotoError : photos, annotations, proposals or sets cannot be read, or a photo is in both sets.
    TrainingError : the loss is not finite; memory runs out; as `runs.run_seeds`.
    EvaluationError : a score or a corrected box is not a number, or no photo to measure shows an object that counts.
    CheckpointError, StorageError : as `runs.run_seeds`.
    """
    regions = Proposals(proposals)
    train, test = (ObjectPhotos(data, part, regions) for part in (TRAIN, TEST))
    check_apart(train, test)
    if not test.any_counts():
        raise EvaluationError(
            f"{data}: no photo of the set {TEST} shows an object that is not difficult: check its annotations"
        )
    about = {
        "data": str(data),
        "photos": fingerprint(train, test),
        "test_photos": len(test),
        "proposals_sha256": regions.sha256,
    }
    one = partial(_one_seed, train, test, settings)
    return run_seeds(Path(out), about, settings, one, device=device, resume=resume, progress=progress)


def _one_seed(train: ObjectPhotos, test: ObjectPhotos, settings: DetectionSettings, run: Run, seed: int) -> SeedResult:
    first = run.first_network(seed, side=SIDE, classes=len(CLASSES), count=len(train), pixels=train.squares)
    network = FastRCNN(first, 1 + len(CLASSES), generator_on(_CPU, seed, FIRST_SCORES)).to(run.device)
    order = Order(len(train), settings.fine_tuning.batch, seed)

    def loss(step: int) -> Tensor:
        rows = order.rows(step, _CPU).tolist()
        mirrored = np.random.default_rng([seed, step, MIRRORS]).random(len(rows)) < 0.5
        rng = np.random.default_rng([seed, step, REGIONS])
        photos, boxes, labels, wanted = [], [], [], []
        for row, turned in zip(rows, mirrored, strict=True):
            photo = train.photo(row)
            objects, proposed = train.objects(row, photo), train.proposals(row, photo)
            if turned:
                width = photo.shape[1]
                photo, proposed = photo[:, ::-1], mirrored_boxes(proposed, width)
                objects = Objects(mirrored_boxes(objects.boxes, width), objects.classes, objects.difficult)
            drawn = drawn_regions(proposed, objects, settings.regions, rng)
            small, scale = _resized(photo, settings)
            photos.append(small)
            boxes.append(_in_network(drawn.boxes, scale, run.device))
            labels.append(torch.from_numpy(drawn.labels))
            wanted.append(torch.from_numpy(drawn.wanted).float())
        given = as_input(stacked(photos, GREY), run.device)
        scores, changes = network(given, boxes, generator_on(run.device, seed, step, DROPOUT))
        return detection_loss(scores, changes, torch.cat(labels).to(run.device), torch.cat(wanted).to(run.device))

    run.fine_tune(network, loss, settings.fine_tuning, seed)
    return _measured(network, test, settings, run, seed, len(train))


def _resized(photo: Photo, settings: DetectionSettings) -> tuple[Photo, float]:
    """Return a photo at the size at which the network sees it, and the factor by which it grew."""
    sides = photo.shape[:2]
    scale = min(settings.shorter / min(sides), settings.longer / max(sides))
    height, width = (max(1, round(scale * side)) for side in sides)
    return resize(np.ascontiguousarray(photo), (height, width)), scale


def _in_network(boxes: Numbers, scale: float, device: torch.device) -> Tensor:
    """Return boxes of a photo, whose first pixel is 1, in px of the resized one, whose first is 0."""
    return torch.from_numpy((boxes - 1) * scale).float().to(device)


class _Found(NamedTuple):
    """The detections of a class in a photo: float64 (D,) and (D, 4)."""

    scores: Numbers
    boxes: Numbers


def _detections(
    network: FastRCNN, photo: Photo, proposals: Numbers, settings: DetectionSettings, run: Run
) -> list[_Found]:
    """Return the detections of each class, MOST_DETECTIONS in all; EvaluationError where a number is not one."""
    small, scale = _resized(photo, settings)
    with torch.no_grad():
        scores, changes = network(
            as_input(stacked([small], GREY), run.device), [_in_network(proposals, scale, run.device)]
        )
    shares = scores.double().softmax(1).cpu().numpy()
    moves = changes.double().cpu().numpy()
    for values in (shares, moves):
        check_numbers(values, "a detection")
    height, width = photo.shape[:2]
    found = []
    for number in range(1, 1 + len(CLASSES)):
        rows = np.flatnonzero(shares[:, number] > LEAST_SCORE)
        boxes = corrected(proposals[rows], moves[rows, number], width, height)
        kept = surest(boxes, shares[rows, number])
        found.append(_Found(shares[rows, number][kept], boxes[kept]))
    every = np.sort(np.concatenate([one.scores for one in found]))[::-1]
    if len(every) <= MOST_DETECTIONS:
        return found
    least = every[MOST_DETECTIONS - 1]
    return [_Found(one.scores[one.scores >= least], one.boxes[one.scores >= least]) for one in found]


def _measured(
    network: FastRCNN, test: ObjectPhotos, settings: DetectionSettings, run: Run, seed: int, photos: int
) -> SeedResult:
    truth: list[Objects] = []
    found: list[list[_Found]] = []
    for row in range(len(test)):
        photo = test.photo(row)
        truth.append(test.objects(row, photo))
        found.append(_detections(network, photo, test.proposals(row, photo), settings, run))
        run.report(f"seed {seed}: testing", row + 1, len(test))
    curves = {}
    for number, name in enumerate(CLASSES):
        each = [one[number] for one in found]
        numbers = np.repeat(np.arange(len(test)), [len(one.scores) for one in each])
        scores, boxes = np.concatenate([one.scores for one in each]), np.concatenate([one.boxes for one in each])
        objects = [TrueBoxes(one.boxes[one.classes == number], one.difficult[one.classes == number]) for one in truth]
        curves[name] = detection_curve(numbers, scores, boxes, objects)
    return average_precisions(curves, seed=seed, photos=photos)
