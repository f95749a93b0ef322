"""Candidates are ordered by the sum of their normalised terms, and by what a network or many scenes expect under the hole."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from ranking_cases import HOLE, SIDE, crops
from scene_cases import index_of, of_size
from scipy.ndimage import distance_transform_edt

from ce_retrieval.completion.scenes import ranking
from ce_retrieval.completion.scenes.completer import SceneCompleter
from ce_retrieval.completion.scenes.ranking import Ranking, distinct
from ce_retrieval.completion.scenes.terms import HoleTerms
from ce_retrieval.completion.settings import AGREEING, SceneSettings
from ce_retrieval.photo_index import PhotoIndex

SETTINGS = SceneSettings(places="none", rerank="rim", seam=0.0, top=5)


def rank(scores: dict[str, np.ndarray], weights: dict[str, float] | None = None) -> Ranking:
    """Terms without a weight count 1."""
    return ranking.rank(scores, {**dict.fromkeys(scores, 1.0), **(weights or {})})


def test_terms_contribute_equally_whatever_their_units():
    from scipy.stats import median_abs_deviation

    rng = np.random.default_rng(0)
    base = {name: rng.random(30) for name in ("scene", "context", "texture", "seam")}
    scaled = {name: 10.0 ** (50 * i - 100) * values + i for i, (name, values) in enumerate(base.items())}
    scaled["scene"] = 1e-200 * base["scene"]
    scaled["seam"] = 1e200 * base["seam"]
    centred = [values - np.median(values) for values in base.values()]
    # scipy's "normal" scale: the deviation that a normal distribution of this median absolute deviation has.
    expected = sum(values / median_abs_deviation(values, scale="normal") for values in centred)
    found = rank(base)
    np.testing.assert_allclose(found.total, expected, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(found.order, np.argsort(expected))
    same = {name: scaled[name] for name in ("scene", "seam")}
    np.testing.assert_array_equal(rank(same).order, rank({name: base[name] for name in same}).order)


def test_one_term_alone_orders_by_it_and_a_weight_of_zero_removes_one():
    scores = {"scene": np.array([3.0, 1, 2]), "seam": np.array([1.0, 2, 3])}
    np.testing.assert_array_equal(rank(scores, {"seam": 0}).order, [1, 2, 0])
    np.testing.assert_array_equal(rank(scores, {"scene": 0}).order, [0, 1, 2])
    np.testing.assert_array_equal(rank(scores, {"scene": 0, "seam": 0}).order, [0, 1, 2])
    np.testing.assert_array_equal(rank(scores, {"scene": 5.0, "seam": 0.1}).order, [1, 2, 0])


def test_further_terms_count_as_the_others():
    scores = {"scene": np.array([1.0, 1, 1]), "brightness": np.array([2, 0, 1])}
    np.testing.assert_array_equal(rank(scores).order, [1, 2, 0])


def test_candidates_without_a_finite_score_are_dropped_and_weigh_nothing():
    scene, seam = np.array([1.0, np.nan, 3, 2, 1e9]), np.array([5.0, 0, 2, 1, np.inf])
    found = rank({"scene": scene, "seam": seam})
    np.testing.assert_array_equal(np.isfinite(found.total), [True, False, True, True, False])
    left = [0, 2, 3]
    alone = rank({"scene": scene[left], "seam": seam[left]})
    np.testing.assert_array_equal(found.order, np.array(left)[alone.order])
    np.testing.assert_allclose(found.total[left], alone.total)
    # A term that is switched off drops nobody.
    np.testing.assert_array_equal(rank({"scene": scene, "seam": seam}, {"seam": 0}).order, [0, 3, 2, 4])
    assert len(rank({"scene": np.full(3, np.nan)}).order) == 0
    assert len(rank({"scene": np.empty(0)}).order) == 0


def test_ties_keep_the_order_and_constants_add_nothing():
    found = rank({"scene": np.full(6, 0.1), "seam": np.array([1.0, 0, 1, 0, 1, 0]), "zero": np.zeros(6)})
    np.testing.assert_array_equal(found.order, [1, 3, 5, 0, 2, 4])
    np.testing.assert_allclose(found.total, np.array([1, -1, 1, -1, 1, -1]) / 1.4826)


def test_most_being_equal_the_deviation_is_what_counts():
    values = np.array([0.0, 0, 0, 0, 3])
    np.testing.assert_allclose(rank({"scene": values}).total, values / values.std())


def test_detail_is_added_as_it_is():
    scores = {"scene": np.array([1.0, 2, 3]), "detail": np.array([0.1, 0.5, 9.0])}
    found = rank(scores, {"scene": 0.0, "detail": 2.0})
    np.testing.assert_allclose(found.total, [0.2, 1.0, 18.0])


def test_an_outlier_does_not_squeeze_the_others_together():
    scene, seam = np.array([0.0, 1, 2, 3, 4]), np.array([4.0, 3, 2, 1, 1e6])
    total = rank({"scene": scene, "seam": seam}).total
    np.testing.assert_allclose(total[:4], total[0], atol=1e-9)


@pytest.mark.parametrize("shape", [(32, 32), (20, 16), (33, 1)])
def test_near_duplicates_give_one_candidate(shape):
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 230, (3, 4, 4, 3))
    scenes = coarse.repeat(shape[0] // 4 + 1, 1).repeat(shape[1] // 4 + 1, 2)[:, : shape[0], : shape[1]]
    noisy = np.clip(scenes + rng.integers(-3, 4, scenes.shape), 0, 255)
    order = [scenes[1], noisy[1], scenes[0], scenes[1], noisy[2], noisy[0], scenes[2]]
    patches = np.stack(order).astype(np.uint8)
    np.testing.assert_array_equal(distinct(patches, 9), [0, 2, 4])
    np.testing.assert_array_equal(distinct(patches, 2), [0, 2])
    assert len(distinct(patches[:0], 9)) == 0


def test_the_threshold_is_the_root_mean_square_difference():
    patches = np.zeros((2, 40, 50, 3), np.uint8)
    for step, count in ((7, 1), (8, 2)):  # 0.03 of the range is 7.65
        patches[1] = step
        assert len(distinct(patches, 9)) == count


@pytest.fixture(scope="module")
def many(tmp_path_factory, bundled_photos) -> PhotoIndex:
    """So many scenes that the mean of the best tenth is the expected content."""
    scenes = crops(bundled_photos[2], AGREEING + 5, seed=1)
    folder = tmp_path_factory.mktemp("many")
    return index_of(folder, {f"{number:03d}": scene for number, scene in enumerate(scenes)})


@pytest.fixture(scope="module")
def photo(bundled_photos) -> np.ndarray:
    return np.where(HOLE[..., None], 0, crops(bundled_photos[2], 1, seed=9)[0]).astype(np.uint8)


def test_the_best_of_many_scenes_are_the_expected_content(many, photo, monkeypatch):
    done = SceneCompleter(many, SETTINGS).complete(photo, HOLE)
    assert done.expected == done.provenance()["expected"] == "scenes"
    assert len(done.candidates) == SETTINGS.top
    assert all(np.isfinite(c.scores["content"]) for c in done.candidates)
    few = SceneCompleter(many, replace(SETTINGS, aligned=20)).complete(photo, HOLE)
    assert few.expected is None and "content" not in few.candidates[0].scores
    monkeypatch.setattr(ranking, "AGREEING", 20)
    enough = SceneCompleter(many, replace(SETTINGS, aligned=20)).complete(photo, HOLE)
    assert enough.expected == "scenes"
    off = SceneCompleter(many, replace(SETTINGS, aligned=20, trust=0.0, terms={"content": 0.0})).complete(photo, HOLE)
    assert off.expected is None


@pytest.fixture
def expecting_white(monkeypatch) -> dict[str, int]:
    """Settings of few scenes that expect white."""
    monkeypatch.setattr(HoleTerms, "consensus", lambda self, photo, pictures: np.ones((*HOLE.shape, 3), np.float32))
    monkeypatch.setattr(ranking, "AGREEING", 12)
    return {"aligned": 12}


def test_trust_moves_colours_towards_the_expected_content_and_no_farther(many, bundled_photos, expecting_white):
    photo = np.where(HOLE[..., None], np.uint8(0), crops(bundled_photos[2], 1, seed=2)[0])
    means = {}
    for trust in (0.0, 0.1, 0.3):
        # Without the term that finds a crop of nearly the same place, which would not be corrected.
        settings = replace(SETTINGS, trust=trust, terms={"structure": 0.0}, **expecting_white)
        done = SceneCompleter(many, settings).complete(photo, HOLE)
        assert done.expected == "scenes"
        np.testing.assert_array_equal(done.best[~HOLE], photo[~HOLE])
        means[trust] = (Path(done.candidates[0].photo).name, done.best[HOLE].mean() / 255)
    assert len({name for name, _ in means.values()}) == 1
    assert 0.05 < means[0.1][1] - means[0.0][1] <= 0.1
    assert 0.13 < means[0.3][1] - means[0.0][1] <= 0.3


def test_a_fill_yields_as_far_from_its_edge_above_the_indexs_size(tmp_path, bundled_photos, expecting_white):
    """At a working size of twice the index's the pull acts over as much of the photo; so it does once enlarged."""
    scenes = {f"{n:02d}": of_size(scene, 2 * SIDE, 2 * SIDE) for n, scene in enumerate(crops(bundled_photos[2], 14, 1))}
    index = index_of(tmp_path, scenes)
    plain, pulled = (SceneCompleter(index, replace(SETTINGS, trust=trust, **expecting_white)) for trust in (0.0, 0.1))
    small = crops(bundled_photos[2], 1, seed=2)[0]
    second = np.rint(distance_transform_edt(HOLE)) == 2  # px of the index's size from the edge
    steps = []
    for times in (1, 2, 4):
        photo, hole = of_size(small, times * SIDE, times * SIDE), HOLE.repeat(times, 0).repeat(times, 1)
        without, best = plain.complete(photo, hole).best, pulled.complete(photo, hole).best
        np.testing.assert_array_equal(best[~hole], photo[~hole])
        step = (best.astype(float) - without).reshape(SIDE, times, SIDE, times, 3).mean(axis=(1, 3))
        steps.append((step[HOLE].mean(), step[second].mean()))
    assert steps[1:] == [pytest.approx(steps[0], rel=0.1)] * 2
