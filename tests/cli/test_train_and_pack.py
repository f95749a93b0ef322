"""`ceret pack` and `ceret train` from the command line, on a handful of photos."""

import json
import subprocess
import sys

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from ce_retrieval.errors import CeretError
from cli.pack import command as pack
from cli.train import command as train

TINY = ["--set", "size=32", "--set", "widths=8,16,16", "--set", "mixers=1", "--batch", "4"]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    rng = np.random.default_rng(0)
    for number in range(20):
        pixels = np.repeat(np.repeat(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8), 10, 0), 10, 1)
        Image.fromarray(pixels).save(path / f"{number:02d}.png")
    return path


def run(command, *arguments):
    return CliRunner().invoke(command, [str(argument) for argument in arguments])


def test_pack_then_train_then_resume(folder, tmp_path):
    pytest.importorskip("torch")
    (folder / "broken.jpg").write_bytes(b"nothing")
    packed = run(pack, folder, "--size", 48, "--out", tmp_path / "photos.h5")
    assert packed.exit_code == 0 and "20 photos of 48 x 48 px, 1 skipped" in packed.stdout
    assert "skipped broken.jpg" in packed.stderr
    arguments = (tmp_path / "photos.h5", "--out", tmp_path / "run", "--steps", 4, "--validate-every", 2, *TINY)
    trained = run(train, *arguments)
    assert trained.exit_code == 0, trained.exception
    assert trained.stdout.startswith(str(tmp_path / "run" / "best.safetensors"))
    assert trained.stderr.count("psnr_of_l2") == 2
    again = run(train, *arguments)
    assert isinstance(again.exception, CeretError) and "add --resume" in str(again.exception)
    assert run(train, *arguments, "--resume").exit_code == 0


def test_training_from_a_folder_with_other_photos_to_validate_on(folder, tmp_path):
    pytest.importorskip("torch")
    arguments = ("--val", folder, "--out", tmp_path / "run", "--steps", 2, "--masks", "region", *TINY)
    trained = run(train, folder, *arguments)
    assert trained.exit_code == 0, trained.exception


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--steps", 2, "--device", "cuda"], "use --device cpu"),
        (["--steps", 2, "--batch", 64], "use --batch"),
        (["--steps", 2, "--set", "speed=9"], "names no field"),
        (["--steps", 2, "--size", 24], "smaller than the crop of 32"),
        ([], "either as steps or as minutes"),
    ],
)
def test_mistakes_are_named_in_one_line(folder, tmp_path, arguments, message):
    torch = pytest.importorskip("torch")
    if "cuda" in arguments and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    result = run(train, folder, "--out", tmp_path / "run", *TINY, *arguments)
    assert isinstance(result.exception, CeretError), result.exception
    assert message in str(result.exception) and "\n" not in str(result.exception)


def test_without_torch_the_error_says_how_to_install_it(folder, tmp_path, monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    result = run(train, folder, "--out", tmp_path / "run", "--steps", 1)
    assert isinstance(result.exception, CeretError) and "pip install torch safetensors" in str(result.exception)


def test_the_commands_do_not_load_torch():
    heavy = "[name for name in ('torch', 'h5py', 'faiss') if name in sys.modules]"
    code = f"import sys, json, cli.train, cli.pack, ce_retrieval; print(json.dumps({heavy}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []
