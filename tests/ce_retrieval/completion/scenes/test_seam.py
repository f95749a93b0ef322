"""Cuts are the least of all, wherever a seam may run."""

from itertools import product

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes.seam import SeamFinder
from ce_retrieval.errors import MaskError

STEPS = ((0, 1), (1, 0), (0, -1), (-1, 0))


def neighbours(place, shape):
    for step in STEPS:
        near = place[0] + step[0], place[1] + step[1]
        if 0 <= near[0] < shape[0] and 0 <= near[1] < shape[1]:
            yield near


def within(hole, reach):
    """The domain of all pixels within the reach."""
    return distance_transform_edt(~hole) <= reach


def energy_terms(photo, scene, hole, domain, growth):
    """The costs written out pixel by pixel: edges {(p, q): cost} with p < q, and unary {p: cost} of band pixels."""
    shape = hole.shape
    missing = np.argwhere(hole)
    unary, edges = {}, {}
    for place in map(tuple, np.argwhere(~hole)):
        distance = np.sqrt(((missing - place) ** 2).sum(axis=1).min())
        if domain[place]:
            unary[place] = (growth * 1024 / max(shape) * distance) ** 3
    for p in np.ndindex(*shape):
        for q in neighbours(p, shape):
            if not (hole[p] or hole[q]):
                across = scene[p].astype(float) - scene[q]
                edges[p, q] = np.linalg.norm(across - (photo[p].astype(float) - photo[q]))
    for p in map(tuple, np.argwhere(~hole)):
        own = [edges[p, q] for q in neighbours(p, shape) if not hole[q]]
        for q in neighbours(p, shape):
            if hole[q]:
                edges[min(p, q), max(p, q)] = np.mean(own) if own else 0.0
    return {pair: cost for pair, cost in edges.items() if pair[0] < pair[1]}, unary


def energy(taken, edges, unary):
    total = sum(cost for (p, q), cost in edges.items() if taken[p] != taken[q])
    return total + sum(cost for p, cost in unary.items() if taken[p])


HOLES = {
    "one pixel": ["....", ".#..", "...."],
    "corner": ["##..", "#...", "...."],
    "island": ["###.", "#.#.", "###.", "...."],
    "parts": ["#..#", "....", "...#"],
    "band": ["....", "####", "....", "...."],
    "all but one": ["###", "#.#", "###"],
    "one row": ["..#...#."],
}


@pytest.mark.parametrize("name", HOLES)
@pytest.mark.parametrize(("reach", "growth"), [(1, 0.0), (2, 0.0008), (9, 0.002)])
@pytest.mark.parametrize("bounded", [False, True])
def test_the_cut_is_the_best_of_all_labelings(name, reach, growth, bounded):
    hole = np.array([[mark == "#" for mark in row] for row in HOLES[name]])
    rng = np.random.default_rng(len(name) + reach)
    for trial in range(3):
        photo, scene = rng.random((2, *hole.shape, 3), dtype=np.float32)
        domain = within(hole, reach)
        if bounded:
            domain &= hole | (rng.random(hole.shape) < (0.8, 0.6, 0.4)[trial])
        edges, unary = energy_terms(photo, scene, hole, domain, growth)
        labelings = []
        for choice in product((False, True), repeat=len(unary)):
            taken = hole.copy()
            for place, chosen in zip(unary, choice, strict=True):
                taken[place] = chosen
            labelings.append((energy(taken, edges, unary), taken))
        least = min(cost for cost, _ in labelings)
        smallest = np.logical_and.reduce([taken for cost, taken in labelings if cost <= least + 1e-7])
        seam = SeamFinder(hole, domain, growth=growth).find(photo, scene)
        assert seam.cost == pytest.approx(least, abs=1e-5)
        np.testing.assert_array_equal(seam.taken, smallest)


@pytest.mark.parametrize("contrast", [1, 6], ids=["even", "few pairs dominate"])
@pytest.mark.parametrize("seed", range(3))
def test_the_cut_is_as_large_as_the_flow_of_scipy(seed, contrast):
    from scipy import sparse
    from scipy.sparse.csgraph import maximum_flow

    rng = np.random.default_rng(seed)
    shape = (40, 50)
    hole = np.zeros(shape, bool)
    hole[10:22, 15:35] = True
    hole[30:, :6] = True
    hole[rng.integers(0, 40, 4), rng.integers(0, 50, 4)] = True
    photo, scene = (256 * rng.random((2, *shape, 3)) ** contrast).astype(np.uint8)
    domain = within(hole, 7)
    seam = SeamFinder(hole, domain).find(photo, scene)
    edges, unary = energy_terms(photo / 255, scene / 255, hole, domain, 0.002)
    number = {place: i for i, place in enumerate(unary)}
    source, sink = len(number), len(number) + 1
    parts = 10**6
    arcs = {}
    for place, cost in unary.items():
        arcs[number[place], sink] = cost
    for pair, cost in edges.items():
        one, other = (source if hole[p] else number.get(p, sink) for p in pair)
        if one == other:
            continue
        for arc in ((one, other), (other, one)):
            arcs[arc] = arcs.get(arc, 0.0) + cost
    rows, cols = zip(*arcs, strict=True)
    capacity = np.rint(np.array(list(arcs.values())) * parts).astype(np.int32)
    graph = sparse.csr_matrix((capacity, (rows, cols)), shape=(sink + 1, sink + 1))
    flow = maximum_flow(graph, source, sink).flow_value / parts
    assert seam.cost == pytest.approx(flow, abs=1e-3)
    assert energy(seam.taken, edges, unary) == pytest.approx(seam.cost, abs=1e-4)
    assert seam.taken[hole].all() and seam.taken.sum() > hole.sum()


def scene_of_a_match(difference: float = 0.25):
    """A scene that is the photo in another light beyond 4 px from the hole, and something else nearer."""
    rng = np.random.default_rng(0)
    # Whole 256ths, so that the differences are exact in float32 too.
    photo = rng.integers(0, 128, (60, 70, 3)).astype(np.float32) / np.float32(256)
    hole = np.zeros((60, 70), bool)
    hole[20:40, 25:45] = True
    distance = distance_transform_edt(~hole)
    scene = photo + np.float32(difference)
    near = distance <= 4
    scene[near] = rng.random((near.sum(), 3), dtype=np.float32)
    return photo, scene, hole, distance


def test_a_step_of_constant_colour_is_free_and_the_seam_goes_to_it():
    photo, scene, hole, distance = scene_of_a_match()
    seam = SeamFinder(hole, within(hole, 12), growth=0.0).find(photo, scene)
    assert seam.cost == 0
    assert seam.taken[distance <= 4].all() and not seam.taken[distance > 5.5].any()
    np.testing.assert_array_equal(SeamFinder(hole, within(hole, 16)).find(photo, photo + np.float32(0.125)).taken, hole)


def test_distance_makes_a_far_seam_dear():
    photo, scene, hole, _ = scene_of_a_match()
    domain = within(hole, 12)
    sizes = [SeamFinder(hole, domain, growth=growth).find(photo, scene).taken.sum() for growth in (0.0, 0.02, 1.0)]
    assert sizes[0] > sizes[-1] == hole.sum()
    assert sizes == sorted(sizes, reverse=True)


def test_a_domain_of_the_hole_alone_is_cut_along_its_edge():
    photo, scene, hole, _ = scene_of_a_match()
    seam = SeamFinder(hole, hole).find(photo, scene)
    np.testing.assert_array_equal(seam.taken, hole)
    edges, unary = energy_terms(photo, scene, hole, hole, 0.002)
    assert not unary
    assert seam.cost == pytest.approx(energy(hole, edges, unary), rel=1e-5)


@pytest.mark.parametrize("reach", [1, 3, 5])
def test_nothing_beyond_the_domain_is_taken(reach):
    photo, scene, hole, distance = scene_of_a_match()
    taken = SeamFinder(hole, within(hole, reach), growth=0.0).find(photo, scene).taken
    assert taken[hole].all() and not taken[distance > reach].any()


def test_hidden_pixels_are_never_read_and_the_result_repeats():
    photo, scene, hole, _ = scene_of_a_match()
    finder = SeamFinder(hole, within(hole, 12))
    first = finder.find(photo, scene)
    blind = finder.find(np.where(hole[..., None], np.float32(np.nan), photo), scene)
    np.testing.assert_array_equal(blind.taken, first.taken)
    assert blind.cost == first.cost


def test_photos_of_bytes_are_cut_as_those_of_floats():
    photo, scene = np.random.default_rng(3).integers(0, 256, (2, 30, 40, 3), dtype=np.uint8)
    hole = np.zeros((30, 40), bool)
    hole[10:20, 12:30] = True
    finder = SeamFinder(hole, within(hole, 6))
    as_bytes, as_floats = finder.find(photo, scene), finder.find(photo / np.float32(255), scene / np.float32(255))
    np.testing.assert_array_equal(as_bytes.taken, as_floats.taken)
    assert as_bytes.cost == as_floats.cost


def test_a_hole_against_the_border_is_cut_on_its_open_sides():
    rng = np.random.default_rng(1)
    hole = np.zeros((30, 30), bool)
    hole[:10, :] = True
    photo, scene = rng.random((2, 30, 30, 3), dtype=np.float32)
    taken = SeamFinder(hole, np.ones_like(hole)).find(photo, scene).taken
    assert taken[:10].all() and not taken.all()


def test_wrong_arguments_are_refused():
    photo, scene, hole, _ = scene_of_a_match()
    for wrong, message in (
        (np.zeros_like(hole), "the hole is empty"),
        (np.ones_like(hole), "covers the whole photo"),
        (hole.astype(np.uint8), r"expected bool \(H, W\)"),
    ):
        with pytest.raises(MaskError, match=message):
            SeamFinder(wrong, hole)
    for arrays in ((photo[1:], scene[1:]), (photo[1:], scene), (photo, scene[1:])):
        with pytest.raises(ValueError, match="expected one size"):
            SeamFinder(hole, hole).find(*arrays)
