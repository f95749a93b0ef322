"""Matches, and the planes that many of them agree on: known homographies are found, and nothing where there is none."""

import numpy as np
import pytest
from place_views import apart, at, lit, moved, oval, removed, seen, turned

from ce_retrieval.places.local_features import LocalFeatures, local_features
from ce_retrieval.places.matching import Matches, guided_matches, matches, transformed
from ce_retrieval.places.planes import is_view, local_plane, planes, scale_at

SIZE = {"side": 600, "most": 2000}
CORNERS = np.array([[150.0, 100.0], [250.0, 100.0], [150.0, 200.0], [250.0, 200.0]])


def features(photo: np.ndarray, hole: np.ndarray | None = None) -> LocalFeatures:
    return local_features(photo, hole, **SIZE)


@pytest.mark.parametrize(
    ("degrees", "scale", "gamma"), [(0, 1.0, 1.0), (25, 0.7, 1.4), (-30, 0.8, 0.7), (10, 1.5, 1.0)]
)
def test_a_known_homography_is_found(bundled_photos, degrees, scale, gamma):
    photo = bundled_photos[2]
    size = photo.shape[:2]
    hole, known = oval(size, (200, 300), (50, 60)), turned(size, degrees, scale)
    other = lit(seen(photo, known), gamma)
    found = planes(matches(features(removed(photo, hole), hole), features(other)), size, 4)
    assert found[0].inliers >= 50 and sorted(found, key=lambda plane: -plane.inliers) == found
    assert apart(found[0].homography, known, hole) < 0.5 * max(1, scale)
    assert found[0].homography[2, 2] == 1 and is_view(found[0].homography, CORNERS)


def test_two_planes_are_told(bundled_photos):
    """The left half of a photo moves one way, the right half another."""
    photo = bundled_photos[0]
    size = photo.shape[:2]
    left, right = moved(-9, 6), np.diag([1.1, 1.1, 1.0]) @ moved(15, -30)
    other = np.concatenate([seen(photo, left)[:, :230], seen(photo, right)[:, 230:]], axis=1)
    found = planes(matches(features(photo), features(other)), size, 4)
    assert len(found) >= 2
    halves = np.zeros(size, bool), np.zeros(size, bool)
    halves[0][150:400, 50:200], halves[1][150:400, 300:450] = True, True
    for known, half in zip((left, right), halves, strict=True):
        assert min(apart(plane.homography, known, half) for plane in found[:2]) < 1


def test_a_mirrored_photo_and_another_thing_have_no_plane(bundled_photos):
    for number, photo in enumerate(bundled_photos):
        other = bundled_photos[(number + 1) % 4]
        for shown in (photo[:, ::-1], other):
            found = planes(matches(features(photo), features(np.ascontiguousarray(shown))), shown.shape[:2], 4)
            size = np.array([[x, y] for x in (0.0, photo.shape[1]) for y in (0.0, photo.shape[0])])
            assert not [plane for plane in found if is_view(plane.homography, size / 2)]


def test_few_points_or_points_on_a_line_make_no_plane():
    line = np.column_stack([np.arange(40.0), 2 * np.arange(40.0)])
    for points in (np.zeros((0, 2)), np.arange(6.0).reshape(3, 2), np.zeros((30, 2)), line):
        for plane in planes(Matches(points, points), (100, 100), 4):
            assert np.isfinite(plane.homography).all()
    assert planes(Matches(line[:9], line[:9]), (100, 100), 4) == []


def test_no_feature_has_no_match(bundled_photos):
    some, none = features(bundled_photos[1]), features(np.zeros((50, 50, 3), np.uint8))
    for mine, theirs in ((some, none), (none, some), (none, none)):
        assert matches(mine, theirs).mine.shape == matches(mine, theirs).theirs.shape == (0, 2)
        assert guided_matches(mine, theirs, np.eye(3), 5.0).mine.shape == (0, 2)


def test_matches_are_mutual_and_guided_ones_near(bundled_photos):
    photo = bundled_photos[2]
    known = turned(photo.shape[:2])
    mine, theirs = features(photo), features(seen(photo, known))
    found, guided = matches(mine, theirs), guided_matches(mine, theirs, known, 4.0)
    expected = set()
    for row, values in enumerate(mine.descriptors):
        distance = np.linalg.norm(theirs.descriptors - values, axis=1)
        first, second = np.argsort(distance)[:2]
        back = np.linalg.norm(mine.descriptors - theirs.descriptors[first], axis=1).argmin()
        if back == row and distance[first] < 0.799 * distance[second]:
            expected.add((*mine.points[row].tolist(), *theirs.points[first].tolist()))
    made = {tuple(row) for row in np.column_stack(found).tolist()}
    assert expected <= made and len(made) <= 1.02 * len(expected), "the nearest of each other, by brute force"
    assert (np.linalg.norm(at(known, guided.mine) - guided.theirs, axis=1) <= 4.01).all()
    assert len(guided.mine) > len(found.mine), "repeated structure is told apart where one knows where to look"


def test_the_plane_near_the_hole_is_fitted_to_what_is_there():
    """Of two planes with one homography between them, the local fit is that of the nearer one."""
    rng = np.random.default_rng(2)
    near, far = rng.uniform(0, 200, (60, 2)), rng.uniform([400, 0], [900, 600], (200, 2))
    beside, behind = moved(5, -3), np.array([[1.02, 0.01, 2], [0, 1.03, -6], [1e-5, 0, 1]])
    mine = np.concatenate([near, far])
    theirs = np.concatenate([at(beside, near), at(behind, far)]) + rng.normal(0, 0.3, mine.shape)
    both = Matches(mine, theirs)
    whole = planes(both, (600, 900), 1)[0]
    box = np.zeros((600, 900), bool)
    box[60:140, 60:140] = True
    local = local_plane(both, whole, (100.0, 100.0), 120.0)
    assert apart(whole.homography, beside, box) > 1.2, "the larger plane pulls"
    assert apart(local.homography, beside, box) < 0.6 and local.inliers == whole.inliers


@pytest.mark.parametrize(
    ("homography", "accepted"),
    [
        (np.eye(3), True),
        (turned((400, 600), 40, 0.6), True),
        (np.diag([0.2, 0.2, 1.0]), True),
        (np.diag([-1.0, 1.0, 1.0]), False),  # mirrored
        (np.diag([0.05, 0.05, 1.0]), False),
        (np.diag([20.0, 20.0, 1.0]), False),
        (np.diag([8.0, 1.0, 1.0]), False),  # stretched
        (np.array([[1.0, 0, 0], [0, 1.0, 0], [-0.005, 0, 1]]), False),  # the horizon runs through the points
        (np.array([[1.0, 0, 0], [0, 1.0, 0], [-0.02, 0, 1]]), False),  # they lie behind it
        (np.array([[0.0, 1.0, 0], [1.0, 0, 0], [0, 0, 1]]), False),  # turned over
    ],
)
def test_what_a_camera_can_show(homography, accepted):
    assert is_view(homography, CORNERS) == accepted


def test_scale_and_transform():
    grown = np.diag([2.0, 2.0, 1.0]) @ moved(7, 9)
    assert scale_at(grown, (3.0, 4.0)) == pytest.approx(2)
    np.testing.assert_allclose(transformed(grown, CORNERS), at(grown, CORNERS))
    behind = np.array([[1.0, 0, 0], [0, 1.0, 0], [-0.005, 0, 1]])
    assert np.isinf(transformed(behind, CORNERS)[2:]).all(axis=1).any()
