"""Labels of points: none covers another, all stay inside, and they stand by their points where there is room."""

import itertools

import numpy as np
import pytest

from ce_retrieval.evaluation.plots.label_places import Box, place_labels

AREA = Box(0, 0, 500, 400)


def boxes_of(points, sizes, marks=()):
    places = place_labels(points, sizes, AREA, marks)
    return places, [
        Box(p.x - w / 2, p.y - h / 2, p.x + w / 2, p.y + h / 2) for p, (w, h) in zip(places, sizes, strict=True)
    ]


def overlap(one, other):
    width = min(one.right, other.right) - max(one.left, other.left)
    height = min(one.high, other.high) - max(one.low, other.low)
    return max(width, 0) * max(height, 0)


@pytest.mark.parametrize("seed", range(4))
def test_labels_of_a_crowd_cover_nothing(seed):
    rng = np.random.default_rng(seed)
    points = [tuple(one) for one in rng.normal((250, 200), (40, 25), (16, 2)).tolist()]
    sizes = [(float(width), 12.0) for width in rng.integers(30, 130, 16)]
    marks = [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points]
    places, boxes = boxes_of(points, sizes, marks)
    assert all(overlap(one, other) < 1e-9 for one, other in itertools.combinations(boxes, 2))
    assert all(box.left >= 0 and box.low >= 0 and box.right <= 500 and box.high <= 400 for box in boxes)
    assert sum(overlap(box, mark) for box in boxes for mark in marks) < 40
    assert places == boxes_of(points, sizes, marks)[0]


def test_lines_pass_beside_other_labels():
    """Of twelve crowds of 16 points, a line or two cross a label; where they are not minded, more than sixty do."""
    crossed = 0
    for seed in range(12):
        rng = np.random.default_rng(seed)
        points = [tuple(one) for one in rng.normal((250, 200), (40, 25), (16, 2)).tolist()]
        sizes = [(float(width), 12.0) for width in rng.integers(30, 130, 16)]
        places, boxes = boxes_of(points, sizes, [Box(x - 5, y - 5, x + 5, y + 5) for x, y in points])
        for number, (place, (x, y)) in enumerate(zip(places, points, strict=True)):
            shares = np.linspace(0, 1, 50)
            line = [(x + share * (place.x - x), y + share * (place.y - y)) for share in shares]
            others = [box for other, box in enumerate(boxes) if other != number]
            crossed += place.far and sum(
                any(box.left < px < box.right and box.low < py < box.high for px, py in line) for box in others
            )
    assert crossed < 15


def test_a_label_alone_stands_beside_its_point():
    (place,), (box,) = boxes_of([(100.0, 100.0)], [(60.0, 12.0)])
    assert box.left > 100 and place.y == 100 and not place.far
    (place,), (box,) = boxes_of([(495.0, 100.0)], [(60.0, 12.0)])
    assert box.right < 495, "at the right edge it stands left"
