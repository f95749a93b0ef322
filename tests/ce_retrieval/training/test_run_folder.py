"""The folder of a run: nothing of another run is replaced, nothing is resumed from nowhere, killed runs leave nothing."""

import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.errors import StorageError, TrainingError
from ce_retrieval.training.run_folder import RunFolder


@pytest.mark.parametrize(
    "name",
    ["best.safetensors", "best-float16.safetensors", "metrics.csv", "samples/step-00000500.png", "seen-photos.npy"],
)
def test_a_new_run_replaces_nothing(tmp_path, name):
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("hours of work")
    with pytest.raises(
        TrainingError, match=f"{name} is there already, of another run: move it away, or use another `out`"
    ):
        RunFolder(tmp_path / "run").check(resume=False)
    assert path.read_text() == "hours of work" and len(list(tmp_path.rglob("*.*"))) == 1


def test_a_run_starts_beside_other_files(tmp_path):
    for name in (
        "notes.txt",
        "samples/mine.png",
        "tensorboard/events",
        "checkpoints/.step-00000003.0123456789abcdef.tmp/x",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("kept")
    RunFolder(tmp_path).check(resume=False)


def test_a_run_that_is_there_is_resumed_or_left_alone(tmp_path):
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    RunFolder(tmp_path).check(resume=True)
    with pytest.raises(TrainingError, match="already holds a run: set `resume` to continue it, or use another `out`"):
        RunFolder(tmp_path).check(resume=False)


@pytest.mark.parametrize("left", [(), ("best.safetensors",), ("checkpoints/.step-00000003.0123456789abcdef.tmp",)])
def test_nothing_to_resume_is_refused(tmp_path, left):
    for name in left:
        (tmp_path / "run" / name).mkdir(parents=True)
    with pytest.raises(
        TrainingError, match="run holds no checkpoint to resume from: leave out `resume` to start a run"
    ):
        RunFolder(tmp_path / "run").check(resume=True)
    assert (tmp_path / "run").exists() == bool(left)


@pytest.mark.parametrize("text", ["step;loss\n1;2\n", "step,loss\none,2\n", "loss\n2\n", "step,loss\n1,2\n\x00\n"])
def test_a_table_that_was_altered_is_named_before_the_run_goes_on(tmp_path, text):
    (tmp_path / "checkpoints" / "step-00000002").mkdir(parents=True)
    (tmp_path / "metrics.csv").write_text(text)
    with pytest.raises(TrainingError, match=r"metrics\.csv was altered .*: move it away, and resume"):
        RunFolder(tmp_path).check(resume=True)
    assert (tmp_path / "metrics.csv").read_text() == text


def test_what_a_killed_run_left_is_deleted_and_nothing_else(tmp_path):
    ours = (
        "checkpoints/.step-00000003.0123456789abcdef.tmp/network.safetensors",
        ".best.safetensors.00ff.tmp",
        ".metrics.csv.1.tmp",
    )
    ours += ("samples/.step-00000003.png.2a.tmp", ".best-float16.safetensors.3b.tmp")
    others = (
        ".notes",
        ".best.safetensors.tmp",
        ".thesis.doc.00ff.tmp",
        "checkpoints/.mine/x",
        "checkpoints/step-00000002/x",
    )
    for name in (*ours, *others):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).write_text("text")
    with RunFolder(tmp_path).writing():
        left = {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {*others, "lock"}


def test_two_runs_at_once(tmp_path):
    with RunFolder(tmp_path).writing(), pytest.raises(TrainingError, match="is being written by process"):
        RunFolder(tmp_path).writing().__enter__()
    with RunFolder(tmp_path).writing():
        assert (tmp_path / "checkpoints").is_dir() and (tmp_path / "samples").is_dir()


def test_a_place_that_cannot_be_a_folder_is_named_before_any_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for place in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(StorageError, match=r"cannot write .*: .*file is not a folder; choose another"):
            RunFolder(place).check(resume=False)


def test_copies_of_checkpoints_are_neither_resumed_nor_deleted(tmp_path, monkeypatch):
    from types import SimpleNamespace

    from ce_retrieval.training import run_folder

    monkeypatch.setattr(run_folder, "save_network", lambda *_, **__: None)
    monkeypatch.setattr(run_folder, "save_tensors", lambda *_, **__: None)
    steps = ["step-00000001", "step-99999999", "step-100000000"]
    copies = ["step-00000001-backup", "step-00000001.old", "step-1", "step-999999999x", "step-"]
    for name in (*steps, *copies):
        (tmp_path / "checkpoints" / name).mkdir(parents=True)
    (tmp_path / "checkpoints" / "step-999999999").write_text("not a folder")
    folder = RunFolder(tmp_path)
    assert folder.newest().name == "step-100000000"
    folder.save(SimpleNamespace(step=100000001, network=None, tensors=dict), {})
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == sorted([*copies, "step-999999999", "step-100000000", "step-100000001"])


def test_what_another_run_wrote_since_the_first_check_is_not_replaced(tmp_path, photos, tiny_config, monkeypatch):
    import torch

    from ce_retrieval.training.trainer import train

    monkeypatch.setattr(RunFolder, "check", once(RunFolder.check, tmp_path / "checkpoints" / "step-00000002"))
    with pytest.raises(TrainingError, match="already holds a run: set `resume` to continue it"):
        train(tiny_config(), photos, tmp_path, device=torch.device("cpu"))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoints", "lock", "samples"]


def once(check, made):
    """A check after whose first call another run writes a checkpoint."""

    def checked(self, *, resume):
        check(self, resume=resume)
        made.mkdir(parents=True, exist_ok=True)

    return checked


def test_columns_of_others_stay_in_the_table(tmp_path):
    (tmp_path / "metrics.csv").write_text("step,loss,notes\n1,0.5,good\n2,0.4,better\n")
    RunFolder(tmp_path).append_metrics({"step": 2, "loss": 0.3})
    assert (tmp_path / "metrics.csv").read_text() == "step,loss,notes\n1,0.5,good\n2,0.3,\n"
