"""Runs lower the error, report that of the fills, and keep the best weights."""

import csv
from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_cases import make_photos  # noqa: E402
from training_runs import CPU, OFTEN  # noqa: E402

from ce_retrieval.errors import CheckpointError  # noqa: E402
from ce_retrieval.models.checkpoint import load_network  # noqa: E402
from ce_retrieval.models.seen_photos import read_seen, signatures, were_seen  # noqa: E402
from ce_retrieval.training import Schedule, preset_config  # noqa: E402
from ce_retrieval.training.config import ENGINES  # noqa: E402
from ce_retrieval.training.holes import hole_maker  # noqa: E402
from ce_retrieval.training.presets import PRESETS  # noqa: E402
from ce_retrieval.training.team import Team  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402


def test_training_lowers_the_error_and_keeps_the_best(tmp_path, photos, held_out, tiny_config):
    # Without the smooth fill under it the network has everything to learn.
    network = replace(tiny_config().network, residual=False)
    config = tiny_config(network=network, steps=120, masks="center", rate=3e-3, warmup=5, jitter=0.0)
    summary = train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=Schedule(20, 1000, 16))
    rows = list(csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines()))
    errors = [float(row["l2"]) for row in rows]
    assert [int(row["step"]) for row in rows] == [20, 40, 60, 80, 100, 120]
    assert errors[-1] < 0.7 * errors[0]
    assert summary.best["l2"] == pytest.approx(min(errors), abs=1e-4) and summary.weights.is_file()
    network, header = load_network(tmp_path / "best.safetensors")
    assert header["metrics"] == summary.best and header["photos"] == photos.fingerprint
    assert network.config == config.network
    assert (tmp_path / "best-float16.safetensors").is_file()
    seen = read_seen(summary.weights)
    assert were_seen(signatures(photos.pixels), seen).all() and len(seen) == len(photos)
    assert len(list((tmp_path / "samples").glob("step-*.png"))) == 6


def test_the_reported_errors_are_those_of_the_fills(tmp_path, photos, held_out, tiny_config):
    from ce_retrieval.models.inference import fill_photos

    config = tiny_config(masks="center", steps=3)
    summary = train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, engine=ENGINES["plain"])
    network, _ = load_network(tmp_path / "best.safetensors")
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    filled = fill_photos(network, held_out.pixels, hole, fast=False)
    truths, fills = (photos[:, 8:24, 8:24] / 255 for photos in (held_out.pixels, filled))
    squared = np.square(truths - fills).mean(axis=(1, 2, 3))
    detail = [sum(np.abs(np.diff(part, axis=axis)).mean(axis=(1, 2, 3)) for axis in (1, 2)) for part in (fills, truths)]
    expected = {
        "l1": 100 * np.abs(truths - fills).mean(),
        "l2": 100 * squared.mean(),
        "psnr": (-10 * np.log10(squared)).mean(),
        "psnr_of_l2": -10 * np.log10(squared.mean()),
        "sharpness": np.median(detail[0] / detail[1]),
    }
    assert summary.best == pytest.approx({**expected, "paste_l2": summary.best["paste_l2"]}, rel=0.01)


def test_paste_error_is_that_of_the_nearest_gallery_photo(photos, held_out, tiny_config):
    from ce_retrieval.models.build import build_network
    from ce_retrieval.models.inference import encode_photos
    from ce_retrieval.training.validation import Validation, resized

    config = tiny_config(masks="center")
    network = build_network(config.network).eval()
    validation = Validation(held_out, photos.pixels, hole_maker(config, CPU), 0)
    found = validation.measure(network, fast=False)[0]["paste_l2"]
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    gallery = resized(photos.pixels, 32)
    features = [
        encode_photos(network, part, hole, fast=False).reshape(len(part), -1) for part in (held_out.pixels, gallery)
    ]
    queries, others = (part / np.linalg.norm(part, axis=1, keepdims=True) for part in features)
    nearest = (queries @ others.T).argmax(axis=1)
    difference = (held_out.pixels[:, hole].astype(float) - gallery[nearest][:, hole]) / 255
    assert found == pytest.approx(100 * np.square(difference).mean(), rel=1e-4)


SMALLER = {
    "paper-center": {"size": 128, "bottleneck": 16},
    "paper-random": {"size": 64, "bottleneck": 16},
    "paper-region": {"size": 67},
    "paper-region-pool-free": {"size": 67},
    "autoencoder": {"size": 67},
    "compact": {"size": 32},
}


def train_a_step(preset, folder, engine, **smaller):
    config = preset_config(preset, batch=2, steps=1)
    config = replace(config, network=replace(config.network, **smaller))
    options = {"device": CPU, "schedule": Schedule(1, 1, 4), "engine": ENGINES[engine]}
    summary = train(config, make_photos(16, 128), folder, **options)
    assert summary.best_step == 1 and {"l1", "l2", "psnr"} < summary.best.keys()
    assert all(np.isfinite(value) for value in summary.best.values())


@pytest.mark.parametrize(
    "preset", [pytest.param(name, marks=[pytest.mark.slow] * name.startswith("paper")) for name in PRESETS]
)
def test_every_preset_trains_a_step(preset, tmp_path, request):
    smaller = SMALLER[preset]
    if preset == "compact":
        smaller = {**smaller, "widths": (16, 32, 64)}
    if preset == "paper-center":  # whose adversary needs photos of 128 px
        request.getfixturevalue("few_channels")
        smaller = {**smaller, "size": 32}
    train_a_step(preset, tmp_path, "plain", **smaller)


@pytest.mark.slow
@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_trains_a_step_in_bfloat16_at_its_own_widths(preset, tmp_path):
    train_a_step(preset, tmp_path, "fast", **SMALLER[preset])


def test_a_run_can_begin_with_trained_weights(tmp_path, photos, held_out, tiny_config):
    first = train(tiny_config(steps=6), photos, tmp_path / "a", device=CPU, held_out=held_out, schedule=OFTEN)
    config = tiny_config(steps=1, rate=1e-9, warmup=0)
    second = train(
        config, photos, tmp_path / "b", device=CPU, held_out=held_out, schedule=OFTEN, begin_with=first.weights
    )
    assert second.best["l2"] == pytest.approx(first.best["l2"], rel=1e-3)
    other = tiny_config(network=replace(config.network, mixers=config.network.mixers + 1), steps=1)
    with pytest.raises(CheckpointError, match="another network"):
        train(other, photos, tmp_path / "c", device=CPU, held_out=held_out, begin_with=first.weights)


def test_with_an_adversary_the_newest_weights_are_kept(tmp_path, photos, held_out, tiny_config, few_channels):
    config = tiny_config(steps=3, masks="block", adversarial=0.9, rate=0.05, muon_rate=0.0)
    options = {"schedule": Schedule(1, 10, 8), "engine": ENGINES["plain"]}
    summary = train(config, photos, tmp_path, device=CPU, held_out=held_out, **options)
    errors = [float(row["l2"]) for row in csv.DictReader((tmp_path / "metrics.csv").read_text().splitlines())]
    assert errors[2] > min(errors), "not a case in which the newest weights are not the best"
    assert summary.best_step == 3


def test_the_float16_weights_come_with_a_compression_of_each_layer(tmp_path, photos, held_out, tiny_config):
    from ce_retrieval.models.checkpoint import load_tensors
    from ce_retrieval.models.compression import fit_compression
    from ce_retrieval.models.shipped import load_weights
    from ce_retrieval.training.validation import resized

    config = tiny_config(steps=3)
    train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN)
    weights = load_weights(str(tmp_path / "best-float16.safetensors"))
    assert set(weights.compressions) == set(weights.network.LAYERS)
    assert weights.header["compression"]["cells"]["photos"] == len(photos)
    assert [weights.header["compression"][layer]["hole"] for layer in ("cells", "context")] == ["none", "center"]
    expected, kept = fit_compression(weights.network, resized(photos.pixels, 32), "cells")
    found = weights.compressions["cells"]
    assert weights.header["compression"]["cells"]["variance_kept"] == pytest.approx(kept, abs=1e-3)
    np.testing.assert_allclose(found.mean, expected.mean, rtol=1e-3, atol=1e-3)
    assert not [name for name in load_tensors(tmp_path / "best.safetensors")[0] if name.startswith("compression.")]
    # Weights with compressions are weights like others to a run that begins with them.
    again = tmp_path / "again"
    train(config, photos, again, device=CPU, held_out=held_out, schedule=OFTEN, begin_with=weights.path)
    assert load_weights(str(again / "best-float16.safetensors")).compressions


def test_the_rate_leaves_validations_out(monkeypatch, tiny_config):
    from ce_retrieval.training import clock as module

    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    config = tiny_config(steps=100)
    clock = module.Clock(config, elapsed=0.0, team=Team(), device=CPU)
    for step in range(1, 11):
        now[0] += 2.0
        clock.rate(step)
    assert clock.rate(10) == pytest.approx(config.batch / 2)
    now[0] += 600.0
    clock.rest()
    assert clock.rate(10) == pytest.approx(config.batch / 2)
    now[0] += 4.0
    assert clock.rate(11) == pytest.approx(config.batch / 4)
