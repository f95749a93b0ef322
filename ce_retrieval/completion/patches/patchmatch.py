"""Completion from the photo's own patches and those of its scenes, from a coarse scale to the photo's own.

Y. Wexler, E. Shechtman, M. Irani, "Space-Time Completion of Video", PAMI 29(3), 2007, sections 2 and 3: every patch that
overlaps the hole shall resemble a known patch. Two steps alternate at each scale: a search finds the nearest known patch of each
(C. Barnes, E. Shechtman, A. Finkelstein, D. Goldman, "PatchMatch: A Randomized Correspondence Algorithm for Structural Image
Editing", SIGGRAPH 2009), and a vote of all patches over a pixel sets it. The texture term is from A. Newson, A. Almansa, M.
Fradet, Y. Gousseau, P. Perez, "Video Inpainting of Complex Scenes", SIAM J. Imaging Sciences 7(4), 2014, section 3.3: with
colours alone smooth patches win.

Deviations: votes are weighted means (Wexler's mean shift picks one mode); a given fill replaces the guess at the coarsest scale;
pixels near the hole's border count more in the distance of patches too, not in the vote alone; one texture channel instead of
Newson's two; PatchMatch scans bands that see each other's last pass, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.patches.field import PatchField
from ce_retrieval.completion.patches.pyramid import PATCH, halved, pyramid
from ce_retrieval.completion.stages import PATCHES, tell
from ce_retrieval.errors import MaskError, PhotoError
from ce_retrieval.pixels import Bools, Photo, check_hole, to_bytes

ROUNDS, FINAL_ROUNDS = 14, 3  # of search and vote, at the coarsest scale and at the photo's own; linear in between
PASSES = 3  # of PatchMatch in a round
TEXTURE = 3.0  # weight of the texture channel, against 1 for a colour
FALLOFF = 1.1  # a missing pixel d px from the known ones counts FALLOFF^-d
FINAL_SPREAD = 0.125  # of the last vote: it is sharper than those that have to settle a contest


def complete_by_patches(
    photo: Photo,
    hole: Bools,
    initial: Photo | NDArray[np.floating],
    *,
    sources: Sequence[Photo] = (),
    rng: np.random.Generator,
    start: float,
    workers: int | None = None,
) -> Photo:
    """Fill the hole with patches of the photo's known part, and of the sources, that fit together.

    Parameters
    ----------
    photo : uint8 (H, W, 3)
        7x7 px or more. Its missing pixels are never read.
    hole : bool (H, W), True = missing
        Any shape, any number of parts, also at the border.
    initial : uint8 (H, W, 3), or floats in [0, 1]
        The fill to begin with, read in the hole. The coarsest scale keeps the part of it that it can express.
    sources : uint8 (h, w, 3) each, of any sizes
        Further photos to copy from. Those under 7x7 px have no patch to give.
    rng : Generator
        Drawn from once. The same state gives the same fill.
    start : float, over 0
        How many patches the hole is across at the coarsest scale, at least (and less than twice as many). A larger value keeps
        more of the initial fill; from the hole's full width on, the fill is only refined.
    workers : int or None
        Threads; None for all cores. The fill does not depend on it.

    Returns
    -------
    uint8 (H, W, 3): a new array, known pixels bit-identical.

    Raises
    ------
    MaskError
        As `check_hole`; or neither the photo nor its sources have a whole known patch.
    PhotoError
        The photo is smaller than a patch.
    ValueError
        Arrays of another type or shape.

    Notes
    -----
    Memory: about 8 bytes for each pixel of the photo and its sources, and 70 for each pixel around the hole.
    """
    _check(photo, hole, initial, sources)
    levels = pyramid(photo, hole, sources, start)
    if not levels[0].valid.any():
        raise MaskError(
            f"the hole leaves no {PATCH}x{PATCH} px of the photo whole to copy from: mark a smaller hole, or give scenes"
        )
    filled = photo.copy()
    inside: Any = initial[hole]
    filled[hole] = inside if inside.dtype == np.uint8 else to_bytes(inside)
    guess = filled[levels[0].window]
    for _ in levels[1:]:
        guess = halved(guess)
    seeds = rng.integers(0, 2**63, len(levels)).tolist()
    # Threads, not numba's own: two of the caller's threads must not enter its default team at once.
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        coarse = None
        for number in reversed(range(len(levels))):
            tell(PATCHES, len(levels) - 1 - number, len(levels))
            field = PatchField(levels[number], pool, seeds[number], texture=TEXTURE, falloff=FALLOFF)
            if coarse is None:
                field.begin(guess)
                field.search(PASSES)
            else:
                field.inherit(coarse)
            up = number / max(len(levels) - 1, 1)
            for _ in range(round(FINAL_ROUNDS + up * (ROUNDS - FINAL_ROUNDS))):
                field.search(PASSES)
                field.vote()
            coarse = field
        field.vote(spread=FINAL_SPREAD)
    window = levels[0].hole
    filled[levels[0].window][window] = np.rint(np.clip(field.target[window, :3], 0, 255)).astype(np.uint8)
    return filled


def _check(photo: Photo, hole: Bools, initial: Photo | NDArray[np.floating], sources: Sequence[Photo]) -> None:
    for name, pixels in (("photo", photo), *(("source", source) for source in sources)):
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise ValueError(f"{name}: uint8 (H, W, 3) is needed, not {pixels.dtype} {pixels.shape}")
    if initial.shape != photo.shape or not (initial.dtype == np.uint8 or initial.dtype.kind == "f"):
        raise ValueError(f"initial: uint8 or floats {photo.shape} are needed, not {initial.dtype} {initial.shape}")
    check_hole(hole, photo.shape[:2])
    if min(hole.shape) < PATCH:
        raise PhotoError(
            f"the photo is {hole.shape[1]}x{hole.shape[0]} px: completion by patches needs {PATCH}x{PATCH} px or more"
        )
