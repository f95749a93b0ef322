"""`ceret pack` and `ceret train` from the command line, on a handful of photos."""

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

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
    assert "already holds a run" in one_line_error(again)
    resumed = ceret("train", *arguments, "--resume", "--json")
    about = json.loads(resumed.stdout)
    assert about["weights"] == str(tmp_path / "run" / "best.safetensors") and about["best_step"] in (2, 4)
    assert about["best"]["l2"] > 0 and about["steps"] == 4


def test_training_from_a_folder_with_other_photos_to_validate_on(ceret, folder, tmp_path):
    pytest.importorskip("torch")
    arguments = ("--val", folder, "--out", tmp_path / "run", "--steps", 2, "--masks", "region", *TINY)
    trained = ceret("train", folder, *arguments)
    assert trained.exit_code == 0, trained.exception


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", 2, "--device", "cuda"], "sees no GPU"),
        (["--steps", 2, "--batch", 64], "only 12 photos are left to train on: use 12 or less"),
        (["--steps", 2, "--set", "speed=9"], "names no field"),
        (["--steps", 2, "--size", 24], "smaller than the crop of 32"),
        ([], "give the length of the run"),
        (["--steps", 2, "--rate", "nan"], "is nan: expected a number in (0, 1000000000]"),
        (["--steps", 2, "--set", "beta1=2"], "`beta1` is 2.0: expected a number in [0, 1)"),
        (["--steps", 2, "--set", "jitter=nan"], "`jitter` is nan: expected a number in [0, 1]"),
        (["--steps", 2, "--set", "size=0"], "the network's size is 0: expected a number in [16, 4096]"),
    ],
)
def test_mistakes_are_named_in_one_line(ceret, one_line_error, folder, tmp_path, arguments, message):
    torch = pytest.importorskip("torch")
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = ceret("train", folder, "--out", tmp_path / "run", *TINY, *arguments)
    assert message in one_line_error(result)


@pytest.mark.parametrize(
    ("option", "values", "limits"),
    [
        ("--steps", "0", "1<=x<="),
        ("--minutes", "0", "0<x<=1000000000"),
        ("--minutes", "inf", "0<x<=1000000000"),
        ("--batch", "-3", "1<=x<="),
        ("--rate", "0", "0<x<=1000000000"),
        ("--adversarial", "1", "0<=x<1"),
        ("--seed", "-1", "0<=x<="),
        ("--size", "8", "16<=x<=4096"),
        ("--validate-every", "0", "x>=1"),
        ("--checkpoint-every", "0", "x>=1"),
    ],
)
def test_numbers_out_of_range_are_usage_errors(ceret, folder, tmp_path, option, values, limits):
    result = ceret("train", folder, "--out", tmp_path / "run", option, values)
    assert result.exit_code == 2 and limits in result.stderr and not (tmp_path / "run").exists()


@pytest.mark.parametrize(("option", "limits"), [("--workers", "x>=1"), ("--size", "16<=x<=4096")])
def test_packing_with_numbers_out_of_range(ceret, folder, tmp_path, option, limits):
    result = ceret("pack", folder, "--out", tmp_path / "out.h5", option, 0)
    assert result.exit_code == 2 and limits in result.stderr and not (tmp_path / "out.h5").exists()


WITHOUT_ENGINES = """
import sys
sys.modules["faiss"] = sys.modules["ortools"] = None  # importing them fails, as on a machine without them
from cli.main import main
packed, out, photos = sys.argv[1:]
main(["pack", photos, "--out", packed, "--size", "40"], standalone_mode=False)
options = "--steps 2 --batch 4 --validate-every 1 --set size=32 --set widths=8,16,16 --set mixers=1 --device cpu"
main(["train", packed, "--out", out, *options.split()], standalone_mode=False)
"""


@pytest.fixture(scope="module")
def terminal_run(tmp_path_factory):
    """A process without faiss and OR-Tools that packs photos and trains two steps, with stderr on a terminal."""
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
    steps = [line for line in lines if "training" in line and "2/2" in line]
    assert any("loss 0." in line and "photos/s" in line for line in steps), lines
    for step in (1, 2):
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
