"""Alignment by the pixels around a hole: errors of some px are found, and light, shadow and the hole itself do not count."""

import numpy as np
import pytest
from place_views import apart, at, lit, moved, oval, removed, seen, turned

from ce_retrieval.pixels import distance_from, to_grey
from ce_retrieval.places.alignment import MOST, Aligner, warped

SIZE = (200, 240)
HOLE = oval(SIZE, (100, 120), (35, 40))
SHIFTS = [moved(3, 0), moved(0, -3), moved(-2, 2), np.diag([1.02, 1.02, 1.0]) @ moved(-2.4, -2)]


@pytest.fixture(scope="module")
def photo(bundled_photos):
    return bundled_photos[2][100:300, 180:420]


@pytest.fixture(scope="module")
def known():
    return turned(SIZE, 15, 0.9) @ moved(4, -5)


@pytest.fixture(scope="module")
def scene(bundled_photos, known):
    """What another photo shows of the place, in grey: more than the photo, and in other light."""
    return to_grey(lit(seen(bundled_photos[2], known @ moved(-180, -100), (260, 300)), 1.5))


def aligner(photo: np.ndarray, hole: np.ndarray = HOLE) -> Aligner:
    return Aligner(to_grey(photo), ~hole, distance_from(hole))


@pytest.mark.parametrize("shift", range(len(SHIFTS)))
def test_a_homography_that_is_some_pixels_off_is_refined(photo, known, scene, shift):
    wrong = known @ SHIFTS[shift]
    assert apart(wrong, known, HOLE) > 1
    refined = aligner(photo).refined(scene, wrong)
    assert refined is not None and refined[2, 2] == pytest.approx(1)
    assert apart(refined, known, HOLE) < 0.3


def test_a_shadow_over_half_of_the_ring_does_not_pull(photo, known, scene):
    shaded = photo.copy()
    shaded[:, 120:] = lit(shaded[:, 120:], 1.8)
    shaded[:, 120:] = shaded[:, 120:] // 2
    refined = aligner(shaded).refined(scene, known @ moved(3, 1))
    assert refined is not None and apart(refined, known, HOLE) < 0.3


def test_a_passer_by_beside_the_hole_does_not_pull(photo, known, scene):
    crossed = photo.copy()
    crossed[60:150, 165:200] = (200, 30, 40)
    refined = aligner(crossed).refined(scene, known @ moved(-2, 2))
    assert refined is not None and apart(refined, known, HOLE) < 0.4


def test_nothing_under_the_hole_has_influence(photo, known, scene):
    expected = aligner(photo)
    other = aligner(removed(photo, HOLE))
    wrong = known @ moved(3, 0)
    np.testing.assert_array_equal(other.refined(scene, wrong), expected.refined(scene, wrong))
    over = warped(scene, known, SIZE)
    assert other.agreement(over.pixels, over.shown) == expected.agreement(over.pixels, over.shown)


def test_plain_surroundings_stay_where_they_are(scene, known):
    plain = np.full((*SIZE, 3), 120, np.uint8)
    refined = aligner(plain).refined(np.full_like(scene, 90), known)
    assert refined is None or apart(refined, known, HOLE) < 0.1
    over = warped(np.full_like(scene, 90), known, SIZE)
    assert aligner(plain).agreement(over.pixels, over.shown) == 0


def test_other_places_are_not_aligned_nor_do_they_agree(photo, bundled_photos, known, scene):
    over = warped(scene, known, SIZE)
    same = aligner(photo).agreement(over.pixels, over.shown)
    wrong = warped(scene, known @ moved(12, 9), SIZE)
    assert same > 0.9 and aligner(photo).agreement(wrong.pixels, wrong.shown) < 0.4
    for other in (bundled_photos[0], bundled_photos[1], bundled_photos[3]):
        grey = to_grey(other)[:260, :300]
        over = warped(grey, known, SIZE)
        assert abs(aligner(photo).agreement(over.pixels, over.shown)) < 0.2
        refined = aligner(photo).refined(grey, known)
        if refined is not None:
            assert apart(refined, known, np.ones(SIZE, bool)) <= 1.5 * MOST
            over = warped(grey, refined, SIZE)
            assert aligner(photo).agreement(over.pixels, over.shown) < 0.4


def test_too_little_in_common_is_refused(photo, known, scene):
    away = known @ moved(1000, 0)
    assert aligner(photo).refined(scene, away) is None
    over = warped(scene, away, SIZE)
    assert not over.shown.any() and aligner(photo).agreement(over.pixels, over.shown) == 0


def test_agreement_is_highest_where_both_agree(photo):
    one = aligner(photo)
    assert one.agreement(to_grey(photo), np.ones(SIZE, bool)) == pytest.approx(1)
    assert one.agreement(255 - to_grey(photo), np.ones(SIZE, bool)) < -0.9


def test_pixels_lie_where_their_homography_says(bundled_photos):
    """A whole scaling by corners of pixels: each pixel is that of its place, and beyond the scene nothing is shown."""
    scene = np.arange(35, dtype=np.uint8).reshape(5, 7) * 7
    doubled = warped(scene, np.diag([0.5, 0.5, 1.0]), (10, 14))
    assert doubled.shown[1:-1, 1:-1].all()
    np.testing.assert_allclose(
        doubled.pixels[2:-2, 2:-2].reshape(3, 2, 5, 2).mean(axis=(1, 3)), scene[1:-1, 1:-1], atol=1
    )
    shifted = warped(scene, moved(2, 1), (5, 7))
    np.testing.assert_array_equal(shifted.pixels[:4, :5], scene[1:, 2:])
    assert shifted.shown[:4, :5].all() and not shifted.shown[4].any() and not shifted.shown[:, 5:].any()
    assert at(moved(2, 1), np.array([[0.5, 0.5]])).tolist() == [[2.5, 1.5]]
