import math

import numpy as np
import pytest

from ce_retrieval import metrics
from ce_retrieval.errors import EvaluationError, MaskError


@pytest.fixture
def pair() -> tuple[np.ndarray, np.ndarray]:
    """Real photos with noise of a different strength each: uint8 (4, 40, 50, 3) twice."""
    from skimage import data

    truth = np.stack([photo[60:100, 80:130] for photo in (data.astronaut(), data.chelsea(), data.coffee())])
    noise = np.random.default_rng(0).normal(0, 1, truth.shape) * np.array([5, 20, 60])[:, None, None, None]
    return truth, np.clip(truth + noise, 0, 255).astype(np.uint8)


@pytest.fixture
def hole() -> np.ndarray:
    hole = np.zeros((40, 50), dtype=bool)
    hole[0:17, 20:41] = True
    hole[30:38, 3:9] = True
    hole[33, 5] = False
    return hole


def test_errors_by_their_formulas(pair: tuple, hole: np.ndarray) -> None:
    truth, fill = pair
    found_l1, found_l2, found_psnr = (f(truth, fill, hole) for f in (metrics.l1, metrics.l2, metrics.psnr))
    assert found_l1.shape == found_l2.shape == found_psnr.shape == (3,)
    for b in range(3):
        differences = [
            (int(truth[b, r, c, k]) - int(fill[b, r, c, k])) / 255 for r, c in np.argwhere(hole) for k in range(3)
        ]
        mean_square = math.fsum(d * d for d in differences) / len(differences)
        assert found_l1[b] == pytest.approx(100 * math.fsum(map(abs, differences)) / len(differences))
        assert found_l2[b] == pytest.approx(100 * mean_square)
        assert found_psnr[b] == pytest.approx(10 * math.log10(1 / mean_square))


def test_psnr_and_ssim_over_a_whole_photo_are_the_librarys(pair: tuple) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    whole = np.ones((40, 50), dtype=bool)
    for truth, fill in zip(*pair, strict=True):
        assert metrics.psnr(truth, fill, whole) == pytest.approx(peak_signal_noise_ratio(truth, fill, data_range=255))
        # SSIM's constants scale with the range, so bytes and [0, 1] agree.
        full = structural_similarity(
            truth,
            fill,
            data_range=255,
            channel_axis=-1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            full=True,
        )[1]
        assert metrics.ssim(truth, fill, whole) == pytest.approx(full.mean(), abs=1e-9)


@pytest.mark.parametrize("place", [(0, 0), (20, 25), (39, 49), (3, 44)])
def test_ssim_over_a_hole_is_the_whole_photos_map_there(pair: tuple, hole: np.ndarray, place: tuple) -> None:
    from skimage.metrics import structural_similarity

    one = np.zeros_like(hole)
    one[place] = True
    for region in (hole, one):
        for truth, fill in zip(*pair, strict=True):
            full = structural_similarity(
                truth / 255,
                fill / 255,
                data_range=1,
                channel_axis=-1,
                gaussian_weights=True,
                use_sample_covariance=False,
                full=True,
            )[1]
            assert metrics.ssim(truth, fill, region) == pytest.approx(full[region].mean(), abs=1e-9)


def test_sharpness_by_its_formula(pair: tuple, hole: np.ndarray) -> None:
    truth, fill = pair

    def detail(photo: np.ndarray) -> float:
        across, down = [], []
        for r, c in np.argwhere(hole):
            if c + 1 < 50 and hole[r, c + 1]:
                across.append(np.abs(photo[r, c + 1].astype(float) - photo[r, c]).mean())
            if r + 1 < 40 and hole[r + 1, c]:
                down.append(np.abs(photo[r + 1, c].astype(float) - photo[r, c]).mean())
        return float(np.mean(across) + np.mean(down))

    expected = [detail(f) / detail(t) for t, f in zip(truth, fill, strict=True)]
    np.testing.assert_allclose(metrics.sharpness(truth, fill, hole), expected, rtol=1e-12)


def test_sharpness_of_equal_flat_and_undefined() -> None:
    row, col = np.mgrid[0:20, 0:20]
    ramp = np.repeat((5 * row + col)[..., None], 3, axis=2).astype(np.uint8)
    flat = np.full_like(ramp, 9)
    hole = np.zeros((20, 20), dtype=bool)
    hole[4:9, 4:9] = True
    assert metrics.sharpness(ramp, ramp, hole) == 1
    assert metrics.sharpness(ramp, flat, hole) == 0
    assert np.isnan(metrics.sharpness(flat, ramp, hole))
    single = np.zeros_like(hole)
    single[4, 4] = True
    assert np.isnan(metrics.sharpness(ramp, ramp, single))
    line = np.zeros_like(hole)
    line[4, 4:9] = True
    assert metrics.sharpness(ramp, (2 * ramp).astype(np.uint8), line) == pytest.approx(2)


@pytest.mark.parametrize("name", metrics.PHOTO_METRICS)
def test_shapes_types_and_the_rest_of_the_photo(name: str, pair: tuple, hole: np.ndarray) -> None:
    metric, (truth, fill) = metrics.PHOTO_METRICS[name], pair
    batch = metric(truth, fill, hole)
    assert batch.dtype == np.float64
    single = [metric(t, f, hole) for t, f in zip(truth, fill, strict=True)]
    assert np.shape(single[0]) == ()
    np.testing.assert_array_equal(batch, single)
    np.testing.assert_array_equal(metric(truth[None], fill[None], hole), batch[None])
    # float photos in [0, 1], and one of each kind
    floats = (truth / 255).astype(np.float32), (fill / 255).astype(np.float32)
    np.testing.assert_allclose(metric(*floats, hole), batch, rtol=1e-4)
    np.testing.assert_allclose(metric(truth, fill / 255, hole), batch, rtol=1e-12)
    # a hole of each photo's own
    own = np.stack([hole, np.roll(hole, 3, axis=0), hole[::-1]])
    np.testing.assert_array_equal(
        metric(truth, fill, own), [metric(t, f, h) for t, f, h in zip(truth, fill, own, strict=True)]
    )
    # beyond the windows of the hole's pixels nothing counts
    changed = fill.copy()
    changed[:, 24:29, 45:] = 0
    np.testing.assert_array_equal(metric(truth, changed, hole), batch)
    assert metric(truth[:0], fill[:0], hole).shape == (0,)


@pytest.mark.parametrize("name", metrics.PHOTO_METRICS)
def test_bad_arguments_are_refused(name: str, pair: tuple, hole: np.ndarray) -> None:
    metric, (truth, fill) = metrics.PHOTO_METRICS[name], pair
    with pytest.raises(ValueError, match="one shape"):
        metric(truth, fill[:2], hole)
    with pytest.raises(ValueError, match="hole"):
        metric(truth, fill, hole[:-1])
    with pytest.raises(ValueError, match="hole"):
        metric(truth, fill, hole.astype(np.uint8))
    with pytest.raises(MaskError, match="a hole is empty"):
        metric(truth, fill, np.zeros_like(hole))
    with pytest.raises(ValueError, match="photo int64"):
        metric(truth.astype(np.int64), fill, hole)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metric(truth, fill.astype(np.float32), hole)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        metric(truth, np.full(fill.shape, np.nan), hole)


def test_ssim_needs_a_window() -> None:
    small = np.zeros((10, 30, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="11 px"):
        metrics.ssim(small, small, np.eye(10, 30, dtype=bool))


def test_psnr_of_mean_l2() -> None:
    assert metrics.psnr_of_mean_l2(np.array([1.0, 3.0])) == pytest.approx(10 * math.log10(1 / 0.02))
    assert metrics.psnr_of_mean_l2(np.array([0.0, 2.0])) == pytest.approx(20)
    assert metrics.psnr_of_mean_l2(np.array([0.0])) == math.inf
    with pytest.raises(EvaluationError, match="no photo was measured"):
        metrics.psnr_of_mean_l2(np.array([]))


def test_summary_counts_what_it_leaves_out() -> None:
    summary = metrics.summarise(
        l1=np.array([0.0, 10.0, 20.0, 2.0]),
        l2=np.array([0.0, 1.0, 10.0, 0.1]),
        psnr=np.array([np.inf, 20.0, 10.0, 30.0]),
        ssim=np.array([1.0, 0.5, 0.25, 0.25]),
        sharpness=np.array([1.0, np.nan, 0.5, 0.1]),
    )
    assert (summary.photos, summary.identical, summary.flat) == (4, 1, 1)
    assert (summary.l1, summary.psnr, summary.ssim, summary.sharpness) == (8.0, 20.0, 0.5, 0.5)
    assert summary.l2 == pytest.approx(2.775)
    assert summary.psnr_of_mean_l2 == pytest.approx(-10 * math.log10(0.02775))


def test_summary_of_nothing_but_extremes() -> None:
    truth = np.full((2, 12, 12, 3), 7, dtype=np.uint8)
    summary = metrics.summarise(**metrics.measure(truth, truth, np.eye(12, dtype=bool)))
    assert (summary.photos, summary.identical, summary.flat) == (2, 2, 2)
    assert summary.psnr == summary.psnr_of_mean_l2 == math.inf
    assert math.isnan(summary.sharpness) and summary.ssim == pytest.approx(1)


def test_summary_refuses_nothing_and_unequal_lengths() -> None:
    none, one, two = np.zeros(0), np.zeros(1), np.zeros(2)
    with pytest.raises(EvaluationError, match="no photo was measured"):
        metrics.summarise(l1=none, l2=none, psnr=none, ssim=none, sharpness=none)
    with pytest.raises(ValueError, match="one number a photo"):
        metrics.summarise(l1=one, l2=one, psnr=two, ssim=one, sharpness=one)


def test_precision_at_k() -> None:
    queries = np.array(["sea", "forest", "", "street"])
    neighbours = np.array([["sea", "sea", ""], ["sea", "forest", "sea"], ["", "", ""], ["a", "b", "c"]])
    np.testing.assert_allclose(metrics.precision_at_k(queries, neighbours), [2 / 3, 1 / 3, np.nan, 0])
    np.testing.assert_allclose(metrics.precision_at_k(np.array([1, 2]), np.array([[1, 2], [3, 4]])), [0.5, 0])
    objects = np.array(["a", "b"], dtype=object)
    np.testing.assert_allclose(metrics.precision_at_k(objects, np.array([["a"], ["a"]], dtype=object)), [1, 0])
    with pytest.raises(ValueError, match="Q, k"):
        metrics.precision_at_k(queries, neighbours[:2])
    with pytest.raises(ValueError, match="one kind"):
        metrics.precision_at_k(queries, np.zeros((4, 2), dtype=int))
