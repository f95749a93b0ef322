"""Local features of a photo, by which photos of the same place are found and matched, without what a hole hides.

D. Lowe, "Distinctive Image Features from Scale-Invariant Keypoints", IJCV 2004 (OpenCV's SIFT); R. Arandjelovic, A. Zisserman,
"Three things everyone should know to improve object retrieval", CVPR 2012: descriptors are compared by their square roots.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ce_retrieval.pixels import Bools, Floats, Photo, distance_from, resize_area, to_grey

SUPPORT = 2.5  # a descriptor is read this many times the keypoint's diameter around it, mostly


class LocalFeatures(NamedTuple):
    """Keypoints of a photo, strongest first.

    Attributes
    ----------
    points : float32 (n, 2)
        (x, y) in px of the photo's own size; (0, 0) is the corner of its first pixel, so the centre of that is (0.5, 0.5).
    diameters : float32 (n,)
        in the same px.
    angles : float32 (n,)
        in degrees, in [0, 360).
    descriptors : float32 (n, 128)
        RootSIFT: of norm 1.
    size : (H, W) of the photo.
    """

    points: Floats
    diameters: Floats
    angles: Floats
    descriptors: Floats
    size: tuple[int, int]


def local_features(photo: Photo, hole: Bools | None = None, *, side: int, most: int) -> LocalFeatures:
    """Return the local features of a photo uint8 (H, W, 3).

    Parameters
    ----------
    hole : bool (H, W), True = missing; None: nothing is. Keypoints whose descriptor would see it are left out.
    side : px, the longest side at which the photo is looked at.
    most : keypoints, at most.
    """
    import cv2

    height, width = photo.shape[:2]
    share = min(1.0, side / max(height, width))
    small = max(1, round(height * share)), max(1, round(width * share))
    grey = to_grey(resize_area(photo, small))
    hidden = None
    if hole is not None and hole.any():
        hidden = resize_area(hole.astype(np.float32), small) > 0
        grey = _without(grey, hidden)
    visible = None if hidden is None else np.where(hidden, np.uint8(0), np.uint8(255))
    found, values = cv2.SIFT.create(most).detectAndCompute(np.ascontiguousarray(grey, dtype=np.uint8), visible)
    if values is None:
        found, values = (), np.zeros((0, 128), np.float32)
    order = np.argsort([-point.response for point in found], kind="stable")[:most].astype(int)
    points = np.array([found[n].pt for n in order], np.float32).reshape(-1, 2) + np.float32(0.5)
    diameters = np.array([found[n].size for n in order], np.float32)
    angles = np.array([found[n].angle for n in order], np.float32)
    if hidden is not None and len(points):
        reach = distance_from(hidden)
        seen = reach[points[:, 1].astype(int), points[:, 0].astype(int)] > SUPPORT * diameters
        order, points, diameters, angles = order[seen], points[seen], diameters[seen], angles[seen]
    factor = np.array([width / small[1], height / small[0]], np.float32)
    values = values[order]
    roots = np.sqrt(values / np.maximum(values.sum(axis=1, keepdims=True), 1e-6))
    return LocalFeatures(points * factor, diameters * factor.mean(), angles, roots.astype(np.float32), (height, width))


def _without(grey: Photo, hidden: Bools) -> Photo:
    """Return a grey photo with its hidden part filled by the mean beside it: what was there has no influence, and no edges."""
    import cv2

    seen = (~hidden).astype(np.float32)
    reach = max(3.0, 0.05 * max(grey.shape))
    near = cv2.GaussianBlur(seen, (0, 0), reach)
    mean = float(grey[~hidden].mean()) if seen.any() else 0.0
    smooth = cv2.GaussianBlur(np.where(hidden, np.float32(0), grey.astype(np.float32)), (0, 0), reach)
    smooth = np.where(near > 1e-3, smooth / np.maximum(near, 1e-3), mean)
    return np.where(hidden, np.clip(smooth, 0, 255), grey).astype(np.uint8)
