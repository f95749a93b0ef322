"""What a seam may take: all within its reach around large holes, next to nothing around scratches."""

import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.scenes.seam import SeamFinder
from ce_retrieval.completion.scenes.seam_domain import seam_domain
from ce_retrieval.completion.settings import SceneSettings


def nearest(marked: np.ndarray) -> np.ndarray:
    """Distance of every pixel from the nearest marked one, by SciPy."""
    return distance_transform_edt(~marked) if marked.any() else np.full(marked.shape, np.inf)


def by_definition(hole: np.ndarray, reach: int) -> np.ndarray:
    depth = nearest(~hole)
    granted = np.zeros(hole.shape, int)
    for r in range(1, reach + 1):
        granted[hole & (nearest(hole & (depth >= r)) <= 2 * r)] = r
    domain = hole.copy()
    for r in range(1, reach + 1):
        domain |= nearest(granted == r) <= r
    return domain


@pytest.fixture(scope="module")
def holes() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(5)
    rows, cols = np.indices((40, 50))
    blob = (rows - 14) ** 2 + (cols - 18) ** 2 < 90
    scratched = blob.copy()
    scratched[14, 18:] = scratched[30:32, 3:40] = True
    lines = np.zeros((40, 50), bool)
    lines[3::13] = True
    square = np.zeros((40, 50), bool)
    square[10:30, 12:35] = True
    return {
        "blob": blob,
        "scratched": scratched,
        "lines": lines,
        "mesh": lines | (cols % 9 == 2),
        "square": square,
        "at the border": rows < 6,
        "noise": rng.random((40, 50)) < 0.2,
        "known pixel": (rows != 20) | (cols != 20),
    }


@pytest.mark.parametrize("reach", [0, 1, 2, 7])
def test_the_domain_is_that_of_its_definition(holes, reach):
    for name, hole in holes.items():
        np.testing.assert_array_equal(seam_domain(hole, reach), by_definition(hole, reach), err_msg=name)


def test_large_holes_keep_the_full_reach_and_lines_one_pixel(holes):
    for name, reach in (("blob", 9), ("square", 10), ("at the border", 6), ("known pixel", 16)):
        full = distance_transform_edt(~holes[name]) <= reach
        np.testing.assert_array_equal(seam_domain(holes[name], reach), full, err_msg=name)
    for name, most in (("lines", 1), ("mesh", 1), ("noise", 2)):
        beside = distance_transform_edt(~holes[name])[seam_domain(holes[name], 16)].max()
        assert 1 <= beside <= most, name
    # A scratch has the blob's reach next to it alone.
    domain = seam_domain(holes["scratched"], 9)
    assert domain[3:26, 18].all() and domain[:, 45].sum() == 3


def test_the_cut_is_the_best_within_the_domain(holes):
    """Its cost is the plain sum, the gradients beyond the domain among it, and none that differs by a pixel is better."""
    rng = np.random.default_rng(2)
    hole = holes["scratched"]
    photo, scene = rng.random((2, *hole.shape, 3)).astype(np.float32)
    domain = seam_domain(hole, 9)
    found = SeamFinder(hole, domain, growth=0.002).find(photo, scene)
    assert found.taken[hole].all() and not found.taken[~domain].any()
    change = (scene - photo).astype(np.float64)
    assert found.cost == pytest.approx(cost_of(found.taken, change, hole, 0.002 * 1024 / 50), rel=1e-5)
    for _ in range(30):  # no neighbour of it is better
        other = found.taken.copy()
        row, col = np.argwhere(domain & ~hole)[rng.integers((domain & ~hole).sum())]
        other[row, col] ^= True
        assert cost_of(other, change, hole, 0.002 * 1024 / 50) >= found.cost - 1e-6


def cost_of(taken: np.ndarray, change: np.ndarray, hole: np.ndarray, growth: float) -> float:
    """Equation 1 pair by pair; a cut along the hole's edge costs the mean of its known pixel's other pairs."""
    height, width = hole.shape
    pairs = [((y, x), (y, x + 1)) for y in range(height) for x in range(width - 1)]
    pairs += [((y, x), (y + 1, x)) for y in range(height - 1) for x in range(width)]
    known = {
        pair: np.linalg.norm(change[pair[0]] - change[pair[1]]) for pair in pairs if not hole[pair[0]] | hole[pair[1]]
    }
    around: dict[tuple[int, int], list[float]] = {}
    for pair, value in known.items():
        for end in pair:
            around.setdefault(end, []).append(value)
    total = ((growth * distance_transform_edt(~hole)[taken]) ** 3).sum()
    for one, other in pairs:
        if taken[one] != taken[other]:
            edge = one if hole[other] else other
            total += known[one, other] if (one, other) in known else np.mean(around.get(edge, [0.0]))
    return float(total)


def test_scratches_do_not_replace_the_photo(other_index, truth):
    hole = np.zeros(truth.shape[:2], bool)
    hole[3::13] = True
    settings = SceneSettings(rerank="rim", seam=40.0, top=1)
    done = SceneCompleter(other_index, settings).complete(truth, hole)
    may_differ = done.seam > 0
    assert hole.sum() < may_differ.sum() <= 3 * hole.sum()
    np.testing.assert_array_equal(done.best[~may_differ], truth[~may_differ])
    assert np.abs(done.best.astype(int) - truth)[~hole].mean() < 3
