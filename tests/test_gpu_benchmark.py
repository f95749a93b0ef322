"""The command for a machine with a GPU: rehearsed without one, without FAISS and OR-Tools, and its errors are one line."""

import importlib.util
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

from ce_retrieval.models.kind_network import load_kind_network  # noqa: E402

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


@pytest.mark.slow
def test_every_part_is_rehearsed_without_engines_and_leaves_its_results(tmp_path):
    """The part `checks` runs tests which this suite runs anyway."""
    (tmp_path / "blocked").mkdir()
    (tmp_path / "blocked" / "sitecustomize.py").write_text(BLOCKED)
    path = os.pathsep.join([str(tmp_path / "blocked"), os.environ.get("PYTHONPATH", "")])
    started = {"capture_output": True, "text": True, "env": {**os.environ, "PYTHONPATH": path}}
    for name in ("faiss", "ortools"):
        assert subprocess.run([sys.executable, "-c", f"import {name}"], **started).returncode, f"{name} is in reach"
    out = tmp_path / "out"
    command = [sys.executable, SCRIPT, "--rehearse", "--only", "rates,compact,kind,joint,region", "--out", out]
    done = subprocess.run(command, **started)
    assert done.returncode == 0, done.stdout + done.stderr + (out / "log.txt").read_text()
    results = dict(part.split("\n", 1) for part in (out / "results.md").read_text().split("\n## ")[1:])
    assert list(results) == ["rates", "compact", "kind", "joint", "paper-center", "region", "autoencoder"]
    assert [row.split(" | ")[0] for row in results["rates"].splitlines() if row.startswith("| ")][1:] == [
        "| engine",
        "| eager float32 DataLoader loop",
        "| without bf16",
    ]
    assert results["kind"].count("\n| ") == 7 and "| left half | " in results["kind"]
    assert "steps of 8 pairs" in (out / "log.txt").read_text()
    fitted = load_kind_network(out / "kind.safetensors")[0].projection
    assert fitted.abs().max() == 1 and fitted.count_nonzero() == fitted.numel(), "no map was fitted"
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
    assert said == [("checks", 2.0), ("compact", 4.8), ("kind", 6.5), ("joint", 6.5), ("region", 13.0)]


@pytest.fixture
def parts(monkeypatch):
    """The module of the parts."""
    monkeypatch.syspath_prepend(SCRIPT.parent)
    return importlib.import_module("gpu_parts")


def test_photos_to_measure_on_are_never_enlarged(parts, tmp_path):
    """Enlarged and reduced again, the truths would be blurred, and every fill nearer to them."""
    (tmp_path / "val").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "val" / "a.png")
    options = SimpleNamespace(
        data=[tmp_path / "val"], val=tmp_path / "val", out=tmp_path, minutes=1, rehearse=False, shapes=None
    )
    packed, held_out = parts.Parts(options, tmp_path).photos(128)
    assert packed.size == 144
    np.testing.assert_array_equal(held_out.pixels[0], noise)


def test_results_come_one_by_one(parts, tmp_path):
    options = SimpleNamespace(out=tmp_path, minutes=1, rehearse=True)
    recorded = parts.Parts(options, tmp_path)
    for name, text in (("rates", "one row"), ("kind", "a table"), ("rates", "one row\ntwo rows")):
        recorded.record(name, text)
    assert (tmp_path / "results.md").read_text().split("\n\n", 1)[1] == (
        "## rates\n\none row\ntwo rows\n\n## kind\n\na table\n"
    )


def test_checks_are_read_as_they_end(parts):
    table = parts.ChecksTable()
    lines = [
        "collected 4 items",
        "tests/test_gpu.py::test_a[cuda-0.01] PASSED                    [ 25%]",
        "tests/test_gpu.py::test_b FAILED                               [ 50%]",
        "tests/test_gpu.py::test_c SKIPPED (no GPU)                     [ 75%]",
    ]
    assert [table.read(line) for line in lines] == [False, True, True, True]
    assert [row.split(" | ")[:2] for row in str(table).splitlines()[2:]] == [
        ["| test_a[cuda-0.01]", "passed"],
        ["| test_b", "failed"],
        ["| test_c", "skipped"],
    ]
    assert table.read("FAILED tests/test_gpu.py::test_b - AssertionError: 1 | 2")
    assert "| test_b | FAILED: AssertionError: 1 / 2 | " in str(table)
