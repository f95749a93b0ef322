"""Colours of other photos, and one picture from several: who passes by in one of them is not put in."""

import numpy as np
import pytest
from place_views import oval, psnr

from ce_retrieval.completion.places.merge import NOWHERE, merged
from ce_retrieval.completion.places.proposals import Proposal, matched_colours
from ce_retrieval.completion.places.views import View
from ce_retrieval.completion.scenes.region import Region, region_of
from ce_retrieval.completion.working_size import working_photo

SIZE = (160, 200)
HOLE = oval(SIZE, (80, 100), (30, 35))
PASSER_BY = slice(66, 94), slice(86, 108)


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][120:280, 200:400])


@pytest.fixture(scope="module")
def region(truth) -> Region:
    photo = truth.copy()
    photo[HOLE] = 0
    return region_of(working_photo(photo, HOLE, 1024), 0.0, radius=400)


@pytest.fixture
def proposal(region, truth):
    """A function that makes a proposal: the truth with a little noise, a passer-by, and a part that is not shown."""

    def make(seed, *, passer_by=None, unseen=None, agreement=0.9, view=None) -> Proposal:
        rng = np.random.default_rng(seed)
        values = truth + rng.normal(0, 2, truth.shape)
        if passer_by is not None:
            values[passer_by] = (220, 30, 60)
        shown = np.ones(SIZE, bool)
        if unseen is not None:
            values[unseen], shown[unseen] = 0, False
        rows, cols = (slice(edge, edge + length) for edge, length in zip(region.box[:2], region.size, strict=True))
        view = view or View(None, truth, None, [])
        colours = np.array([[1.0] * 3, [0.0] * 3], np.float32)
        values = values[rows, cols].astype(np.float32)
        return Proposal(view, np.eye(3), 50, values, shown[rows, cols], agreement, colours)

    return make


def within(region: Region, mask: np.ndarray) -> np.ndarray:
    y0, x0, y1, x1 = region.box
    return mask[y0:y1, x0:x1]


def filled(region: Region, truth: np.ndarray, proposals: list) -> tuple[float, np.ndarray]:
    """PSNR of the merged picture under the hole, and its labels there."""
    picture = merged(region, proposals)
    y0, x0, y1, x1 = region.box
    return psnr(255 * picture.values, truth[y0:y1, x0:x1], region.hole), picture.label[region.hole]


@pytest.mark.parametrize("who", [0, 1, 2])
def test_a_passer_by_whom_one_photo_shows_is_not_put_in(region, truth, proposal, who):
    """Even where that photo agrees best around the hole."""
    shown = [
        proposal(seed, passer_by=PASSER_BY if seed == who else None, agreement=0.95 - 0.02 * seed) for seed in range(3)
    ]
    quality, labels = filled(region, truth, shown)
    assert quality > 30
    crossed = np.zeros(SIZE, bool)
    crossed[PASSER_BY] = True
    assert not (labels[within(region, crossed)[region.hole]] == who).any()


def test_everyone_passes_by_somewhere_else(region, truth, proposal):
    places = [(slice(55, 72), slice(80, 95)), (slice(88, 104), slice(84, 98)), (slice(70, 90), slice(108, 124))]
    quality, _ = filled(region, truth, [proposal(n, passer_by=place) for n, place in enumerate(places)])
    assert quality > 30


def test_what_one_does_not_show_comes_from_another(region, truth, proposal):
    left, right = (slice(0, 160), slice(0, 95)), (slice(0, 160), slice(112, 200))
    quality, labels = filled(region, truth, [proposal(0, unseen=left), proposal(1, unseen=right, agreement=0.8)])
    assert quality > 30 and set(labels) == {0, 1}
    columns = np.nonzero(region.hole)[1] + region.box[1]
    assert (labels[columns < 95] == 1).all() and (labels[columns >= 112] == 0).all()


def test_what_none_shows_has_no_label(region, truth, proposal):
    nobody = slice(0, 160), slice(110, 200)
    for shown in ([proposal(0, unseen=nobody)], [proposal(0, unseen=nobody), proposal(1, unseen=nobody)]):
        picture = merged(region, shown)
        unseen = np.zeros(SIZE, bool)
        unseen[nobody] = True
        hidden = within(region, unseen) & region.hole
        assert (picture.label[hidden] == NOWHERE).all() and (picture.label[region.hole & ~hidden] >= 0).all()


@pytest.mark.parametrize("count", [1, 2])
def test_with_one_or_two_photos_the_one_that_agrees_best_fills(region, truth, proposal, count):
    shown = [proposal(0), proposal(1, passer_by=PASSER_BY, agreement=0.6)][:count]
    quality, labels = filled(region, truth, shown)
    assert quality > 38 and (labels == 0).all()


def test_two_planes_of_one_photo_are_no_majority(region, truth, proposal):
    """Three proposals of two photos, two of them with the same passer-by: they have one vote."""
    crossed = proposal(1, passer_by=PASSER_BY, agreement=0.7)
    again = proposal(2, passer_by=PASSER_BY, agreement=0.69, view=crossed.view)
    quality, labels = filled(region, truth, [proposal(0), crossed, again])
    assert quality > 30 and (labels == 0).all()


@pytest.mark.parametrize(("gain", "bias"), [(1.0, 0.0), (0.7, 30.0), (1.3, -20.0)])
def test_gain_and_bias_are_found_under_what_does_not_fit(bundled_photos, gain, bias):
    """A fifth of the pixels are of something else."""
    theirs = np.clip(bundled_photos[1], 40, 200)
    mine = np.clip(gain * theirs + bias + np.array([0, 2, -2]), 0, 255).astype(np.uint8)
    mine[50:200, 90:270] = (10, 240, 10)
    outliers = (mine == (10, 240, 10)).all(axis=2).mean()
    assert 0.19 < outliers < 0.21
    colours = matched_colours(theirs, mine, np.ones(theirs.shape[:2], bool))
    fitted = theirs * colours[0] + colours[1]
    expected = gain * theirs + bias + np.array([0, 2, -2])
    assert np.abs(colours[0] - gain).max() < 0.05
    assert np.abs(fitted - expected).mean() < 2


def test_only_the_pixels_that_are_asked_for_are_compared(bundled_photos):
    theirs = bundled_photos[2][:100, :100]
    where = oval((100, 100), (50, 50), (20, 20))
    mine = np.where(where[..., None], theirs // 2, np.uint8(0))
    np.testing.assert_allclose(matched_colours(theirs, mine, where)[0], 0.5, atol=0.03)
    few = np.zeros((100, 100), bool)
    few[0, :9] = True
    np.testing.assert_array_equal(matched_colours(theirs, mine, few), [[1] * 3, [0] * 3])


def test_plain_surroundings_keep_the_contrast_within_bounds():
    plain, light = np.full((40, 40, 3), 50, np.uint8), np.full((40, 40, 3), 200, np.uint8)
    colours = matched_colours(plain, light, np.ones((40, 40), bool))
    assert np.isfinite(colours).all()
    np.testing.assert_allclose(plain[0, 0] * colours[0] + colours[1], 200, atol=1)
