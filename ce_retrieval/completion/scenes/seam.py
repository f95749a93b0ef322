"""Where to cut from the photo to the scene: a minimum cut through the known pixels around the hole.

J. Hays, A. Efros, "Scene Completion Using Millions of Photographs", SIGGRAPH 2007, section 5, equation 1: choose the labels
L(p) in {photo, scene} of all pixels that minimise

    C(L) = sum over p of C_d(p, L(p)) + sum over 4-neighbours p, q with L(p) != L(q) of C_i(p, q).

C_d is infinite for hole pixels left to the photo and, here, for pixels taken outside the seam's domain; else a known pixel
taken costs (k d)^3 at distance d from the hole. C_i compares the gradients of the two images, not their colours: a step of
constant colour along the seam is free, since the blend removes it.

Deviations: C_i is the length of the colour vector (s_p - f_p) - (s_q - f_q) of scene s and photo f, where the paper takes the
gradient of its square (two images whose difference turns from red to green would be cut for free). Distances are measured
in pixels of a photo 1024 px long, as the paper's are. The photo is unknown on one side of the hole's edge, so a cut along it
cannot be measured: it costs the mean of the cuts through the other edges of its known pixel.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.errors import SolverError
from ce_retrieval.pixels import Bools, Floats, check_hole, crop, hole_box, to_unit

GROWTH = 0.002  # the paper's k, per px
PAPER_SIDE = 1024  # px, the longer side of the photos that the paper's lengths are given for

_PHOTO, _BAND, _HOLE = 0, 1, 2
# Costs become integers of this many parts: a pixel taken next to the hole still costs something in photos up to 2,600 px.
_PARTS = 1 << 30


class Seam(NamedTuple):
    """A cut.

    Attributes
    ----------
    taken : bool (H, W)
        the pixels that come from the scene, all of the hole among them.
    cost : C(L) for images in [0, 1], 0 or more. It sums over the seam's length, so it compares scenes in one hole.
    """

    taken: Bools
    cost: float


class SeamFinder:
    """The cuts around one hole, prepared once for any number of scenes. Safe to share by threads.

    Parameters
    ----------
    hole : bool (H, W), True = missing
    domain : bool (H, W)
        the hole and the known pixels that may come from the scene, as from `seam_domain`.
    growth : k of the cost (k d)^3 of a known pixel at distance d, per px of a photo whose longer side is PAPER_SIDE px.

    Raises
    ------
    MaskError : as `check_hole`.
    """

    def __init__(self, hole: Bools, domain: Bools, *, growth: float = GROWTH) -> None:
        check_hole(hole)
        self.shape: tuple[int, int] = (hole.shape[0], hole.shape[1])
        # Beyond the domain one pixel of the photo to cut from, and one more to measure that one's edges by.
        self._window = crop(hole_box(hole | domain, margin=2))
        self._hole = hole[self._window].copy()
        self._prepare(domain[self._window], growth * PAPER_SIDE / max(self.shape))

    def _prepare(self, domain: Bools, growth: float) -> None:
        """Number the band's pixels and list the pairs of neighbours between which a seam may run."""
        from scipy.ndimage import distance_transform_edt

        hidden, domain = self._hole.ravel(), (domain | self._hole).ravel()
        distance = distance_transform_edt(~self._hole).ravel()
        distance[~domain] += np.ceil(distance[domain].max())  # farther than all of the domain
        region = np.where(hidden, _HOLE, np.where(domain, _BAND, _PHOTO))
        self._band = np.flatnonzero(region == _BAND)
        self._unary = (growth * distance[self._band]) ** 3
        flat = np.arange(region.size).reshape(self._hole.shape)
        one = np.concatenate([flat[:, :-1].ravel(), flat[:-1].ravel()])
        other = np.concatenate([flat[:, 1:].ravel(), flat[1:].ravel()])
        # Pairs on the same side carry no seam outside the band; beside the hole they still contribute its edge cost.
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

    def find(self, photo: NDArray[Any], scene: NDArray[Any]) -> Seam:
        """Return the cut of least cost; among equal ones the smallest, which is a part of all others.

        Parameters
        ----------
        photo : uint8 or float32 in [0, 1], (H, W, 3)
            its hole pixels are never read.
        scene : as `photo`, aligned with it.

        Raises
        ------
        SolverError : the cut was not found (the solver's own limits).
        ValueError : photo or scene has another size than the hole.
        """
        if not photo.shape == scene.shape == (*self.shape, 3):
            raise ValueError(
                f"the hole is {self.shape}, the photo {photo.shape}, the scene {scene.shape}: expected one size"
            )
        costs = self._edge_costs(self._read(photo), self._read(scene))
        label = self._cut(costs)
        cost = float(costs[label[self._near] != label[self._far]].sum() + self._unary[label[:-2]].sum())
        flat = self._hole.ravel().copy()
        flat[self._band] = label[:-2]
        taken = np.zeros(self.shape, dtype=bool)
        taken[self._window] = flat.reshape(self._hole.shape)
        return Seam(taken, cost)

    def _read(self, image: NDArray[Any]) -> Floats:
        """Return the pixels of an image by which pairs are measured, float32 (3, n) in [0, 1]."""
        seen = image[self._window].reshape(-1, 3)[self._seen].T.copy()
        return to_unit(seen) if seen.dtype == np.uint8 else seen

    def _edge_costs(self, photo: Floats, scene: Floats) -> NDArray[np.float64]:
        """Return C_i of every listed pair, from what `_read` returns."""
        near, far = self._ends
        square = np.zeros(len(near), dtype=np.float32)
        for old, new in zip(photo, scene, strict=True):
            change = new - old
            step = change[near] - change[far]
            square += step * step
        measured = np.sqrt(square).astype(np.float64)
        count = len(self._seen)
        total = np.bincount(near, measured, count) + np.bincount(far, measured, count)
        return np.concatenate([measured, total[self._edge] / self._edge_count])

    def _cut(self, costs: NDArray[np.float64]) -> Bools:
        """Return which nodes come from the scene: those that the hole still reaches when the flow is largest.

        A pair of cost c, with x = 1 at an end taken and 0 at one left, costs c x_near - c x_far, and 2 c more if only the
        far end is taken: one arc of 2 c from far to near, and what its ends cost alone. That is half the arcs of c both
        ways, and a flow that has already left the hole.
        """
        from ortools.graph.python import max_flow

        count = len(self._band)
        whole = np.rint(costs * _PARTS)  # integers below 2**53 are exact
        outer, inner = _sums(self._near, whole, count), _sums(self._far, whole, count)
        unary = np.rint(self._unary * _PARTS)
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
            raise SolverError(
                f"no seam was found around a hole with {count} pixels in reach: {status}; set `seam` to 0"
            )
        reached = np.zeros(count + 2, dtype=bool)
        reached[np.asarray(flow.get_source_side_min_cut(), dtype=np.intp)] = True
        return np.concatenate([reached[node], [True, False]])


def _sums(nodes: NDArray[np.int32], parts: NDArray[np.float64], count: int) -> NDArray[np.float64]:
    """Return the sum of the parts of each of the first `count` nodes."""
    return np.asarray(np.bincount(nodes, parts, count + 2)[:count], dtype=np.float64)


def _followed(
    near: NDArray[np.int32], far: NDArray[np.int32], whole: NDArray[np.float64], total: NDArray[np.float64]
) -> NDArray[np.int32]:
    """Return for every pixel a leader that is on its side in all least cuts, int32 (n,): its group is solved as one node.

    A pixel follows a neighbour where their pair costs more than all else that the pixel's side may cost (`total` is both).
    """
    leader = np.arange(len(total), dtype=np.int32)
    follows = 2 * whole > total[far]
    leads = (2 * whole > total[near]) & ~follows  # if each follows the other, one of them stays
    leader[far[follows]] = near[follows]
    leader[near[leads]] = far[leads]
    while not np.array_equal(above := leader[leader], leader):
        leader = above
    return leader
