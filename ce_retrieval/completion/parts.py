"""The separate parts of a hole, and what their shape says."""

from __future__ import annotations

import numpy as np

from ce_retrieval.pixels import Bools, distance_from

GAP = 8.0  # px: missing pixels that lie nearer to each other than this belong to one part


def parts_of(hole: Bools) -> list[Bools]:
    """Return the separate parts of a hole bool (H, W), the largest first; those nearer to each other than GAP are one."""
    import cv2

    near = distance_from(hole) < GAP / 2
    count, labels = cv2.connectedComponents(near.astype(np.uint8), connectivity=8)
    labels[~hole] = 0
    sizes = np.bincount(labels.ravel(), minlength=count)[1:]
    return [labels == number + 1 for number in np.argsort(-sizes, kind="stable") if sizes[number]]


def radius_of(part: Bools) -> float:
    """Return the radius of the largest circle in a part, px; the photo's border does not bound it."""
    return float(distance_from(~part).max())
