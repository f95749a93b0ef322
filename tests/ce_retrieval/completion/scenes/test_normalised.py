import numpy as np
import pytest
from scipy.stats import median_abs_deviation

from ce_retrieval.completion.scenes.normalised import distinct, rank


def test_terms_contribute_equally_whatever_their_units():
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


def test_terms_of_ones_own():
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
    np.testing.assert_allclose(rank({"detail": values}).total, values / values.std())


def test_a_term_may_be_added_as_it_is():
    scores = {"scene": np.array([1.0, 2, 3]), "detail": np.array([0.1, 0.5, 9.0])}
    found = rank(scores, {"scene": 0.0, "detail": 2.0}, as_is=("detail",))
    np.testing.assert_allclose(found.total, [0.2, 1.0, 18.0])


def test_an_outlier_does_not_squeeze_the_others_together():
    scene, seam = np.array([0.0, 1, 2, 3, 4]), np.array([4.0, 3, 2, 1, 1e6])
    total = rank({"scene": scene, "seam": seam}).total
    np.testing.assert_allclose(total[:4], total[0], atol=1e-9)


def test_wrong_scores_and_weights_are_refused():
    scores = {"scene": np.zeros(3)}
    with pytest.raises(ValueError, match="choose among scene"):
        rank(scores, {"scenes": 1.0})
    for weight in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="0 or more"):
            rank(scores, {"scene": weight})
    for wrong in ({}, {"scene": np.zeros((3, 1))}, {"scene": np.zeros(3), "seam": np.zeros(2)}):
        with pytest.raises(ValueError, match="one length"):
            rank(wrong)


@pytest.mark.parametrize("shape", [(32, 32), (20, 16), (33, 1)])
def test_near_duplicates_give_one_candidate(shape):
    rng = np.random.default_rng(0)
    coarse = rng.integers(20, 230, (3, 4, 4, 3))
    scenes = coarse.repeat(shape[0] // 4 + 1, 1).repeat(shape[1] // 4 + 1, 2)[:, : shape[0], : shape[1]]
    noisy = np.clip(scenes + rng.integers(-3, 4, scenes.shape), 0, 255)
    order = [scenes[1], noisy[1], scenes[0], scenes[1], noisy[2], noisy[0], scenes[2]]
    patches = np.stack(order).astype(np.uint8)
    np.testing.assert_array_equal(distinct(patches, 0.03), [0, 2, 4])
    np.testing.assert_array_equal(distinct(patches, 0.03, limit=2), [0, 2])
    np.testing.assert_array_equal(distinct(patches, 0.0), range(7))
    assert len(distinct(patches, 2.0)) == 1
    assert len(distinct(patches[:0], 0.03)) == 0


def test_the_threshold_is_the_root_mean_square_difference():
    patches = np.zeros((2, 40, 50, 3), np.uint8)
    patches[1] = 51  # a fifth of the range
    assert len(distinct(patches, 0.1999)) == 2
    assert len(distinct(patches, 0.2001)) == 1


def test_wrong_patches_are_refused():
    with pytest.raises(ValueError, match="uint8"):
        distinct(np.zeros((2, 8, 8, 3), np.float32), 0.03)
    with pytest.raises(ValueError, match="uint8"):
        distinct(np.zeros((8, 8, 3), np.uint8), 0.03)
    with pytest.raises(ValueError, match="negative"):
        distinct(np.zeros((2, 8, 8, 3), np.uint8), -1)
