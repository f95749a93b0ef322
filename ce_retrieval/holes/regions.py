"""Region holes: shapes, deformed and pasted into a batch of photos by one gather for all.

Context Encoders (Pathak et al. 2016), section 3.3 c: object shapes, deformed and pasted in arbitrary places, up to 1/4 of
the photo. The paper does not say how it deforms shapes or how many it pastes; `HoleParams` does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError
from ce_retrieval.holes.params import HoleParams, drawn_count
from ce_retrieval.pixels import Bools

_PASTE_DRAWS = 10  # uniform numbers for a pasted shape, besides those for the waves of a procedural one
_CHUNK_PIXELS = 1 << 18  # pixels warped at once: keeps the temporaries in the cache
_ROUNDS = 40  # corrections; nearly every hole needs none, few need more than three

Uniforms = NDArray[np.float64]


def draws_for_regions(shapes: Sequence[Bools] | None, params: HoleParams) -> int:
    """Return how many uniform numbers `paste_regions` uses for one photo."""
    return 2 + params.region_count[1] * _draws_per_shape(shapes, params)


def paste_regions(uniforms: Uniforms, size: int, shapes: Sequence[Bools] | None, params: HoleParams) -> Bools:
    """Return region holes; each depends on its own row of `uniforms` alone.

    A random pixel of each shape lands on a random pixel of the photo, so shapes may overlap and cross the border. Scales,
    and places that leave too little of a shape visible, are corrected until the visible union is within the limits.

    Parameters
    ----------
    uniforms : float64 (B, draws_for_regions(shapes, params)), in [0, 1)
    size : int
        side of the photos, px.
    shapes : bool arrays of any sizes, or None
        None makes smooth procedural ones.
    params : HoleParams

    Returns
    -------
    bool (B, size, size) with `region_min_share` to `max_share` of the photo missing; on photos of a few pixels the minimum
    may be out of reach, but no hole is empty.

    Raises
    ------
    MaskError
        a chosen shape has no pixel.
    """
    most, per_shape = params.region_count[1], _draws_per_shape(shapes, params)
    holes = np.empty((len(uniforms), size, size), bool)
    step = max(1, _CHUNK_PIXELS // (size * size))
    for first in range(0, len(uniforms), step):
        part = uniforms[first : first + step]
        each = part[:, 2:].reshape(-1, most, per_shape)
        holes[first : first + step] = _paste(part[:, :2], each, size, shapes, params)
    return holes


def _draws_per_shape(shapes: Sequence[Bools] | None, params: HoleParams) -> int:
    return _PASTE_DRAWS + (params.blob_waves**2 if shapes is None else 0)


class _Bank(NamedTuple):
    """P shapes of any sizes in one flat array, each with a border of one False pixel, so that one gather warps them all."""

    flat: Bools  # the shapes one after another
    start: NDArray[np.int64]  # (P,): where each begins
    height: NDArray[np.int64]  # (P,), border included
    width: NDArray[np.int64]


class _Pasting(NamedTuple):
    """How the P shapes of a batch lie on their photos."""

    bank: _Bank
    linear: NDArray[np.float32]  # (P, 2, 2): from photo pixels to shape pixels
    source: NDArray[np.float32]  # (P, 2): the point of the shape that lands...
    target: NDArray[np.int64]  # (P, 2): ...on the middle of this pixel of the photo


def _paste(whole: Uniforms, each: Uniforms, size: int, shapes: Sequence[Bools] | None, params: HoleParams) -> Bools:
    """Paste the shapes of some photos: uniforms (B, 2) for the whole, (B, most, n) for its shapes -> (B, size, size)."""
    limit = int(params.max_share * size * size)
    least = max(1, int(np.ceil(params.region_min_share * size * size)))
    high = params.region_count[1]
    count = np.minimum(drawn_count(whole[:, 0], params.region_count), limit)
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
        # Too large: shrink. Too small, since shapes overlap or cross the border: grow a little and move inwards.
        wish = np.sqrt(area[todo] / pixels)
        large = pixels > limit
        scale[todo] *= np.where(large, np.clip(wish, 0.5, 0.97 - 0.01 * turn), np.clip(wish, 1, 1.1))
        photos, numbers = np.nonzero(used[todo] & ~large[:, None])
        _move_in(pasting, pair[todo[photos], numbers], scale[todo[photos]], size)
    return holes  # where the minimum is out of reach, the last hole within the limit stays


def _pasting(
    uniforms: Uniforms, areas: Uniforms, size: int, shapes: Sequence[Bools] | None, params: HoleParams
) -> _Pasting:
    """Choose, deform and place one shape a row: uniforms (P, n), target areas (P,) in pixels."""
    # One more number is drawn and not used: without it every region hole would be another than before.
    pick, anchor, row, column, angle, stretch, shear, flip, _ = uniforms[:, : _PASTE_DRAWS - 1].T
    bank = _blobs(uniforms[:, _PASTE_DRAWS - 1 :], params) if shapes is None else _picked(shapes, pick)
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


def _picked(shapes: Sequence[Bools], pick: Uniforms) -> _Bank:
    chosen = [shapes[i] for i in (pick * len(shapes)).astype(np.int64)]
    height, width = np.array([shape.shape for shape in chosen], np.int64).reshape(-1, 2).T + 2
    ends = np.cumsum(height * width)
    flat = np.zeros(ends[-1] if len(ends) else 0, bool)
    for shape, end, h, w in zip(chosen, ends, height, width, strict=True):
        flat[end - h * w : end].reshape(h, w)[1:-1, 1:-1] = shape
    return _Bank(flat, ends - height * width, height, width)


def _blobs(uniforms: Uniforms, params: HoleParams) -> _Bank:
    """Make procedural shapes: the highest `blob_share` of a low-frequency cosine field that falls towards its border."""
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


def _move_in(pasting: _Pasting, pairs: NDArray[np.int64], scale: Uniforms, size: int) -> None:
    """Move shapes a quarter of the way towards the photo's middle; their anchors stay on the photo."""
    bank = pasting.bank
    from_anchor = np.stack([bank.height[pairs], bank.width[pairs]], 1) / 2 - pasting.source[pairs]
    to_middle = np.linalg.solve(pasting.linear[pairs] / scale[:, None, None], from_anchor[..., None])[..., 0]
    target = pasting.target[pairs]
    step = (size / 2 - target - to_middle) / 4
    pasting.target[pairs] = np.clip(target + np.rint(step).astype(np.int64), 0, size - 1)


def _warp(pasting: _Pasting, pairs: NDArray[np.int64], scale: Uniforms, size: int) -> Bools:
    """Draw the shapes `pairs`, `scale` times as large as pasted, on their photos: bool (len(pairs), size, size)."""
    bank = pasting.bank
    linear = pasting.linear[pairs] / scale[:, None, None].astype(np.float32)
    # Offsets from the target are integers: the target maps exactly to the source, so no shape is ever lost.
    offset = (np.arange(size) - pasting.target[pairs][..., None]).astype(np.float32)
    index = np.zeros((len(pairs), size, size), np.int64)
    for axis, length in enumerate((bank.height, bank.width)):
        along = linear[:, axis, :, None] * offset
        place = (along[:, 0] + pasting.source[pairs, axis, None])[:, :, None] + along[:, 1, None, :]
        # Places beyond the shape read its border, which is False.
        np.clip(place, 0, (length[pairs, None, None] - 0.5).astype(np.float32), out=place)
        if axis:
            index *= bank.width[pairs, None, None]
        index += place.astype(np.int64)
    index += bank.start[pairs, None, None]
    return bank.flat[index]
