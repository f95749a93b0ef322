"""Where a scene fits a photo's hole best: the alignment by local context of scene completion.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 4: the pixels within 80 px of the
hole (for photos of 1024 px) are compared with each scene over all valid translations and three scales (0.81, 0.90, 1) by
the squared difference in L*a*b*; only placements in which the whole context lies inside the scene are valid; the error of
a placement is multiplied by the magnitude of its offset, to discourage large translations; texture, the 5x5 median of the
gradient's magnitude, is compared by squared difference too.

What is minimised here, over scales s and translations t of the scaled scene:

    score(s, t) = (ssd + texture_weight * texture) * (1 + offset_weight * |offset(s, t)| / long side of the photo)

ssd and texture are means over the band's pixels: of the squared L*a*b* distance, and of the squared difference of the
textures. The offset is the distance, in px of the photo, of the scaled scene's centre from the photo's. Deviations:
  - The paper multiplies by the bare magnitude, so that a centred scene costs nothing whatever it shows, and one px costs a
    tenth of ten; here the factor is 1 when centred and grows slowly. `offset_weight=0` leaves the error as it is.
  - In the paper texture takes part in the final ranking alone; here it takes part in the placement as well, and is
    reported apart. `texture_weight=0` places by colour alone.
  - The paper's scenes have the photo's size; a larger one that shows the very view may fit at none of the scales. `frame`.
  - A scene too small for the context at every scale is enlarged, by the least factor that makes it fit.

The search is exhaustive (`context_match`), and exact: the few placements that rounding cannot tell apart are measured
again pixel by pixel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.scenes.placement_features import lab_of, resized, texture_of
from ce_retrieval.completion.scenes.template_match import MaskedMatch, transform_size
from ce_retrieval.errors import MaskError

REFERENCE_SIDE = 1024  # px: the long side that a radius is given for
NEARLY = 0.01  # scales that differ by less are one
REMEASURED = 16  # placements measured pixel by pixel, at most, for a scale


@dataclass(frozen=True)
class ContextSettings:
    """How scenes are placed.

    radius: px at a photo whose long side is 1024, over 0; scaled with the photo, at least 1 px. scales: of the scene, all
    positive; frame: and, for one larger than the photo, that which just covers it. enlarge: the most that a scene may be
    enlarged when it is too small at every scale. texture_weight: of the squared difference of textures against that of
    L*a*b*; offset_weight: how much a shift by the photo's long side adds to the factor of the error; neither is negative.

    Raises:
        ValueError: a value out of range.
    """

    radius: float = 80.0
    scales: tuple[float, ...] = (0.81, 0.90, 1.0)
    frame: bool = False
    enlarge: float = 1.25
    texture_weight: float = 4.0
    offset_weight: float = 1.0

    def __post_init__(self) -> None:
        if not self.radius > 0:
            raise ValueError(f"radius of the context: a positive number of px is needed, not {self.radius}")
        if not self.scales or not all(0 < scale < math.inf for scale in self.scales):
            raise ValueError(f"scales of a scene: one or more positive numbers are needed, not {self.scales}")
        if not self.enlarge > 0:
            raise ValueError(f"enlargement of a scene: a positive factor is needed, not {self.enlarge}")
        if not (self.texture_weight >= 0 and self.offset_weight >= 0):
            raise ValueError(
                f"weights of a placement: none may be negative: {self.texture_weight}, {self.offset_weight}"
            )


class Placement(NamedTuple):
    """A scene's best placement.

    scale: of the scene; size: (h, w) of the scaled scene; box: (y0, x0, y1, x1) of the context in it, half-open, of the
    size of `LocalContext.box`; offset: (dy, dx) px of the photo from the photo's centre to the scaled scene's, multiples
    of a half; ssd: mean squared L*a*b* distance over the band; texture: mean squared difference of textures over the
    band; score: the error that the placement has the least of, lower is better.
    """

    scale: float
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    offset: tuple[float, float]
    ssd: float
    texture: float
    score: float


class Rejected(NamedTuple):
    """A scene that cannot be placed, and the reason, one line."""

    reason: str


class LocalContext:
    """The surroundings of a photo's hole, and the search for their best placement in scenes.

    Attributes:
        band: bool (H, W), the known pixels within the radius of the hole, by Euclidean distance.
        box: (y0, x0, y1, x1), half-open: of the band and the hole, cut at the photo's border.
        radius: px of this photo.

    Threads may share one: results do not depend on their number. Memory: the spectra of at most six sizes of transform,
    20 bytes a pixel each, and while a scene is placed about 60 bytes a pixel of it for each worker.
    """

    def __init__(
        self, photo: NDArray[np.uint8], hole: NDArray[np.bool_], settings: ContextSettings | None = None
    ) -> None:
        """Prepare a photo.

        Args:
            photo: uint8 (H, W, 3). Its missing pixels are never read.
            hole: bool (H, W), True = missing; of any shape, at the photo's border too.
            settings: None for the defaults.

        Raises:
            MaskError: the hole is empty or covers the whole photo.
            ValueError: a photo that is not uint8 (H, W, 3), or a hole that is not bool (H, W).
        """
        import cv2

        _check_photo("photo", photo)
        if hole.dtype != np.bool_ or hole.shape != photo.shape[:2]:
            raise ValueError(f"hole: bool {photo.shape[:2]} is needed, not {hole.dtype} {hole.shape}")
        if not hole.any() or hole.all():
            raise MaskError("the hole has no context: mark some pixels as missing, but not all of them")
        self.settings = settings or ContextSettings()
        self.shape = hole.shape
        self.radius = max(1.0, self.settings.radius * max(hole.shape) / REFERENCE_SIDE)
        away = cv2.distanceTransform((~hole).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        near = away <= self.radius
        rows, cols = np.flatnonzero(near.any(axis=1)), np.flatnonzero(near.any(axis=0))
        self.box = (int(rows[0]), int(cols[0]), int(rows[-1]) + 1, int(cols[-1]) + 1)
        self.band = near & ~hole
        known = np.where(hole[..., None], np.uint8(0), photo)
        self._prepare(lab_of(known), hole)

    def _prepare(self, lab: NDArray[np.float32], hole: NDArray[np.bool_]) -> None:
        """The context's features, less their means over the band: small numbers lose less in float32."""
        y0, x0, y1, x1 = self.box
        self._band = self.band[y0:y1, x0:x1]
        self._root = np.float32(math.sqrt(self.settings.texture_weight))
        features = np.empty((4, *self._band.shape), np.float32)
        features[:3] = lab[y0:y1, x0:x1].transpose(2, 0, 1)
        self._texture = texture_of(lab[..., 0], hole)[y0:y1, x0:x1]
        np.multiply(self._texture, self._root, out=features[3])
        self._means = features[:, self._band].mean(axis=1, dtype=np.float64).astype(np.float32)
        features -= self._means[:, None, None]
        self._features = features * self._band
        self._pixels = int(self._band.sum())
        # Without a weight, texture need not be transformed.
        self._match = MaskedMatch(self._features if self._root else self._features[:3], self._band)

    def place(self, scene: NDArray[np.uint8]) -> Placement | Rejected:
        """The best placement of one scene.

        Args:
            scene: uint8 (h, w, 3), of any size.

        Returns:
            Placement, that of the least score; of equal ones that of the smallest offset, then of the largest scale, then
            the uppermost and leftmost. Rejected: the scene is too small for the context.

        Raises:
            ValueError: the scene is not uint8 (h, w, 3).
        """
        return self.place_many([scene])[0]

    def place_many(self, scenes: Sequence[NDArray[np.uint8]], workers: int = 1) -> list[Placement | Rejected]:
        """The best placement of each scene, in the order given; as `place`.

        Args:
            scenes: K scenes, uint8 (h, w, 3), of any sizes.
            workers: threads, at least 1.

        Raises:
            ValueError: a scene that is not uint8 (h, w, 3), or no worker.
        """
        if workers < 1:
            raise ValueError(f"workers: at least 1 is needed, not {workers}")
        tasks = [
            (transform_size(size), at, scale, size) for at, s in enumerate(scenes) for scale, size in self._sizes(s)
        ]
        # Largest first for an even load, and all of one transform in a row: its spectra are computed once.
        tasks.sort(key=lambda task: (-task[0][0] * task[0][1], task))
        with ThreadPoolExecutor(workers) as pool:
            found = list(pool.map(lambda task: self._place_at(scenes[task[1]], task[2], task[3]), tasks))
        best: dict[int, Placement] = {}
        for (_, at, _, _), placement in zip(tasks, found, strict=True):
            best[at] = min(best.get(at, placement), placement, key=_order)
        return [best[at] if at in best else self._rejected(scene) for at, scene in enumerate(scenes)]

    def aligned(self, scene: NDArray[np.uint8], placement: Placement) -> NDArray[np.uint8]:
        """What a placed scene shows over the photo's `box`: uint8 (y1 - y0, x1 - x0, 3), the pixels that were compared."""
        y0, x0, y1, x1 = placement.box
        return resized(scene, placement.size)[y0:y1, x0:x1]

    def _sizes(self, scene: NDArray[np.uint8]) -> list[tuple[float, tuple[int, int]]]:
        """Scales at which the context fits into the scene, with the scaled sizes."""
        _check_photo("scene", scene)
        height, width = scene.shape[:2]
        sizes = [(scale, (round(height * scale), round(width * scale))) for scale in self._scales(height, width)]
        fitting = [(scale, size) for scale, size in sizes if self._fits(size)]
        factor = self._least_factor(scene)
        if not fitting and factor <= self.settings.enlarge:
            need = self._band.shape
            fitting = [(factor, (max(round(height * factor), need[0]), max(round(width * factor), need[1])))]
        return fitting

    def _scales(self, height: int, width: int) -> tuple[float, ...]:
        scales, covers = self.settings.scales, max(self.shape[0] / height, self.shape[1] / width)
        if self.settings.frame and covers < 1 and all(abs(covers / scale - 1) > NEARLY for scale in scales):
            return (*scales, covers)
        return scales

    def _fits(self, size: tuple[int, int]) -> bool:
        return size[0] >= self._band.shape[0] and size[1] >= self._band.shape[1]

    def _least_factor(self, scene: NDArray[np.uint8]) -> float:
        return max(self._band.shape[0] / scene.shape[0], self._band.shape[1] / scene.shape[1])

    def _rejected(self, scene: NDArray[np.uint8]) -> Rejected:
        need, have = self._band.shape, scene.shape
        return Rejected(
            f"too small: {have[1]}x{have[0]} px, the hole with its context is {need[1]}x{need[0]}; to fit, the scene would "
            f"be enlarged {self._least_factor(scene):.2f} times, more than {self.settings.enlarge:g}"
        )

    def _place_at(self, scene: NDArray[np.uint8], scale: float, size: tuple[int, int]) -> Placement:
        """The best placement at one scale."""
        lab = lab_of(resized(scene, size))
        texture = texture_of(np.ascontiguousarray(lab[..., 0]))
        planes = self._match.planes(size)
        image = planes[:, : size[0], : size[1]]
        for channel in range(3):
            np.subtract(lab[..., channel], self._means[channel], out=image[channel])
        if self._root:
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

    def _factors(self, size: tuple[int, int]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Factor of each valid translation's error, and the square of its offset."""
        rows, cols = (size[axis] - self._band.shape[axis] + 1 for axis in (0, 1))
        down = np.array([self._offset(size, y, 0)[0] for y in range(rows)], np.float32)
        across = np.array([self._offset(size, 0, x)[1] for x in range(cols)], np.float32)
        squares = np.square(down)[:, None] + np.square(across)
        return 1 + np.sqrt(squares) * np.float32(self.settings.offset_weight / max(self.shape)), squares

    def _offset(self, size: tuple[int, int], y: int, x: int) -> tuple[float, float]:
        """Of the scaled scene's centre from the photo's, when the box begins at (y, x) of the scene."""
        return (
            self.box[0] - y + (size[0] - self.shape[0]) / 2,
            self.box[1] - x + (size[1] - self.shape[1]) / 2,
        )

    def _measured(
        self,
        image: NDArray[np.float32],
        textures: NDArray[np.float32],
        scale: float,
        size: tuple[int, int],
        at: tuple[int, int],
    ) -> Placement:
        """A placement, measured pixel by pixel; sums in float64."""
        y, x = at
        height, width = self._band.shape
        there = (slice(y, y + height), slice(x, x + width))
        difference = (image[:3, *there] - self._features[:3]) * self._band
        rougher = (textures[there] - self._texture) * self._band
        ssd = float(np.square(difference, out=difference).sum(axis=(1, 2), dtype=np.float64).sum()) / self._pixels
        texture = float(np.square(rougher, out=rougher).sum(dtype=np.float64)) / self._pixels
        offset = self._offset(size, y, x)
        factor = 1 + self.settings.offset_weight * math.hypot(*offset) / max(self.shape)
        score = (ssd + self.settings.texture_weight * texture) * factor
        return Placement(scale, size, (y, x, y + height, x + width), offset, ssd, texture, score)


def _order(placement: Placement) -> tuple[float, ...]:
    """What is better comes first, and no two placements of a scene are equal."""
    square = placement.offset[0] ** 2 + placement.offset[1] ** 2
    return (placement.score, square, -placement.scale, *placement.box)


def _check_photo(name: str, photo: NDArray[np.uint8]) -> None:
    if photo.dtype != np.uint8 or photo.ndim != 3 or photo.shape[2] != 3 or 0 in photo.shape:
        raise ValueError(f"{name}: uint8 (H, W, 3) is needed, not {photo.dtype} {photo.shape}")
