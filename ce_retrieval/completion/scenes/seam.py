"""Where to cut from the photo to the scene: a minimum cut through the known pixels around the hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5, equation 1: choose the labels
L(p) in {photo, scene} of all pixels that minimise

    C(L) = sum over p of C_d(p, L(p)) + sum over 4-neighbours p, q with L(p) != L(q) of C_i(p, q).

C_d is infinite for hole pixels left to the photo, for pixels taken from where the scene has none, and, here, for pixels
taken beyond `reach` or `bound`; else a known pixel taken costs (k d)^3 at distance d from the hole. C_i compares the
gradients of the two images, not their colours: a step of constant colour along the seam is free, for the blend removes it.

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
        bound: bool (H, W), the known pixels that may come from the scene at all; what it says of the hole does not count.
            The scene goes on beyond it, and is read there to measure edges. None: all within reach.

    Raises:
        MaskError: the hole is empty or covers the whole photo.
        ValueError: the hole is not a boolean (H, W) array, the bound one of another size, or reach or growth is negative.
    """

    def __init__(self, hole: Bools, reach: int, *, growth: float = GROWTH, bound: Bools | None = None) -> None:
        if hole.ndim != 2 or hole.dtype != np.bool_:
            raise ValueError(f"hole: a boolean (H, W) array is needed, not {hole.dtype} {hole.shape}")
        if bound is not None and (bound.shape != hole.shape or bound.dtype != np.bool_):
            raise ValueError(f"bound: a boolean array {hole.shape} is needed, not {bound.dtype} {bound.shape}")
        if reach < 0 or growth < 0:
            raise ValueError(f"reach {reach}, growth {growth}: neither may be negative")
        if not hole.any():
            raise MaskError("the hole is empty: mark at least one pixel as missing")
        if hole.all():
            raise MaskError("the hole covers the whole photo: leave at least one known pixel to cut through")
        self.shape: tuple[int, int] = (hole.shape[0], hole.shape[1])
        self.reach = reach
        rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
        # Beyond the reach one pixel of the photo to cut from, and one more to measure that one's edges by.
        margin = reach + 2
        self._window = (
            slice(max(rows[0] - margin, 0), rows[-1] + margin + 1),
            slice(max(cols[0] - margin, 0), cols[-1] + margin + 1),
        )
        self._hole = hole[self._window].copy()
        self._prepare(reach, growth * PAPER_SIDE / max(self.shape), None if bound is None else bound[self._window])

    def _prepare(self, reach: int, growth: float, bound: Bools | None) -> None:
        """Number the band's pixels and list the pairs of neighbours between which a seam may run."""
        from scipy.ndimage import distance_transform_edt

        distance = distance_transform_edt(~self._hole).ravel()
        if bound is not None:
            distance[~(bound | self._hole).ravel()] += reach  # and so beyond it
        region = np.where(self._hole.ravel(), _HOLE, np.where(distance <= reach, _BAND, _PHOTO))
        self._band = np.flatnonzero(region == _BAND)
        self._unary = (growth * distance[self._band]) ** 3
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
        # First the pairs of known pixels, then those at the hole's edge; each from its end nearer to the hole outward.
        chosen = np.concatenate([np.flatnonzero(used & ~crosses), np.flatnonzero(crosses)])
        one, other = one[chosen], other[chosen]
        outward = distance[one] <= distance[other]
        near, far = np.where(outward, one, other), np.where(outward, other, one)
        # Nodes: the band's pixels, then the hole, then the photo.
        number = np.where(region == _HOLE, len(self._band), len(self._band) + 1).astype(np.int32)
        number[self._band] = np.arange(len(self._band), dtype=np.int32)
        self._near, self._far = number[near], number[far]
        self._within = np.flatnonzero((region[near] == _BAND) & (region[far] == _BAND))
        known = np.count_nonzero(~crosses[chosen])
        near, far, at_edge = near[:known], far[:known], far[known:]
        seen = np.zeros(region.size, dtype=bool)
        seen[near] = seen[far] = seen[at_edge] = True
        self._seen = np.flatnonzero(seen)
        place = np.cumsum(seen) - 1
        self._ends, self._edge = (place[near], place[far]), place[at_edge]
        count = np.bincount(np.concatenate(self._ends), minlength=len(self._seen))
        self._edge_count = np.maximum(count[self._edge], 1)

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
        costs = self._edge_costs(self._read(photo), self._read(scene), blocked[self._seen])
        label = self._cut(costs, blocked[self._band])
        cost = float(costs[label[self._near] != label[self._far]].sum() + self._unary[label[:-2]].sum())
        flat = self._hole.ravel().copy()
        flat[self._band] = label[:-2]
        taken = np.zeros(self.shape, dtype=bool)
        taken[self._window] = flat.reshape(self._hole.shape)
        return Seam(taken, cost)

    def _read(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Those pixels of an image by which pairs are measured, (3, n) in [0, 1]."""
        return _unit(image[self._window].reshape(-1, 3)[self._seen].T.copy())

    def _edge_costs(
        self, photo: NDArray[np.float32], scene: NDArray[np.float32], blocked: Bools
    ) -> NDArray[np.float64]:
        """C_i of every listed pair, from what `_read` returns."""
        near, far = self._ends
        gone = np.flatnonzero(blocked[near] | blocked[far])
        square = np.zeros(len(near), dtype=np.float32)
        for old, new in zip(photo, scene, strict=True):
            change = new - old
            step = change[near] - change[far]
            # Beyond its edge a scene goes on in the colour of the edge.
            step[gone] = old[near[gone]] - old[far[gone]]
            square += step * step
        measured = np.sqrt(square).astype(np.float64)
        if not np.isfinite(measured).all():
            raise ValueError("the photo or the scene is not finite around the hole: finite values in [0, 1] are needed")
        total = np.bincount(near, measured, len(blocked)) + np.bincount(far, measured, len(blocked))
        return np.concatenate([measured, total[self._edge] / self._edge_count])

    def _cut(self, costs: NDArray[np.float64], blocked: Bools) -> Bools:
        """Which nodes come from the scene: those which the hole still reaches when the flow is largest.

        A pair of cost c, with x = 1 at an end taken and 0 at one left, costs c x_near - c x_far, and 2 c more if only the
        far end is taken: one arc of 2 c from far to near, and what its ends cost alone. That is half the arcs of c both
        ways, and a flow that has already left the hole.
        """
        from ortools.graph.python import max_flow

        count = len(self._band)
        whole = np.rint(costs * _PARTS)  # integers below 2**53 are exact
        outer, inner = _sums(self._near, whole, count), _sums(self._far, whole, count)
        unary = np.rint(self._unary * _PARTS)
        # More than all that keeps such a pixel with the hole: as good as infinite, without an overflow.
        unary[blocked] += (outer + inner)[blocked] + 1
        near, far, whole = self._near[self._within], self._far[self._within], whole[self._within]
        node = _followed(near, far, whole, outer + inner + unary)
        gain = np.bincount(node, inner - outer - unary, count)
        near, far = node[near], node[far]
        apart = near != far
        alone = np.flatnonzero(gain)
        fed = gain[alone] > 0
        # The source has the last number: an arc from it makes the sink known too, and without one there is no cut.
        sink, source = count, count + 1
        flow = max_flow.SimpleMaxFlow()
        flow.add_arcs_with_capacity(
            np.concatenate([np.where(fed, source, alone), far[apart]]).astype(np.int32),
            np.concatenate([np.where(fed, alone, sink), near[apart]]).astype(np.int32),
            np.concatenate([np.abs(gain[alone]), 2 * whole[apart]]).astype(np.int64),
        )
        status = flow.solve(source, sink)
        if status != flow.OPTIMAL:
            raise SolverError(f"no seam was found around a hole with {count} pixels in reach: {status}; choose reach 0")
        reached = np.zeros(count + 2, dtype=bool)
        reached[np.asarray(flow.get_source_side_min_cut(), dtype=np.intp)] = True
        return np.concatenate([reached[node], [True, False]])


def _sums(nodes: NDArray[np.int32], parts: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """The parts of each of the first `count` nodes added up."""
    return np.asarray(np.bincount(nodes, parts, count + 2)[:count], dtype=np.float64)


def _followed(
    near: NDArray[np.int32], far: NDArray[np.int32], whole: NDArray[np.float64], total: NDArray[np.float64]
) -> NDArray[np.int32]:
    """For every pixel one that is on its side in all least cuts: int32 (n,), such groups share one and solve as one node.

    A pixel whose pair with one neighbour costs more than all else that its side may cost (`total` is both) follows it.
    """
    leader = np.arange(len(total), dtype=np.int32)
    follows = 2 * whole > total[far]
    leads = (2 * whole > total[near]) & ~follows  # if each follows the other, one of them stays
    leader[far[follows]] = near[follows]
    leader[near[leads]] = far[leads]
    while not np.array_equal(above := leader[leader], leader):
        leader = above
    return leader


def _unit(image: NDArray[Any]) -> NDArray[np.float32]:
    """float32 in [0, 1] of a uint8 or float image."""
    if image.dtype == np.uint8:
        return image.astype(np.float32) / np.float32(255)
    if image.dtype.kind != "f":
        raise ValueError(f"uint8 or floats in [0, 1] are needed, not {image.dtype}")
    return image.astype(np.float32)
