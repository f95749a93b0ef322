"""Runs stop at a bad loss, lose nothing that was good, and name what is wrong."""

import errno
import os
from dataclasses import replace

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from training_runs import CPU, OFTEN, Stopped, assert_same, final_state, stop_at  # noqa: E402

from ce_retrieval.errors import CeretError, CheckpointError, SettingsError, StorageError, TrainingError  # noqa: E402
from ce_retrieval.training import Schedule  # noqa: E402
from ce_retrieval.training.data import Batches  # noqa: E402
from ce_retrieval.training.learner import Learner  # noqa: E402
from ce_retrieval.training.team import choose_device  # noqa: E402
from ce_retrieval.training.trainer import train  # noqa: E402


def test_a_bad_loss_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path, photos, held_out, tiny_config):
    config = tiny_config(steps=20)
    with pytest.raises(Stopped):
        train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, report=stop_at(5))
    before = final_state(tmp_path, 4)

    def poisoned(self, step):
        drawn, holes = Batches.whole_draw(self, step)
        return (drawn * float("nan") if step == 6 else drawn), holes

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Batches, "whole_draw", Batches.draw, raising=False)
        patch.setattr(Batches, "draw", poisoned)
        with pytest.raises(TrainingError, match=r"step 7: the reconstruction loss is nan.*checkpoint is kept"):
            train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, resume=True)
    assert_same(before, final_state(tmp_path, 4))
    for value in final_state(tmp_path, 6).values():
        assert torch.isfinite(value.float()).all()


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (Schedule(validate_every=5, checkpoint_every=100, gallery=8), "the network's fills are not numbers"),
        (Schedule(validate_every=100, checkpoint_every=5, gallery=8), "step 5: the weights are not finite"),
    ],
)
def test_weights_that_a_step_has_spoilt_are_not_kept(
    tmp_path, photos, held_out, tiny_config, monkeypatch, schedule, message
):
    update = Learner.update

    def spoilt(self, *inputs):
        losses = update(self, *inputs)
        if self.step == 5:
            for tensor in self.weights().values():
                tensor.fill_(float("nan"))
        return losses

    monkeypatch.setattr(Learner, "update", spoilt)
    with pytest.raises(TrainingError, match=message):
        train(tiny_config(steps=20), photos, tmp_path, device=CPU, held_out=held_out, schedule=schedule)
    assert not list((tmp_path / "checkpoints").iterdir()) and not (tmp_path / "best.safetensors").exists()


def test_a_diverging_loss_is_noticed():
    from ce_retrieval.training.divergence import DivergenceGuard

    guard = DivergenceGuard(100, every=5)
    with pytest.raises(TrainingError, match=r"step 1\d\d: the loss diverges"):
        for step in range(95):
            guard.add({"reconstruction": torch.tensor(0.1 if step < 60 else 5.0)})
    steady = DivergenceGuard(0, every=1)
    for step in range(300):
        steady.add({"reconstruction": torch.tensor(0.1 + 0.05 * (step % 2))})


def test_out_of_memory_names_the_batch_that_fits(tmp_path, photos, held_out, tiny_config, monkeypatch):
    from ce_retrieval.models.compact import Compact

    forward = Compact.forward

    def hungry(self, batch, holes):
        if len(batch) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, batch, holes)

    monkeypatch.setattr(Compact, "forward", hungry)
    with pytest.raises(TrainingError, match="`batch` 8 does not fit into the memory of cpu: use 2, which does"):
        train(tiny_config(), photos, tmp_path / "a", device=CPU, held_out=held_out)
    monkeypatch.setattr(Compact, "forward", lambda self, batch, holes: hungry(self, torch.zeros(9), holes))
    with pytest.raises(TrainingError, match="nor does a single photo"):
        train(tiny_config(), photos, tmp_path / "b", device=CPU, held_out=held_out)


def test_no_disk_for_a_checkpoint(tmp_path, photos, held_out, tiny_config, monkeypatch):
    with pytest.raises(Stopped):
        train(tiny_config(), photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, report=stop_at(3))
    before = final_state(tmp_path, 2)

    def full(_descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"no space left.*step-00000002 is whole, resume from it"):
            schedule = Schedule(validate_every=100, checkpoint_every=2, gallery=16)
            train(tiny_config(), photos, tmp_path, device=CPU, held_out=held_out, schedule=schedule, resume=True)
    assert_same(before, final_state(tmp_path, 2))
    assert [entry.name for entry in (tmp_path / "checkpoints").iterdir()] == ["step-00000002"]
    train(tiny_config(), photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, resume=True)


def test_a_folder_that_cannot_be_written(tmp_path, photos, tiny_config):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StorageError, match="file"):
        train(tiny_config(), photos, tmp_path / "file" / "run", device=CPU)


def test_runs_are_not_mixed_up(tmp_path, photos, held_out, tiny_config):
    options = {"device": CPU, "held_out": held_out, "schedule": OFTEN}
    train(tiny_config(), photos, tmp_path, **options)
    with pytest.raises(TrainingError, match="already holds a run: set `resume`"):
        train(tiny_config(), photos, tmp_path, **options)
    with pytest.raises(TrainingError, match="trained with another rate, seed: resume with the same settings"):
        train(tiny_config(seed=1, rate=0.5), photos, tmp_path, resume=True, **options)
    with pytest.raises(TrainingError, match="trained on other photos"):
        train(tiny_config(), replace(photos, fingerprint="other"), tmp_path, resume=True, **options)
    (tmp_path / "checkpoints" / "step-00000006" / "training.safetensors").write_bytes(b"cut")
    with pytest.raises(CheckpointError, match="truncated"):
        train(tiny_config(), photos, tmp_path, resume=True, **options)


@pytest.mark.parametrize("name", ["best.safetensors", "best-float16.safetensors", "metrics.csv", "seen-photos.npy"])
def test_a_resumed_run_replaces_no_file_of_others(tmp_path, photos, held_out, tiny_config, name):
    config = tiny_config(steps=9)
    with pytest.raises(Stopped):
        train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, report=stop_at(5))
    (tmp_path / name).write_text("my notes")
    with pytest.raises(CeretError, match=rf"{name} (is there already, and ceret did not write it|was altered)"):
        train(config, photos, tmp_path, device=CPU, held_out=held_out, schedule=OFTEN, resume=True)
    assert (tmp_path / name).read_text() == "my notes"


def test_devices_that_are_not_there():
    assert choose_device("cpu") == CPU
    if not torch.cuda.is_available():
        assert choose_device("auto") == CPU
        with pytest.raises(TrainingError, match="sees no GPU; use `device` cpu"):
            choose_device("cuda")
    for name in ("nonsense", "meta"):
        with pytest.raises(SettingsError, match="choose auto, cpu, cuda"):
            choose_device(name)


def test_photos_that_are_trained_and_validated_on_are_said(tmp_path, photos, held_out, tiny_config):
    config, said = tiny_config(steps=2), []
    for name, other in (("same", photos), ("apart", held_out)):
        train(config, photos, tmp_path / name, device=CPU, held_out=other, schedule=OFTEN, warn=said.append)
    count = len(photos)
    assert said == [f"{count} of {count} photos to validate on are trained on, too: their figures are too good"]
