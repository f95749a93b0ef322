"""Fitting scenes into the region of a hole: each is placed by its local context, cut along its best seam, and scored.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, sections 4 and 5. Deviation: a scene much
larger than the photo is first reduced so that at its smallest scale it just covers the photo, because a pixel of it should
show about as much as one of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import NamedTuple

import numpy as np

from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.placement import SCALES, LocalContext, Placement
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.scenes.seam import GROWTH, Seam, SeamFinder
from ce_retrieval.completion.scenes.terms import GIST_SIDE
from ce_retrieval.completion.stages import CUT, PLACE, tell
from ce_retrieval.completion.working_size import sampled
from ce_retrieval.errors import CeretError, PhotoError, SamePhotoError
from ce_retrieval.pixels import Bools, Photo, crop, hole_box, resize, resize_area
from ce_retrieval.retrieval.neighbor import Neighbor

CHUNK = 16  # scenes held at a time
LOOK = 32  # px, side of the pictures by which near-duplicates are found

# A further ranking term: (what the scene shows, photo, hole), all of the region's box -> a distance, lower is better.
Term = Callable[[Photo, Photo, Bools], float]
# Reads a scene uint8 (h, w, 3); raises PhotoError where it cannot be read, SamePhotoError where it must not be used.
Open = Callable[[Neighbor], Photo]


class Fitted(NamedTuple):
    """A scene in its place in a region.

    Attributes
    ----------
    neighbor : the scene's entry in the search.
    box : (y0, x0, y1, x1)
        the region's box in px of the scene as it was opened.
    taken : bits of the pixels of the region's box that come from the scene (`np.packbits`).
    scores : the paper's terms, and the further ones.
    look : uint8 (LOOK, LOOK, 3) or smaller
        what the scene shows over the hole's box.
    square : uint8 (S, S, 3)
        the photo with the scene over the region's box, at the index's size.
    whole : uint8 (GIST_SIDE, GIST_SIDE, 3)
        the whole scene.
    """

    neighbor: Neighbor
    box: tuple[float, float, float, float]
    taken: np.ndarray
    scores: Mapping[str, float]
    look: Photo
    square: Photo
    whole: Photo


class _Opened(NamedTuple):
    """A scene that was read: its pixels, reduced if it was much larger than the photo, and its own (h, w)."""

    neighbor: Neighbor
    scene: Photo
    size: tuple[int, int]


def fit_scenes(
    region: Region,
    scenes: Sequence[Neighbor],
    opened: Open,
    terms: Mapping[str, Term],
    limit: int,
    size: int,
    workers: int,
    dropped: Dropped,
) -> list[Fitted]:
    """Open, place, cut and score the first `limit` scenes that can be read.

    Parameters
    ----------
    scenes : best first; those beyond `limit` replace scenes that cannot be read.
    terms : further ranking terms, by name.
    size : px, the index's size, for `Fitted.square`.
    dropped : collects the scenes that cannot be read or do not fit.

    Returns
    -------
    Those that fit, in the given order: one or more.

    Raises
    ------
    PhotoError : none fits.

    Notes
    -----
    Memory: CHUNK scenes, and for each that fits an eighth of a byte a pixel of the box, 15 kB, and 3 bytes a pixel at the
    index's size.
    """
    context = LocalContext(region)
    # The finder takes the box for a whole photo, so the growth a px is scaled to that of the photo.
    growth = GROWTH * max(region.size) / max(region.working.hole.shape)
    seams = SeamFinder(region.hole, region.domain, growth=growth)

    def fit(job: tuple[_Opened, Placement]) -> Fitted | str:
        one, placement = job
        patch = sampled(one.scene, _in_scene(placement, _size(one.scene)), region.size)
        try:
            seam = seams.find(region.photo, patch)
        except CeretError as error:
            return f"{one.neighbor.name}: {error}"
        return _fitted(region, one, placement, patch, seam, terms, size)

    fitted: list[Fitted] = []
    read, wanted = 0, min(limit, len(scenes))
    with ThreadPoolExecutor(workers) as pool:
        tell(PLACE, 0, wanted)
        for chunk in _chunks(region, scenes, opened, limit, pool, dropped):
            read += len(chunk)
            jobs = []
            for one, placement in zip(chunk, context.place([one.scene for one in chunk], workers), strict=True):
                if isinstance(placement, Placement):
                    jobs.append((one, placement))
                else:
                    dropped.refuse(f"{one.neighbor.name}: {placement}")
            tell(PLACE, read, wanted)
            for result in pool.map(fit, jobs):
                if isinstance(result, Fitted):
                    fitted.append(result)
                else:
                    dropped.refuse(result)
            tell(CUT, read, wanted)
    if not fitted:
        raise dropped.nothing_left()
    return fitted


def _chunks(
    region: Region, scenes: Sequence[Neighbor], opened: Open, limit: int, pool: Executor, dropped: Dropped
) -> Iterator[list[_Opened]]:
    """Yield the first `limit` scenes that can be read, at most CHUNK at a time."""

    def open_one(neighbor: Neighbor) -> _Opened | PhotoError:
        try:
            scene = opened(neighbor)
        except PhotoError as error:
            return error
        return _Opened(neighbor, _reduced(scene, region.working.hole.shape), _size(scene))

    start = read = 0
    while chunk := scenes[start : start + min(CHUNK, limit - read)]:
        start += len(chunk)
        ready = []
        for found in pool.map(open_one, chunk):
            if isinstance(found, SamePhotoError):
                dropped.lose_copies(str(found))
            elif isinstance(found, PhotoError):
                dropped.lose(str(found))
            else:
                ready.append(found)
        read += len(ready)
        yield ready
    if start < len(scenes):
        dropped.more = "aligned"


def _reduced(scene: Photo, shape: tuple[int, ...]) -> Photo:
    """Return a scene much larger than a photo of (h, w) = shape so that at the smallest scale it just covers the photo."""
    height, width = scene.shape[:2]
    covers = max(shape[0] / height, shape[1] / width)
    factor = covers / min(SCALES)
    # Resampling costs sharpness, so a scene within one more step of the scales stays as it is.
    return scene if factor > min(SCALES) else resize_area(scene, (round(height * factor), round(width * factor)))


def _fitted(
    region: Region,
    one: _Opened,
    placement: Placement,
    patch: Photo,
    seam: Seam,
    terms: Mapping[str, Term],
    size: int,
) -> Fitted:
    """Score a scene in its place; patch: what it shows over the region's box."""
    paper = {
        "scene": one.neighbor.distance,
        "context": placement.ssd,
        "texture": placement.texture,
        "seam": seam.cost,
    }
    canvas = region.working.photo.copy()
    canvas[crop(region.box)] = patch
    over_hole = patch[crop(hole_box(region.hole))]
    return Fitted(
        neighbor=one.neighbor,
        box=_in_scene(placement, one.size),
        taken=np.packbits(seam.taken),
        scores={**paper, **{name: float(term(patch, region.photo, region.hole)) for name, term in terms.items()}},
        look=resize_area(over_hole, (min(LOOK, over_hole.shape[0]), min(LOOK, over_hole.shape[1]))),
        square=resize(canvas, (size, size)),
        whole=resize_area(one.scene, (GIST_SIDE, GIST_SIDE)),
    )


def _in_scene(placement: Placement, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """Return the region's box in px of the scene at the size (h, w)."""
    rows, cols = size[0] / placement.size[0], size[1] / placement.size[1]
    y0, x0, y1, x1 = placement.box
    return y0 * rows, x0 * cols, y1 * rows, x1 * cols


def _size(scene: Photo) -> tuple[int, int]:
    return scene.shape[0], scene.shape[1]
