"""Which pixels a seam may take: around a large hole all within its reach, around a thin part no more than its thickness.

Without this bound, scratches a pixel wide would bring nearly all of a photo within a seam's reach, and the cheapest cut would
replace the photo. J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, has large holes only, and
no bound.
"""

from __future__ import annotations

from ce_retrieval.pixels import Bools, distance_from

CORE = 2.0  # times its half thickness: how far from its core a part of a hole goes on


def seam_domain(hole: Bools, reach: int) -> Bools:
    """Return the hole and all known pixels that a seam may take.

    Parameters
    ----------
    hole : bool (H, W)
        neither empty nor full.
    reach : px, 0 or more.

    Returns
    -------
    bool (H, W)

    Notes
    -----
    A known pixel belongs to the domain within r px of a hole pixel, by Euclidean distance, with r the half thickness of the
    hole there: the largest whole number, `reach` at most, such that a pixel r px deep in the hole lies within 2 r px. So r is
    1 along a line, also where it leaves a blob, and `reach` all around a hole that is `reach` px deep, up to the tips of its
    corners where these have 60 degrees or more.
    """
    depth = distance_from(~hole)
    domain, left = hole.copy(), hole.copy()
    for r in range(min(reach, int(depth[hole].max())), 0, -1):
        core = depth >= r
        part = left & (distance_from(core) <= CORE * r)
        if part.any():
            domain |= distance_from(part) <= r
            left &= ~part
            if not left.any():
                break
    return domain
