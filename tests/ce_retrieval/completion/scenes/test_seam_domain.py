"""What a seam may take: all within its reach around large holes, next to nothing around scratches."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.scenes.seam import SeamFinder
from ce_retrieval.completion.scenes.seam_domain import bounded_seams, seam_domain
from ce_retrieval.completion.settings import SceneSettings
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index


def pixels(mask: np.ndarray) -> np.ndarray:
    return np.argwhere(mask).astype(float)


def nearest(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Distance of every pixel of a shape from the nearest of some points, one by one."""
    if not len(points):
        return np.full(shape, np.inf)
    grid = np.stack(np.indices(shape), axis=-1).astype(float)
    return np.sqrt(((grid[:, :, None] - points) ** 2).sum(-1)).min(-1)


def by_definition(hole: np.ndarray, reach: int) -> np.ndarray:
    depth = nearest(pixels(~hole), hole.shape)
    granted = np.zeros(hole.shape, int)
    for r in range(1, reach + 1):
        granted[hole & (nearest(pixels(hole & (depth >= r)), hole.shape) <= 2 * r)] = r
    domain = hole.copy()
    for r in range(1, reach + 1):
        domain |= nearest(pixels(granted == r), hole.shape) <= r
    return domain


@pytest.fixture
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
    for name in ("lines", "mesh", "noise"):
        beside = distance_transform_edt(~holes[name])[seam_domain(holes[name], 16)].max()
        assert beside == 1 if name != "noise" else beside <= 2
    # A scratch has the blob's reach next to it alone.
    domain = seam_domain(holes["scratched"], 9)
    assert domain[3:26, 18].all() and domain[:, 45].sum() == 3


def test_the_cut_is_the_best_within_the_domain(holes):
    """Its cost is the plain sum, the gradients beyond the domain among it, and none that differs by a pixel is better."""
    rng = np.random.default_rng(2)
    hole = holes["scratched"]
    photo, scene = rng.random((2, *hole.shape, 3)).astype(np.float32)
    domain = seam_domain(hole, 9)
    seams = bounded_seams(hole, domain, growth=0.002)
    found = seams.find(photo, scene)
    assert seams.reach == 9
    assert found.taken[hole].all() and not found.taken[~domain].any()
    change = (scene - photo).astype(np.float64)
    assert found.cost == pytest.approx(cost_of(found.taken, change, hole, 0.002 * 1024 / 50), rel=1e-5)
    for _ in range(30):  # no neighbour of it is better
        other = found.taken.copy()
        row, col = pixels(domain & ~hole)[rng.integers((domain & ~hole).sum())].astype(int)
        other[row, col] ^= True
        assert cost_of(other, change, hole, 0.002 * 1024 / 50) >= found.cost - 1e-6
    # Where the domain is the full reach it is the plain cut.
    plain = SeamFinder(holes["blob"], 6, growth=0.002).find(photo, scene)
    bounded = bounded_seams(holes["blob"], seam_domain(holes["blob"], 6), growth=0.002).find(photo, scene)
    assert bounded.cost == plain.cost
    np.testing.assert_array_equal(bounded.taken, plain.taken)


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


def test_scratches_do_not_replace_the_photo(tmp_path: Path, bundled_photos):
    (tmp_path / "scenes").mkdir()
    for name, number in (("cat", 1), ("rocket", 3)):
        Image.fromarray(bundled_photos[number]).save(tmp_path / "scenes" / f"{name}.png")
    build_index([tmp_path / "scenes"], tmp_path / "x.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1))
    photo = np.ascontiguousarray(bundled_photos[2][:300, :400])
    hole = np.zeros((300, 400), bool)
    hole[3::13] = True
    done = SceneCompleter(PhotoIndex.open(tmp_path / "x.ceret"), SceneSettings(rerank="rim")).complete(photo, hole)
    may_differ = done.seam > 0
    assert (may_differ & ~hole).sum() <= 2 * hole.sum()
    np.testing.assert_array_equal(done.best[~may_differ], photo[~may_differ])
    assert np.abs(done.best.astype(int) - photo)[~hole].mean() < 3
