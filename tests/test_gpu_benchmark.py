"""The command for a machine with a GPU: rehearsed without one, without FAISS and OR-Tools, and its errors are one line."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

SCRIPT = Path(__file__).resolve().parents[1] / "benchmarks" / "gpu.py"


@pytest.fixture(scope="module")
def gpu():
    spec = importlib.util.spec_from_file_location("gpu", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def error(gpu, capsys):
    """A function that runs the command, which must fail, and returns its error, which must be one line."""

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            gpu.main([*map(str, arguments)])
        text = caught.value.code if isinstance(caught.value.code, str) else capsys.readouterr().err.splitlines()[-1]
        assert "\n" not in text and text.split(": ")[1] == "error"
        return text

    return run


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    Image.new("RGB", (40, 40), (9, 99, 199)).save(folder / "a.png")
    return folder


@pytest.fixture
def card(monkeypatch):
    """A function that pretends that there is a card of so many GiB."""

    def pretend(size):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Tiny 1")
        monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=size << 30))

    return pretend


BLOCKED = "import sys; sys.modules['faiss'] = sys.modules['ortools'] = None\n"


def test_every_part_is_rehearsed_without_engines_and_leaves_its_results(tmp_path):
    """The part `checks` runs tests which this suite runs anyway."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED)
    path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
    started = {"capture_output": True, "text": True, "env": {**os.environ, "PYTHONPATH": path}}
    for name in ("faiss", "ortools"):
        assert subprocess.run([sys.executable, "-c", f"import {name}"], **started).returncode, f"{name} is in reach"
    out = tmp_path / "out"
    command = [sys.executable, SCRIPT, "--rehearse", "--only", "rates,compact,joint,region", "--out", out]
    done = subprocess.run(command, **started)
    assert done.returncode == 0, done.stdout + done.stderr + (out / "log.txt").read_text()
    results = json.loads((out / "results.json").read_text())
    assert list(results) == ["rates", "compact", "joint", "paper-center", "region", "autoencoder"]
    assert results["rates"].count("\n| ") == 3 and "eager float32 DataLoader loop" in results["rates"]
    for name in ("compact", "joint", "region", "autoencoder"):
        assert results[name].count("\n| ") == 4 and "| center | " in results[name]
        assert (out / f"{name}.safetensors").stat().st_size < 16 << 20
    assert results["paper-center"].count("\n| ") == 2, "it fills the centre alone"
    assert np.asarray(Image.open(out / "grids.png")).shape[0] > 5 * 3 * 64
    assert len(os.listdir(out)) == 8


def test_no_card(error, photos, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("there is one")
    line = error("--data", photos, "--val", photos, "--out", tmp_path / "out")
    assert "sees no GPU" in line and "--rehearse" in line and not (tmp_path / "out").exists()


def test_a_card_that_is_too_small(error, card, photos, tmp_path):
    card(8)
    line = error("--data", photos, "--val", photos, "--out", tmp_path / "out")
    assert "Tiny 1 has 8 GiB: expected 16 or more" in line and not (tmp_path / "out").exists()


def test_an_old_driver_is_named(error, monkeypatch, photos, tmp_path):
    def old():
        import warnings

        warnings.warn("The NVIDIA driver on your system is too old (found version 11040).", stacklevel=1)
        return False

    monkeypatch.setattr(torch.cuda, "is_available", old)
    assert "driver on your system is too old (found version 11040)" in error(
        "--data", photos, "--val", photos, "--out", tmp_path / "out"
    )


def test_photos_that_are_missing_or_cut(error, card, photos, tmp_path):
    from ce_retrieval.training import pack_photos

    card(80)
    out = ("--out", tmp_path / "out")
    assert "none: no such file or folder" in error("--data", tmp_path / "none", "--val", photos, *out)
    pack_photos([photos], tmp_path / "shards", 32, format="webp")
    pack_photos([photos], tmp_path / "packed.h5", 32)
    for path, cut in ((tmp_path / "shards" / "00000.tar", 700), (tmp_path / "packed.h5", 900)):
        path.write_bytes(path.read_bytes()[:cut])
        line = error("--data", path, "--val", photos, *out)
        assert path.name in line and ("truncated" in line or "not a whole tar" in line)
    assert "no such file" in error("--data", photos, "--val", tmp_path / "v.h5", *out)
    assert not (tmp_path / "out").exists()


def test_options_that_cannot_be(error, photos, tmp_path):
    assert "--data and --val are needed" in error("--out", tmp_path / "out")
    assert "--only speed: choose of checks, rates" in error("--only", "speed", "--rehearse", "--out", tmp_path / "out")
    assert "--minutes -1.0: expected more than 0" in error("--minutes", -1, "--rehearse", "--out", tmp_path / "out")
    for name in ("results.md", "joint.safetensors"):
        out = tmp_path / name.partition(".")[0]
        out.mkdir()
        (out / name).write_text("mine")
        assert f"{name} is there already: choose another --out" in error("--rehearse", "--out", out)
        assert os.listdir(out) == [name]


def test_a_part_that_fails_leaves_the_others_alone(gpu, error, monkeypatch, tmp_path):
    said = []

    def run(name, minutes, options):
        if name == "rates":
            return "ended with exit code 1, see log.txt"
        said.append((name, round(minutes, 1)))
        return None

    monkeypatch.setattr(gpu, "run_part", run)
    line = error("--rehearse", "--minutes", 13, "--out", tmp_path / "out")
    assert "rates: ended with exit code 1, see log.txt" in line
    # Here all end at once: what a part leaves goes to those after it.
    assert said == [("checks", 1.5), ("compact", 6.8), ("joint", 7.2), ("region", 13.0)]
