"""What a scene is fitted into: the hole of a photo with its context, at the size that the photo is worked on at.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 4: the context is all that lies
within 80 px of the hole, in photos 1024 px long.
"""

from __future__ import annotations

from typing import NamedTuple

from ce_retrieval.completion.scenes.seam import PAPER_SIDE
from ce_retrieval.completion.scenes.seam_domain import seam_domain
from ce_retrieval.completion.working_size import Working
from ce_retrieval.errors import MaskError
from ce_retrieval.pixels import Bools, Box, Photo, crop, distance_from, hole_box

RADIUS = 80.0  # px of a photo PAPER_SIDE px long: how far the context goes


class Region(NamedTuple):
    """The hole of a photo with its context; made once for a photo, read by every step, changed by none.

    Attributes
    ----------
    working : Working
        the whole photo and its hole at the working size, and the factor to the photo's own size.
    box : Box
        the hole with its context, in px of the working size; (h, w) is its size.
    photo : uint8 (h, w, 3)
        the photo in the box.
    hole : bool (h, w)
        the hole in the box.
    context : bool (h, w)
        known pixels within the radius of the hole, by Euclidean distance.
    domain : bool (h, w)
        the hole and the known pixels that a seam may take (`seam_domain`).
    reach : int
        px, how far the domain goes from the hole at most; 0: it is the hole.
    """

    working: Working
    box: Box
    photo: Photo
    hole: Bools
    context: Bools
    domain: Bools
    reach: int

    @property
    def size(self) -> tuple[int, int]:
        """(h, w) of the box."""
        return self.hole.shape[0], self.hole.shape[1]


def region_of(working: Working, seam: float = 0.0, *, radius: float = RADIUS) -> Region:
    """Return the region around a hole.

    Parameters
    ----------
    working : a photo with a hole that leaves some of it known.
    seam : how far a seam may cut into known pixels, in px of a photo PAPER_SIDE px long.
    radius : of the context, in the same px; at least 1 px of the working size.

    Raises
    ------
    MaskError : a seam would reach all of the photo.
    """
    side = max(working.hole.shape)
    radius = max(1.0, radius * side / PAPER_SIDE)
    near = distance_from(working.hole) <= radius
    box = hole_box(near)
    hole = working.hole[crop(box)]
    # A blend needs one known pixel beyond the seam.
    reach = min(round(seam * side / PAPER_SIDE), int(radius) - 1)
    domain = seam_domain(hole, reach)
    if domain.all():
        height, width = working.hole.shape
        raise MaskError(
            f"every known pixel lies next to the hole, within reach of a seam of {seam:g} px, at the {width}x{height} px that "
            "this photo is worked on at: nothing would be left of it; set `seam` to 0, or mark a smaller hole"
        )
    return Region(working, box, working.photo[crop(box)], hole, near[crop(box)] & ~hole, domain, reach)
