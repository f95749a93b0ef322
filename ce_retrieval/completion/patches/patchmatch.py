"""Completion from the photo's own patches, and those of its scenes, at many scales.

Y. Wexler, E. Shechtman, M. Irani, "Space-Time Completion of Video", PAMI 29(3), 2007, sections 2 and 3: every patch that
overlaps the hole shall resemble a known patch. Two steps take turns, from a coarse scale to the photo's own: the nearest
known patch of each is searched (by C. Barnes, E. Shechtman, A. Finkelstein, D. Goldman, "PatchMatch: A Randomized
Correspondence Algorithm for Structural Image Editing", SIGGRAPH 2009), then all patches over a pixel vote on it. The
texture term is that of A. Newson, A. Almansa, M. Fradet, Y. Gousseau, P. Perez, "Video Inpainting of Complex Scenes", SIAM
J. Imaging Sciences 7(4), 2014, section 3.3: colours alone prefer smooth patches.

Deviations: votes are weighted means (Wexler's mean shift picks one mode); a given fill takes the place of the guess at the
coarsest scale; pixels near the hole's border count more in a patch's distance too, not in its vote alone; one texture
channel for Newson's two; PatchMatch scans bands that see each other's last pass, so that the result does not hang on the
number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.patches.field import PatchField
from ce_retrieval.completion.patches.pyramid import PATCH, halved, pyramid
from ce_retrieval.errors import MaskError, PhotoError

FINAL_SPREAD = 0.125  # of the last vote: sharper than those that have to settle a contest


@dataclass(frozen=True)
class PatchMatchSettings:
    """How a hole is completed by patches (of 7x7 px).

    start: how many patches the hole is across at the coarsest scale, at least (and less than twice as many). The larger,
    the more of the initial fill is kept; from the hole's full width on it is only refined. rounds: of search and vote at
    the coarsest scale; final_rounds: at the photo's own; between, evenly fewer. passes: of PatchMatch in a round.
    texture: weight of the texture channel, against 1 for a colour. falloff: a missing pixel d px from the known ones
    counts falloff^-d; 1 counts all alike. threads: None for all cores; the result does not depend on it.

    Raises:
        ValueError: a value out of its range.
    """

    start: float = 2.5
    rounds: int = 14
    final_rounds: int = 3
    passes: int = 3
    texture: float = 3.0
    falloff: float = 1.1
    threads: int | None = None

    def __post_init__(self) -> None:
        least = {"rounds": 1, "final_rounds": 1, "passes": 1, "texture": 0, "falloff": 1}
        for name, value in least.items():
            if getattr(self, name) < value:
                raise ValueError(f"{name}: {value} or more is needed, not {getattr(self, name)}")
        if self.start <= 0 or (self.threads is not None and self.threads < 1):
            raise ValueError(f"start over 0 and threads over 0 are needed, not {self.start} and {self.threads}")


DEFAULTS = PatchMatchSettings()


def complete_by_patches(
    photo: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    initial: NDArray[np.uint8] | NDArray[np.floating],
    *,
    sources: Sequence[NDArray[np.uint8]] = (),
    rng: np.random.Generator,
    settings: PatchMatchSettings = DEFAULTS,
) -> NDArray[np.uint8]:
    """Fill the hole with patches of the photo's known part, and of the sources, that fit together.

    Args:
        photo: uint8 (H, W, 3), at least 7x7 px. Its missing pixels are never read.
        hole: bool (H, W), True = missing; any shape, any number of parts, at the border too.
        initial: uint8 (H, W, 3), or floats in [0, 1]: a fill to begin with, of which the coarsest scale keeps what it can
            express. Read in the hole alone.
        sources: further photos to copy from, uint8 (h, w, 3) of any sizes. Those under 7x7 px have no patch to give.
        rng: drawn from once. The same state gives the same fill, whatever the number of threads.
        settings: scales, rounds and weights.

    Returns:
        uint8 (H, W, 3): a new array, known pixels bit-identical.

    Raises:
        MaskError: the hole is empty, full or of another size; no whole patch is known in the photo or its sources.
        PhotoError: the photo is smaller than a patch.
        ValueError: arrays of another kind.

    About 8 bytes a pixel of photo and sources, and 70 a pixel of the hole's surroundings, are held in memory.
    """
    _check(photo, hole, initial, sources)
    levels = pyramid(photo, hole, sources, settings.start)
    if not levels[0].valid.any():
        raise MaskError(
            f"the hole leaves no {PATCH}x{PATCH} px of the photo whole to copy from: mark a smaller hole, or give scenes"
        )
    filled = photo.copy()
    inside = initial[hole]
    filled[hole] = inside if inside.dtype == np.uint8 else np.rint(np.clip(inside, 0.0, 1.0) * 255.0).astype(np.uint8)
    guess = filled[levels[0].window]
    for _ in levels[1:]:
        guess = halved(guess)
    seeds = rng.integers(0, 2**63, len(levels)).tolist()
    # Threads, not numba's own: its default team must not be entered by two of the caller's threads at once.
    with ThreadPoolExecutor(settings.threads or os.cpu_count() or 1) as pool:
        coarse = None
        for number in reversed(range(len(levels))):
            field = PatchField(levels[number], pool, seeds[number], texture=settings.texture, falloff=settings.falloff)
            if coarse is None:
                field.begin(guess)
                field.search(settings.passes)
            else:
                field.inherit(coarse)
            up = number / max(len(levels) - 1, 1)
            for _ in range(round(settings.final_rounds + up * (settings.rounds - settings.final_rounds))):
                field.search(settings.passes)
                field.vote()
            coarse = field
        field.vote(spread=FINAL_SPREAD)
    window = levels[0].hole
    filled[levels[0].window][window] = np.rint(np.clip(field.target[window, :3], 0, 255)).astype(np.uint8)
    return filled


def _check(
    photo: NDArray[np.uint8],
    hole: NDArray[np.bool_],
    initial: NDArray[np.uint8] | NDArray[np.floating],
    sources: Sequence[NDArray[np.uint8]],
) -> None:
    for name, pixels in (("photo", photo), *(("source", source) for source in sources)):
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"{name}: uint8 (H, W, 3) is needed, not {pixels.dtype} {pixels.shape}")
    if initial.shape != photo.shape or not (initial.dtype == np.uint8 or initial.dtype.kind == "f"):
        raise ValueError(f"initial: uint8 or floats {photo.shape} are needed, not {initial.dtype} {initial.shape}")
    if hole.dtype != np.bool_:
        raise ValueError(f"hole: a boolean array is needed, not {hole.dtype}")
    if hole.shape != photo.shape[:2]:
        raise MaskError(f"the hole is {hole.shape}, the photo {photo.shape[:2]}: make them the same size")
    if not hole.any() or hole.all():
        raise MaskError("the hole is empty or covers the whole photo: mark some pixels as missing, but not all of them")
    if min(hole.shape) < PATCH:
        raise PhotoError(
            f"the photo is {hole.shape[1]}x{hole.shape[0]} px: completion by patches needs {PATCH}x{PATCH} px or more"
        )
