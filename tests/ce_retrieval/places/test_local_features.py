"""Local features of a photo with a hole: nothing of what is hidden is in them, and what is shown lies where it is."""

import numpy as np
import pytest
from place_views import oval, removed, seen

from ce_retrieval.places.local_features import SUPPORT, local_features
from ce_retrieval.places.matching import transformed

SIZE = {"side": 400, "most": 500}


@pytest.fixture
def cat(bundled_photos):
    return bundled_photos[1]


@pytest.fixture
def hole(cat):
    return oval(cat.shape[:2], (140, 200), (40, 50))


@pytest.mark.parametrize("side", [150, 400, 1200])
def test_what_is_under_the_hole_has_no_influence(cat, hole, side):
    rng = np.random.default_rng(0)
    noise = cat.copy()
    noise[hole] = rng.integers(0, 256, (hole.sum(), 3), dtype=np.uint8)
    expected = local_features(cat, hole, side=side, most=500)
    assert len(expected.points) > 30
    for other in (removed(cat, hole), noise):
        found = local_features(other, hole, side=side, most=500)
        for one, two in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, two)


def test_no_feature_sees_the_hole(cat, hole):
    found = local_features(cat, hole, **SIZE)
    rows, cols = np.nonzero(hole)
    pixels = np.column_stack([cols, rows]) + 0.5
    distance = np.array([np.linalg.norm(pixels - point, axis=1).min() for point in found.points])
    # A px of the smaller picture may be hidden in part.
    assert (distance > SUPPORT * found.diameters - 3).all() and distance.min() > 4
    beside = local_features(cat, **SIZE)
    assert any(np.linalg.norm(pixels - point, axis=1).min() < 1 for point in beside.points), (
        "there was something to see"
    )


def test_a_photo_that_is_plain_has_none(cat):
    plain = np.full((90, 120, 3), 130, np.uint8)
    hole = oval((90, 120), (40, 50), (20, 20))
    for photo, missing in ((plain, None), (plain, hole), (removed(plain, hole), hole), (plain[:1, :1], None)):
        found = local_features(photo, missing, **SIZE)
        assert found.points.shape == (0, 2) and found.descriptors.shape == (0, 128) and found.size == photo.shape[:2]
    assert not len(local_features(cat, np.ones(cat.shape[:2], bool), **SIZE).points), "nothing is left of it"


def test_features_are_the_strongest_with_unit_descriptors(cat):
    few, more = (local_features(cat, side=400, most=count) for count in (50, 400))
    assert len(few.points) == 50 < len(more.points)
    np.testing.assert_allclose(np.linalg.norm(more.descriptors, axis=1), 1, atol=1e-4)
    strongest = {tuple(point) for point in more.points[:100]}
    assert sum(tuple(point) in strongest for point in few.points) > 40
    assert ((more.angles >= 0) & (more.angles < 360)).all()


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_places_are_those_of_the_photo_at_its_own_size(cat, scale):
    """Features of a smaller or larger picture lie where they lie in the photo, to a part of a pixel."""
    size = round(cat.shape[0] * scale), round(cat.shape[1] * scale)
    grown = np.diag([size[1] / cat.shape[1], size[0] / cat.shape[0], 1.0])
    one = local_features(cat, side=200, most=300)
    other = local_features(seen(cat, grown, size), side=200, most=300)
    found = transformed(np.linalg.inv(grown), other.points)
    distance = np.linalg.norm(found[:, None] - one.points[None], axis=2).min(axis=1)
    assert np.median(distance) < 0.3
