"""Every command: help, documented options, light imports, quiet ends."""

import importlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import click
import numpy as np
import pytest
from interrupts import heed_interrupts
from PIL import Image

from ce_retrieval.settings import Range
from cli.main import COMMANDS, main
from cli.values import Focus, Memory

HEAVY = (
    "numpy",
    "PIL",
    "torch",
    "faiss",
    "pyarrow",
    "h5py",
    "scipy",
    "skimage",
    "cv2",
    "numba",
    "rich",
    "onnxruntime",
    "ortools",
    "safetensors",
)
ROOT = Path(__file__).parents[2]
CERET = [sys.executable, "-c", "from cli.main import main; main()"]


def test_every_command_and_option_is_documented():
    context = click.Context(main)
    assert main.list_commands(context) == list(COMMANDS)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None and command.help and len(command.help.split()) >= 5, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help and parameter.help.endswith((".", ")")), f"{name} {parameter.opts}"
            else:
                # An argument has no help of its own: the command's text speaks of it.
                word = re.match(r"[A-Z]+|", parameter.metavar or parameter.human_readable_name.upper())[0]
                assert word in command.help or word == "NAME", f"{name}: {word}"


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command(ceret, name):
    for flag in ("-h", "--help"):
        result = ceret(name, flag)
        assert result.exit_code == 0 and result.stdout.startswith(f"Usage: main {name}") and result.stderr == ""


def test_every_command_module_is_a_command():
    modules = {path.stem for path in Path(importlib.import_module("cli").__file__).parent.glob("*.py")}
    shared = {
        "__init__",
        "main",
        "options",
        "output",
        "completion_options",
        "train_options",
        "transfer_options",
        "values",
        "interrupt",
    }
    assert modules - shared == set(COMMANDS)


def test_help_imports_nothing_heavy():
    script = f"""
import contextlib, io, json, sys
from cli.main import main
found = {{}}
for arguments in json.loads(sys.argv[1]):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        with contextlib.suppress(SystemExit):
            main(arguments)
    found[" ".join(arguments)] = sorted({set(HEAVY)!r} & {{name.partition(".")[0] for name in sys.modules}})
print(json.dumps(found))
"""
    runs = [["--help"], ["--version"], ["complete", "--help"], ["query", "--help"], ["query"]]
    run = subprocess.run(
        [sys.executable, "-c", script, json.dumps(runs)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert json.loads(run.stdout) == {" ".join(arguments): [] for arguments in runs}


def test_usage_errors_end_with_2(ceret, photo, mask, crop_index, tmp_path):
    good = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / "out"]
    good += ["--method", "retrieval"]
    for arguments, message in (
        (["no-such-command"], "No such command"),
        (["complete"], "Missing argument"),
        (["complete", photo, "--mask", mask, "--index", crop_index], "Missing option '--out'"),
        ([*good, "-k", "0"], "-k"),
        ([*good, "-k", "many"], "-k"),
        ([*good, "--fill", "magic"], "paste"),
        ([*good, "--rerank", "luck"], "rim"),
        ([*good, "--focus", "-1"], "'-1' is not a number from 0.1 to 1000000000 px"),
        ([*good, "--focus", "inf"], "not a number from 0.1"),
        ([*good, "--colour"], "No such option"),
        (["query", photo, "--mask", mask], "Missing option '--index'"),
        (["query", photo, photo, "--mask", mask, "--index", crop_index], "unexpected extra argument"),
    ):
        result = ceret(*arguments)
        assert result.exit_code == 2 and message in result.stderr and result.stdout == "", (arguments, result.output)
    assert not (tmp_path / "out").exists()


def test_amounts_of_memory():
    convert = Memory(Range(low=100, high=16 << 40)).convert
    for text, amount in (("4GB", 4 << 30), ("512 mb", 512 << 20), ("1.5G", 3 << 29), ("100", 100), ("2k", 2048)):
        assert convert(text, None, None) == amount
    for text in ("", "GB", "4 XB", "-1GB", "1e3", "4GBB", "0", "99", "17TB", "9" * 400):
        with pytest.raises(click.BadParameter, match="not an amount of memory from 100B to 16TB, as in 4GB or 512MB"):
            convert(text, None, None)


def test_focus_values():
    convert = Focus().convert
    assert (
        convert("8", None, None) == 8.0
        and convert("auto", None, None) == "auto"
        and convert("none", None, None) is None
    )
    for text in ("0", "nan", "wide"):
        with pytest.raises(click.BadParameter, match=r"is not a number from 0\.1"):
            convert(text, None, None)


def test_a_fault_of_the_program_is_not_hidden(ceret, photo, mask, crop_index, monkeypatch):
    monkeypatch.setattr("ce_retrieval.retrieval.search.check_query", lambda *_: 1 / 0)
    result = ceret("query", photo, "--mask", mask, "--index", crop_index)
    assert isinstance(result.exception, ZeroDivisionError)


def test_an_error_of_the_system_is_one_line(ceret, photo, mask, crop_index, monkeypatch):
    for error, message in (
        (PermissionError(13, "Permission denied", "/x/y"), "Error: /x/y: permission denied: check the path"),
        (MemoryError(), "Error: out of memory: use smaller photos, or fewer --workers"),
    ):

        def fail(*_: object, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr("ce_retrieval.retrieval.search.check_query", fail)
        result = ceret("query", photo, "--mask", mask, "--index", crop_index)
        assert (result.exit_code, result.stderr) == (1, message + "\n")


def test_a_reader_that_leaves_is_no_error(photo, mask, crop_index):
    command = [*CERET, "query", str(photo), "--mask", str(mask), "--index", str(crop_index), "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT)
    process.stdout.close()
    errors = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert errors == ""


def test_an_interrupt_ends_without_a_traceback(photo, mask, crop_index, tmp_path):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    picture = np.asarray(Image.open(photo))
    for i in range(400):
        Image.fromarray(np.roll(picture, i, axis=1)).save(photos / f"{i:03d}.png", compress_level=1)
    command = [
        sys.executable,
        "-c",
        "from cli.main import run; run()",
        "complete",
        str(photos),
        "--mask",
        str(mask),
        "--index",
        str(crop_index),
        "--out",
        str(out),
    ]
    command += ["--method", "retrieval", "--rerank", "rim"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT, preexec_fn=heed_interrupts
    )
    while not list(out.glob("*.json")) and process.poll() is None:
        time.sleep(0.01)
    begun = time.monotonic()
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate()
    assert process.returncode == 1 and time.monotonic() - begun < 2
    assert (output, errors.strip()) == ("", "Aborted!")
    assert 0 < len(os.listdir(out)) < 800


def test_the_help_says_defaults_and_ranges_without_noise(ceret):
    """No brackets in brackets, and no end of a range that nobody reaches."""
    for command in COMMANDS:
        text = ceret(command, "--help").stdout
        assert "1000000000" not in text and "RANGE" not in text and "[default: (" not in text, command
    text = " ".join(ceret("transfer", "--help").stdout.split())
    assert "[default: 1; 1<=x<=1000]" in text and "[default: 0.001; x>0]" in text and "[default: all; x>=1]" in text
