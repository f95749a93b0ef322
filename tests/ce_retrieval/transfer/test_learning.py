"""The parts of classification, each against an independent computation."""

import numpy as np
import pytest
import torch
import voc_kit as kit

from ce_retrieval.errors import EvaluationError, TrainingError
from ce_retrieval.transfer.crops import as_input, averaged_outputs, random_crops
from ce_retrieval.transfer.fine_tuning import FineTuner
from ce_retrieval.transfer.losses import classification_loss
from ce_retrieval.transfer.probe import DECAY, LinearProbe
from ce_retrieval.transfer.results import Interval, measured, over_seeds
from ce_retrieval.transfer.sets.class_labels import LabelledPhotos, Task
from ce_retrieval.transfer.settings import FineTuning

CPU = torch.device("cpu")


def labelled(targets, pixels=None):
    names = tuple(f"photo{n}" for n in range(len(targets)))
    return LabelledPhotos(names, (1,) * len(names), np.asarray(targets), lambda row, side: pixels[row])


def test_the_loss_of_several_classes_leaves_difficult_ones_out():
    scores = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]])
    targets = torch.tensor([[1, -1, 0], [-1, 0, 1]], dtype=torch.int8)
    wanted = np.log1p(np.exp(-1.0)) + np.log1p(np.exp(-2.0)) + np.log(2) + np.log1p(np.exp(1.0))
    assert float(classification_loss(scores, targets)) == pytest.approx(wanted / 2, rel=1e-6)
    one = torch.tensor([0, 1])
    exponentials = np.exp(scores.numpy())
    wanted = -np.log(exponentials[[0, 1], [0, 1]] / exponentials.sum(1)).mean()
    assert float(classification_loss(scores, one)) == pytest.approx(wanted, rel=1e-6)


def test_scores_are_means_over_random_crops_that_all_networks_share():
    pixels = np.random.default_rng(0).integers(0, 256, (5, 12, 12, 3), dtype=np.uint8)
    photos, seen = labelled([0] * 5, pixels), []

    def compute(maps):
        seen.append(maps)
        return maps.flatten(1)

    options = {"decoded_side": 12, "side": 8, "crops": 3, "device": CPU, "report": lambda done, total: None}
    found = averaged_outputs(compute, photos, np.array([4, 1]), **options)
    crops = torch.cat(seen)
    assert found.shape == (2, 192) and torch.allclose(found[0], crops[:3].flatten(1).mean(0), atol=1e-6)
    assert not torch.equal(crops[0], crops[1])
    # Each is a part of its photo, and the same whatever else is measured with it.
    places = [as_input(pixels[4:5, y : y + 8, x : x + 8], CPU)[0] for y in range(5) for x in range(5)]
    assert all(any(torch.equal(crop, place) for place in places) for crop in crops[:3])
    assert torch.equal(averaged_outputs(compute, photos, np.array([4]), **options)[0], found[0])


def test_training_crops_are_mirrored_half_of_the_time():
    photo = np.zeros((400, 9, 9, 3), np.uint8)
    photo[:, :, :, 0] = np.arange(9)
    crops = random_crops(photo, 6, np.random.default_rng(0), mirror=True)
    mirrored = crops[:, 0, 0, 0] > crops[:, 0, -1, 0]
    assert 0.4 < mirrored.mean() < 0.6 and len(np.unique(crops[~mirrored][:, 0, 0, 0])) == 4
    plain = random_crops(photo, 6, np.random.default_rng(0), mirror=False)
    assert (plain[:, 0, 0, 0] < plain[:, 0, -1, 0]).all()


@pytest.mark.parametrize("several", [False, True])
def test_a_probe_minimises_its_loss(several):
    """Its gradient, by hand in float64, vanishes; features that do not vary have no weight."""
    rng = np.random.default_rng(1)
    features = rng.normal(size=(60, 8)) * rng.uniform(0.1, 10, 8) + rng.normal(size=8)
    features[:, 3] = 2
    targets = rng.integers(0, 3, 60)
    features[:, 0] += 5 * targets
    signs = np.where(np.arange(3) == targets[:, None], 1, np.where(rng.random((60, 3)) < 0.2, 0, -1)).astype(np.int8)
    given = torch.from_numpy(signs if several else targets)
    probe = LinearProbe(torch.from_numpy(features).float(), given, 3)
    scores = probe.scores(torch.from_numpy(features).float()).double().numpy()
    varies = features.std(0) > 0
    inputs = (features - features.mean(0))[:, varies] / features.std(0)[varies] / np.sqrt(8)
    weight = np.linalg.lstsq(np.c_[inputs, np.ones(60)], scores, rcond=None)[0]
    assert np.allclose(np.c_[inputs, np.ones(60)] @ weight, scores, atol=1e-3)
    if several:
        wrong = np.where(signs == 0, 0, 1 / (1 + np.exp(-scores)) - (signs > 0)) / 60
    else:
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        wrong = (shares - np.eye(3)[targets]) / 60
    gradient = inputs.T @ wrong + DECAY * weight[:-1]
    assert np.abs(gradient).max() < 3e-4 and np.abs(wrong.sum(0)).max() < 3e-4 < np.abs(DECAY * weight).max()


def test_a_probe_refuses_features_that_are_not_numbers():
    with pytest.raises(TrainingError, match="finite"):
        LinearProbe(torch.full((2, 2), torch.nan), torch.tensor([0, 1]), 2)


def test_steps_of_descent_by_hand():
    """Momentum 0.9, weight decay 0.0005, and a rate that is halved after each eighth of the steps."""

    class Mean(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc8 = torch.nn.utils.skip_init(torch.nn.Linear, 3, 2)
            torch.nn.init.constant_(self.fc8.weight, 0.5)
            torch.nn.init.zeros_(self.fc8.bias)

        def forward(self, photos):
            return self.fc8(photos)

    photos = torch.tensor([[1, -0.6, -0.2]]).expand(2, 3)
    network, settings = Mean(), FineTuning(steps=16, batch=2, rate=0.1)
    rates = []
    targets = torch.ones(2, dtype=torch.int64)
    tuner = FineTuner(network, lambda step: classification_loss(network(photos), targets), settings)
    tuner.run(lambda done, total: rates.append(done), save=lambda now: None)
    shown, weight, speed = np.array([1, -0.6, -0.2]), np.full((2, 3), 0.5), np.zeros((2, 3))
    bias, bias_speed = np.zeros(2), np.zeros(2)
    for step in range(16):
        shares = np.exp(weight @ shown + bias)
        wrong = shares / shares.sum() - [0, 1]
        speed = 0.9 * speed + wrong[:, None] * shown + 5e-4 * weight
        bias_speed = 0.9 * bias_speed + wrong + 5e-4 * bias
        weight, bias = weight - 0.1 / 2 ** (step // 2) * speed, bias - 0.1 / 2 ** (step // 2) * bias_speed
    assert rates == [*range(1, 17)] and np.allclose(network.fc8.weight.detach().numpy(), weight, atol=1e-5)
    assert np.allclose(network.fc8.bias.detach().numpy(), bias, atol=1e-5) and not np.allclose(weight, 0.5, atol=0.05)


def test_photos_of_each_class_are_drawn_by_the_seed():
    targets = np.repeat([0, 1, 2], 10)
    task = Task("folders", ("a", "b", "c"), labelled(targets), labelled(targets))
    rows = task.chosen(4, 0)
    assert np.bincount(targets[rows]).tolist() == [4, 4, 4] and np.array_equal(rows, task.chosen(4, 0))
    assert not np.array_equal(rows, task.chosen(4, 1)) and len(task.chosen(None, 0)) == 30
    several = np.where(np.random.default_rng(0).random((40, 3)) < 0.4, 1, -1).astype(np.int8)
    rows = Task("voc", ("a", "b", "c"), labelled(several), labelled(several)).chosen(3, 0)
    assert ((several[rows] == 1).sum(0) >= 3).all() and 3 <= len(rows) <= 9


def test_figures_of_voc_are_the_kits():
    rng = np.random.default_rng(0)
    targets = rng.choice([1, 0, -1], (30, 3), p=[0.3, 0.1, 0.6]).astype(np.int8)
    targets[:, 2] = -1  # no photo shows it: it has no figure
    scores = np.round(rng.normal(size=(30, 3)), 1)
    task = Task("voc", ("a", "b", "c"), labelled(targets), labelled(targets))
    found = measured(task, scores, seed=3, photos=7)
    curves = [kit.classification(scores[:, n].tolist(), targets[:, n].tolist()) for n in range(2)]
    assert found.figures["map_11"] == pytest.approx(50 * sum(kit.ap11(*one) for one in curves))
    assert found.figures["map_area"] == pytest.approx(50 * sum(kit.ap_area(*one) for one in curves))
    assert found.classes["c"] == {"ap_11": None, "ap_area": None} and (found.seed, found.photos) == (3, 7)


def test_figures_of_folders():
    task = Task("folders", ("a", "b", "c"), labelled([0]), labelled([0, 0, 1, 1]))
    scores = np.array([[2.0, 1, 0], [0, 1, 0], [0, 3, 2], [0, 3, 2]])
    found = measured(task, scores, seed=0, photos=1)
    assert found.figures == {"accuracy": 75} and [one["accuracy"] for one in found.classes.values()] == [50, 100, None]
    with pytest.raises(EvaluationError, match="diverged"):
        measured(task, scores * np.nan, seed=0, photos=1)


def test_the_interval_over_seeds_is_students():
    one = over_seeds([1, 2, 3])
    assert one.mean == 2 and one.high - 2 == pytest.approx(4.302653 / 3**0.5, rel=1e-6) == 2 - one.low
    assert over_seeds([5]) == Interval(5, None, None)
