"""Boxes and regions of detection, each against an independent computation."""

import numpy as np
import pytest
import torch
from transfer_networks import random_boxes as boxes

from ce_retrieval.transfer.boxes import corrected, corrections, overlap_table, surest
from ce_retrieval.transfer.networks.fast_rcnn import detection_loss, pooled_regions
from ce_retrieval.transfer.sets.box_labels import Objects, drawn_regions, mirrored_boxes


def area(box):
    return max(box[2] - box[0] + 1, 0) * max(box[3] - box[1] + 1, 0)


def overlap(a, b):
    shared = area([max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3])])
    return shared / (area(a) + area(b) - shared)


def test_overlaps_and_the_surest_by_hand():
    given = boxes(60)
    wanted = np.array([[overlap(a, b) for b in given] for a in given])
    assert np.allclose(overlap_table(given, given), wanted) and overlap_table(given[:0], given).shape == (0, 60)
    scores = np.random.default_rng(1).random(60).round(1)  # with ties
    kept = []
    for row in sorted(range(60), key=lambda row: (-scores[row], row)):
        if all(wanted[row, other] <= 0.3 for other in kept):
            kept.append(row)
    assert surest(given, scores).tolist() == kept and 1 < len(kept) < 60
    assert surest(given[:0], scores[:0]).tolist() == []


def test_corrections_lead_from_one_box_to_the_other():
    a, b = boxes(40, 1), boxes(40, 2)
    a, b = (one[(a[:, 2:] - a[:, :2]).min(axis=1) > 1] for one in (a, b))  # a side grows 60-fold at most
    assert np.allclose(corrected(a, corrections(a, b), 90, 70), b)
    # Girshick 2015: shares of the sides, and logarithms, in units of 0.1 and 0.2.
    one = corrections(np.array([[1.0, 1, 10, 20]]), np.array([[3.0, 1, 22, 20]]))
    assert np.allclose(one, [[(12.5 - 5.5) / 10 / 0.1, 0, np.log(2) / 0.2, 0]])
    # A wild prediction is clipped to the photo, and stays a number.
    assert corrected(a[:1], np.full((1, 4), 1e9), 90, 70).tolist() == [[90, 70, 90, 70]]


def test_mirrored_boxes():
    assert mirrored_boxes(np.array([[1.0, 2, 4, 5]]), 10).tolist() == [[7, 2, 10, 5]]
    given = boxes(9)
    assert np.array_equal(mirrored_boxes(mirrored_boxes(given, 90), 90), given)


def caffe_pooled(maps, region, grid=6, scale=1 / 16):
    """The loops of Caffe's ROIPoolingLayer, for one region."""
    channels, height, width = maps.shape
    left, top, right, bottom = (int(np.floor(value * scale + 0.5)) for value in region)
    rows, columns = max(bottom - top + 1, 1), max(right - left + 1, 1)
    found = np.zeros((channels, grid, grid), np.float32)
    for y in range(grid):
        for x in range(grid):
            y0, y1 = int(np.floor(y * rows / grid)) + top, int(np.ceil((y + 1) * rows / grid)) + top
            x0, x1 = int(np.floor(x * columns / grid)) + left, int(np.ceil((x + 1) * columns / grid)) + left
            part = maps[:, max(y0, 0) : min(y1, height), max(x0, 0) : min(x1, width)]
            found[:, y, x] = part.max((1, 2))
    return found


def test_regions_are_pooled_as_by_caffe():
    maps = torch.randn(5, 21, 33, generator=torch.Generator().manual_seed(0))
    given = boxes(60, 3, side=(33 * 16 - 8, 21 * 16 - 8)) - 1
    given[0], given[1] = [0, 0, 519, 327], [37, 52, 37, 52]
    found = pooled_regions(maps, torch.from_numpy(given).float())
    assert all(
        np.array_equal(one, caffe_pooled(maps.numpy(), box)) for one, box in zip(found.numpy(), given, strict=True)
    )
    # Beyond the maps, a region is clipped.
    beyond = pooled_regions(maps, torch.tensor([[500.0, 300, 5000, 5000]]))
    assert torch.equal(beyond, pooled_regions(maps, torch.tensor([[500.0, 300, 32 * 16, 20 * 16]])))


def test_the_loss_by_hand():
    scores = torch.tensor([[1.0, 2.0], [0.5, -1.0]])
    changes = torch.tensor([[[9.0] * 4, [0.5, 2, 0, 0]], [[7.0] * 4, [7.0] * 4]])
    wanted = torch.tensor([[0.0, 0, 0, 0], [0.0, 0, 0, 0]])
    classes = np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-1.5))
    moves = 0.5 * 0.25 + (2 - 0.5)  # of the object alone: smooth L1
    assert float(detection_loss(scores, changes, torch.tensor([1, 0]), wanted)) == pytest.approx((classes + moves) / 2)


def test_regions_are_drawn_as_in_fast_rcnn():
    truth = np.array([[10.0, 10, 40, 40], [50, 20, 80, 60], [1, 1, 9, 9]])
    objects = Objects(truth, np.array([6, 11, 0]), np.array([False, False, True]))
    rng = np.random.default_rng(0)
    near = np.concatenate([truth[row] + rng.integers(-3, 4, (40, 4)) for row in (0, 1)])
    proposals = np.concatenate([near.clip(1), boxes(200), truth[2:]])
    drawn = drawn_regions(proposals, objects, 64, rng)
    shows = drawn.labels > 0
    assert len(drawn.boxes) == 64 and shows.sum() == 16 and set(drawn.labels[shows]) == {7, 12}
    for box, label, wanted in zip(*drawn, strict=True):
        shared = [overlap(box, one) for one in truth[:2]]  # the difficult one does not exist
        if label:
            row = int(np.argmax(shared))
            assert shared[row] >= 0.5 and label == (7, 12)[row]
            assert np.allclose(corrected(box[None], wanted[None], 90, 70), truth[row])
        else:
            assert 0.1 <= max(shared) < 0.5 and not wanted.any()
    again = drawn_regions(proposals, objects, 64, np.random.default_rng(5))
    assert np.array_equal(again.boxes, drawn_regions(proposals, objects, 64, np.random.default_rng(5)).boxes)
    # Where nothing overlaps an object a little, any background is taken; without an object all is background.
    far = drawn_regions(np.array([[85.0, 65, 90, 70]]), objects, 8, rng)
    assert sorted(far.labels) == [0, 7, 12]
    none = Objects(truth[2:], np.array([0]), np.array([True]))
    assert drawn_regions(boxes(20), none, 8, rng).labels.tolist() == [0] * 8
