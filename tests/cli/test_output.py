"""What is printed: after the files, on any terminal, through any pipe, whatever the names hold."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cli.main import main

ROOT = Path(__file__).resolve().parents[2]
ODD = "od\x1b[31md\n\u202e\x9b2J.png"  # colours a terminal, breaks a line, turns the writing, clears the screen
SHOWN = r"od\x1b[31md\n\u202e\x9b2J.png"


class Broken(io.RawIOBase):
    """A file that takes nothing."""

    def __init__(self, number: int) -> None:
        self.number = number

    def writable(self) -> bool:
        return True

    def write(self, data) -> int:
        raise OSError(self.number, os.strerror(self.number))


@pytest.fixture
def run(monkeypatch):
    """Run `ceret ARGUMENTS...` with these streams; return the exit code."""

    def ceret(*arguments: object, out: io.TextIOBase, err: io.TextIOBase) -> int:
        with monkeypatch.context() as patch, pytest.raises(SystemExit) as end:
            patch.setattr(sys, "stdout", out)
            patch.setattr(sys, "stderr", err)
            main([str(argument) for argument in arguments], prog_name="ceret")
        return end.value.code or 0

    return ceret


def stream(encoding: str, raw: io.RawIOBase | None = None, errors: str = "strict") -> io.TextIOWrapper:
    buffer = io.BytesIO() if raw is None else io.BufferedWriter(raw)
    return io.TextIOWrapper(buffer, encoding=encoding, errors=errors)


def written(printed: io.TextIOWrapper) -> bytes:
    printed.flush()
    return printed.buffer.getvalue()


@pytest.fixture
def commands(photo, mask, crop_folder, crop_index, tmp_path):
    """Commands that write files, each with a file that it must leave."""
    shutil.copytree(crop_folder / "photo3", tmp_path / "some")
    (tmp_path / "some" / "bad.jpg").touch()
    retrieval = ["--method", "retrieval", "--rerank", "rim", "-k", 2]
    measured = ["--methods", "smooth", "--keep-leaks", "--limit", 2]
    return {
        "index": (
            ["index", tmp_path / "some", "--features", "thumbnail:8", "--kind", "none", "--out"],
            "manifest.json",
        ),
        "query": (["query", photo, "--mask", mask, "--index", crop_index, "-k", 2, "--out"], ""),
        "complete": (["complete", photo, "--mask", mask, "--index", crop_index, *retrieval, "--out"], "photo.png"),
        "evaluate": (["evaluate", tmp_path / "some", "--index", crop_index, *measured, "--out"], "results.json"),
        "pack": (["pack", tmp_path / "some", "--size", 16, "--out"], ""),
    }


NAMES = {"query": "o.png", "pack": "o.h5"}


@pytest.mark.parametrize("name", ["index", "query", "complete", "evaluate", "pack"])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC], ids=["closed pipe", "full"])
@pytest.mark.parametrize("more", [(), ("--json",)], ids=["text", "json"])
def test_results_are_written_where_nothing_can_be_printed(run, commands, tmp_path, name, number, more):
    arguments, result = commands[name]
    out, err = tmp_path / NAMES.get(name, "out"), stream("utf-8")
    assert run(*arguments, out, *more, out=stream("utf-8", Broken(number)), err=err) == 1
    assert (out / result).is_file()
    said = written(err).decode()
    assert "Traceback" not in said
    if number == errno.ENOSPC:
        assert said.endswith(
            "Error: stdout cannot be written: no space left on device; what the command writes to files is there\n"
        )


@pytest.mark.parametrize("arguments", [("--help",), ("--version",), ("query", "--help")])
@pytest.mark.parametrize("number", [errno.EPIPE, errno.ENOSPC], ids=["closed pipe", "full"])
def test_help_where_nothing_can_be_printed(run, arguments, number):
    err = stream("utf-8")
    assert run(*arguments, out=stream("utf-8", Broken(number)), err=err) == 1
    full = "Error: stdout cannot be written: no space left on device; what the command writes to files is there\n"
    assert written(err).decode() == (full if number == errno.ENOSPC else "")


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_files_are_written_without_stdout_and_stderr(crop_folder, tmp_path, closed):
    """No file gets the number of a closed stream, into which a library might print."""
    code = "from ce_retrieval.installation import main; main()"
    command = [sys.executable, "-c", code, "pack", crop_folder / "photo3", "--size", "16", "--out", tmp_path / "a.h5"]
    done = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], cwd=ROOT)
    assert done.returncode == 0
    from ce_retrieval.training.packed_file import open_packed

    assert len(open_packed(tmp_path / "a.h5")) > 0


@pytest.mark.parametrize("name", ["index", "complete", "evaluate", "pack"])
def test_a_broken_stderr_stops_nothing(run, commands, tmp_path, name):
    arguments, result = commands[name]
    out, printed = tmp_path / NAMES.get(name, "out"), stream("utf-8")
    assert run(*arguments, out, out=printed, err=stream("utf-8", Broken(errno.EPIPE))) == 0
    assert (out / result).is_file() and written(printed)


def test_a_process_ends_quietly(crop_index):
    """Python itself would complain at its end of what it could not flush."""
    code = "from ce_retrieval.installation import main; main()"
    command = [sys.executable, "-c", code, "info", str(crop_index)]
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "w") as full, os.fdopen(writer, "w") as closed:
        told = {
            name: subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, cwd=ROOT)
            for name, out in (("full", full), ("closed", closed))
        }
    assert [done.returncode for done in told.values()] == [1, 1]
    assert told["closed"].stderr == "" and told["full"].stderr.count("\n") == 1


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
@pytest.mark.parametrize("name", ["evaluate", "complete"])
def test_a_terminal_without_the_characters(run, commands, tmp_path, encoding, name):
    arguments, result = commands[name]
    for folder, shown in (("a\u65e5", {"utf-8": "a\u65e5"}), ("caf\xe9", {"ascii": "caf\\xe9"})):
        out, printed, err = tmp_path / folder, stream(encoding), stream(encoding, errors="backslashreplace")
        assert run(*arguments, out, out=printed, err=err) == 0
        assert (out / result).is_file()
        text = written(printed).decode(encoding)
        assert f"{tmp_path}/{shown.get(encoding, 'a' + chr(92) + 'u65e5' if folder[0] == 'a' else folder)}/" in text


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_json_is_json_on_any_terminal(run, commands, tmp_path, encoding):
    printed = stream(encoding)
    arguments, _ = commands["complete"]
    assert run(*arguments, tmp_path / "a\u65e5", "--json", out=printed, err=stream(encoding)) == 0
    (about,) = json.loads(written(printed).decode(encoding))
    assert about["written"] == str(tmp_path / "a\u65e5" / "photo.png")


@pytest.fixture
def odd(photo, mask, crop_folder, tmp_path):
    """A collection, photos and masks whose names hold control characters; one photo is damaged."""
    for folder in ("col", "queries"):
        (tmp_path / folder).mkdir()
        shutil.copy(photo, tmp_path / folder / ODD)
        (tmp_path / folder / f"bad{ODD}").touch()
        for number in (0, 1, 2, 3, 5, 6):
            shutil.copy(crop_folder / "photo1" / f"0{number}.png", tmp_path / folder)
    return tmp_path


def test_control_characters_of_names_are_escaped(ceret, odd, photo, mask, crop_index):
    index = odd / f"i{ODD}.ceret"
    rim = ("--method", "retrieval", "--rerank", "rim")
    results = {
        "index": ceret(
            "index", odd / "col", "--out", index, "--features", "thumbnail:8", "--size", 16, "--kind", "none"
        ),
        "add": ceret("add", index, odd / "queries"),
        "info": ceret("info", index, "--skipped"),
        "verify": ceret("verify", index),
        "query": ceret("query", photo, "--mask", mask, "--index", index, "--out", odd / f"q{ODD}"),
        "complete": ceret("complete", odd / "queries", "--mask", mask, "--index", index, *rim, "--out", odd / ODD[:4]),
        "missing": ceret("complete", odd / "queries" / f"none{ODD}", "--mask", mask, "--index", index, "--out", odd),
        "evaluate": ceret(
            "evaluate",
            odd / "queries",
            "--index",
            index,
            "--methods",
            "smooth",
            "--keep-leaks",
            "--out",
            odd / f"e{ODD}",
        ),
        "pack": ceret("pack", odd / "queries", "--out", odd / f"{ODD}.h5", "--size", 16),
        "usage": ceret("index", odd / "col", "--out", index, "--workers", ODD),
    }
    for name, result in results.items():
        assert result.exit_code == {"complete": 1, "missing": 1, "usage": 2}.get(name, 0), (name, result.output)
        told = result.stdout + result.stderr
        assert not set("\x1b\x9b\u202e\r\x07") & set(told), name
        assert SHOWN[4:10] in told, (name, told)
    assert SHOWN in results["index"].stderr and SHOWN in results["query"].stdout
    assert len(results["missing"].stderr.splitlines()) == 1


def test_json_holds_the_names_themselves(ceret, odd, photo, mask):
    index = odd / "i.ceret"
    built = ceret(
        "index", odd / "col", "--out", index, "--features", "thumbnail:8", "--size", 16, "--kind", "none", "--json"
    )
    assert json.loads(built.stdout)["skipped_files"][0][0] == str(odd / "col" / f"bad{ODD}")
    found = ceret("query", photo, "--mask", mask, "--index", index, "--json")
    assert str(odd / "col" / ODD) in [one["name"] for one in json.loads(found.stdout)["neighbors"]]
    for printed in (built.stdout, found.stdout):
        assert not set("\x1b\x9b\u202e") & set(printed)
