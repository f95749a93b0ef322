"""`ceret app`: what it refuses, each by one line, and what it says."""

import builtins
import contextlib
import socket
import sys

import pytest

from ce_retrieval.app import server
from ce_retrieval.app.settings import AppSettings
from ce_retrieval.errors import SettingsError
from ce_retrieval.own_files import sealed_text


@pytest.fixture
def taken():
    """A port that another program listens on."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


@pytest.fixture
def free():
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def without_gradio(monkeypatch):
    real = builtins.__import__

    def refuse(name, *rest, **more):
        if name.partition(".")[0] == "gradio":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest, **more)

    for name in [name for name in sys.modules if name.partition(".")[0] == "gradio"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(builtins, "__import__", refuse)


@pytest.fixture
def started(monkeypatch):
    """The arguments with which the page was served; it ends at once."""
    calls = []

    @contextlib.contextmanager
    def served(indexes, settings, **more):
        calls.append((indexes, settings, more))
        yield "http://127.0.0.1:7860/"

    def end(seconds):
        raise KeyboardInterrupt

    monkeypatch.setattr(server, "served", served)
    monkeypatch.setattr("cli.app.time.sleep", end)
    return calls


def test_without_gradio(ceret, crop_index, one_line_error, without_gradio, free):
    line = one_line_error(ceret("app", "--index", crop_index, "--port", free))
    assert line == "Error: the page needs Gradio: pip install '.[web]' in the folder of ceret"


def test_a_port_that_is_in_use(ceret, crop_index, one_line_error, taken):
    line = one_line_error(ceret("app", "--index", crop_index, "--port", taken))
    assert line == f"Error: --port {taken} is in use by another program: choose another, as in {taken + 1}"


def test_an_address_of_another_machine(ceret, crop_index, one_line_error):
    assert "--host 192.0.2.1 is no address of this machine" in one_line_error(
        ceret("app", "--index", crop_index, "--host", "192.0.2.1")
    )
    assert "expected an address or a name" in one_line_error(ceret("app", "--index", crop_index, "--host", "a b"))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--port", 0], "'0' is not a whole number from 1 to 65535"),
        (["--max-pixels", 0], "'0' is not a whole number"),
        (["--max-upload", 5], "'5' is not a whole number from 1024"),
        (["--at-once", 0], "'0' is not a whole number from 1 to 64"),
        (["--auth", "ann"], "'ann' is neither USER:PASSWORD nor a file that holds this"),
        (["--auth", "/dev/zero"], "'/dev/zero' is neither USER:PASSWORD nor a file that holds this"),
        (["--auth", "ann:"], "expected USER:PASSWORD, or a file"),
    ],
)
def test_values_out_of_range(ceret, crop_index, one_line_error, more, said):
    assert said in one_line_error(ceret("app", "--index", crop_index, *more))


def test_indexes_that_cannot_be_served(ceret, crop_index, tmp_path, one_line_error, monkeypatch, free):
    monkeypatch.setattr(server, "gradio", lambda: None)
    app = ("app", "--port", free, "--index")
    assert "no index at" in one_line_error(ceret(*app, tmp_path / "none.ceret")).lower()
    twice = one_line_error(ceret(*app, crop_index, "--index", crop_index))
    assert "is given twice: leave one out" in twice
    assert "holds no results of an evaluation" in one_line_error(ceret(*app, crop_index, "--report", tmp_path))
    (tmp_path / "report.html").write_bytes(sealed_text("<p>a page</p>\n"))
    told = one_line_error(ceret(*app, crop_index, "--report", tmp_path))
    assert f"holds an experiment: open {tmp_path / 'report.html'} in a browser" in told


def test_the_address_is_printed(ceret, crop_index, started):
    result = ceret("app", "--index", crop_index, "--no-sources", "--max-upload", 5000, "--at-once", 3)
    assert result.stdout == "http://127.0.0.1:7860/\n"
    ((indexes, settings, more),) = started
    assert indexes == (crop_index,) and more == {"auth": None, "report": None}
    assert settings == AppSettings(no_sources=True, max_upload=5000, at_once=3)


def test_an_open_page_is_warned_of(ceret, crop_index, started, tmp_path):
    warning = "note: everyone who can reach 0.0.0.0 can use this page: ask for a password with --auth\n"
    assert warning in ceret("app", "--index", crop_index, "--host", "0.0.0.0").stderr
    (tmp_path / "password").write_text("ann:open sesame\n")
    for auth in ("ann:open sesame", tmp_path / "password"):
        assert warning not in ceret("app", "--index", crop_index, "--host", "0.0.0.0", "--auth", auth).stderr
        assert started[-1][2]["auth"] == ("ann", "open sesame")
    for host in ("127.0.0.1", "localhost", "::1", "127.8.8.8"):
        assert "note:" not in ceret("app", "--index", crop_index, "--host", host).stderr


def test_settings_check_themselves():
    assert AppSettings().is_private and not AppSettings(host="0.0.0.0").is_private
    with pytest.raises(SettingsError, match="`port` is 70000: expected a whole number from 1 to 65535"):
        AppSettings(port=70000)
    with pytest.raises(SettingsError, match="`host` is ''"):
        AppSettings(host="")
