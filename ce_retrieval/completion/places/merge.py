"""One picture from the proposals of several photos: which of them fills each pixel of a hole.

O. Whyte, J. Sivic, A. Zisserman, "Get Out of my Picture! Internet-based Inpainting", BMVC 2009, section 4: labels of the least
energy, a cost for each pixel and one for each seam, by expansion moves (Y. Boykov, O. Veksler, R. Zabih, "Fast approximate
energy minimization via graph cuts", TPAMI 2001). Deviations: a pixel costs what it differs from the median of all photos, so that
a thing that only one of them shows is not put in; with fewer than three photos there is no majority, and the agreement around
the hole decides. Known pixels beside the hole are labelled, too: which plane fits them tells which goes on into the hole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.places.proposals import Proposal
from ce_retrieval.completion.scenes.region import Region
from ce_retrieval.completion.scenes.seam import PAPER_SIDE
from ce_retrieval.errors import SolverError
from ce_retrieval.pixels import Bools, Floats, distance_from, hole_box, to_unit

BAND, LEAST_BAND = (
    16.0,
    6.0,
)  # px of a photo 1024 px long, and px of the region: the known pixels that are labelled, too
MAJORITY = 3  # photos from which their median tells what is there
BLUR = 1.5  # px: proposals are compared after a blur, so that small errors of place count little
IGNORED = 20.0  # grey levels: smaller differences from the median are free
LARGEST = 80.0  # grey levels: larger differences cost no more
DISAGREES = 100.0  # cost of a pixel for each 1 of agreement that the best proposal has more
GOES_ON = 0.5  # of the cost of the known pixels beside the hole, in the hole
UNSEEN = 1e4  # cost of a pixel that a proposal does not show
SEAM = 2.0  # cost of a seam, for each grey level that the two proposals differ on both of its sides
SWEEPS = 2  # of expansion moves over all labels
PARTS = 64  # of a cost, which the solver takes as whole numbers
NOWHERE = -1


class Merged(NamedTuple):
    """A picture put together from proposals.

    Attributes
    ----------
    label : int8 (h, w)
        the number of the proposal that fills each pixel of the hole and beside it; NOWHERE where none does.
    values : float32 (h, w, 3) in [0, 1]
        the picture: proposals joined in their gradients, so that no seam between them is seen; the photo's own pixels where no
        proposal shows what lies outside the hole.
    """

    label: NDArray[np.int8]
    values: Floats


def merged(region: Region, proposals: Sequence[Proposal]) -> Merged:
    """Choose a proposal for each pixel of a region's domain, and join them.

    proposals : one or more, those that agree best first.
    """
    label = _labels(region, proposals)
    return Merged(label, _joined(region, proposals, label))


def _labels(region: Region, proposals: Sequence[Proposal]) -> NDArray[np.int8]:
    shown = np.stack([one.shown for one in proposals])
    reach = max(LEAST_BAND, BAND * max(region.working.hole.shape) / PAPER_SIDE)
    band = region.context & (distance_from(region.hole) <= reach)
    somewhere = (region.domain | band) & shown.any(axis=0)
    label = np.where(somewhere, shown.argmax(axis=0), NOWHERE).astype(np.int8)
    if len(proposals) == 1 or not somewhere.any():
        return label
    unary = _unary(region, proposals)
    number = np.full(somewhere.shape, -1, np.intp)
    number[somewhere] = np.arange(np.count_nonzero(somewhere))
    across, down = somewhere[:, :-1] & somewhere[:, 1:], somewhere[:-1] & somewhere[1:]
    one = np.concatenate([number[:, :-1][across], number[:-1][down]])
    other = np.concatenate([number[:, 1:][across], number[1:][down]])
    values = np.stack([_blurred(each.values)[somewhere] for each in proposals])
    costs, chosen = unary[:, somewhere], label[somewhere].astype(np.intp)
    if (chosen == chosen[0]).all() and not (costs.argmin(axis=0) != chosen[0]).any():
        return label
    for _ in range(SWEEPS):
        before = chosen
        for candidate in range(len(proposals)):
            chosen = _expanded(chosen, candidate, costs, values, one, other)
        if np.array_equal(before, chosen):
            break
    label[somewhere] = chosen
    return label


def _unary(region: Region, proposals: Sequence[Proposal]) -> Floats:
    """Return the cost of each proposal at each pixel, float32 (n, h, w)."""
    best = proposals[0].agreement
    lacks = [0.0 if one.another_plane else best - one.agreement for one in proposals]
    unary = np.stack(
        [np.full(one.shown.shape, DISAGREES * less, np.float32) for one, less in zip(proposals, lacks, strict=True)]
    )
    first = {id(one.view): number for number, one in reversed(list(enumerate(proposals)))}
    blurred = np.stack([_blurred(one.values) for one in proposals])
    if len(first) >= MAJORITY:
        voters = sorted(first.values())
        votes = np.where(np.stack([proposals[n].shown for n in voters])[..., None], blurred[voters], np.nan)
        counts = np.isfinite(votes[..., 0]).sum(axis=0)
        with np.errstate(all="ignore"):
            median = np.nan_to_num(np.nanmedian(np.where(counts[..., None] > 0, votes, 0.0), axis=0))
        apart = np.abs(blurred - median).mean(axis=-1)
        unary += np.where(counts >= MAJORITY, np.clip(apart, IGNORED, LARGEST) - IGNORED, 0)
    # Beside the hole the photo itself says which plane goes on there, and so it does, less surely, of the hole near to it.
    shares = (~region.hole).astype(np.float32)[..., None]
    own = _blurred(region.photo * shares) / (_blurred(shares)[..., None] + np.float32(1e-3))
    apart = np.clip(np.abs(blurred - own).mean(axis=-1), 0, LARGEST)
    for number, one in enumerate(proposals):
        beside = one.shown & region.context
        unary[number] += np.where(region.hole, GOES_ON * _spread(apart[number], beside, region.hole), apart[number])
    unary[~np.stack([one.shown for one in proposals])] = UNSEEN
    return unary


def _spread(values: Floats, where: Bools, hole: Bools) -> Floats:
    """Return values float32 (h, w) of the pixels `where`, averaged around each pixel over about half the hole's size."""
    import cv2

    y0, x0, y1, x1 = hole_box(hole)
    sigma = max(2.0, max(y1 - y0, x1 - x0) / 6)
    shares = where.astype(np.float32)
    sums, counts = (cv2.GaussianBlur(part, (0, 0), sigma) for part in (values * shares, shares))
    return np.asarray(sums / np.maximum(counts, np.float32(1e-6)))


def _expanded(
    chosen: NDArray[np.intp],
    candidate: int,
    costs: Floats,
    values: Floats,
    one: NDArray[np.intp],
    other: NDArray[np.intp],
) -> NDArray[np.intp]:
    """Return the labels (n,) after the best move that gives some pixels the label `candidate`."""
    if (costs[candidate] >= UNSEEN).all():
        return chosen
    from ortools.graph.python import max_flow

    pixels = np.arange(len(chosen))
    keep, take = costs[chosen, pixels].astype(np.float64), costs[candidate].astype(np.float64)
    kept = SEAM * _seam(values, chosen[one], chosen[other], one, other)  # neither changes
    second = SEAM * _seam(values, chosen[one], np.full(len(one), candidate), one, other)  # the other end changes
    first = SEAM * _seam(values, np.full(len(one), candidate), chosen[other], one, other)  # this end changes
    # Pairs of cost kept, second, first, 0 as arcs: V. Kolmogorov, R. Zabih, "What energy functions can be minimized via graph
    # cuts?", TPAMI 2004, table 1.
    count = len(chosen)
    take += np.bincount(one, first - kept, count) + np.bincount(other, -first, count)
    arcs = np.maximum(second + first - kept, 0)
    gain = np.rint(PARTS * (take - keep)).astype(np.int64)
    arcs = np.rint(PARTS * arcs).astype(np.int64)
    used = np.flatnonzero(arcs)
    alone = np.flatnonzero(gain)
    costly = gain[alone] > 0
    # Those on the side of the source keep their labels.
    sink, source = count, count + 1
    flow = max_flow.SimpleMaxFlow()
    flow.add_arcs_with_capacity(
        np.concatenate([np.where(costly, source, alone), one[used], [source]]).astype(np.int32),
        np.concatenate([np.where(costly, alone, sink), other[used], [sink]]).astype(np.int32),
        np.concatenate([np.abs(gain[alone]), arcs[used], [0]]).astype(np.int64),
    )
    status = flow.solve(source, sink)
    if status != flow.OPTIMAL:
        raise SolverError(f"no seam was found between photos of the same place: {status}; set `places` to none")
    changes = np.zeros(count + 2, bool)
    changes[np.asarray(flow.get_sink_side_min_cut(), dtype=np.intp)] = True
    return np.where(changes[:count], candidate, chosen)


def _seam(
    values: Floats, mine: NDArray[np.intp], theirs: NDArray[np.intp], one: NDArray[np.intp], other: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Return what the labels `mine` and `theirs` differ by on both sides of each pair of pixels, float64 (m,)."""
    differ = np.flatnonzero(mine != theirs)
    cost = np.zeros(len(one))
    a, b = mine[differ], theirs[differ]
    for pixel in (one[differ], other[differ]):
        cost[differ] += np.abs(values[a, pixel] - values[b, pixel]).mean(axis=-1)
    return cost


def _joined(region: Region, proposals: Sequence[Proposal], label: NDArray[np.int8]) -> Floats:
    """Return the picture of these labels: the proposal of the largest part, and the others blended into it one by one."""
    counts = np.bincount(label[label >= 0], minlength=len(proposals))
    order = [int(n) for n in np.argsort(-counts, kind="stable") if counts[n]]
    if not order:
        return to_unit(region.photo)
    base = proposals[order[0]]
    picture: Floats = np.clip(base.values / np.float32(255), 0, 1).astype(np.float32)
    own = ~base.shown & ~region.hole
    picture[own] = to_unit(region.photo[own])
    for number in order[1:]:
        part = label == number
        picture = _blended(picture, np.clip(proposals[number].values / np.float32(255), 0, 1), part)
    return picture


def _blended(picture: Floats, source: Floats, part: Bools) -> Floats:
    if part.all():
        return source
    blend = PoissonSolver(part).compose(source[None], picture, part[None], part)
    return np.asarray(blend.fills[0], np.float32)


def _blurred(values: Floats) -> Floats:
    import cv2

    return np.asarray(cv2.GaussianBlur(values, (0, 0), BLUR))
