"""Where to cut from the photo to the scene: a minimum cut through the known pixels around the hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5, equation 1: choose the labels
L(p) in {photo, scene} of all pixels that minimise

    C(L) = sum over p of C_d(p, L(p)) + sum over 4-neighbours p, q with L(p) != L(q) of C_i(p, q).

C_d is infinite for hole pixels left to the photo, for pixels taken from where the scene has none, and, here, for pixels
taken beyond `reach`; else a known pixel taken costs (k d)^3 at distance d from the hole. C_i compares the gradients of the
two images, not their colours: a step of constant colour along the seam is free, for the blend removes it.

Deviations: C_i is the length of the colour vector (s_p - f_p) - (s_q - f_q) of scene s and photo f, where the paper takes the
gradient of its square (two images whose difference turns from red to green would be cut for free). Distances are measured
in pixels of a photo 1024 px long, as the paper's are. The photo is unknown on one side of the hole's edge, so a cut along it
cannot be measured: it costs the mean of what cuts through the other edges of its known pixel cost.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import MaskError, PhotoError, SolverError

REACH = 16  # px
GROWTH = 0.002  # the paper's k, per px
PAPER_SIDE = 1024  # px, the longer side of the photos that k was chosen for

_PHOTO, _BAND, _HOLE = 0, 1, 2
# Costs become integers of this many parts: a pixel taken next to the hole still costs something in photos up to 2,600 px.
_PARTS = 1 << 30

Bools = NDArray[np.bool_]


class Seam(NamedTuple):
    """A cut. taken: bool (H, W), the pixels that come from the scene, all of the hole among them.

    cost: C(L) for images in [0, 1], float >= 0. Sums over the seam's length, so it compares scenes in one hole.
    """

    taken: Bools
    cost: float


class SeamFinder:
    """The cuts around one hole, prepared once and then found for any number of scenes (and from several threads).

    Args:
        hole: bool (H, W), True = missing: of any shape and any number of parts.
        reach: known pixels up to this Euclidean distance from the hole, px, may come from the scene. 0: none.
        growth: k of the cost (k d)^3 of a known pixel at distance d, per px of a photo whose longer side is 1024 px.

    Raises:
        MaskError: the hole is empty or covers the whole photo.
        ValueError: the hole is not a boolean (H, W) array, or reach or growth is negative.
    """

    def __init__(self, hole: Bools, reach: int = REACH, *, growth: float = GROWTH) -> None:
        if hole.ndim != 2 or hole.dtype != np.bool_:
            raise ValueError(f"hole: a boolean (H, W) array is needed, not {hole.dtype} {hole.shape}")
        if reach < 0 or growth < 0:
            raise ValueError(f"reach {reach}, growth {growth}: neither may be negative")
        if not hole.any():
            raise MaskError("the hole is empty: mark at least one pixel as missing")
        if hole.all():
            raise MaskError("the hole covers the whole photo: leave at least one known pixel to cut through")
        self.shape: tuple[int, int] = (hole.shape[0], hole.shape[1])
        rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        # Beyond the reach one pixel of the photo to cut from, and one more to measure that one's edges by.
        margin = reach + 2
        self._window = (
            slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
            slice(max(cols[0] - margin, 0), cols[-1] + margin + 1),
        )
        self._hole = hole[self._window].copy()
        self._prepare(reach, growth * PAPER_SIDE / max(self.shape))

    def _prepare(self, reach: int, growth: float) -> None:
        """Number the band's pixels and list the pairs of neighbours between which a seam may run."""
        from scipy.ndimage import distance_transform_edt

        distance = distance_transform_edt(~self._hole)
        region = np.where(self._hole, _HOLE, np.where(distance <= reach, _BAND, _PHOTO)).ravel()
        self._band = np.flatnonzero(region == _BAND)
        self._unary = (growth * distance.ravel()[self._band]) ** 3
        flat = np.arange(region.size).reshape(self._hole.shape)
        one = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
        other = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
        # Both ends of one kind: no seam runs between them, except in the band; but next to a hole they measure its edge.
        at_edge = np.zeros(region.size, dtype=bool)
        crosses = (region[one] == _HOLE) != (region[other] == _HOLE)
        at_edge[one[crosses]] = at_edge[other[crosses]] = True
        both_hidden = (region[one] == _HOLE) & (region[other] == _HOLE)
        in_band = (region[one] == _BAND) | (region[other] == _BAND)
        used = ~both_hidden & (in_band | crosses | at_edge[one] | at_edge[other])
        self._one, self._other = one[used], other[used]
        self._measured = (region[self._one] != _HOLE) & (region[self._other] != _HOLE)
        hidden_one = region[self._one] == _HOLE
        self._known_end = np.where(hidden_one, self._other, self._one)[~self._measured]
        number = np.full(region.size, -1, dtype=np.int32)
        number[self._band] = np.arange(len(self._band), dtype=np.int32)
        self._ends = number[self._one], number[self._other]
        self._kinds = region[self._one], region[self._other]

    def find(self, photo: NDArray[Any], scene: NDArray[Any], valid: Bools | None = None) -> Seam:
        """Cut one scene into the photo.

        Args:
            photo: (H, W, 3), uint8 or float in [0, 1]. Its hole pixels are never read.
            scene: as `photo`, aligned with it.
            valid: bool (H, W), where the scene has pixels; elsewhere it is never read nor taken. None: everywhere.

        Returns:
            The cut of least cost; among several the one that takes fewest pixels (it is a part of all others), so the
            result depends on nothing but the arguments.

        Raises:
            MaskError: the photo or `valid` is of another size than the hole.
            PhotoError: the scene does not cover the hole.
            SolverError: the cut was not found (the solver's own limits).
            ValueError: a scene of another size, neither uint8 nor float, or not finite where it is read.
        """
        if photo.shape != (*self.shape, 3) or (valid is not None and valid.shape != self.shape):
            found = photo.shape if valid is None else f"{photo.shape} and {valid.shape}"
            raise MaskError(
                f"the hole is {self.shape}, the photo {found}: arrays of the hole's height and width are needed"
            )
        if scene.shape != photo.shape:
            raise ValueError(f"scene: {photo.shape} is needed, as the photo's, not {scene.shape}")
        blocked = np.zeros(self._hole.size, dtype=bool)
        if valid is not None:
            blocked = ~valid[self._window].ravel()
            missing = int((blocked & self._hole.ravel()).sum())
            if missing:
                raise PhotoError(
                    f"the scene lacks {missing} of the hole's {self._hole.sum()} pixels: place it elsewhere"
                )
        costs = self._edge_costs(_unit(photo[self._window]), _unit(scene[self._window]), blocked)
        flat = self._hole.ravel().copy()
        if len(self._band):
            flat[self._band[self._cut(costs, blocked[self._band])]] = True
        parted = flat[self._one] != flat[self._other]
        cost = float(costs[parted].sum() + self._unary[flat[self._band]].sum())
        taken = np.zeros(self.shape, dtype=bool)
        taken[self._window] = flat.reshape(self._hole.shape)
        return Seam(taken, cost)

    def _edge_costs(
        self, photo: NDArray[np.float32], scene: NDArray[np.float32], blocked: Bools
    ) -> NDArray[np.float64]:
        """C_i of every listed pair, from (h * w, 3) images of the window."""
        one, other = self._one[self._measured], self._other[self._measured]
        step = photo[one] - photo[other]
        across = scene[one] - scene[other]
        across[blocked[one] | blocked[other]] = 0  # beyond its edge a scene goes on in the colour of the edge
        step -= across
        measured = np.sqrt(np.einsum("nc,nc->n", step, step)).astype(np.float64)
        if not np.isfinite(measured).all():
            raise ValueError("the photo or the scene is not finite around the hole: finite values in [0, 1] are needed")
        total = np.bincount(one, measured, self._hole.size) + np.bincount(other, measured, self._hole.size)
        count = np.bincount(one, minlength=self._hole.size) + np.bincount(other, minlength=self._hole.size)
        costs = np.empty(len(self._one))
        costs[self._measured] = measured
        costs[~self._measured] = (total / np.maximum(count, 1))[self._known_end]
        return costs

    def _cut(self, costs: NDArray[np.float64], blocked: Bools) -> NDArray[np.intp]:
        """The band's pixels that come from the scene: those which the hole still reaches when the flow is largest."""
        from ortools.graph.python import max_flow

        count = len(self._band)
        whole = np.rint(costs * _PARTS).astype(np.int64)
        (first, second), (kind1, kind2) = self._ends, self._kinds
        from_hole, to_photo = np.zeros(count, np.int64), np.rint(self._unary * _PARTS).astype(np.int64)
        for node, near in ((first, kind2), (second, kind1)):
            for kind, side in ((_HOLE, from_hole), (_PHOTO, to_photo)):
                at = (node >= 0) & (near == kind)
                side += _sums(node[at], whole[at], count)
        inner = (first >= 0) & (second >= 0)
        first, second, whole = first[inner], second[inner], whole[inner]
        if blocked.any():
            # More than all that keeps such a pixel with the hole: as good as infinite, without an overflow.
            pull = from_hole + _sums(first, whole, count) + _sums(second, whole, count) + 1
            to_photo[blocked] += pull[blocked]
        nodes = np.arange(count, dtype=np.int32)
        fed = from_hole > 0
        source, sink = np.int32(count), np.int32(count + 1)
        flow = max_flow.SimpleMaxFlow()
        # Every pixel has its arc to the sink, be it of capacity 0: without a single one the solver finds no cut at all.
        flow.add_arcs_with_capacity(
            np.concatenate([np.full(fed.sum(), source), nodes, first, second]),
            np.concatenate([nodes[fed], np.full(count, sink), second, first]),
            np.concatenate([from_hole[fed], to_photo, whole, whole]),
        )
        status = flow.solve(count, count + 1)
        if status != flow.OPTIMAL:
            raise SolverError(f"no seam was found around a hole with {count} pixels in reach: {status}; choose reach 0")
        reached = np.asarray(flow.get_source_side_min_cut(), dtype=np.intp)
        return reached[reached < count]


def find_seam(
    photo: NDArray[Any],
    scene: NDArray[Any],
    hole: Bools,
    reach: int = REACH,
    *,
    valid: Bools | None = None,
    growth: float = GROWTH,
) -> Seam:
    """Cut one scene into a photo: `SeamFinder(hole, reach, growth=growth).find(photo, scene, valid)`."""
    return SeamFinder(hole, reach, growth=growth).find(photo, scene, valid)


def _sums(nodes: NDArray[np.int32], parts: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """The parts of each node added up: exact, for four edges of them stay far below 2**53."""
    return np.bincount(nodes, parts, count).astype(np.int64)


def _unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """Pixels float32 (h * w, 3) in [0, 1] of a uint8 or float image."""
    if image.dtype == np.uint8:
        return image.reshape(-1, 3).astype(np.float32) / np.float32(255)
    if image.dtype.kind != "f":
        raise ValueError(f"uint8 or floats in [0, 1] are needed, not {image.dtype}")
    return image.reshape(-1, 3).astype(np.float32)
