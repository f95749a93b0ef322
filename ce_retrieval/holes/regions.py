"""Region holes: shapes, deformed and pasted into a batch of photos by one gather for all.

The work behind `masks.region_holes`. Context Encoders (Pathak et al. 2016), section 3.3 c: object shapes, deformed,
pasted in arbitrary places, up to 1/4 of the photo.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from ce_retrieval.errors import MaskError

if TYPE_CHECKING:
    from ce_retrieval.holes.strategies import HoleParams

_PASTE_DRAWS = 10  # numbers that a pasted shape takes, beside the waves of a procedural one
_CHUNK_PIXELS = 1 << 18  # pixels warped at once: keeps the temporaries in the cache
_ROUNDS = 40  # of correction; nearly every hole needs none, few need more than three


def draws_for_regions(shapes: Sequence[np.ndarray] | None, params: HoleParams) -> int:
    """How many uniform numbers `paste_regions` takes for a photo."""
    return 2 + params.region_count[1] * _draws_per_shape(shapes, params)


def paste_regions(
    uniforms: np.ndarray, size: int, shapes: Sequence[np.ndarray] | None, params: HoleParams
) -> np.ndarray:
    """The holes of `masks.region_holes` from uniform numbers.

    uniforms: float64 (B, draws_for_regions(shapes, params)) in [0, 1). Renumbers bool (B, size, size); a photo's hole
    hangs on its own row alone. MaskError when a chosen shape has no pixel.
    """
    most, per_shape = params.region_count[1], _draws_per_shape(shapes, params)
    holes = np.empty((len(uniforms), size, size), bool)
    step = max(1, _CHUNK_PIXELS // (size * size))
    for first in range(0, len(uniforms), step):
        part = uniforms[first : first + step]
        each = part[:, 2:].reshape(-1, most, per_shape)
        holes[first : first + step] = _paste(part[:, :2], each, size, shapes, params)
    return holes


def _draws_per_shape(shapes: Sequence[np.ndarray] | None, params: HoleParams) -> int:
    return _PASTE_DRAWS + (params.blob_waves**2 if shapes is None else 0)


class _Bank(NamedTuple):
    """Shapes of many sizes in one flat array, each with a border of one False pixel: one gather warps them all."""

    flat: np.ndarray  # bool: all shapes one behind another
    start: np.ndarray  # int64 (P,): where each begins
    height: np.ndarray  # int64 (P,), border included
    width: np.ndarray


class _Pasting(NamedTuple):
    """How the P shapes of a batch lie on their photos: `linear` leads from photo pixels to shape pixels."""

    bank: _Bank
    linear: np.ndarray  # float32 (P, 2, 2)
    source: np.ndarray  # float32 (P, 2): the point of the shape that lands...
    target: np.ndarray  # int64 (P, 2): ...on the middle of this pixel of the photo


def _paste(
    whole: np.ndarray, each: np.ndarray, size: int, shapes: Sequence[np.ndarray] | None, params: HoleParams
) -> np.ndarray:
    """Paste the shapes of some photos: whole (B, 2), each (B, most, n) uniforms -> bool (B, size, size)."""
    limit = int(params.max_share * size * size)
    least = max(1, int(np.ceil(params.region_min_share * size * size)))
    low, high = params.region_count
    count = np.minimum(low + (whole[:, 0] * (high - low + 1)).astype(np.int64), limit)
    area = size * size * (params.region_min_share + (params.max_share - params.region_min_share) * whole[:, 1])
    used = np.arange(high) < count[:, None]
    pair = np.cumsum(used).reshape(used.shape) - 1  # (B, most): row of a used shape in the pasting
    weight = np.where(used, 0.25 + each[:, :, 0], 0)
    areas = (area[:, None] * weight / weight.sum(1, keepdims=True))[used]
    pasting = _pasting(each[used][:, 1:], areas, size, shapes, params)

    holes = np.zeros((len(each), size, size), bool)
    scale = np.ones(len(each))
    todo = np.arange(len(each))
    for turn in range(_ROUNDS):
        union = np.zeros((len(todo), size, size), bool)
        for k in range(high):
            has = np.flatnonzero(used[todo, k])
            union[has] |= _warp(pasting, pair[todo[has], k], scale[todo[has]], size)
        pixels = np.count_nonzero(union, axis=(1, 2))
        holes[todo[pixels <= limit]] = union[pixels <= limit]
        wrong = (pixels > limit) | (pixels < least)
        todo, pixels = todo[wrong], pixels[wrong]
        if not len(todo):
            break
        # Too large: shrink. Too small (shapes overlap or cross the border): grow a little, and move in from the border.
        wish = np.sqrt(area[todo] / pixels)
        large = pixels > limit
        scale[todo] *= np.where(large, np.clip(wish, 0.5, 0.97 - 0.01 * turn), np.clip(wish, 1, 1.1))
        photos, numbers = np.nonzero(used[todo] & ~large[:, None])
        _move_in(pasting, pair[todo[photos], numbers], scale[todo[photos]], size)
    return holes  # on photos of a few pixels the minimum may be out of reach: the last hole within the limit stands


def _pasting(
    uniforms: np.ndarray, areas: np.ndarray, size: int, shapes: Sequence[np.ndarray] | None, params: HoleParams
) -> _Pasting:
    """Choose, deform and place one shape a row: uniforms (P, n), areas (P,) wanted pixels."""
    pick, anchor, row, column, angle, stretch, shear, flip, fill = uniforms[:, : _PASTE_DRAWS - 1].T
    bank = _blobs(uniforms[:, _PASTE_DRAWS - 1 :], fill, params) if shapes is None else _picked(shapes, pick)
    pixels = np.flatnonzero(bank.flat)
    ends = np.searchsorted(pixels, np.append(bank.start, len(bank.flat)))
    counts = np.diff(ends)
    if not counts.all():
        raise MaskError("a shape for region holes has no pixel: leave empty shapes out")
    chosen = pixels[ends[:-1] + (anchor * counts).astype(np.int64)] - bank.start
    source = np.stack([chosen // bank.width, chosen % bank.width], 1) + 0.5

    theta = params.rotation * (2 * angle - 1)
    cos, sin = np.cos(theta), np.sin(theta)
    ratio = params.stretch ** (stretch - 0.5)  # rows by ratio, columns by 1 / ratio: the determinant stays +-1
    slope = params.shear * (2 * shear - 1)
    mirror = np.where(flip < 0.5, -1.0, 1.0)
    deform = np.array(
        [[ratio * cos, ratio * (slope * cos - sin)], [mirror * sin / ratio, mirror * (slope * sin + cos) / ratio]]
    )
    linear = np.moveaxis(deform, -1, 0) * np.sqrt(counts / areas)[:, None, None]
    target = (np.stack([row, column], 1) * size).astype(np.int64)
    return _Pasting(bank, linear.astype(np.float32), source.astype(np.float32), target)


def _picked(shapes: Sequence[np.ndarray], pick: np.ndarray) -> _Bank:
    chosen = [shapes[i] for i in (pick * len(shapes)).astype(np.int64)]
    height, width = np.array([shape.shape for shape in chosen], np.int64).reshape(-1, 2).T + 2
    ends = np.cumsum(height * width)
    flat = np.zeros(ends[-1] if len(ends) else 0, bool)
    for shape, end, h, w in zip(chosen, ends, height, width, strict=True):
        flat[end - h * w : end].reshape(h, w)[1:-1, 1:-1] = shape
    return _Bank(flat, ends - height * width, height, width)


def _blobs(uniforms: np.ndarray, fill: np.ndarray, params: HoleParams) -> _Bank:
    """Procedural shapes: the highest `blob_share` of a low-frequency cosine field that falls off from its middle."""
    side, waves = params.blob_grid, params.blob_waves
    frequency = np.arange(waves)
    basis = np.cos(np.pi * frequency[:, None] * (np.arange(side) + 0.5) / side)
    damping = 1 / (1 + frequency[:, None] ** 2 + frequency**2)
    field = basis.T @ ((uniforms.reshape(-1, waves, waves) - 0.5) * 6 * damping) @ basis
    across = np.linspace(-1, 1, side) ** 2
    field -= 2.5 * (across[:, None] + across)
    pixels = side * side
    highest = max(1, round(params.blob_share * pixels))
    threshold = np.partition(field.reshape(-1, pixels), pixels - highest, axis=1)[:, pixels - highest]
    padded = np.zeros((len(field), side + 2, side + 2), bool)
    padded[:, 1:-1, 1:-1] = field >= threshold[:, None, None]
    length = np.full(len(field), side + 2, np.int64)
    return _Bank(padded.ravel(), np.arange(len(field)) * (side + 2) ** 2, length, length)


def _move_in(pasting: _Pasting, pairs: np.ndarray, scale: np.ndarray, size: int) -> None:
    """Move shapes so that their middles come a quarter nearer to the photo's; what anchors them stays on the photo."""
    bank = pasting.bank
    from_anchor = np.stack([bank.height[pairs], bank.width[pairs]], 1) / 2 - pasting.source[pairs]
    to_middle = np.linalg.solve(pasting.linear[pairs] / scale[:, None, None], from_anchor[..., None])[..., 0]
    target = pasting.target[pairs]
    step = (size / 2 - target - to_middle) / 4
    pasting.target[pairs] = np.clip(target + np.rint(step).astype(np.int64), 0, size - 1)


def _warp(pasting: _Pasting, pairs: np.ndarray, scale: np.ndarray, size: int) -> np.ndarray:
    """The shapes `pairs`, `scale` times as large as pasted, on their photos: bool (len(pairs), size, size)."""
    bank = pasting.bank
    linear = pasting.linear[pairs] / scale[:, None, None].astype(np.float32)
    # Offsets from the target are integers: the target itself maps to the source exactly, so no shape is ever lost.
    offset = (np.arange(size) - pasting.target[pairs][..., None]).astype(np.float32)
    index = np.zeros((len(pairs), size, size), np.int64)
    for axis, length in enumerate((bank.height, bank.width)):
        along = linear[:, axis, :, None] * offset
        place = (along[:, 0] + pasting.source[pairs, axis, None])[:, :, None] + along[:, 1, None, :]
        # The border is False and one pixel wide, so what lies beyond it may be read from it.
        np.clip(place, 0, (length[pairs, None, None] - 0.5).astype(np.float32), out=place)
        if axis:
            index *= bank.width[pairs, None, None]
        index += place.astype(np.int64)
    index += bank.start[pairs, None, None]
    return bank.flat[index]
