"""Where a scene fits a photo's hole best: the alignment by local context of scene completion.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 4: the pixels within 80 px of the
hole (for photos of 1024 px) are compared with each scene over all valid translations and three scales (0.81, 0.90, 1) by
the squared difference in L*a*b*; only placements in which the whole context lies inside the scene are valid; the error of
a placement is multiplied by the magnitude of its offset, to discourage large translations; texture, the 5x5 median of the
gradient's magnitude, is compared by squared difference too.

Minimised here, over scales s and translations t of the scaled scene:

    score(s, t) = (ssd + TEXTURE_WEIGHT * texture) * (1 + OFFSET_WEIGHT * |offset(s, t)| / long side of the photo)

ssd and texture are means over the context's pixels: of the squared L*a*b* distance, and of the squared difference of the
textures. The offset is the distance, in px of the photo, of the scaled scene's centre from the photo's. Deviations:
  - The paper multiplies by the bare magnitude, so that a centred scene costs nothing whatever it shows, and one px costs a
    tenth of ten; here the factor is 1 when centred and grows slowly.
  - In the paper texture takes part in the final ranking alone; here it takes part in the placement as well.
  - The paper's scenes have the photo's size. A larger scene of the same view may fit at none of the scales, so the scale
    at which a larger scene just covers the photo is tried too.
  - A scene too small for the context at every scale is enlarged, by the least factor that makes it fit.

The search is exhaustive (`template_match`), and exact: the few placements that rounding cannot tell apart are measured
again pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from ce_retrieval.completion.scenes.placement_features import texture_of
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.scenes.template_match import MaskedMatch, transform_size
from ce_retrieval.pixels import Box, Floats, Photo, crop, resize_area, to_lab

SCALES = (0.81, 0.90, 1.0)  # of a scene
NEARLY = 0.01  # scales that differ by less count as one
ENLARGED = 1.25  # how far a scene is enlarged at most where it is too small at every scale
TEXTURE_WEIGHT = 4.0  # of the squared difference of textures against that of L*a*b*
OFFSET_WEIGHT = 1.0  # added to an error's factor by a shift as long as the photo
REMEASURED = 16  # placements measured pixel by pixel, at most, for a scale

Size = tuple[int, int]


class Placement(NamedTuple):
    """A scene's best placement.

    Attributes
    ----------
    scale : of the scene.
    size : (h, w) of the scaled scene.
    box : the context's box in the scaled scene.
    offset : (dy, dx)
        px of the photo from the photo's centre to the scaled scene's, multiples of a half.
    ssd : mean squared L*a*b* distance over the context.
    texture : mean squared difference of textures over the context.
    score : the error that is minimised.
    """

    scale: float
    size: Size
    box: Box
    offset: tuple[float, float]
    ssd: float
    texture: float
    score: float


class LocalContext:
    """The context of a photo's hole, and the search for its best placement in scenes.

    Notes
    -----
    Threads may share one: results do not depend on their number. Memory: the spectra of at most six sizes of transform,
    20 bytes a pixel each, and while a scene is placed about 60 bytes a pixel of it for each worker. What lies under the hole
    is never read.
    """

    def __init__(self, region: Region) -> None:
        photo, hole = region.working.photo, region.working.hole
        self._shape = hole.shape
        self._box, self._size, self._context = region.box, region.size, region.context
        self._pixels = int(region.context.sum())
        self._root = np.float32(math.sqrt(TEXTURE_WEIGHT))
        inner = crop(region.box)
        lab = to_lab(np.where(hole[..., None], np.uint8(0), photo))
        self._texture = texture_of(lab[..., 0], hole)[inner]
        features = np.empty((4, *region.size), np.float32)
        features[:3] = lab[inner].transpose(2, 0, 1)
        np.multiply(self._texture, self._root, out=features[3])
        # Less their means over the context: small numbers lose less in float32.
        self._means = features[:, region.context].mean(axis=1, dtype=np.float64).astype(np.float32)
        features -= self._means[:, None, None]
        self._features = features * region.context
        self._match = MaskedMatch(self._features, region.context)

    def place(self, scenes: Sequence[Photo], workers: int = 1) -> list[Placement | str]:
        """Find the best placement of each scene.

        Parameters
        ----------
        scenes : uint8 (h, w, 3) each, of any sizes.
        workers : threads.

        Returns
        -------
        For each scene the placement of the least score; of equal ones that of the smallest offset, then of the largest scale,
        then the uppermost and leftmost. A line that says why, where the scene is too small for the context.
        """
        tasks = [
            (transform_size(size), at, scale, size)
            for at, scene in enumerate(scenes)
            for scale, size in self._sizes((scene.shape[0], scene.shape[1]))
        ]
        # Largest first for an even load, and all of one transform in a row: its spectra are computed once.
        tasks.sort(key=lambda task: (-task[0][0] * task[0][1], task))
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda task: self._place_at(scenes[task[1]], task[2], task[3]), tasks))
        best: dict[int, Placement] = {}
        for (_, at, _, _), placement in zip(tasks, found, strict=True):
            best[at] = min(best.get(at, placement), placement, key=_order)
        return [best[at] if at in best else self._too_small(scene) for at, scene in enumerate(scenes)]

    def _sizes(self, size: Size) -> list[tuple[float, Size]]:
        """Return the scales at which the context fits into a scene of the size (h, w), with the scaled sizes."""
        scales, covers = list(SCALES), max(self._shape[0] / size[0], self._shape[1] / size[1])
        if covers < 1 and all(abs(covers / scale - 1) > NEARLY for scale in SCALES):
            scales.append(covers)
        sizes = [(scale, (round(size[0] * scale), round(size[1] * scale))) for scale in scales]
        need = self._size
        fitting = [(scale, scaled) for scale, scaled in sizes if scaled[0] >= need[0] and scaled[1] >= need[1]]
        factor = self._least_factor(size)
        if not fitting and factor <= ENLARGED:
            fitting = [(factor, (max(round(size[0] * factor), need[0]), max(round(size[1] * factor), need[1])))]
        return fitting

    def _least_factor(self, size: Size) -> float:
        return max(self._size[0] / size[0], self._size[1] / size[1])

    def _too_small(self, scene: Photo) -> str:
        height, width = scene.shape[:2]
        return (
            f"too small: {width}x{height} px, the hole with its context is {self._size[1]}x{self._size[0]}; to fit, the scene "
            f"would be enlarged {self._least_factor((height, width)):.2f} times, more than {ENLARGED:g}"
        )

    def _place_at(self, scene: Photo, scale: float, size: Size) -> Placement:
        """Return the best placement at one scale."""
        lab = to_lab(resize_area(scene, size))
        texture = texture_of(np.ascontiguousarray(lab[..., 0]))
        planes = self._match.planes(size)
        image = planes[:, : size[0], : size[1]]
        for channel in range(3):
            np.subtract(lab[..., channel], self._means[channel], out=image[channel])
        np.subtract(texture * self._root, self._means[3], out=image[3])
        errors, doubt = self._match.errors(planes, size)
        factors, squares = self._factors(size)
        scores, doubts = errors * factors, np.float32(doubt) * factors
        near = np.flatnonzero(scores - doubts <= (scores + doubts).min())
        if len(near) > REMEASURED:
            # More than rounding can tell apart, as with flat scenes: the least by score, and those of small offsets.
            by_score = near[np.argsort(scores.flat[near], kind="stable")]
            by_offset = near[np.argsort(squares.flat[near], kind="stable")]
            near = np.union1d(by_score[: REMEASURED // 2], by_offset[: REMEASURED // 2])
        places = [divmod(int(at), scores.shape[1]) for at in near]
        return min((self._measured(image, texture, scale, size, at) for at in places), key=_order)

    def _factors(self, size: Size) -> tuple[Floats, Floats]:
        """Return the factor of each valid translation's error, and the square of its offset."""
        rows, cols = (np.arange(size[axis] - self._size[axis] + 1) for axis in (0, 1))
        down, across = (part.astype(np.float32) for part in self._offset(size, rows, cols))
        squares = np.square(down)[:, None] + np.square(across)
        return 1 + np.sqrt(squares) * np.float32(OFFSET_WEIGHT / max(self._shape)), squares

    def _offset(self, size: Size, y: Any, x: Any) -> tuple[Any, Any]:
        """Return the offset of the scaled scene's centre from the photo's when the box begins at (y, x) of the scene."""
        return (
            self._box[0] - y + (size[0] - self._shape[0]) / 2,
            self._box[1] - x + (size[1] - self._shape[1]) / 2,
        )

    def _measured(self, image: Floats, textures: Floats, scale: float, size: Size, at: tuple[int, int]) -> Placement:
        """Return a placement, measured pixel by pixel; sums in float64."""
        y, x = at
        box = (y, x, y + self._size[0], x + self._size[1])
        there = crop(box)
        difference = (image[:3, *there] - self._features[:3]) * self._context
        rougher = (textures[there] - self._texture) * self._context
        ssd = float(np.square(difference, out=difference).sum(axis=(1, 2), dtype=np.float64).sum()) / self._pixels
        texture = float(np.square(rougher, out=rougher).sum(dtype=np.float64)) / self._pixels
        offset = self._offset(size, y, x)
        factor = 1 + OFFSET_WEIGHT * math.hypot(*offset) / max(self._shape)
        return Placement(scale, size, box, offset, ssd, texture, (ssd + TEXTURE_WEIGHT * texture) * factor)


def _order(placement: Placement) -> tuple[float, ...]:
    """Return a key by which better placements come first, and by which no two of a scene are equal."""
    square = placement.offset[0] ** 2 + placement.offset[1] ** 2
    return (placement.score, square, -placement.scale, *placement.box)
