"""The measures agree with a literal transcription of the development kit's rules, and with known values."""

import numpy as np
import pytest
import voc_kit as kit
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from ce_retrieval.errors import EvaluationError
from ce_retrieval.transfer.voc_measures import (
    RECALLS,
    ConfusionMatrix,
    TrueBoxes,
    classification_curve,
    detection_curve,
    overlaps,
)

CLOSE = 1e-9  # 1e-6 is asked for


def agrees(curve, rec, prec):
    assert np.allclose(curve.recall, rec, atol=CLOSE)
    assert curve.eleven_points() == pytest.approx(kit.ap11(rec, prec), abs=CLOSE)
    assert curve.area() == pytest.approx(kit.ap_area(rec, prec), abs=CLOSE)


@pytest.mark.parametrize("seed", range(12))
def test_classification_as_the_kit(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice([1, 0, -1], 40, p=[0.3, 0.2, 0.5])
    truth[0] = 1
    # Few distinct scores: many ties, among them photos that are difficult.
    scores = np.round(rng.normal(size=40) + truth, 0 if seed % 2 else 3)
    agrees(classification_curve(scores, truth), *kit.classification(scores.tolist(), truth.tolist()))


def random_detections(seed):
    """Objects and detections near them, shifted by whole px so that many overlaps are about 0.5, with ties of scores."""
    rng = np.random.default_rng(seed)
    truth, photos, boxes = [], [], []
    for photo in range(12):
        corners = rng.integers(1, 40, (rng.integers(0, 5), 2)).astype(float)
        objects = np.concatenate([corners, corners + rng.integers(2, 30, corners.shape)], axis=1)
        truth.append(TrueBoxes(objects, rng.random(len(objects)) < 0.25))
        near = objects[rng.integers(0, len(objects), 8)] if len(objects) else np.empty((0, 4))
        near = near + rng.integers(-4, 5, near.shape)
        far = np.tile(rng.integers(1, 40, (3, 2)).astype(float), 2) + np.array([0, 0, 9, 9])
        boxes += [*near, *far]
        photos += [photo] * (len(near) + 3)
    scores = np.round(rng.random(len(boxes)), 1 if seed % 2 else 4)
    return photos, scores, np.array(boxes), truth


@pytest.mark.parametrize("seed", range(12))
def test_detection_as_the_kit(seed):
    photos, scores, boxes, truth = random_detections(seed)
    told = [[(tuple(b), bool(d)) for b, d in zip(*objects, strict=True)] for objects in truth]
    curve = detection_curve(photos, scores, boxes, truth)
    assert 0.05 < curve.area() < 0.95 and np.diff(curve.recall).max() > 0
    agrees(curve, *kit.detection(photos, scores.tolist(), boxes.tolist(), told))


def test_the_eleven_recalls_are_matlabs():
    assert list(RECALLS) == kit.matlab_range_of_tenths()
    # Three of ten found, then nothing right: at a recall of 3 / 10 the kit does not count the precision of the third.
    truth = [1] * 3 + [-1] * 20 + [1] * 7
    curve = classification_curve(-np.arange(30.0), truth)
    last = curve.precision[-1]
    assert curve.recall[2] == 0.3 < RECALLS[3]
    assert curve.eleven_points() == pytest.approx((3 + 8 * last) / 11)


def test_each_object_is_found_once_and_difficult_ones_are_neither():
    truth = [TrueBoxes(np.array([[1.0, 1, 10, 10], [20, 20, 29, 29]]), np.array([False, True]))]
    boxes = [[1, 1, 10, 10], [1, 1, 10, 10], [20, 20, 29, 29], [20, 20, 29, 29], [50, 50, 60, 60]]
    curve = detection_curve([0] * 5, [5, 4, 3, 2, 1], boxes, truth)
    assert curve.recall.tolist() == [1] * 5 and curve.precision.tolist() == [1, 0.5, 0.5, 0.5, 1 / 3]


def test_both_ends_are_within_a_box():
    assert overlaps(np.array([1.0, 1, 1, 1]), np.array([[1.0, 1, 1, 1], [1, 1, 2, 1], [2, 1, 3, 1]])).tolist() == [
        1,
        0.5,
        0,
    ]
    # 5 of 10 columns of one px: exactly the overlap that is asked for.
    truth = [TrueBoxes(np.array([[1.0, 1, 10, 1]]), np.array([False]))]
    assert detection_curve([0], [1], [[1, 1, 5, 1]], truth).area() == 1
    assert detection_curve([0], [1], [[1, 1, 4, 1]], truth).area() == 0


def test_mean_iu_as_the_kit():
    rng = np.random.default_rng(0)
    truths = [rng.choice([0, 1, 2, 255], (9, 11)).astype(np.uint8) for _ in range(3)]
    predictions = [
        np.where(rng.random(t.shape) < 0.6, np.where(t < 255, t, 1), rng.integers(0, 3, t.shape)) for t in truths
    ]
    matrix = ConfusionMatrix(3)
    for truth, predicted in zip(truths, predictions, strict=True):
        matrix.add(truth, predicted)
    wanted = kit.segmentation([t.tolist() for t in truths], [p.tolist() for p in predictions], 3)
    assert matrix.mean_iu() == pytest.approx(wanted, abs=CLOSE)
    assert matrix.counts.sum() == sum(int((t < 255).sum()) for t in truths)
    larger = ConfusionMatrix(4)
    larger.counts[:3, :3] = matrix.counts
    assert np.isnan(larger.intersection_over_union()[3]) and larger.mean_iu() == pytest.approx(wanted)


def test_what_has_no_figure():
    none = classification_curve([0.5, 0.1], [-1, 0])
    assert np.isnan(none.eleven_points()) and np.isnan(none.area())
    missed = detection_curve([], [], [], [TrueBoxes(np.ones((1, 4)), np.array([False]))])
    assert missed.eleven_points() == missed.area() == 0
    nothing = detection_curve([], [], [], [TrueBoxes(np.empty((0, 4)), np.empty(0, bool))])
    assert np.isnan(nothing.area()) and np.isnan(ConfusionMatrix(2).mean_iu())
    with pytest.raises(EvaluationError, match="not a number"):
        classification_curve([np.nan], [1])
    with pytest.raises(ValueError, match="no class"):
        ConfusionMatrix(2).add(np.zeros((1, 1), np.uint8), np.full((1, 1), 2))


def test_detections_agree_with_coco_where_the_rules_do(monkeypatch):
    """Objects lie apart, none is difficult: then COCO matches as VOC does. It reads the curve at 101 recalls."""
    rng = np.random.default_rng(0)
    truth, found = [], []
    for _ in range(12):
        corners = 60.0 * np.argwhere(rng.random((4, 4)) < 0.4) + 1 + rng.integers(0, 10, 2)
        boxes = np.concatenate([corners, corners + rng.integers(15, 40, corners.shape)], axis=1)
        truth.append(TrueBoxes(boxes, np.zeros(len(boxes), bool)))
        # Some twice, some missed, most of them moved a little: about half find their object.
        chosen = boxes[rng.integers(0, len(boxes), len(boxes) + 2)]
        found.append(chosen + np.repeat(rng.integers(-9, 10, (len(chosen), 2)), 2, axis=0).reshape(-1, 4))
    photos = np.repeat(np.arange(12), [len(one) for one in found])
    boxes, scores = np.concatenate(found), rng.permutation(len(photos)) / len(photos)
    curve = detection_curve(photos, scores, boxes, truth)

    def entry(photo, box):
        size = [*box[:2], *(box[2:] - box[:2] + 1)]
        return {"image_id": int(photo), "category_id": 1, "bbox": [float(value) for value in size]}

    monkeypatch.setattr("builtins.print", lambda *_, **__: None)
    coco, answers = COCO(), COCO()
    shown = [entry(photo, box) for photo, one in enumerate(truth) for box in one.boxes]
    given = [entry(*each) | {"score": float(score)} for *each, score in zip(photos, boxes, scores, strict=True)]
    for data, entries in ((coco, shown), (answers, given)):
        described = [
            {**one, "id": n, "area": one["bbox"][2] * one["bbox"][3], "iscrowd": 0} for n, one in enumerate(entries, 1)
        ]
        data.dataset = {"images": [{"id": n} for n in range(12)], "annotations": described, "categories": [{"id": 1}]}
        data.createIndex()
    evaluation = COCOeval(coco, answers, "bbox")
    evaluation.params.iouThrs, evaluation.params.maxDets = np.array([0.5]), [1000]
    evaluation.params.areaRng, evaluation.params.areaRngLbl = [[0, 1e9]], ["all"]
    evaluation.evaluate()
    evaluation.accumulate()
    recalls = evaluation.params.recThrs
    best = [curve.precision[curve.recall >= recall].max(initial=0.0) for recall in recalls]
    assert np.allclose(evaluation.eval["precision"][0, :, 0, 0, 0], best, atol=CLOSE)
    assert 0.2 < np.mean(best) < 0.9 and curve.recall[-1] == pytest.approx(evaluation.eval["recall"][0, 0, 0, 0])
