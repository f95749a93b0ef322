"""Training of the network of kinds: its views, its loss, its map, and its command rehearsed."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.models.kind_network import KindNetwork, load_kind_network  # noqa: E402
from ce_retrieval.training import PackedPhotos  # noqa: E402

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"
SCRIPT = BENCHMARKS / "train_kind.py"


@pytest.fixture
def module(monkeypatch, one_thread_torch):
    """A function that imports a benchmark's module."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def command(module, monkeypatch, capsys):
    """A function that runs the command and returns the lines that it prints."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", [str(SCRIPT), *map(str, arguments)])
        module("train_kind").main()
        return capsys.readouterr().out.splitlines()

    return run


def test_the_command_is_rehearsed(command, capsys, tmp_path):
    trained, again = tmp_path / "kind.safetensors", tmp_path / "again.safetensors"
    said, *table = command("--rehearse", "--out", trained)
    assert said.startswith("2 steps of 8 pairs in ")
    holes = ["no hole", "centre", "left half", "right half", "lower half", "upper half"]
    assert [row.split(" | ")[0] for row in table[2:]] == [f"| {hole}" for hole in holes]
    measured = command("--rehearse", "--network", trained, "--out", again)
    assert len(measured) == len(table), "a network that is only measured was trained"
    first, second = (load_kind_network(path)[0].state_dict() for path in (trained, again))
    assert all(torch.equal(first[name], second[name]) for name in first.keys() - {"mean", "projection"})
    # Fitted again, from weights rounded to float16; a direction may point either way.
    assert torch.allclose(first["mean"], second["mean"], atol=2e-3)
    assert torch.allclose(first["projection"][:, 0].abs(), second["projection"][:, 0].abs(), atol=0.05)
    with pytest.raises(SystemExit):
        command("--out", trained)
    assert "--data and --val are needed" in capsys.readouterr().err


def seen(side, versions=7, count=300, seed=0):
    """Features of photos of four kinds under some holes: each hole adds an offset, and each version noise of its own."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    kinds = rng.integers(0, 4, count)
    offsets = fixed.normal(size=(versions, 1, side)) * 5
    shown = fixed.normal(size=(4, side))[kinds] + rng.normal(size=(count, side)) * 0.3
    return offsets + shown + rng.normal(size=(versions, count, side)) * 0.7, kinds


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_map_finds_kinds_that_the_offset_of_a_hole_hides(module):
    kind_map = module("kind_map")
    fitted = kind_map.kind_map(seen(24)[0], 6)
    assert fitted.shape == (24, 6) and np.abs(fitted).max() == 1
    (versions, kinds), mean = seen(24, seed=1), seen(24)[0][0].mean(axis=0)

    def precision(map_):
        whole, hidden = (unit((version - mean) @ map_) for version in versions[:2])
        alike = hidden @ whole.T
        np.fill_diagonal(alike, -9)
        return (kinds[np.argsort(-alike, axis=1)[:, :10]] == kinds[:, None]).mean()

    assert precision(np.eye(24)) < 0.6
    assert precision(fitted) > 0.9


def test_the_map_takes_no_direction_in_which_the_versions_of_a_photo_differ(module):
    kind_map = module("kind_map").kind_map
    versions, _ = seen(8)
    versions[..., 3] = np.random.default_rng(2).normal(size=versions.shape[:2]) * 30
    fitted = kind_map(versions, 2)
    assert np.abs(fitted[3]).max() < 0.005 and np.abs(fitted).max() == 1


def test_a_network_is_given_the_mean_of_whole_photos_and_its_map(module):
    kind_map, small = module("kind_map"), module("train_kind").SMALL
    pixels = np.random.default_rng(0).integers(0, 256, (40, 64, 64, 3), dtype=np.uint8)
    network = KindNetwork(small).eval().requires_grad_(False)
    kind_map.fit(network, pixels)
    holes = kind_map.part_holes(64)
    whole = kind_map.features_of(network, pixels, holes["no hole"])
    np.testing.assert_allclose(network.mean.numpy(), whole.mean(axis=0), atol=1e-5)
    versions = np.stack([kind_map.features_of(network, pixels[::4], hole) for hole in holes.values()])
    expected = kind_map.kind_map(versions, small.components)
    np.testing.assert_allclose(np.abs(network.projection.numpy()), np.abs(expected), atol=1e-3)


def test_parts_that_are_hidden(module):
    holes = module("kind_map").part_holes(128)
    assert {name: round(float(hole.mean()), 3) for name, hole in holes.items()} == {
        "no hole": 0,
        "centre": 0.25,
        "left half": 0.5,
        "right half": 0.5,
        "lower half": 0.5,
        "upper half": 0.5,
        "all but the middle": 0.609,
    }
    assert holes["left half"][:, 0].all() and holes["lower half"][-1].all() and holes["centre"][32:96, 32:96].all()


def test_figures_are_of_the_nearest_by_kind(module, monkeypatch):
    """Vectors in place of a network: every photo's nearest are of its own label, except one query's."""
    kind_map = module("kind_map")
    labels = ("street", "sea", "forest") * 60
    vectors = {"street": (1, 0, 0), "sea": (0, 1, 0), "forest": (0, 0, 1)}
    own = ("street", "sea", "forest", "sea")

    def kinds(_network, pixels, holes=None):
        names = labels if len(pixels) == 180 else ("street", "sea", "forest", "street")
        return np.array([vectors[name] for name in names], np.float32)

    def photos(names):
        return PackedPhotos(np.zeros((len(names), 4, 4, 3), np.uint8), names, names, "")

    monkeypatch.setattr(kind_map, "kinds_of_photos", kinds)
    table = kind_map.figures(KindNetwork(module("train_kind").SMALL), photos(labels), photos(own))
    assert table.splitlines()[2] == "| no hole | 0.750 | 0.750 | 0.750 |"


def test_two_sides_of_a_cut_share_no_pixel(module, monkeypatch):
    views = module("kind_views")
    size = 64
    monkeypatch.setattr(views, "APART", 1.0)
    monkeypatch.setattr(views.Views, "_coloured", lambda self, photos: photos)
    axis = torch.arange(72, dtype=torch.uint8)
    pixels = torch.stack([axis[:, None].expand(72, 72), axis[None].expand(72, 72), torch.zeros(72, 72)], dim=2)[None]
    made = views.Views(pixels.to(torch.uint8), size, seed=1)
    (one, holes_one), (two, holes_two) = made.draw(40)
    assert one.shape == (40, 3, size, size) and holes_one.shape == (40, size, size) and holes_one.dtype == torch.bool
    for first, second, hide_first, hide_second in zip(one, two, holes_one, holes_two, strict=True):
        turned = not torch.equal(first, second)
        if turned:
            second, hide_second = second.flip(2), hide_second.flip(1)
            assert torch.allclose(first, second, atol=1e-5)
        assert (hide_first | hide_second).all(), "both views show the pixel"
        assert 0 < (hide_first & hide_second).float().mean() < 0.25, "no gap, or too wide a one"


def test_other_pairs_are_two_crops_in_other_colours(module, monkeypatch):
    views = module("kind_views")
    monkeypatch.setattr(views, "APART", 0.0)
    pixels = torch.randint(0, 256, (4, 72, 72, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    draws = [views.Views(pixels, 64, seed=seed).draw(64) for seed in (0, 0, 1)]
    for (one, _), (two, _) in draws:
        assert not torch.allclose(one, two, atol=0.1) and one.abs().max() <= 1
    (first, holes), _ = draws[0]
    assert torch.equal(first, draws[1][0][0]) and not torch.equal(first, draws[2][0][0])
    assert 0.3 < holes.flatten(1).any(1).float().mean() < 0.7, "half of the crops have a hole"


def test_the_loss_is_least_where_partners_agree(module):
    info_nce = module("train_kind").info_nce
    one = torch.randn((16, 8), generator=torch.Generator().manual_seed(0))
    agree = info_nce(torch.cat([one, 3 * one]))
    assert agree < info_nce(torch.cat([one, one.flip(0)])) - 1
    vectors = torch.nn.functional.normalize(torch.cat([one, one.roll(1, 0)]), dim=1).double().numpy()
    alike = np.exp(vectors @ vectors.T / 0.2)
    np.fill_diagonal(alike, 0)
    expected = -np.log(alike[np.arange(32), np.arange(32) ^ 16] / alike.sum(axis=1)).mean()
    assert float(info_nce(torch.cat([one, one.roll(1, 0)]))) == pytest.approx(expected, rel=1e-4)
