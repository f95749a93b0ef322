"""The guided score and its terms against plain loops and against real blends."""

import numpy as np
import pytest
from scipy import ndimage

from ce_retrieval.completion.blend.poisson import PoissonSolver
from ce_retrieval.completion.rerank.content import ContentDistance
from ce_retrieval.completion.rerank.network_guided import NetworkGuide
from ce_retrieval.completion.rerank.rim import rim_distance, rim_of, rim_weights
from ce_retrieval.completion.rerank.texture import Texture


@pytest.fixture(scope="module")
def pictures(bundled_photos) -> np.ndarray:
    """Twelve natural pictures uint8 (12, 40, 48, 3)."""
    parts = [
        photo[y : y + 160 : 4, x : x + 192 : 4] for photo in bundled_photos for y, x in ((0, 0), (60, 90), (120, 40))
    ]
    return np.stack(parts)


def slow_distance(hole: np.ndarray, lowpass: float, candidate: np.ndarray, fill: np.ndarray) -> float:
    """D of the module's description, sample by sample, each over all pixels of the hole; candidate and fill in [0, 1]."""
    deviation, cell = lowpass / 2, max(1, round(lowpass / 2))
    rows, cols = np.flatnonzero(hole.any(axis=1)), np.flatnonzero(hole.any(axis=0))
    total = count = 0.0
    for top in range(rows[0], rows[-1] + 1, cell):
        for left in range(cols[0], cols[-1] + 1, cell):
            bottom, right = min(top + cell, rows[-1] + 1), min(left + cell, cols[-1] + 1)
            inside = int(hole[top:bottom, left:right].sum())
            if not inside:
                continue
            middle = (top + bottom - 1) / 2, (left + right - 1) / 2
            weights = np.exp(-((np.argwhere(hole) - middle) ** 2).sum(axis=1) / (2 * deviation**2))
            difference = np.average(candidate[hole] - fill[hole], axis=0, weights=weights)
            total += inside * (difference**2).sum()
            count += inside
    return total / (3 * count)


@pytest.mark.parametrize("lowpass", [1.0, 5.0, 8.0])
def test_the_content_is_that_of_plain_loops(pictures, odd_holes, lowpass):
    fill = pictures[5].astype(np.float32) / 255
    for name, hole in odd_holes(40, 48).items():
        content = ContentDistance(hole, lowpass, solver=None)
        found = content.distances(pictures[:3], content.target(fill, pictures[7]))
        expected = [slow_distance(hole, lowpass, picture / 255.0, fill) for picture in pictures[:3]]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-9, err_msg=name)


def test_neither_known_pixels_nor_the_fill_outside_enter(pictures, odd_holes):
    rng = np.random.default_rng(0)
    for hole in odd_holes(40, 48).values():
        content = ContentDistance(hole, 8.0, solver=None)
        fill = pictures[5].astype(np.float32) / 255
        other_fill = np.where(hole[..., None], fill, rng.random(fill.shape, np.float32))
        others = np.where(hole[..., None], pictures, rng.integers(0, 256, pictures.shape, dtype=np.uint8))
        one = content.distances(pictures, content.target(fill, pictures[7]))
        np.testing.assert_array_equal(one, content.distances(others, content.target(other_fill, pictures[8])))


def test_it_is_the_mean_over_the_hole_of_a_normalised_convolution(pictures, odd_holes):
    """The samples stand for all pixels of the hole: a dense convolution by other code says the same to some percent."""

    def dense(picture: np.ndarray, hole: np.ndarray) -> np.ndarray:
        blur = [ndimage.gaussian_filter(picture[..., c] * hole, 4, mode="constant", truncate=12) for c in range(3)]
        mass = ndimage.gaussian_filter(hole.astype(float), 4, mode="constant", truncate=12)
        return (np.stack(blur, axis=2)[hole].T / mass[hole]).T

    fill = pictures[5].astype(np.float32) / 255
    for name in ("centre", "corner", "band", "ring"):
        hole = odd_holes(40, 48)[name]
        content = ContentDistance(hole, 8.0, solver=None)
        found = content.distances(pictures[:5], content.target(fill, pictures[7]))
        expected = [np.mean((dense(p / 255.0, hole) - dense(fill, hole)) ** 2) for p in pictures[:5]]
        np.testing.assert_allclose(found, expected, rtol=0.06, err_msg=name)


def test_blended_it_is_the_distance_of_the_blends(pictures, odd_holes):
    fill = pictures[5].astype(np.float32) / 255
    for name, hole in odd_holes(40, 48).items():
        solver = PoissonSolver(hole)
        # Little contrast, so that no blend is clipped: that is left out of the score.
        soft = (pictures // 4 + 96).astype(np.uint8)
        blends = solver.blend(soft.astype(np.float32) / 255, soft[7].astype(np.float32) / 255)
        plain = ContentDistance(hole, 8.0, solver=None)
        exact = [slow_distance(hole, 8.0, blend, fill) for blend in blends]
        blended = ContentDistance(hole, 8.0, solver=PoissonSolver(hole))
        found = blended.distances(soft, blended.target(fill, soft[7]))
        np.testing.assert_allclose(found, exact, rtol=0.08, atol=1e-5, err_msg=name)
        unblended = plain.distances(soft, plain.target(fill, soft[7]))
        assert np.abs(unblended / found - 1).max() > 0.16, "the blend changes what is compared"


def detail(picture: np.ndarray, marked: np.ndarray) -> float:
    """Mean absolute difference of vertical neighbours that are both marked, plus that of horizontal ones."""
    steps: list[list[float]] = [[], []]
    for y, x in np.argwhere(marked):
        for axis, (ny, nx) in enumerate(((y + 1, x), (y, x + 1))):
            if ny < marked.shape[0] and nx < marked.shape[1] and marked[ny, nx]:
                steps[axis].append(np.abs(picture[ny, nx] - picture[y, x]).mean())
    return sum(float(np.mean(one)) for one in steps if one)


def test_candidates_smoother_than_the_surroundings_pay(pictures, odd_holes):
    for name, hole in odd_holes(40, 48).items():
        texture = Texture(hole)
        photo = pictures[7].copy()
        photo[hole] = 99  # is not read
        expected = detail(photo / 255.0, rim_of(hole, 12))
        smooth = (pictures // 8 + 100).astype(np.uint8)
        found = texture.penalties(photo, np.concatenate([pictures[:2], smooth[:2]]))
        for penalty, picture in zip(found, [*pictures[:2], *smooth[:2]], strict=True):
            inside = max(detail(picture / 255.0, hole), 1e-3)
            assert penalty == pytest.approx(max(0.0, np.log(expected / inside)) ** 2, rel=1e-3, abs=1e-6), name
        if name == "pixel":  # no neighbours in the hole, so no detail to compare
            np.testing.assert_array_equal(found, found[0])
        else:
            assert (found[2:] > found[:2]).all(), name
        flat = np.full_like(photo, 80)
        np.testing.assert_array_equal(texture.penalties(flat, pictures), 0)  # nothing to be expected


def test_the_score_is_the_weighted_sum(pictures, odd_holes):
    hole = odd_holes(40, 48)["centre"]
    fill = pictures[5].astype(np.float32) / 255
    for blended in (False, True):
        guide = NetworkGuide(fill="blend" if blended else "paste")
        scores = guide.scores(pictures[7], hole, fill, pictures)
        content = ContentDistance(hole, 4.0, solver=PoissonSolver(hole) if blended else None)
        by_content = content.distances(pictures, content.target(fill, pictures[7]))
        by_rim = rim_distance(pictures[7], pictures, rim_weights(hole, 16, 4.0))
        np.testing.assert_array_equal(scores.content, by_content)
        np.testing.assert_array_equal(scores.rim, by_rim)
        by_texture = Texture(hole).penalties(pictures[7], pictures)
        expected = by_content + 0.005 * np.log1p(by_rim / 0.002) + 0.002 * by_texture
        np.testing.assert_allclose(scores.score, expected, rtol=1e-5)
    averaged = NetworkGuide(fill="mean").scores(pictures[7], hole, fill, pictures)
    np.testing.assert_allclose(averaged.score, expected - 0.002 * by_texture, rtol=1e-4, atol=1e-7)
