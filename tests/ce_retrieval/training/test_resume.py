"""A run that was stopped ends, once resumed, bit-identical to one that was not."""

import csv
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_runs import CPU, OFTEN, Stopped, assert_same, final_state, stop_at  # noqa: E402

from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import load_tensors  # noqa: E402
from ce_retrieval.training import learner  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402


@pytest.fixture
def dropout(monkeypatch):
    """Networks under training drop out half of the maps before their head."""

    def build(*arguments, **options):
        network = build_network(*arguments, **options)
        network.dropout = torch.nn.Dropout(0.5)
        network.head.register_forward_pre_hook(lambda _, maps: network.dropout(*maps))
        return network

    monkeypatch.setattr(learner, "build_network", build)


@pytest.mark.parametrize("kind", ["compact", "joint", "dropout"])
def test_a_stopped_and_resumed_run_ends_bit_identical(kind, tmp_path, photos, held_out, tiny_config, request):
    config = tiny_config()
    if kind == "joint":
        request.getfixturevalue("few_channels")
        config = replace(config, adversarial=0.01, overlap=3)
    if kind == "dropout":
        request.getfixturevalue("dropout")
    options = {"device": CPU, "held_out": held_out, "schedule": OFTEN}
    train(config, photos, tmp_path / "whole", **options)
    for stop in (2, 3):
        with pytest.raises(Stopped):
            train(config, photos, tmp_path / "parts", resume=stop > 2, report=stop_at(stop), **options)
    train(config, photos, tmp_path / "parts", resume=True, **options)
    whole = final_state(tmp_path / "whole", config.steps)
    assert_same(whole, final_state(tmp_path / "parts", config.steps))
    assert any("optimiser.adversary" in name for name in whole) == (kind == "joint")
    best = [load_tensors(tmp_path / run / "best.safetensors") for run in ("whole", "parts")]
    assert_same(best[0][0], best[1][0])
    assert best[0][1]["metrics"] == best[1][1]["metrics"]
    rows = [
        list(csv.DictReader((tmp_path / run / "metrics.csv").read_text().splitlines())) for run in ("whole", "parts")
    ]
    drop = ("seconds", "loss")  # the mean loss since the last row: a resumed run has not seen all of it
    assert [{k: v for k, v in row.items() if k not in drop} for row in rows[0]] == [
        {k: v for k, v in row.items() if k not in drop} for row in rows[1]
    ]
