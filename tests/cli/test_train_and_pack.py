"""`ceret pack` and `ceret train` from the command line, on a handful of photos."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

TINY = ["--set", "size=32", "--set", "widths=8,16,16", "--set", "mixers=1", "--batch", "4"]


def make_folder(path):
    path.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), 10, 0), 10, 1)
        Image.fromarray(pixels).save(path / f"{number:02d}.png")
    return path


@pytest.fixture
def folder(tmp_path):
    return make_folder(tmp_path / "photos")


def test_pack_then_train_then_resume(ceret, one_line_error, folder, tmp_path):
    pytest.importorskip("torch")
    (folder / "broken.jpg").write_bytes(b"nothing")
    packed = ceret("pack", folder, "--size", 48, "--out", tmp_path / "photos.h5")
    assert packed.exit_code == 0 and "20 photos of 48 x 48 px, 1 skipped" in packed.stdout
    assert packed.stderr.startswith("1 file skipped:\n  broken.jpg: ")
    about = json.loads(ceret("pack", folder, "--size", 48, "--out", tmp_path / "photos.h5", "--json").stdout)
    assert about["photos"] == 20 and about["size"] == 48 and about["skipped_files"][0][0] == "broken.jpg"
    arguments = (tmp_path / "photos.h5", "--out", tmp_path / "run", "--steps", 4, "--validate-every", 2, *TINY)
    trained = ceret("train", *arguments)
    assert trained.exit_code == 0, trained.exception
    assert trained.stdout.startswith(str(tmp_path / "run" / "best.safetensors"))
    assert trained.stderr.count("psnr_of_l2") == 2
    again = ceret("train", *arguments)
    assert "already holds a run: set --resume to continue it, or use another --out" in one_line_error(again)
    resumed = ceret("train", *arguments, "--resume", "--json")
    about = json.loads(resumed.stdout)
    assert about["weights"] == str(tmp_path / "run" / "best.safetensors") and about["best_step"] in (2, 4)
    assert about["best"]["l2"] > 0 and about["steps"] == 4


def test_training_from_a_folder_with_other_photos_to_validate_on(ceret, folder, tmp_path):
    pytest.importorskip("torch")
    arguments = ("--val", folder, "--out", tmp_path / "run", "--steps", 2, "--masks", "region", *TINY)
    trained = ceret("train", folder, *arguments)
    assert trained.exit_code == 0, trained.exception


def test_photos_to_validate_on_are_read_at_the_size_of_the_network(ceret, folder, tmp_path, monkeypatch):
    """Enlarged to the size of the training photos and reduced again, they would be blurred, and every fill nearer to them."""
    pytest.importorskip("torch")
    from ce_retrieval.training import trainer

    (tmp_path / "val").mkdir()
    truths = np.random.default_rng(0).integers(0, 256, (8, 32, 32, 3), dtype=np.uint8)
    for number, truth in enumerate(truths):
        Image.fromarray(truth).save(tmp_path / "val" / f"{number}.png")
    given, train = [], trainer.train
    monkeypatch.setattr(
        trainer,
        "train",
        lambda *args, held_out, **rest: given.append(held_out) or train(*args, held_out=held_out, **rest),
    )
    for val in (tmp_path / "val", tmp_path / "val.h5"):
        if val.suffix:
            ceret("pack", tmp_path / "val", "--size", 32, "--out", val)
        arguments = ("--val", val, "--out", tmp_path / f"run{val.suffix}", "--steps", 1, "--size", 48, *TINY)
        trained = ceret("train", folder, *arguments)
        assert trained.exit_code == 0, trained.exception
        np.testing.assert_array_equal(given[-1].pixels, truths)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", 2, "--device", "cuda"], "sees no GPU"),
        (["--steps", 2, "--device", "cpu:9"], "--device is 'cpu:9': choose auto, cpu, cuda or cuda:N"),
        (["--steps", 2, "--batch", 64], "only 12 photos are left to train on: use 12 or less"),
        (["--steps", 2, "--set", "speed=9"], "names no field"),
        (["--steps", 2, "--size", 24], "smaller than the crop of 32"),
        ([], "give the length of the run"),
    ],
)
def test_mistakes_are_named_in_one_line(ceret, one_line_error, folder, tmp_path, arguments, message):
    torch = pytest.importorskip("torch")
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = ceret("train", folder, "--out", tmp_path / "run", *TINY, *arguments)
    assert message in one_line_error(result)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--resume"], "run holds no checkpoint to resume from: leave out --resume to start a run, or check --out"),
        (["--out", "{folder}/00.png"], "cannot write {folder}/00.png: {folder}/00.png is not a folder; choose another"),
        (["--init", "{folder}/00.png"], "00.png: truncated or no safetensors file"),
        (["--init", "{folder}"], "photos: a folder, not a checkpoint file"),
        (["--init", "none.safetensors"], "none.safetensors: no such checkpoint file"),
        (["--shapes", "{folder}"], "leave out --shapes for procedural ones"),
        (["--steps", "2", "--minutes", "2"], "give the length of the run either as --steps or as --minutes"),
    ],
)
def test_what_is_wrong_is_said_before_photos_are_decoded(
    ceret, one_line_error, folder, tmp_path, monkeypatch, arguments, message
):
    pytest.importorskip("torch")
    monkeypatch.setattr("ce_retrieval.training.open_photos", lambda *_, **__: 1 / 0)
    arguments = [argument.format(folder=folder) for argument in arguments]
    result = ceret("train", folder, "--out", tmp_path / "run", "--steps", 2, *TINY, *arguments)
    assert message.format(folder=folder) in one_line_error(result)
    assert not (tmp_path / "run").exists() and (folder / "00.png").stat().st_size > 100


def test_a_best_network_outlives_its_checkpoints(ceret, one_line_error, folder, tmp_path):
    pytest.importorskip("torch")
    best = tmp_path / "run" / "best.safetensors"
    best.parent.mkdir()
    best.write_bytes(b"days of training")
    result = ceret("train", folder, "--out", tmp_path / "run", "--steps", 2, *TINY)
    assert f"{best} is there already, of another run: move it away, or use another --out" in one_line_error(result)
    assert best.read_bytes() == b"days of training" and list(best.parent.iterdir()) == [best]


def test_the_speed_is_told_once_it_is_known(capsys):
    """After the first step of a start, also of one that resumes, there is none."""
    import math

    from ce_retrieval.training.config import TrainConfig
    from ce_retrieval.training.presets import preset_config
    from cli.train import _report

    config: TrainConfig = preset_config("compact", steps=9)
    for speed, left, told in (
        (0.0, math.inf, "step 5  loss 0.25000\n"),
        (7.0, 60.0, "loss 0.25000  7 photos/s  1.0 min left\n"),
    ):
        now = SimpleNamespace(step=5, loss=0.25, photos_per_second=speed, left=left, metrics={"l2": 1.0})
        _report(lambda *_: None, config, now)
        assert told in capsys.readouterr().err


WITHOUT_ENGINES = """
import sys
sys.modules["faiss"] = sys.modules["ortools"] = None  # importing them fails, as on a machine without them
from cli.main import main
packed, out, photos = sys.argv[1:]
main(["pack", photos, "--out", packed, "--size", "40"], standalone_mode=False)
options = "--steps 3 --batch 4 --validate-every 2 --set size=32 --set widths=8,16,16 --set mixers=1 --device cpu"
main(["train", packed, "--out", out, *options.split()], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def terminal_run(tmp_path_factory):
    """A process without faiss and OR-Tools that packs photos and trains three steps, with stderr on a terminal."""
    pytest.importorskip("torch")
    path = tmp_path_factory.mktemp("terminal")
    ours, theirs = pty.openpty()
    command = [sys.executable, "-c", WITHOUT_ENGINES, path / "photos.h5", path / "run", make_folder(path / "photos")]
    root, environment = Path(__file__).parents[2], {**os.environ, "COLUMNS": "160", "TERM": "xterm"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=theirs, text=True, cwd=root, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 1 << 16)
            except OSError:  # Linux reports the end of a terminal so
                break
            if not part:
                break
            shown += part
        printed = process.stdout.read()
    os.close(ours)
    return process.returncode, printed, shown.decode()


def test_training_needs_neither_faiss_nor_ortools(terminal_run):
    code, printed, shown = terminal_run
    assert code == 0, shown
    assert "20 photos of 40 x 40 px, 0 skipped" in printed and "best.safetensors (step " in printed


def test_a_terminal_shows_how_far_a_run_is(terminal_run):
    lines = terminal_run[2].replace("\r", "\n").splitlines()
    assert any("packing" in line and "20/20" in line for line in lines)
    steps = [line for line in lines if "training" in line and "3/3" in line]
    assert any("loss 0." in line and "photos/s" in line for line in steps), lines
    for step in (2, 3):
        place = next(number for number, line in enumerate(lines) if f"step {step}  loss 0." in line)
        assert any("psnr_of_l2" in line for line in lines[place : place + 3])


def test_without_torch_the_error_says_how_to_install_it(ceret, one_line_error, folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    result = ceret("train", folder, "--out", tmp_path / "run", "--steps", 1)
    assert "pip install torch safetensors" in one_line_error(result)


def test_the_commands_do_not_load_torch():
    heavy = "[name for name in ('torch', 'h5py', 'faiss') if name in sys.modules]"
    code = f"import sys, json, cli.train, cli.pack, ce_retrieval; print(json.dumps({heavy}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
