import hashlib
import os
import subprocess
import sys
from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from ce_retrieval.errors import MaskError, SettingsError
from ce_retrieval.holes.irregular import DRAWS, area_range, irregular_holes
from ce_retrieval.holes.params import DEFAULT_HOLES, HoleParams
from ce_retrieval.holes.strategies import STRATEGIES, center_holes, fill_mean, holes_for, resize_hole, uniforms_for

IDS = [f"coast/{i}.jpg" for i in range(24)]


def drawn_holes(strategy, batch, size, seed, shapes=None, params=DEFAULT_HOLES):
    """Holes from NumPy's random numbers instead of a hash of photo ids."""
    rng = np.random.default_rng(seed)
    return STRATEGIES[strategy](lambda n: rng.random((batch, n)), size, shapes, params)


@pytest.fixture
def shapes():
    rows, columns = np.mgrid[:90, :60]
    disc = (rows - 45) ** 2 / 45**2 + (columns - 30) ** 2 / 30**2 < 1
    bar = np.ones((7, 80), bool)
    ring = np.hypot(rows[:50, :50] - 25, columns[:50, :50] - 25)
    return [disc, bar, (ring < 25) & (ring > 15)]


@pytest.mark.parametrize("size", [2, 5, 64, 128, 129])
def test_center_is_the_middle_quarter(size):
    holes = center_holes(3, size)
    assert holes.shape == (3, size, size) and holes.dtype == bool
    side = size // 2
    assert (holes.sum((1, 2)) == side * side).all()
    rows = np.flatnonzero(holes[0].any(1))
    assert rows[0] == (size - side) // 2 and rows[-1] == rows[0] + side - 1
    assert (holes == holes[:, ::-1, ::-1]).all() == ((size - side) % 2 == 0)  # odd rests leave it off the middle


def test_blocks_are_unions_of_rectangles_up_to_a_quarter():
    holes = drawn_holes("block", 400, 64, seed=0)
    share = holes.mean((1, 2))
    assert share.min() > 0 and share.max() <= 0.25
    assert share.max() > 0.2 and share.min() < 0.1  # the range is used
    apart = 0
    for hole in holes[:100]:
        _, count = ndimage.label(hole)
        apart = max(apart, count)
        # The straight border of a union of axis-aligned blocks: opening by the smallest block loses nothing.
        assert (ndimage.binary_opening(hole, np.ones((8, 8))) == hole).all()
    assert apart >= 2
    missing = holes.any(0)  # in some photo: everywhere, and up to each border
    assert missing[2:-2, 2:-2].all() and all(side.any() for side in (missing[0], missing[-1], *missing.T[[0, -1]]))


def test_one_block_is_one_rectangle_of_the_given_sides():
    params = HoleParams(block_count=(1, 1), block_side=(0.25, 0.25))
    for hole in drawn_holes("block", 20, 40, seed=1, params=params):
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        assert len(rows) == len(columns) == 10 and hole.sum() == 100


@pytest.mark.parametrize("size", [32, 128])
@pytest.mark.parametrize("drawn", [False, True])
def test_regions_keep_their_limits_and_go_everywhere(size, drawn, shapes):
    holes = drawn_holes("region", 300, size, 2, shapes if drawn else None)
    share = holes.mean((1, 2))
    assert share.min() >= 0.05 and share.max() <= 0.25
    assert share.max() > 0.2 and share.min() < 0.08
    assert holes.any(0).all()
    # Not blocks: the bounding box is not full.
    boxes = np.array([h.any(1).sum() * h.any(0).sum() for h in holes])
    assert np.mean(holes.sum((1, 2)) < 0.9 * boxes) > 0.9


def test_a_pasted_shape_is_an_affine_image_of_it():
    """One ellipse, however deformed, is an ellipse: its second moments give its area (pi/4 of 4 sigma1 x 4 sigma2)."""
    rows, columns = np.mgrid[:101, :161] + 0.5
    ellipse = ((rows - 50.5) / 50.5) ** 2 + ((columns - 80.5) / 80.5) ** 2 <= 1
    holes = drawn_holes("region", 200, 128, 3, [ellipse], HoleParams(region_count=(1, 1)))
    border = np.zeros((128, 128), bool)
    border[[0, -1]] = border[:, [0, -1]] = True
    inside = [hole for hole in holes if not (hole & border).any()]
    assert len(inside) > 20
    ratios = []
    for hole in inside:
        assert ndimage.label(hole)[1] == 1
        moments = np.cov(np.argwhere(hole).T)
        assert hole.sum() == pytest.approx(4 * np.pi * np.sqrt(np.linalg.det(moments)), rel=0.03)
        values = np.linalg.eigvalsh(moments)
        ratios.append(np.sqrt(values[1] / values[0]))
    assert max(ratios) > 1.9 and min(ratios) < 1.5  # stretched and sheared away from the undeformed ratio, 1.59


def test_a_region_without_deformation_shows_the_shape_itself():
    params = HoleParams(region_count=(1, 1), region_min_share=0.2, rotation=0, stretch=1, shear=0)
    letter = np.zeros((32, 32), bool)
    letter[:, :8] = letter[24:] = True  # an L: not symmetric in any way but its diagonal
    holes = drawn_holes("region", 200, 64, 4, [np.kron(letter, np.ones((4, 4), bool))], params)
    seen = set()
    for hole in holes:
        rows, columns = np.flatnonzero(hole.any(1)), np.flatnonzero(hole.any(0))
        if rows[0] == 0 or rows[-1] == 63 or columns[0] == 0 or columns[-1] == 63:
            continue
        assert abs(len(rows) - len(columns)) <= 1
        assert hole.sum() == pytest.approx(letter.mean() * len(rows) * len(columns), rel=0.05)
        half = hole[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1][: len(rows) // 2]
        filled = half.mean(0) > 0.5
        assert (filled[: len(filled) // 8].all()) != (filled[-(len(filled) // 8) :].all())
        seen.add(bool(filled[0]))
    assert seen == {True, False}  # as drawn, and mirrored


def test_a_region_cut_off_at_the_border_is_moved_in_rather_than_blown_up():
    stripes = np.zeros((160, 160), bool)
    stripes[(np.arange(160) // 10) % 2 == 0] = True  # the width of a stripe tells the scale
    params = HoleParams(region_count=(1, 1), region_min_share=0.2, rotation=0, stretch=1, shear=0)
    holes = drawn_holes("region", 300, 128, 5, [stripes], params)
    largest = np.sqrt(0.25 * 128 * 128 / stripes.sum()) * 10
    widest = max(np.diff(np.flatnonzero(np.diff(np.pad(hole.any(1), 1))))[::2].max() for hole in holes)
    assert widest <= 1.5 * largest


def test_irregular_holes_are_of_every_area_and_in_few_pieces():
    holes = drawn_holes("irregular", 300, 64, 3)
    shares = holes.mean(axis=(1, 2))
    ranges = [area_range(share) for share in shares.tolist()]
    assert all(low < share <= high for share, (low, high) in zip(shares, ranges, strict=True))
    counts = [ranges.count(one) for one in sorted(set(ranges))]
    assert len(counts) == 6 and min(counts) > 30, "each range about as often: 50"
    assert (
        max(ndimage.label(hole)[1] for hole in holes) <= 8
        and np.median([ndimage.label(hole)[1] for hole in holes]) <= 3
    )
    assert holes.mean(axis=0).min() > 0.05, "anywhere in the photo"


def test_irregular_holes_of_few_strokes_grow_to_their_area():
    """Short strokes of a thin brush paint too little: what is next to them follows."""
    uniforms = np.zeros((1, DRAWS))
    uniforms[0, :2] = 0.99
    (hole,) = irregular_holes(uniforms, 64)
    assert 0.5 < hole.mean() <= 0.6 and ndimage.label(hole)[1] == 1


@settings(max_examples=60, deadline=None)
@given(
    strategy=st.sampled_from(sorted(STRATEGIES)),
    size=st.integers(2, 40),
    seed=st.integers(0, 2**32),
    most=st.sampled_from([0.25, 0.2, 0.1]),
)
def test_never_empty_never_over_the_limit(strategy, size, seed, most):
    params = HoleParams(max_share=most, block_side=(0.1, 0.3))
    assume(int(most * size * size) > 0)
    holes = drawn_holes(strategy, 9, size, seed, params=params)
    assert holes.shape == (9, size, size)
    count = holes.sum((1, 2))
    limit = {"center": 0.25, "irregular": 0.6}.get(strategy, most)
    assert count.min() >= 1 and count.max() <= max(limit * size * size, 1)


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
@pytest.mark.parametrize("drawn", [False, True])
def test_a_photos_hole_depends_on_seed_and_id_alone(strategy, drawn, shapes):
    given_shapes = shapes if drawn else None
    together = holes_for(strategy, 5, IDS, 64, given_shapes)
    alone = np.concatenate([holes_for(strategy, 5, [i], 64, given_shapes) for i in IDS])
    backwards = holes_for(strategy, 5, IDS[::-1], 64, given_shapes)[::-1]
    assert (together == alone).all() and (together == backwards).all()
    drawn_at_random = strategy != "center"
    changed = (together != holes_for(strategy, 6, IDS, 64, given_shapes)).any((1, 2))
    assert changed.tolist() == [drawn_at_random] * len(IDS)
    assert len({hole.tobytes() for hole in together}) == (len(IDS) if drawn_at_random else 1)


def test_the_same_in_another_process():
    code = (
        "import hashlib; from ce_retrieval.holes.strategies import holes_for;"
        "names = ('block', 'region', 'irregular');"
        "print([hashlib.sha256(holes_for(s, 11, ['a', 'b\\udcff', '森/1'], 50)).hexdigest() for s in names])"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(seen) == 1 and len(seen.pop()) > 128


def test_uniforms_are_53_bits_of_shake():
    digest = hashlib.shake_256("5\0é.jpg".encode()).digest(24)
    wanted = [(int.from_bytes(digest[i : i + 8], "little") >> 11) / 2**53 for i in (0, 8, 16)]
    assert uniforms_for(5, ["x", "é.jpg"], 3)[1].tolist() == wanted


def test_no_photos_no_holes():
    for strategy in STRATEGIES:
        assert holes_for(strategy, 0, [], 16).shape == (0, 16, 16)


def test_unknown_strategy_lists_the_known():
    with pytest.raises(SettingsError, match=r"'centre'.*center, block, region, irregular"):
        holes_for("centre", 0, ["a"], 16)


def test_hopeless_sizes_and_shapes_are_errors():
    for strategy in STRATEGIES:
        with pytest.raises(SettingsError, match="1x1"):
            holes_for(strategy, 0, ["a"], 1)
    with pytest.raises(SettingsError, match="at least one"):
        holes_for("region", 0, ["a"], 16, [])
    with pytest.raises(MaskError, match="no pixel"):
        holes_for("region", 0, ["a"], 16, [np.zeros((4, 4), bool)])


@pytest.mark.parametrize("wrong", [{"block_side": (0.1, 0.6)}, {"region_min_share": 0.3}, {"block_count": (0, 2)}])
def test_parameters_that_cannot_be_kept_are_refused(wrong):
    with pytest.raises(SettingsError, match=next(iter(wrong))):
        HoleParams(**wrong)


def brute_resize(hole, size):
    """True where a pixel's footprint, in exact fractions, overlaps a missing pixel's unit square."""
    height, width = hole.shape
    resized = np.zeros((size, size), bool)
    for i in range(size):
        for j in range(size):
            top, bottom = Fraction(i * height, size), Fraction((i + 1) * height, size)
            left, right = Fraction(j * width, size), Fraction((j + 1) * width, size)
            resized[i, j] = hole[floor(top) : ceil(bottom), floor(left) : ceil(right)].any()
    return resized


@settings(max_examples=120, deadline=None)
@given(
    hole=arrays(bool, st.tuples(st.integers(1, 13), st.integers(1, 13)), elements=st.booleans()),
    size=st.integers(1, 17),
)
def test_resize_keeps_whatever_touches_a_missing_pixel(hole, size):
    resized = resize_hole(hole, size)
    assert resized.shape == (size, size) and resized.dtype == bool and resized.flags.c_contiguous
    assert (resized == brute_resize(hole, size)).all()


def test_resize_of_single_pixels():
    hole = np.zeros((100, 200), bool)
    hole[99, 0] = True
    assert np.argwhere(resize_hole(hole, 10)).tolist() == [[9, 0]]
    assert resize_hole(np.eye(4, dtype=bool), 4).tolist() == np.eye(4, dtype=bool).tolist()
    assert (resize_hole(np.eye(3, dtype=bool), 6) == np.kron(np.eye(3), np.ones((2, 2)))).all()


def test_fill_mean_fills_the_hole_alone(bundled_photos):
    photos = np.stack([photo[:150, :200] for photo in bundled_photos])
    holes = holes_for("region", 0, [f"{i}.jpg" for i in range(len(photos))], 200)[:, :150]
    holes[:, 40:60, 50:90] = True
    before = photos.copy()
    filled = fill_mean(photos, holes)
    assert (photos == before).all() and filled.dtype == np.uint8
    for photo, hole, result in zip(photos, holes, filled, strict=True):
        assert (result[~hole] == photo[~hole]).all()
        assert np.abs(result[hole] - photo[~hole].astype(np.float64).mean(0)).max() <= 0.5 + 1e-9
        assert len(np.unique(result[hole], axis=0)) == 1


def test_fill_mean_ignores_what_the_hole_hides_and_takes_one_hole_for_all():
    photos = np.full((2, 6, 6, 3), 10, np.uint8)
    photos[1] = 250
    photos[:, 1:4, 1:4] = 99
    hole = np.zeros((6, 6), bool)
    hole[1:4, 1:4] = True
    filled = fill_mean(photos, hole)
    assert (filled[0] == 10).all() and (filled[1] == 250).all()


def test_fill_mean_refuses_a_hole_over_everything():
    with pytest.raises(MaskError, match="photo 1 covers all"):
        fill_mean(np.zeros((2, 4, 4, 3), np.uint8), np.stack([np.zeros((4, 4), bool), np.ones((4, 4), bool)]))
    with pytest.raises(ValueError, match="expected"):
        fill_mean(np.zeros((2, 4, 4, 3), np.uint8), np.zeros((4, 5), bool))
