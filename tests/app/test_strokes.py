"""What was painted, drawn at the photo's own size, against a distance for each pixel."""

import itertools
import json
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from ce_retrieval.app import strokes
from ce_retrieval.app.strokes import rasterise
from ce_retrieval.errors import SettingsError

SHAPE = (40, 57)
NUMBERS = st.one_of(st.integers(-30, 80), st.integers(-120, 320).map(lambda n: n / 4), st.floats(-30, 80))


def painting(*actions: dict, shape: tuple = SHAPE) -> str:
    return json.dumps({"size": [shape[1], shape[0]], "actions": list(actions)})


def centres(shape: tuple = SHAPE) -> tuple[np.ndarray, np.ndarray]:
    """The x and y of the pixels' centres: (H, W) each."""
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    return x, y


def distance(points: list, shape: tuple = SHAPE) -> np.ndarray:
    """The distance of each pixel's centre from a line, by the nearest place of each segment."""
    x, y = centres(shape)
    nearest = np.hypot(x - points[0][0], y - points[0][1])
    for (ax, ay), (bx, by) in itertools.pairwise(points):
        length = (bx - ax) ** 2 + (by - ay) ** 2
        along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / length, 0, 1) if length else 0
        nearest = np.minimum(nearest, np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)))
    return nearest


def assert_within(hole: np.ndarray, how_far: np.ndarray, most: float) -> None:
    """A hole is what is at most so far; the reference may round otherwise at the very edge."""
    unsure = np.abs(how_far - most) < 1e-6
    assert np.array_equal(hole | unsure, (how_far <= most) | unsure)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), min_size=1, max_size=5), st.floats(0.1, 25) | st.integers(1, 25))
def test_a_stroke_is_what_is_within_its_radius(points, radius):
    points = [list(point) for point in points]
    hole = rasterise(painting({"kind": "brush", "radius": radius, "points": points}), SHAPE)
    assert_within(hole, distance(points), radius)
    erased = rasterise(painting({"kind": "invert"}, {"kind": "eraser", "radius": radius, "points": points}), SHAPE)
    assert np.array_equal(erased, ~hole)


def test_pixels_at_the_very_radius_belong_to_a_stroke():
    # The centre (13.5, 14.5) is (3, 4) from (10.5, 10.5): at 5 it is in, at the next number below it is not.
    for radius, inside in ((5, True), (math.nextafter(5, 0), False)):
        hole = rasterise(painting({"kind": "brush", "radius": radius, "points": [[10.5, 10.5]]}), SHAPE)
        assert [hole[14, 13], hole[13, 14], hole[6, 7], hole[10, 15], hole[5, 10]] == [inside] * 5
    line = {"kind": "brush", "radius": 2, "points": [[5.5, 8.5], [30.5, 8.5]]}
    rows = rasterise(painting(line), SHAPE).any(1)
    assert np.flatnonzero(rows).tolist() == [6, 7, 8, 9, 10]


@settings(max_examples=100, deadline=None)
@given(st.tuples(NUMBERS, NUMBERS, st.floats(0.5, 60), st.floats(0.5, 60)), st.booleans())
def test_shapes_hold_the_pixels_whose_centres_are_inside(corner, erase):
    x0, y0, x1, y1 = corner[0], corner[1], corner[0] + corner[2], corner[1] + corner[3]
    before = [{"kind": "invert"}] if erase else []
    x, y = centres()
    for kind, inside in (
        ("rectangle", (x0 <= x) & (x < x1) & (y0 <= y) & (y < y1)),
        ("ellipse", ((2 * x - x0 - x1) / (x1 - x0)) ** 2 + ((2 * y - y0 - y1) / (y1 - y0)) ** 2 <= 1),
    ):
        hole = rasterise(painting(*before, {"kind": kind, "box": [x0, y0, x1, y1], "erase": erase}), SHAPE)
        assert np.count_nonzero(hole != (inside != erase)) <= (2 if kind == "ellipse" else 0)  # rounding at its edge


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 80), st.sampled_from([0.001, 0.02, 0.5]))
def test_growing_and_shrinking_go_by_the_distance_of_centres(seed, pixels, density):
    mask = np.random.default_rng(seed).random(SHAPE) < density
    far = np.full(SHAPE, np.inf) if not mask.any() else ndimage.distance_transform_edt(~mask)
    grown = rasterise(painting({"kind": "mask"}, {"kind": "grow", "pixels": pixels}), SHAPE, mask)
    assert np.array_equal(grown, far <= pixels)
    shrunk = rasterise(painting({"kind": "mask"}, {"kind": "shrink", "pixels": pixels}), SHAPE, ~mask)
    assert np.array_equal(shrunk, far > pixels)


def test_actions_follow_one_another():
    mask = np.zeros(SHAPE, bool)
    mask[3:9, 4:20] = True
    given_mask = mask.copy()
    stroke = {"kind": "brush", "radius": 4, "points": [[30, 20], [40, 20]]}
    hole = rasterise(painting({"kind": "mask"}, stroke), SHAPE, mask)
    assert np.array_equal(hole, mask | (distance(stroke["points"]) <= 4))
    assert np.array_equal(mask, given_mask)  # drawn on a copy
    assert np.array_equal(rasterise(painting(stroke, {"kind": "invert"}, {"kind": "mask"}), SHAPE, mask).all(), False)
    assert np.array_equal(rasterise(painting(stroke, {"kind": "clear"}, {"kind": "mask"}), SHAPE, mask), mask)
    assert not rasterise(painting(), SHAPE).any()
    assert rasterise(painting({"kind": "invert"}), SHAPE).all()
    erased = rasterise(painting(stroke, {"kind": "rectangle", "box": [0, 0, 35, 99], "erase": True}), SHAPE)
    assert erased.any() and not erased[:, :35].any()


BRUSH = {"kind": "brush", "radius": 3, "points": [[1, 2]]}
FAULTS = {
    "not JSON": ("{", "not JSON"),
    "empty": ("", "not JSON"),
    "a list": ("[]", '"size" and "actions"'),
    "more keys": ('{"size": [57, 40], "actions": [], "x": 1}', '"size" and "actions"'),
    "no size": ('{"actions": []}', '"size" and "actions"'),
    "other size": ('{"size": [40, 57], "actions": []}', r"\[40, 57\], this one is \[57, 40\]"),
    "odd size": ('{"size": {"a": [1]}, "actions": []}', "size"),
    "true size": ('{"size": [true, 40], "actions": []}', "size"),
    "actions of a text": ('{"size": [57, 40], "actions": "ab"}', "no list"),
    "deep": ("[" * 100_000, "not JSON"),
    "deep actions": ('{"size": [57, 40], "actions": ' + "[" * 50_000 + "]" * 50_000 + "}", "not JSON|unknown action"),
    "NaN": (painting({**BRUSH, "radius": float("nan")}), "NaN is not a number"),
    "infinite": (painting({**BRUSH, "points": [[0, float("-inf")]]}), "-Infinity is not a number"),
    "too large": (painting(BRUSH).replace("[[1, 2]]", "[[1e999, 2]]"), "points that are not pairs"),
    "thousands of digits": (painting(BRUSH).replace("[[1, 2]]", f"[[{'9' * 5000}, 2]]"), "not JSON"),
    "far": (painting({**BRUSH, "points": [[1e9, 2]]}), "points that are not pairs"),
    "not an action": (painting(5), "unknown action 1, 5"),
    "unknown kind": (painting(BRUSH, {"kind": "spray"}), "unknown action 2"),
    "a list as kind": (painting({"kind": ["brush"]}), "unknown action 1"),
    "missing key": (painting({"kind": "brush", "radius": 3}), "expected points, radius"),
    "extra key": (painting({**BRUSH, "colour": 3}), "expected points, radius"),
    "key of another": (painting({"kind": "invert", "pixels": 3}), "expected none"),
    "radius -1": (painting({**BRUSH, "radius": -1}), "radius -1: expected one above 0"),
    "radius 0": (painting({**BRUSH, "radius": 0}), "radius 0"),
    "radius of text": (painting({**BRUSH, "radius": "3"}), "radius '3'"),
    "no points": (painting({**BRUSH, "points": []}), "not pairs"),
    "points of three": (painting({**BRUSH, "points": [[1, 2, 3]]}), "not pairs"),
    "points of text": (painting({**BRUSH, "points": [["1", "2"]]}), "not pairs"),
    "points of truth": (painting({**BRUSH, "points": [[True, 2]]}), "not pairs"),
    "points of null": (painting({**BRUSH, "points": [None]}), "not pairs"),
    "empty box": (painting({"kind": "ellipse", "box": [1, 2, 1, 5]}), "x0 < x1"),
    "turned box": (painting({"kind": "rectangle", "box": [5, 2, 1, 5]}), "x0 < x1"),
    "box of text": (painting({"kind": "rectangle", "box": "1234"}), "x0 < x1"),
    "erase 1": (painting({"kind": "ellipse", "box": [1, 2, 3, 5], "erase": 1}), "true or false"),
    "grow 0": (painting({"kind": "grow", "pixels": 0}), "whole number from 1"),
    "grow 1.5": (painting({"kind": "grow", "pixels": 1.5}), "whole number from 1"),
    "grow true": (painting({"kind": "grow", "pixels": True}), "whole number from 1"),
    "shrink too much": (painting({"kind": "shrink", "pixels": 10**9}), "whole number from 1"),
    "no mask": (painting({"kind": "mask"}), "upload it again"),
    "too many actions": (painting(*[{"kind": "invert"}] * 5001), "no list of at most 5000"),
    "too many points": (painting({**BRUSH, "points": [[1, 2]] * 400_001}), "400001 points"),
    "megabytes": (" " * 8_000_001, "8000001 characters"),
    "surrogates": ('{"size": [57, 40], "actions": ["\ud800"]}', "unknown action"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_is_not_a_painting_is_refused_in_one_line(fault):
    text, reason = FAULTS[fault]
    with pytest.raises(SettingsError, match=reason) as caught:
        rasterise(text, SHAPE)
    message = str(caught.value)
    assert message.startswith("the painting ") and "\n" not in message and len(message) < 250
    message.encode()


@pytest.mark.parametrize("value", [None, 5, b"{}", {"size": [57, 40], "actions": []}], ids=repr)
def test_what_is_not_a_text_is_refused(value):
    with pytest.raises(SettingsError, match="is not a text"):
        rasterise(value, SHAPE)


def test_a_painting_that_would_take_minutes_is_refused_at_once(monkeypatch):
    rng = np.random.default_rng(0)
    points = (rng.random((90_000, 2)) * [6000, 4000]).round(1).tolist()
    start = time.perf_counter()
    with pytest.raises(SettingsError, match="too much work"):
        rasterise(painting({**BRUSH, "points": points}, shape=(4000, 6000)), (4000, 6000))
    assert time.perf_counter() - start < 5
    noise = rng.random((300, 4000)) < 0.5
    monkeypatch.setattr(strokes, "MAX_WORK", 10**8)
    grow = painting({"kind": "mask"}, {"kind": "grow", "pixels": 1000}, shape=noise.shape)
    with pytest.raises(SettingsError, match="too much work"):
        rasterise(grow, noise.shape, noise)


def test_the_mask_must_have_the_photos_size():
    with pytest.raises(ValueError, match="expected bool"):
        rasterise(painting(), SHAPE, np.zeros((3, 4), bool))
    with pytest.raises(ValueError, match="expected bool"):
        rasterise(painting(), SHAPE, np.zeros(SHAPE, np.uint8))


def test_a_large_photo_is_drawn_in_boxes():
    """24 megapixels, 200 strokes of 20 points: strokes are exact there too, far from the origin."""
    height, width = 4000, 6000
    rng = np.random.default_rng(0)
    made = []
    for _ in range(200):
        steps = rng.normal(scale=60, size=(20, 2)).cumsum(0)
        made.append(
            {"kind": "brush", "radius": 41.25, "points": (rng.random(2) * [width, height] + steps).round(2).tolist()}
        )
    hole = rasterise(painting(*made, shape=(height, width)), (height, width))
    left, top = np.int64(made[7]["points"][10])
    rows, cols = slice(top, top + 80), slice(left, left + 80)
    y, x = np.mgrid[rows, cols] + 0.5
    part = np.zeros((80, 80), bool)
    for stroke in made:
        for (ax, ay), (bx, by) in itertools.pairwise(stroke["points"]):
            along = np.clip(((x - ax) * (bx - ax) + (y - ay) * (by - ay)) / ((bx - ax) ** 2 + (by - ay) ** 2), 0, 1)
            part |= np.hypot(x - ax - along * (bx - ax), y - ay - along * (by - ay)) <= 41.25
    assert 0 < part.mean() < 1 and np.array_equal(hole[rows, cols], part)
