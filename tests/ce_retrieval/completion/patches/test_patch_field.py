"""The search against brute force, the vote against plain loops, the pyramid against its definition."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from ce_retrieval.completion.patches.field import PatchField
from ce_retrieval.completion.patches.pyramid import Level, halved, patch_begins, pyramid

SIDE = 7


@pytest.fixture
def photo() -> np.ndarray:
    from skimage import data

    return np.ascontiguousarray(data.coffee()[100:144, 200:250])


def field_of(level: Level, *, falloff: float = 1.2, texture: float = 2.0) -> PatchField:
    return PatchField(level, ThreadPoolExecutor(2), 5, texture=texture, falloff=falloff)


def holed(photo: np.ndarray) -> np.ndarray:
    hole = np.zeros(photo.shape[:2], bool)
    hole[15:24, 18:30] = True
    return hole


def all_distances(field: PatchField, falloff: float, texture: float) -> tuple[np.ndarray, np.ndarray]:
    """Brute force: (places, sources) distances and the sources' flat numbers."""
    from scipy.ndimage import distance_transform_edt

    level = field.level
    trust = falloff ** -distance_transform_edt(level.hole)
    weight = trust[..., None] * np.array([1.0, 1.0, 1.0, texture])
    sources = np.flatnonzero(level.valid)
    width = level.valid.shape[1]
    known = np.stack(
        [level.canvas[y : y + SIDE, x : x + SIDE].astype(float) for y, x in (divmod(s, width) for s in sources)]
    )
    rows = []
    for place in field.places:
        y, x = divmod(int(place), level.hole.shape[1])
        window = np.s_[y : y + SIDE, x : x + SIDE]
        rows.append((weight[window] * (known - field.target[window]) ** 2).sum(axis=(1, 2, 3)))
    return np.stack(rows), sources


def test_the_search_finds_the_nearest_patches(photo: np.ndarray) -> None:
    [level] = pyramid(photo, holed(photo), [photo[:20, ::-1].copy()], 100.0)
    field = field_of(level)
    field.begin(photo[level.window])
    field.search(500)  # each draws one place from anywhere, of 3,000
    distances, sources = all_distances(field, 1.2, 2.0)
    found = np.searchsorted(sources, field.field[field.places])
    assert (sources[found] == field.field[field.places]).all(), "a patch was placed where none may begin"
    own = distances[np.arange(len(found)), found]
    np.testing.assert_allclose(field.cost[field.places], own, rtol=1e-3, atol=1.0)
    best = distances.min(axis=1)
    assert np.mean(own <= best * 1.0001 + 1) > 0.97
    assert own.mean() < 1.01 * best.mean()


def test_a_repeated_texture_is_found_exactly() -> None:
    tile = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    photo = np.tile(tile, (8, 9, 1))
    hole = np.zeros(photo.shape[:2], bool)
    hole[24:40, 24:44] = True
    [level] = pyramid(photo, hole, [], 100.0)
    field = field_of(level, texture=0.0)
    field.begin(photo[level.window])  # the truth: every patch has exact copies
    field.search(40)
    assert np.mean(field.cost[field.places] == 0) > 0.99


def test_the_search_never_makes_it_worse(photo: np.ndarray) -> None:
    [level] = pyramid(photo, holed(photo), [], 100.0)
    field = field_of(level)
    field.begin(photo[level.window])
    field.search(1)
    before = field.cost.copy()
    field.search(2)
    assert (field.cost <= before * 1.0001).all() and field.cost.sum() < before.sum()


@pytest.mark.parametrize("spread", [1.0, 0.125])
def test_the_vote_is_the_weighted_mean(photo: np.ndarray, spread: float) -> None:
    hole = holed(photo)
    hole[:, 45:] = True  # the border too, where fewer patches vote
    [level] = pyramid(photo, hole, [], 100.0)
    field = field_of(level)
    field.begin(photo[level.window])
    field.search(2)
    known = field.target.copy()
    field.vote(spread=spread)
    from scipy.ndimage import distance_transform_edt

    trust = 1.2 ** -distance_transform_edt(level.hole)
    total, weights = np.zeros(known.shape), np.zeros(level.hole.shape)
    mean = {}
    for place in field.places:
        y, x = divmod(int(place), level.hole.shape[1])
        mean[y, x] = field.cost[place] / trust[y : y + SIDE, x : x + SIDE].sum()
    usual = np.quantile(list(mean.values()), 0.75) * spread
    for (y, x), cost in mean.items():
        share = max(np.exp(-cost / (2 * usual)), 1e-6) * trust[y + 3, x + 3]
        row, col = divmod(int(field.field[y * level.hole.shape[1] + x]), level.valid.shape[1])
        total[y : y + SIDE, x : x + SIDE] += share * level.canvas[row : row + SIDE, col : col + SIDE]
        weights[y : y + SIDE, x : x + SIDE] += share
    expected = total[level.hole] / weights[level.hole][:, None]
    np.testing.assert_allclose(field.target[level.hole], expected, rtol=1e-3, atol=0.05)
    assert (field.target[~level.hole] == known[~level.hole]).all()


def test_a_finer_field_continues_the_coarser() -> None:
    """On a texture of period 16 (8 at half the size) an exact coarse field gives an exact fine one."""
    tile = np.random.default_rng(1).integers(0, 256, (16, 16, 3), dtype=np.uint8)
    photo = np.tile(tile, (12, 13, 1))
    hole = np.zeros(photo.shape[:2], bool)
    hole[80:112, 84:120] = True
    fine, coarse = pyramid(photo, hole, [], 2.0)
    below = field_of(coarse, texture=0.0)
    guess = photo[fine.window]
    below.begin(halved(guess))
    below.search(40)
    exact = below.cost[below.places] == 0
    assert exact.mean() > 0.99
    field = field_of(fine, texture=0.0)
    field.inherit(below)
    assert np.mean(np.abs(field.target[..., :3] - guess).max(axis=2)[fine.hole] < 1) > 0.98


def test_patches_of_the_pyramid_lie_in_one_part() -> None:
    """The photo's known pixels are 40, its hole 0, the sources 120 and 200: no patch mixes any two, at any scale."""
    photo = np.full((64, 96, 3), 40, np.uint8)
    hole = np.zeros((64, 96), bool)
    hole[:50, 20:80] = True
    photo[hole] = 0
    sources = [np.full((48, 64, 3), 120, np.uint8), np.full((61, 128, 3), 200, np.uint8)]
    levels = pyramid(photo, hole, sources, 1.1)
    assert len(levels) == 3
    for level in levels:
        seen = set()
        for y, x in zip(*np.nonzero(level.valid), strict=True):
            values = set(np.unique(level.canvas[y : y + SIDE, x : x + SIDE, :3]).tolist())
            assert len(values) == 1
            seen |= values
        assert seen == {40, 120, 200} - ({40} if level.hole.shape[0] < 20 else set())


def test_the_window_lies_over_the_hole_at_every_scale() -> None:
    photo = np.zeros((300, 400, 3), np.uint8)
    hole = np.zeros((300, 400), bool)
    hole[201:261, 150:230] = True
    levels = pyramid(photo, hole, [], 1.0)
    assert len(levels) == 4
    for number, level in enumerate(levels):
        whole = np.zeros((300 // 2**number, 400 // 2**number), bool)
        whole[level.window] = level.hole
        size = 2**number
        expected = hole[: whole.shape[0] * size, : whole.shape[1] * size]
        expected = expected.reshape(whole.shape[0], size, whole.shape[1], size).any(axis=(1, 3))
        assert (whole == expected).all()


def test_patch_begins_is_its_definition() -> None:
    usable = np.random.default_rng(2).random((30, 33)) > 0.03
    expected = np.zeros_like(usable)
    for y in range(24):
        for x in range(27):
            expected[y, x] = usable[y : y + SIDE, x : x + SIDE].all()
    assert expected.any() and (patch_begins(usable) == expected).all()
    assert not patch_begins(np.ones((6, 40), bool)).any()
