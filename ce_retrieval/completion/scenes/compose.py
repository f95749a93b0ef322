"""Blending fitted scenes into a photo, and bringing what came of it to the photo's own size.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5, after P. Perez, M. Gangnet, A.
Blake, "Poisson Image Editing", SIGGRAPH 2003. Deviations: all scenes are blended over one domain, the hole and what a seam
may reach; the blend is pulled to what is expected under the hole; it is solved at the working size, and what it adds to the
scene and the photo is enlarged (`working`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ce_retrieval.completion.blend.hole_cache import HoleCache
from ce_retrieval.completion.blend.paste import SOLVERS_HELD
from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.result import FROM_SCENE, SHIFTED
from ce_retrieval.completion.scenes.fit import Fitted, SceneFitter
from ce_retrieval.completion.working_size import (
    Working,
    enlarged_mask,
    enlarged_values,
    enlarged_window,
    sampled,
)
from ce_retrieval.pixels import resize

THUMBNAIL = 320  # px, the longer side

Photo = NDArray[np.uint8]


def domain_solvers() -> HoleCache[PoissonSolver]:
    """Return what makes the solver of a domain and its hole, bool (2, h, w), with a pull in the hole; keeps the last ones."""
    return HoleCache(lambda both, pull: PoissonSolver(both[0], pull=both[1] * pull if pull else None), SOLVERS_HELD)


class Composed(NamedTuple):
    """A scene blended into the context's box at the working size: float32 (h, w, 3) in [0, 1], and its seam, bool (h, w)."""

    fitted: Fitted
    values: NDArray[np.float32]
    taken: NDArray[np.bool_]


class Composer:
    """Blends the scenes that were fitted into one photo.

    photo, hole: at their own size; solvers: of `domain_solvers`; pull: of the blends in the hole (`poisson`), 0 for none.
    """

    def __init__(
        self,
        photo: Photo,
        hole: NDArray[np.bool_],
        working: Working,
        fitter: SceneFitter,
        solvers: HoleCache[PoissonSolver],
        pull: float,
        *,
        mixed: bool,
    ) -> None:
        self._photo, self._hole, self._working, self._fitter = photo, hole, working, fitter
        self._mixed = mixed
        self._solver = solvers(np.stack([fitter.domain, fitter.hole]), pull)
        self._known = fitter.photo.astype(np.float32) / np.float32(255)

    def compose(
        self, fitted: Sequence[Fitted], scenes: Sequence[Photo], wanted: Sequence[NDArray[np.float32]], workers: int
    ) -> list[Composed]:
        """Blend scenes uint8 (h, w, 3), as they were opened, at the working size.

        wanted: float32 (S, S, 3) of each, at the index's size, what should be added to it in the hole; none without a pull.
        """
        height, width = self._fitter.hole.shape
        patches = np.stack([sampled(s, f.box, (height, width)) for f, s in zip(fitted, scenes, strict=True)])
        taken = np.stack([self._fitter.taken(one) for one in fitted])
        blend = self._solver.compose(
            patches.astype(np.float32) / np.float32(255),
            self._known,
            taken,
            self._fitter.hole,
            mixed=self._mixed,
            pull_to=np.stack([self._in_box(values) for values in wanted]) if wanted else None,
            workers=workers,
        )
        return [Composed(*parts) for parts in zip(fitted, blend.fills, taken, strict=True)]

    def _in_box(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Values float32 (S, S, 3) of the whole photo at the index's size in the context's box at the working size."""
        y0, x0, y1, x1 = self._fitter.box
        height, width = self._working.hole.shape
        rows, cols = values.shape[0] / height, values.shape[1] / width
        return resize(values, self._shape, (y0 * rows, x0 * cols, y1 * rows, x1 * cols))

    def small(self, composed: Composed) -> Photo:
        """The filled photo uint8 (h, w, 3) at the working size; its known pixels, the seam's aside, are that photo's."""
        y0, x0, y1, x1 = self._fitter.box
        filled = self._working.photo.copy()
        inner = filled[y0:y1, x0:x1]
        inner[self._fitter.domain] = _bytes(composed.values[self._fitter.domain])
        return filled

    def thumbnail(self, small: Photo) -> Photo:
        """A filled photo of `small` as a small picture."""
        image = Image.fromarray(small)
        image.thumbnail((THUMBNAIL, THUMBNAIL))
        return np.asarray(image)

    def filled(self, composed: Composed, scene: Photo) -> Photo:
        """The filled photo uint8 (H, W, 3) at its own size: outside the seam's region bit for bit the photo."""
        if self._working.whole:
            return self.small(composed)
        window, taken, domain = self._window(composed)
        y0, x0, y1, x1 = window
        filled = self._photo.copy()
        inner = filled[y0:y1, x0:x1]
        patch = sampled(scene, self._in_scene(composed.fitted, window), (y1 - y0, x1 - x0))
        there = sampled(scene, composed.fitted.box, self._shape).astype(np.float32) / np.float32(255)
        scene_side = self._enlarged(composed.values - there, composed.taken, window)
        inner[taken] = _bytes(patch[taken] / np.float32(255) + scene_side[taken])
        shifted = domain & ~taken
        if shifted.any():
            photo_side = self._enlarged(composed.values - self._known, ~composed.taken, window)
            inner[shifted] = _bytes(inner[shifted] / np.float32(255) + photo_side[shifted])
        return filled

    def seam(self, composed: Composed) -> NDArray[np.uint8]:
        """What may differ from the photo, uint8 (H, W): see `Completion.seam`."""
        seam = np.zeros(self._hole.shape, np.uint8)
        (y0, x0, y1, x1), taken, domain = self._window(composed)
        inner = seam[y0:y1, x0:x1]
        inner[domain] = SHIFTED
        inner[taken] = FROM_SCENE
        return seam

    def _window(self, composed: Composed) -> tuple[tuple[int, int, int, int], NDArray[np.bool_], NDArray[np.bool_]]:
        """The context's box at the photo's size, and there the pixels of the scene and those of the domain."""
        y0, x0, y1, x1 = self._fitter.box
        if self._working.whole:
            return self._fitter.box, composed.taken, self._fitter.domain
        window = enlarged_window(self._fitter.box, self._working.factor, (self._hole.shape[0], self._hole.shape[1]))
        hole = self._hole[window[0] : window[2], window[1] : window[3]]
        if not self._fitter.reach:
            return window, hole, hole  # a pixel of the working size may hold known ones: they stay
        masks = []
        for mask in (composed.taken, self._fitter.domain):
            frame = np.zeros(self._working.hole.shape, bool)
            frame[y0:y1, x0:x1] = mask
            masks.append(enlarged_mask(frame, self._working.factor, window))
        return window, masks[0] | hole, masks[1] | hole

    def _enlarged(
        self, values: NDArray[np.float32], where: NDArray[np.bool_], window: tuple[int, int, int, int]
    ) -> NDArray[np.float32]:
        """Values of the context's box, of those pixels alone that are `where`, at each pixel of a window of the photo."""
        y0, x0, _, _ = self._fitter.box
        rows, cols = self._working.factor
        offset = (y0 * rows, x0 * cols)
        return enlarged_values(values, where, self._working.factor, window, offset)

    def _in_scene(self, fitted: Fitted, window: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
        """A window of the photo in px of the scene."""
        (top, left), (rows, cols) = self.place(fitted)
        y0, x0, y1, x1 = window
        return (y0 - top) / rows, (x0 - left) / cols, (y1 - top) / rows, (x1 - left) / cols

    def place(self, fitted: Fitted) -> tuple[tuple[float, float], tuple[float, float]]:
        """Where the scene's upper left corner lies in the photo, (row, col) px, and how many px of it one of the scene is."""
        y0, x0, y1, x1 = self._fitter.box
        top, left, bottom, right = fitted.box
        scale = (
            (y1 - y0) * self._working.factor[0] / (bottom - top),
            (x1 - x0) * self._working.factor[1] / (right - left),
        )
        return (y0 * self._working.factor[0] - top * scale[0], x0 * self._working.factor[1] - left * scale[1]), scale

    @property
    def _shape(self) -> tuple[int, int]:
        return self._fitter.hole.shape[0], self._fitter.hole.shape[1]


def _bytes(values: NDArray[np.floating]) -> Photo:
    return np.clip(np.rint(values * np.float32(255)), 0, 255).astype(np.uint8)
