"""Blending the best scenes into a photo, and bringing the fill to the photo's own size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5, after P. Perez, M. Gangnet, A.
Blake, "Poisson Image Editing", SIGGRAPH 2003. Deviations: all scenes are blended over one domain, the hole and what a seam
may take; the blend is pulled to the expected content; it is solved at the working size, and what it adds to the scene and the
photo is enlarged (`working_size`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.paste import SOLVERS_HELD
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.result import FROM_SCENE, SHIFTED
from ce_retrieval.completion.scenes.dropped import Dropped
from ce_retrieval.completion.scenes.fit import Fitted, Open
from ce_retrieval.completion.scenes.ranking import Scored
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.stages import BLEND, tell
from ce_retrieval.completion.working_size import enlarged_mask, enlarged_values, enlarged_window, sampled
from ce_retrieval.errors import PhotoError
from ce_retrieval.pixels import Bools, Box, Floats, Photo, crop, resize, to_bytes, to_unit

# Weight of a blend's pull to the expected content, a px of the index's size: structure above 1 / sqrt(PULL) px follows it.
PULL = 0.8
THUMBNAIL = 320  # px, the longer side

Solvers = HoleCache[PoissonSolver]


class Composite(NamedTuple):
    """A scene blended into a region.

    Attributes
    ----------
    scored : the scene's place among the best.
    scene : uint8 (h, w, 3)
        as it was opened.
    values : float32 (h, w, 3) in [0, 1]
        the blend over the region's box.
    taken : bool (h, w)
        pixels of the box that come from the scene.
    """

    scored: Scored
    scene: Photo
    values: Floats
    taken: Bools


def domain_solvers() -> Solvers:
    """Return a cache of the solvers of the last regions, by a domain and its hole, bool (2, h, w), and the pull in the hole."""
    return HoleCache(lambda both, pull: PoissonSolver(both[0], pull=both[1] * pull if pull else None), SOLVERS_HELD)


def compose_scenes(
    region: Region, best: Sequence[Scored], opened: Open, solvers: Solvers, mixed: bool, workers: int, dropped: Dropped
) -> Iterator[Composite]:
    """Yield the blends of the best scenes, as many at a time as there are threads.

    Parameters
    ----------
    best : all with a correction, or none.
    solvers : as from `domain_solvers`.
    mixed : blend with the stronger gradient of scene and photo.
    dropped : collects the scenes that cannot be opened a second time.
    """
    step, solver = max(2, workers), None
    for start in range(0, len(best), step):
        tell(BLEND, start, len(best))
        ready, scenes = [], []
        for scored in best[start : start + step]:
            try:
                scenes.append(opened(scored.fitted.neighbor))
                ready.append(scored)
            except PhotoError as error:  # it was there a moment ago
                dropped.lose(str(error))
        if ready:
            solver = solver or solvers(np.stack([region.domain, region.hole]), _pull(region, best[0].correction))
            taken = np.stack([_taken(region, scored.fitted) for scored in ready])
            patches = [sampled(s, r.fitted.box, region.size) for s, r in zip(scenes, ready, strict=True)]
            corrections = [_in_box(region, r.correction) for r in ready if r.correction is not None]
            blend = solver.compose(
                to_unit(np.stack(patches)),
                to_unit(region.photo),
                taken,
                region.hole,
                mixed=mixed,
                pull_to=np.stack(corrections) if corrections else None,
                workers=workers,
            )
            yield from map(Composite._make, zip(ready, scenes, blend.fills, taken, strict=True))


def _pull(region: Region, correction: np.ndarray | None) -> float:
    """Return the weight of the pull at the working size, for a correction at the index's size; 0 for none."""
    if correction is None:
        return 0.0
    height, width = region.working.hole.shape
    return PULL * (correction.shape[0] * correction.shape[1]) / (height * width)


def _taken(region: Region, fitted: Fitted) -> Bools:
    return np.unpackbits(fitted.taken, count=region.hole.size).astype(bool).reshape(region.size)


def _in_box(region: Region, correction: np.ndarray) -> Floats:
    """Return the part of a correction (S, S, 3) of the whole photo in the region's box, at its size."""
    y0, x0, y1, x1 = region.box
    height, width = region.working.hole.shape
    rows, cols = correction.shape[0] / height, correction.shape[1] / width
    return resize(correction, region.size, (y0 * rows, x0 * cols, y1 * rows, x1 * cols))


def at_working_size(region: Region, composite: Composite) -> Photo:
    """Return the filled photo uint8 (h, w, 3) at the working size; outside the domain it is that photo's."""
    filled = region.working.photo.copy()
    filled[crop(region.box)][region.domain] = to_bytes(composite.values[region.domain])
    return filled


def at_full_size(region: Region, composite: Composite, photo: Photo, hole: Bools) -> Photo:
    """Return the filled photo uint8 (H, W, 3) at its own size; outside the domain it is bit for bit the photo.

    photo, hole: at their own size.
    """
    if region.working.whole:
        return at_working_size(region, composite)
    window, taken, domain = _window(region, composite.taken, hole)
    y0, x0, y1, x1 = window
    filled = photo.copy()
    inner = filled[crop(window)]
    (top, left), (rows, cols) = placed(region, composite.scored.fitted)
    in_scene = ((y0 - top) / rows, (x0 - left) / cols, (y1 - top) / rows, (x1 - left) / cols)
    patch = sampled(composite.scene, in_scene, (y1 - y0, x1 - x0))
    small = to_unit(sampled(composite.scene, composite.scored.fitted.box, region.size))
    added = _enlarged(region, composite.values - small, composite.taken, window)
    inner[taken] = to_bytes(to_unit(patch[taken]) + added[taken])
    shifted = domain & ~taken
    if shifted.any():
        added = _enlarged(region, composite.values - to_unit(region.photo), ~composite.taken, window)
        inner[shifted] = to_bytes(to_unit(inner[shifted]) + added[shifted])
    return filled


def seam_map(region: Region, composite: Composite, hole: Bools) -> np.ndarray:
    """Return where the fill may differ from the photo, uint8 (H, W) as `Completion.seam`; hole: at its own size."""
    seam = np.zeros(hole.shape, np.uint8)
    window, taken, domain = _window(region, composite.taken, hole)
    inner = seam[crop(window)]
    inner[domain] = SHIFTED
    inner[taken] = FROM_SCENE
    return seam


def thumbnail(photo: Photo) -> Photo:
    """Return a photo with a longer side of at most THUMBNAIL px."""
    image = Image.fromarray(photo)
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    return np.asarray(image)


def placed(region: Region, fitted: Fitted) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return a scene's offset and scale in the photo at its own size, as in `Candidate`."""
    y0, x0, y1, x1 = region.box
    top, left, bottom, right = fitted.box
    rows, cols = region.working.factor
    scale = ((y1 - y0) * rows / (bottom - top), (x1 - x0) * cols / (right - left))
    return (y0 * rows - top * scale[0], x0 * cols - left * scale[1]), scale


def _window(region: Region, taken: Bools, hole: Bools) -> tuple[Box, Bools, Bools]:
    """Return the region's box at the photo's size, and there the pixels of the scene and those of the domain."""
    working = region.working
    if working.whole:
        return region.box, taken, region.domain
    window = enlarged_window(region.box, working.factor, (hole.shape[0], hole.shape[1]))
    inner = hole[crop(window)]
    if not region.reach:
        return window, inner, inner  # a hole pixel of the working size may cover known pixels: they stay
    masks = []
    for mask in (taken, region.domain):
        frame = np.zeros(working.hole.shape, bool)
        frame[crop(region.box)] = mask
        masks.append(enlarged_mask(frame, working.factor, window))
    return window, masks[0] | inner, masks[1] | inner


def _enlarged(region: Region, values: Floats, where: Bools, window: Box) -> Floats:
    """Return values of the region's box, of the pixels `where` alone, at each pixel of a window of the photo."""
    corner = (region.box[0] * region.working.factor[0], region.box[1] * region.working.factor[1])
    return enlarged_values(values, where, region.working.factor, window, corner)
