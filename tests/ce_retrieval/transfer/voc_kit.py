"""The rules of the VOC development kits, transcribed line by line: slow, without numpy, and with Matlab's counting from 1."""

from __future__ import annotations

import math

INFINITE = float("inf")


def matlab_range_of_tenths():
    """0:0.1:1. Matlab adds to the first end up to the middle, and takes from the last one after it."""
    values = []
    for i in range(11):
        values.append(0 + i * 0.1 if i <= 5 else 1 - (10 - i) * 0.1)
    return values


def matlab_max(values):
    """Matlab's max leaves NaN out; NaN of nothing else, None of nothing."""
    if not values:
        return None
    defined = [value for value in values if not math.isnan(value)]
    return max(defined) if defined else float("nan")


def order(scores):
    """[so, si] = sort(-scores): equal ones keep their order."""
    return sorted(range(len(scores)), key=lambda i: -scores[i])


def ap11(rec, prec):
    ap = 0
    for t in matlab_range_of_tenths():
        p = matlab_max([prec[i] for i in range(len(rec)) if rec[i] >= t])
        if p is None:
            p = 0
        ap = ap + p / 11
    return ap


def ap_area(rec, prec):
    mrec = [0, *rec, 1]
    mpre = [0, *prec, 0]
    for i in range(len(mpre) - 2, -1, -1):
        mpre[i] = matlab_max([mpre[i], mpre[i + 1]])
    ap = 0
    for i in range(1, len(mrec)):
        if mrec[i] != mrec[i - 1]:
            ap = ap + (mrec[i] - mrec[i - 1]) * mpre[i]
    return ap


def curves(tp, fp, npos):
    rec, prec, tps, fps = [], [], 0, 0
    for i in range(len(tp)):
        tps, fps = tps + tp[i], fps + fp[i]
        rec.append(tps / npos)
        prec.append(tps / (fps + tps) if fps + tps else float("nan"))
    return rec, prec


def classification(scores, gt):
    si = order(scores)
    tp = [1 if gt[i] > 0 else 0 for i in si]
    fp = [1 if gt[i] < 0 else 0 for i in si]
    return curves(tp, fp, sum(1 for value in gt if value > 0))


def detection(photos, scores, boxes, truth):
    """truth: of each photo, a list of (box, difficult)."""
    npos = sum(1 for objects in truth for _, difficult in objects if not difficult)
    det = [[False] * len(objects) for objects in truth]
    tp, fp = [0] * len(scores), [0] * len(scores)
    for place, d in enumerate(order(scores)):
        i, bb = photos[d], boxes[d]
        ovmax, jmax = -INFINITE, None
        for j in range(len(truth[i])):
            bbgt = truth[i][j][0]
            bi = [max(bb[0], bbgt[0]), max(bb[1], bbgt[1]), min(bb[2], bbgt[2]), min(bb[3], bbgt[3])]
            iw = bi[2] - bi[0] + 1
            ih = bi[3] - bi[1] + 1
            if iw > 0 and ih > 0:
                ua = (bb[2] - bb[0] + 1) * (bb[3] - bb[1] + 1) + (bbgt[2] - bbgt[0] + 1) * (bbgt[3] - bbgt[1] + 1)
                ua = ua - iw * ih
                ov = iw * ih / ua
                if ov > ovmax:
                    ovmax, jmax = ov, j
        if ovmax >= 0.5:
            if not truth[i][jmax][1]:
                if not det[i][jmax]:
                    tp[place] = 1
                    det[i][jmax] = True
                else:
                    fp[place] = 1
        else:
            fp[place] = 1
    return curves(tp, fp, npos)


def segmentation(truths, predictions, classes):
    """Mean over the classes of true positives by (true + predicted - true positives); 255 in truth does not count."""
    values = []
    for j in range(classes):
        gtj = resj = gtjresj = 0
        for truth, predicted in zip(truths, predictions, strict=True):
            for line, found in zip(truth, predicted, strict=True):
                for gt, res in zip(line, found, strict=True):
                    if gt < 255:
                        gtj += gt == j
                        resj += res == j
                        gtjresj += gt == j and res == j
        values.append(gtjresj / (gtj + resj - gtjresj))
    return sum(values) / classes
