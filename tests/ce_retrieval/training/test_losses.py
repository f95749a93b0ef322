"""The losses against their formulas written out in numpy."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.training.losses import (  # noqa: E402
    discriminator_loss,
    generator_loss,
    joint_loss,
    loss_weights,
    reconstruction_loss,
)


@pytest.fixture
def batch():
    rng = np.random.default_rng(0)
    holes = np.zeros((3, 20, 20), bool)
    holes[0, 5:15, 5:15] = True
    holes[1, 0:4, 16:20] = True
    holes[2] = rng.random((20, 20)) < 0.3
    return rng.normal(size=(3, 3, 20, 20)), rng.normal(size=(3, 3, 20, 20)), holes


@pytest.mark.parametrize("power", [1, 2])
def test_reconstruction_is_the_mean_error_of_the_hole(batch, power):
    predicted, target, holes = batch
    expected = np.mean(
        [(np.abs(p - t)[:, h] ** power).mean() for p, t, h in zip(predicted, target, holes, strict=True)]
    )
    weights = loss_weights(torch.from_numpy(holes), 0, 10.0)
    found = reconstruction_loss(torch.from_numpy(predicted), torch.from_numpy(target), weights, power=power)
    assert float(found) == pytest.approx(expected, rel=1e-6)


def test_the_overlap_band_has_seven_pixels_and_ten_times_the_weight(batch):
    from scipy.ndimage import binary_dilation

    holes = np.zeros((1, 40, 40), bool)
    holes[0, 10:20, 12:30] = True
    grown = binary_dilation(holes[0], np.ones((15, 15), bool))
    weights = loss_weights(torch.from_numpy(holes), 7, 10.0)[0, 0].numpy()
    np.testing.assert_array_equal(weights, np.where(holes[0], 1.0, np.where(grown, 10.0, 0.0)))
    assert grown.sum() == 24 * 32


def test_a_batch_is_the_mean_of_its_parts(batch):
    predicted, target, holes = (torch.from_numpy(part) for part in batch)
    whole = predicted, target, loss_weights(holes, 2, 10.0)
    parts = [reconstruction_loss(*(part[n : n + 1] for part in whole), power=2) for n in range(3)]
    assert float(reconstruction_loss(*whole, power=2)) == pytest.approx(float(sum(parts)) / 3, rel=1e-6)


def test_adversarial_losses_are_equation_2():
    real, fake = np.array([2.0, -1.0, 0.3]), np.array([0.5, -3.0, 1.0])
    d_real, d_fake = 1 / (1 + np.exp(-real)), 1 / (1 + np.exp(-fake))
    expected = -(np.log(d_real).mean() + np.log(1 - d_fake).mean())
    assert float(discriminator_loss(torch.from_numpy(real), torch.from_numpy(fake))) == pytest.approx(expected)
    assert float(generator_loss(torch.from_numpy(fake))) == pytest.approx(-np.log(d_fake).mean())


def test_joint_loss_is_equation_3():
    assert float(joint_loss(torch.tensor(2.0), torch.tensor(5.0), 0.001)) == pytest.approx(0.999 * 2 + 0.001 * 5)
