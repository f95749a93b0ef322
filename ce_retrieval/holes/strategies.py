"""Holes: the three strategies of Context Encoders (Pathak et al. 2016, section 3.3), and what is done with a hole.

A hole is a bool array, True = missing. Every strategy is a pure function of uniform numbers in [0, 1): `make_holes`
takes them from a Generator, `holes_for` from a hash of (seed, photo id), so that a photo's hole hangs on nothing else:
not on the batch it stands in, its order, the process, or the version of NumPy's generators.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from ce_retrieval.errors import MaskError
from ce_retrieval.holes.regions import draws_for_regions, paste_regions

Draw = Callable[[int], np.ndarray]  # n -> float64 (B, n), uniform in [0, 1); a strategy calls it once
Shapes = Sequence[np.ndarray]


@dataclass(frozen=True)
class HoleParams:
    """The numbers that the paper leaves open, and its one limit. Lengths are shares of the photo's side."""

    max_share: float = 0.25  # of the photo's pixels: the paper's "up to 1/4", never exceeded
    block_count: tuple[int, int] = (1, 5)  # blocks tried (inclusive); one that would break max_share is left out
    block_side: tuple[float, float] = (1 / 8, 3 / 8)
    region_count: tuple[int, int] = (1, 3)  # shapes pasted (inclusive)
    region_min_share: float = 0.05
    rotation: float = np.pi  # largest angle either way, radians
    stretch: float = 1.4  # largest ratio of height to width change, either way
    shear: float = 0.3  # largest shear either way
    blob_grid: int = 96  # side of a procedural shape, pixels
    blob_waves: int = 5  # cosine waves per axis of a procedural shape
    blob_share: float = 0.4  # of the grid that a procedural shape fills

    def __post_init__(self) -> None:
        low, high = self.block_side
        if not (0 < low <= high and high * high <= self.max_share < 1):
            raise ValueError(
                f"block_side {self.block_side}: expected 0 < low <= high <= sqrt(max_share {self.max_share})"
            )
        if not 0 < self.region_min_share <= self.max_share:
            raise ValueError(
                f"region_min_share {self.region_min_share}: expected a share up to max_share {self.max_share}"
            )
        for name in ("block_count", "region_count"):
            if not 1 <= getattr(self, name)[0] <= getattr(self, name)[1]:
                raise ValueError(f"{name} {getattr(self, name)}: expected 1 <= low <= high")


DEFAULT_HOLES = HoleParams()


def center_holes(batch: int, size: int) -> np.ndarray:
    """The central square of half the side (section 3.3 a): bool (batch, size, size). MaskError when size < 2."""
    _check_size(size)
    holes = np.zeros((batch, size, size), bool)
    side = size // 2
    start = (size - side) // 2
    holes[:, start : start + side, start : start + side] = True
    return holes


def block_holes(batch: int, size: int, rng: np.random.Generator, params: HoleParams = DEFAULT_HOLES) -> np.ndarray:
    """Several possibly overlapping blocks, at most `max_share` of the photo in all (section 3.3 b).

    Returns bool (batch, size, size), never empty. The paper gives no numbers beside the limit: see `HoleParams`.
    MaskError when size < 2.
    """
    return _block(_drawn_from(rng, batch), size, None, params)


def region_holes(
    batch: int, size: int, rng: np.random.Generator, shapes: Shapes | None = None, params: HoleParams = DEFAULT_HOLES
) -> np.ndarray:
    """Object shapes, deformed (scale, rotation, stretch, shear, flip) and pasted anywhere (section 3.3 c).

    shapes: bool arrays of any sizes, as `mask_files.load_shapes` reads them; None: smooth procedural blobs.
    Returns bool (batch, size, size) with `region_min_share` to `max_share` of the photo missing (less than the minimum
    only on photos of a few pixels; never empty). A random pixel of each shape lands on a random pixel of the photo, so
    shapes may overlap and cross the border; scales, and places where too little is left in view, are corrected until
    the visible union keeps the limits. The paper does not say how it deforms shapes or how many it pastes: `HoleParams`
    does. MaskError when size < 2 or a shape has no pixel.
    """
    return _region(_drawn_from(rng, batch), size, shapes, params)


def make_holes(
    strategy: str,
    batch: int,
    size: int,
    rng: np.random.Generator,
    shapes: Shapes | None = None,
    params: HoleParams = DEFAULT_HOLES,
) -> np.ndarray:
    """Holes by a strategy of `STRATEGIES`: bool (batch, size, size), reproducible from `rng`.

    MaskError: no such strategy (its message lists them), or as the strategy itself.
    """
    return _strategy(strategy)(_drawn_from(rng, batch), size, shapes, params)


def holes_for(
    strategy: str,
    seed: int,
    photo_ids: Sequence[str],
    size: int,
    shapes: Shapes | None = None,
    params: HoleParams = DEFAULT_HOLES,
) -> np.ndarray:
    """The hole of each photo in an evaluation: bool (len(photo_ids), size, size), each from (seed, photo id) alone."""
    return _strategy(strategy)(lambda n: uniforms_for(seed, photo_ids, n), size, shapes, params)


def uniforms_for(seed: int, photo_ids: Sequence[str], n: int) -> np.ndarray:
    """Uniform numbers in [0, 1) from SHAKE-256 of (seed, photo id): float64 (len(photo_ids), n)."""
    # Ids may be file names that are not Unicode: surrogateescape takes any.
    keys = (f"{int(seed)}\0{photo_id}".encode("utf-8", "surrogateescape") for photo_id in photo_ids)
    digests = b"".join(hashlib.shake_256(key).digest(8 * n) for key in keys)
    return ((np.frombuffer(digests, "<u8") >> np.uint64(11)) * 2.0**-53).reshape(len(photo_ids), n)


def fill_mean(photos: np.ndarray, holes: np.ndarray) -> np.ndarray:
    """Fill each hole with the mean colour of its photo's visible pixels.

    photos: uint8 (B, H, W, 3); holes: bool (B, H, W), or (H, W) for all. Returns a uint8 copy; visible pixels are
    unchanged and the mean is rounded to the nearest value. MaskError when a hole covers its whole photo.
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
        # Row by row the float32 sums are integers under 2^24, and so exact.
        rows = visible[:, None].astype(np.float32) @ photos[index].astype(np.float32)
        filled[index][hole] = np.rint(rows.sum((0, 1), dtype=np.float64) / count)
    return filled


def resize_hole(hole: np.ndarray, size: int) -> np.ndarray:
    """Resize a hole so that nothing missing becomes visible: bool (H, W) -> bool (size, size).

    A pixel of the result is True where any part of its footprint in the original is missing: rows
    [i H/size, (i+1) H/size), columns likewise; exact (integers) for shrinking, growing, and any aspect ratio.
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
        raise MaskError(f"a photo of {size}x{size} pixels has no room for a hole: use a size of at least 2")


def _drawn_from(rng: np.random.Generator, batch: int) -> Draw:
    return lambda n: rng.random((batch, n))


def _strategy(name: str) -> Callable[[Draw, int, Shapes | None, HoleParams], np.ndarray]:
    if name not in STRATEGIES:
        raise MaskError(f"no mask strategy '{name}': choose one of {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def _count(uniforms: np.ndarray, limits: tuple[int, int]) -> np.ndarray:
    return limits[0] + (uniforms * (limits[1] - limits[0] + 1)).astype(np.int64)


def _center(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> np.ndarray:
    return center_holes(len(draw(0)), size)


def _block(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> np.ndarray:
    _check_size(size)
    most = params.block_count[1]
    uniforms = draw(1 + 4 * most)
    count = _count(uniforms[:, 0], params.block_count)
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


def _region(draw: Draw, size: int, shapes: Shapes | None, params: HoleParams) -> np.ndarray:
    _check_size(size)
    if shapes is not None and not len(shapes):
        raise MaskError("no shapes for region holes: give at least one, or none at all for procedural ones")
    return paste_regions(draw(draws_for_regions(shapes, params)), size, shapes, params)


STRATEGIES: dict[str, Callable[[Draw, int, Shapes | None, HoleParams], np.ndarray]] = {
    "center": _center,
    "block": _block,
    "region": _region,
}
