"""Photos with the boxes of their objects, to train on and to measure: the detection sets of PASCAL VOC."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SourceError
from ce_retrieval.pixels import Photo
from ce_retrieval.transfer.boxes import corrections, overlap_table
from ce_retrieval.transfer.sets.proposals import Proposals
from ce_retrieval.transfer.sets.voc_objects import CLASSES
from ce_retrieval.transfer.sets.voc_photos import PhotoSet
from ce_retrieval.transfer.voc_measures import Numbers

TRAIN, TEST = "trainval", "test"
# Fast R-CNN's: a region shows the object that it overlaps by OBJECT; it is background from LEAST_OVERLAP up to there.
OBJECT, LEAST_OVERLAP, OBJECT_SHARE = 0.5, 0.1, 0.25


class Objects(NamedTuple):
    """The objects of a photo.

    Attributes
    ----------
    boxes : float64 (M, 4), as `VocObject.box`.
    classes : int64 (M,), places in CLASSES.
    difficult : bool (M,)
    """

    boxes: Numbers
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]


class ObjectPhotos(PhotoSet):
    """The photos of a detection set; each is decoded when it is needed. All else is read and checked at once.

    Parameters
    ----------
    root : a folder of PASCAL VOC.
    part : name of the set.
    proposals : of its photos, among others.

    Raises
    ------
    SourceError : as `PhotoSet`; an annotation is missing or malformed; a photo has no proposals, or one lies outside it.
    """

    def __init__(self, root: str | Path, part: str, proposals: Proposals) -> None:
        super().__init__(root, part, "Main")
        self._proposals = proposals
        proposals.check(self.names)
        self.sizes += self.folder.file_sizes(map(self.folder.annotation_path, self.names))
        self._annotations = [self.folder.annotation(name) for name in self.names]
        for name, found in zip(self.names, self._annotations, strict=True):
            proposals.boxes(name, found.width, found.height)

    def any_counts(self) -> bool:
        """Return whether a photo shows an object that is not difficult."""
        return any(not one.difficult for found in self._annotations for one in found.objects)

    def objects(self, row: int, photo: Photo) -> Objects:
        """Return the objects of a photo; SourceError where their file is of a photo of another size."""
        name, found = self.names[row], self._annotations[row]
        height, width = photo.shape[:2]
        if (found.width, found.height) != (width, height):
            raise SourceError(
                f"{self.folder.photo_path(name)}: has {width}x{height} px, its annotation says {found.width}x{found.height}; "
                "copy both files again"
            )
        return Objects(
            np.array([one.box for one in found.objects], np.float64).reshape(-1, 4),
            np.array([CLASSES.index(one.name) for one in found.objects], np.int64),
            np.array([one.difficult for one in found.objects], bool),
        )

    def proposals(self, row: int, photo: Photo) -> Numbers:
        """Return the proposals of a photo: float64 (N, 4); SourceError where one lies outside it."""
        height, width = photo.shape[:2]
        return self._proposals.boxes(self.names[row], width, height)


class Regions(NamedTuple):
    """Regions of a photo to learn from.

    Attributes
    ----------
    boxes : float64 (R, 4)
    labels : int64 (R,), 0 background, 1 the first of CLASSES.
    wanted : float64 (R, 4), the corrections towards the object that a region shows; 0 for background.
    """

    boxes: Numbers
    labels: NDArray[np.int64]
    wanted: Numbers


def drawn_regions(proposals: Numbers, objects: Objects, count: int, rng: np.random.Generator) -> Regions:
    """Return regions drawn as in Fast R-CNN: a quarter of them shows objects, if there are as many, and the rest background.

    Parameters
    ----------
    proposals : float64 (N, 4); the objects' own boxes are regions too. Difficult objects do not exist for training.
    objects : of the photo.
    count : of regions; fewer where there are not as many.
    rng : draws them.

    Notes
    -----
    Background overlaps an object by at least LEAST_OVERLAP. Where no region does, any background is taken.
    """
    truth, classes = objects.boxes[~objects.difficult], objects.classes[~objects.difficult]
    boxes = np.concatenate([truth, proposals])
    shared = overlap_table(truth, boxes).T if len(truth) else np.zeros((len(boxes), 1))
    best, overlap = shared.argmax(axis=1), shared.max(axis=1)
    shows = np.flatnonzero(overlap >= OBJECT)
    near = np.flatnonzero((overlap < OBJECT) & (overlap >= LEAST_OVERLAP))
    background = near if len(near) else np.flatnonzero(overlap < OBJECT)
    shows = rng.permutation(shows)[: max(1, round(OBJECT_SHARE * count))]
    background = rng.permutation(background)[: count - len(shows)]
    rows = np.concatenate([shows, background])
    labels, wanted = np.zeros(len(rows), np.int64), np.zeros((len(rows), 4))
    if len(shows):
        labels[: len(shows)] = classes[best[shows]] + 1
        wanted[: len(shows)] = corrections(boxes[shows], truth[best[shows]])
    return Regions(boxes[rows], labels, wanted)


def mirrored_boxes(boxes: Numbers, width: int) -> Numbers:
    """Return boxes of a photo of this width after it is mirrored."""
    return np.stack([width + 1 - boxes[:, 2], boxes[:, 1], width + 1 - boxes[:, 0], boxes[:, 3]], axis=1)
