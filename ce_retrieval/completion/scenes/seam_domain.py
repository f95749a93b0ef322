"""What a seam may take: around a large hole all within its reach, around a thin one no more than the hole's own size.

Without that bound many scratches, each a pixel wide, would have nearly all of a photo within a seam's reach, and the cheapest
cut would replace it by another. J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, has large
holes alone, and no such bound.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.scenes.seam import SeamFinder

CORE = 2.0  # times its half thickness: how far from its core a part of a hole goes on

Bools = NDArray[np.bool_]


def seam_domain(hole: Bools, reach: int) -> Bools:
    """The hole and all known pixels that a seam may take.

    hole: bool (H, W), neither empty nor full; reach: px, 0 or more. Returns bool (H, W).

    A known pixel belongs to it within r px of a hole pixel, by Euclidean distance, with r the half thickness of the hole
    there: the largest whole number, `reach` at most, such that a pixel r px deep in the hole lies within 2 r px. So r is 1
    along a line, also where it leaves a blob, and `reach` all around a hole that is `reach` px deep, up to the tips of its
    corners where these have 60 degrees or more.
    """
    depth = _distance(~hole)
    domain, left = hole.copy(), hole.copy()
    for r in range(min(reach, int(depth[hole].max())), 0, -1):
        core = depth >= r
        part = left & (_distance(core) <= CORE * r)
        if part.any():
            domain |= _distance(part) <= r
            left &= ~part
            if not left.any():
                break
    return domain


def _distance(places: Bools) -> NDArray[np.float32]:
    """Of every pixel from the nearest of `places`, px; exact wherever it is compared with a few dozen px."""
    import cv2

    return np.asarray(cv2.distanceTransform((~places).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE), np.float32)


def bounded_seams(hole: Bools, domain: Bools, *, growth: float) -> SeamFinder:
    """The cuts around one hole within a domain of `seam_domain`; growth: as `SeamFinder` takes it.

    Its reach is how far the domain goes from the hole, px.
    """
    from scipy.ndimage import distance_transform_edt

    reach = int(np.ceil(distance_transform_edt(~hole)[domain].max()))
    return SeamFinder(hole, reach, growth=growth, bound=domain)
