"""The holes of an evaluation; filling a hole with the mean colour; resizing a hole.

The first three strategies are those of Context Encoders (Pathak et al. 2016, section 3.3). Each computes its holes from uniform
numbers in [0, 1). `holes_for` takes these from a hash of (seed, photo id), so a photo's hole depends on nothing else: not
on the other photos, their order, the process, or the version of NumPy's generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError, SettingsError, shown
from ce_retrieval.holes.irregular import DRAWS, irregular_holes
from ce_retrieval.holes.params import DEFAULT_HOLES, HoleParams, drawn_count
from ce_retrieval.holes.regions import draws_for_regions, paste_regions
from ce_retrieval.pixels import Bools, Photo

Draw = Callable[[int], NDArray[np.float64]]  # n -> (B, n), uniform in [0, 1); a strategy calls it once
Shapes = Sequence[Bools]


def holes_for(strategy: str, seed: int, photo_ids: Sequence[str], size: int, shapes: Shapes | None = None) -> Bools:
    """Return the hole of each photo of an evaluation, which depends on (seed, photo id) alone.

    Parameters
    ----------
    strategy : str
        a key of `STRATEGIES`.
    seed : int
    photo_ids : B strings
    size : int
        side of the photos in px, at least 2.
    shapes : bool arrays of any sizes, or None
        object shapes for region holes (`holes.files.load_shapes`); None draws smooth procedural ones.

    Returns
    -------
    bool (B, size, size), True = missing; no hole is empty.

    Raises
    ------
    SettingsError
        the strategy is unknown, `size` is below 2, or `shapes` is empty.
    MaskError
        a shape has no pixel.
    """
    if strategy not in STRATEGIES:
        raise SettingsError(f"`strategy` {shown(strategy)} is unknown: choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[strategy](lambda n: uniforms_for(seed, photo_ids, n), size, shapes, DEFAULT_HOLES)


def uniforms_for(seed: int, photo_ids: Sequence[str], n: int) -> NDArray[np.float64]:
    """Return uniform numbers in [0, 1) from SHAKE-256 of (seed, photo id): (len(photo_ids), n)."""
    # Ids may be file names that are not Unicode: surrogateescape takes any.
    keys = (f"{int(seed)}\0{photo_id}".encode("utf-8", "surrogateescape") for photo_id in photo_ids)
    digests = b"".join(hashlib.shake_256(key).digest(8 * n) for key in keys)
    bits = np.frombuffer(digests, "<u8") >> np.uint64(11)
    return np.multiply(bits, 2.0**-53, dtype=np.float64).reshape(len(photo_ids), n)


def center_holes(batch: int, size: int) -> Bools:
    """Return the central square of half the side (section 3.3 a) `batch` times: bool (batch, size, size)."""
    _check_size(size)
    holes = np.zeros((batch, size, size), bool)
    side = size // 2
    start = (size - side) // 2
    holes[:, start : start + side, start : start + side] = True
    return holes


def _center(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> Bools:
    return center_holes(len(draw(0)), size)


def _block(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> Bools:
    """Several blocks, which may overlap, of at most `max_share` of the photo in all (section 3.3 b)."""
    _check_size(size)
    most = params.block_count[1]
    uniforms = draw(1 + 4 * most)
    count = drawn_count(uniforms[:, 0], params.block_count)
    parts = uniforms[:, 1:].reshape(-1, most, 2, 2)  # photo, block, (side, place), (rows, columns)
    low, high = params.block_side
    sides = np.maximum((size * (low + (high - low) * parts[:, :, 0])).astype(np.int64), 1)
    starts = (parts[:, :, 1] * (size - sides + 1)).astype(np.int64)
    inside = np.arange(size) - starts[..., None]
    spans = (inside >= 0) & (inside < sides[..., None])  # photo, block, axis, pixel
    holes = spans[:, 0, 0, :, None] & spans[:, 0, 1, None, :]
    limit = int(params.max_share * size * size)
    for k in range(1, most):
        larger = holes | (spans[:, k, 0, :, None] & spans[:, k, 1, None, :])
        fits = (k < count) & (np.count_nonzero(larger, axis=(1, 2)) <= limit)
        holes = np.where(fits[:, None, None], larger, holes)
    return holes


def _region(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> Bools:
    """Deformed object shapes, pasted anywhere (section 3.3 c): see `regions`."""
    _check_size(size)
    if shapes is not None and not len(shapes):
        raise SettingsError("`shapes` holds none: give at least one, or None for procedural ones")
    return paste_regions(draw(draws_for_regions(shapes, params)), size, shapes, params)


def _irregular(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> Bools:
    """Brush strokes of up to 0.6 of the photo: see `irregular`."""
    _check_size(size)
    return irregular_holes(draw(DRAWS), size)


#: name -> strategy: (draw, size, shapes, params) -> holes bool (B, size, size). Only regions read `shapes`.
STRATEGIES: dict[str, Callable[[Draw, int, Shapes | None, HoleParams], Bools]] = {
    "center": _center,
    "block": _block,
    "region": _region,
    "irregular": _irregular,
}


def fill_mean(photos: Photo, holes: Bools) -> Photo:
    """Fill each hole with the mean colour of its photo's visible pixels.

    Parameters
    ----------
    photos : uint8 (B, H, W, 3)
    holes : bool (B, H, W), or (H, W) for all photos

    Returns
    -------
    A filled copy; the mean is rounded to the nearest value.

    Raises
    ------
    MaskError
        a hole covers its whole photo.
    """
    if photos.ndim != 4 or holes.shape not in (photos.shape[:3], photos.shape[1:3]):
        raise ValueError(
            f"photos {photos.shape} and holes {holes.shape}: expected (B, H, W, 3) and (B, H, W) or (H, W)"
        )
    holes = np.broadcast_to(holes, photos.shape[:3])
    filled = photos.copy()
    for index, hole in enumerate(holes):  # one photo at a time stays in the cache: faster than the whole batch at once
        visible = ~hole
        count = np.count_nonzero(visible)
        if not count:
            raise MaskError(f"the hole of photo {index} covers all of it: leave some of the photo visible")
        # Row by row the float32 sums are integers below 2^24, hence exact.
        rows = visible[:, None].astype(np.float32) @ photos[index].astype(np.float32)
        filled[index][hole] = np.rint(rows.sum((0, 1), dtype=np.float64) / count)
    return filled


def resize_hole(hole: Bools, size: int) -> Bools:
    """Resize a hole to a square so that nothing missing becomes visible: bool (H, W) -> bool (size, size).

    A pixel of the result is True if any part of its footprint in the original is missing: rows
    [i H/size, (i+1) H/size), columns likewise. Exact (integers) for shrinking, growing, and any aspect ratio.
    """
    if hole.ndim != 2 or size < 1:
        raise ValueError(f"hole {hole.shape} to size {size}: expected a (H, W) hole and a size of at least 1")
    resized = np.asarray(hole, bool)
    for _ in range(2):  # columns, then rows: an OR over a box is an OR of ORs
        length = resized.shape[1]
        edges = np.arange(size + 1) * length
        before = np.zeros((resized.shape[0], length + 1), np.int64)
        np.cumsum(resized, axis=1, out=before[:, 1:])
        resized = (before[:, -(-edges[1:] // size)] > before[:, edges[:-1] // size]).T
    return np.ascontiguousarray(resized)


def _check_size(size: int) -> None:
    if size < 2:
        raise SettingsError(f"a photo of {size}x{size} pixels has no room for a hole: use a size of at least 2")
