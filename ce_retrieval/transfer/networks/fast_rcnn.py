"""Fast R-CNN on AlexNet: classes and corrected boxes of regions of a photo.

Notes
-----
R. Girshick, "Fast R-CNN" (2015). Deviations:

- All layers learn; his networks of this size keep conv1 as it is. Biases learn as weights do (his: twice as fast, without decay).
- Batch norm of the trunk, where it has some, goes on learning, from the grey px around photos too.
- Corrections are in units of fixed deviations, as in his later program (py-faster-rcnn), not in those of the training set.
- Photos are padded so that a cell of conv5 is centred on the px that it stands for.

As there, photos of a batch are padded to one size. Near the right and the lower edge of a smaller one, the network sees grey
where it sees the padding of its own layers when the photo is alone, as in measuring. Regions far from these edges are seen alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as functional
from torch import Generator, Tensor, nn

from ce_retrieval.transfer.networks.alexnet import AlexNet, draw_gaussian, dropped
from ce_retrieval.transfer.networks.stages import CONV5, GRID, conv1_padding, padded_for_conv5, split_trunk

_SCORES, _BOXES = 0.01, 0.001  # deviations of first weights


class FastRCNN(nn.Module):
    """Scores and corrections of regions.

    Parameters
    ----------
    network : an AlexNet for photos of `stages.SIDE`, whose trunk without pool5, fc6 and fc7 are taken, not copied.
    classes : of a region, the background among them.
    generator : on the CPU; draws the weights of the last layers.
    """

    def __init__(self, network: AlexNet, classes: int, generator: Generator) -> None:
        super().__init__()
        self.pool1, self.conv5, _ = split_trunk(network.trunk)
        self.padding = conv1_padding(network)
        self.fc6, self.fc7 = network.fc6, network.fc7
        units = network.fc7.out_features
        self.scores = nn.utils.skip_init(nn.Linear, units, classes)
        self.corrections = nn.utils.skip_init(nn.Linear, units, 4 * classes)
        draw_gaussian([self.scores], _SCORES, generator)
        draw_gaussian([self.corrections], _BOXES, generator)

    def forward(
        self, photos: Tensor, regions: Sequence[Tensor], generator: Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return the scores (R, classes) and the corrections (R, classes, 4) of all regions, one photo after the other.

        Parameters
        ----------
        photos : RGB float (B, 3, H, W) in [-1, 1].
        regions : of each photo, float (R, 4): xmin, ymin, xmax, ymax in px of `photos`, the first of which is 0.
        generator : on the photos' device; draws what the dropout after fc6 and fc7 leaves out. None: no dropout.
        """
        maps = self.conv5(self.pool1(padded_for_conv5(photos, self.padding)))
        pooled = [pooled_regions(one, boxes) for one, boxes in zip(maps, regions, strict=True)]
        found = dropped(self.fc6(torch.cat(pooled).flatten(1)).relu(), generator)
        found = dropped(self.fc7(found).relu(), generator)
        scores: Tensor = self.scores(found)
        return scores, self.corrections(found).unflatten(1, (-1, 4))


def pooled_regions(maps: Tensor, regions: Tensor) -> Tensor:
    """Return the largest values in GRID x GRID parts of each region (RoI pooling): (R, C, GRID, GRID).

    Parameters
    ----------
    maps : (C, h, w), a cell every CONV5 px.
    regions : float (R, 4) in px from 0; the cells of their ends are rounded, and clipped to the maps.

    Notes
    -----
    The parts are those of Caffe's layer: `adaptive_max_pool2d` divides a crop in the same way.
    """
    height, width = maps.shape[1:]
    most = torch.tensor([width - 1, height - 1, width - 1, height - 1], device=regions.device)
    cells = (regions / CONV5 + 0.5).floor().clamp(min=0).minimum(most).long().tolist()
    crops = [maps[:, top : bottom + 1, left : right + 1] for left, top, right, bottom in cells]
    return torch.stack([functional.adaptive_max_pool2d(crop, GRID) for crop in crops])


def detection_loss(scores: Tensor, corrections: Tensor, labels: Tensor, wanted: Tensor) -> Tensor:
    """Return the loss of Fast R-CNN, a mean over regions.

    Parameters
    ----------
    scores, corrections : of `FastRCNN`.
    labels : int64 (R,), 0 background.
    wanted : float (R, 4), the corrections; those of the background do not count.
    """
    rows = torch.arange(len(labels), device=labels.device)
    each = functional.smooth_l1_loss(corrections[rows, labels], wanted, reduction="none").sum(1)
    return functional.cross_entropy(scores, labels) + (each * (labels > 0)).sum() / len(labels)
