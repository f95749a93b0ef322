"""Errors as one line: the library names its arguments, the command line names its options."""

import pytest

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.errors import CeretError, SettingsError
from cli.main import COMMANDS, main
from cli.options import option_name, options_of
from indexes.base import EngineError


@pytest.fixture
def fail(monkeypatch):
    """Make a function of the library raise an error."""

    def fails(function, error):
        def raises(*_, **__):
            raise error

        monkeypatch.setattr(function, raises)

    return fails


@pytest.mark.parametrize(
    ("message", "line"),
    [
        ("give more `max_memory`, or fewer `workers`", "give more --max-memory, or fewer --workers"),
        ("another `out`:\n  `features`", "another --out:\\n  --features"),
        # What is not an argument of this command, or not in backticks, stays as it is.
        ("`k`, max_memory, `max_memory is`, `ceret index`", "`k`, max_memory, `max_memory is`, `ceret index`"),
    ],
)
@pytest.mark.parametrize("kind", [SettingsError, CeretError, EngineError])
def test_arguments_become_the_options_of_the_command(ceret, one_line_error, fail, tmp_path, kind, message, line):
    fail("cli.index.build_index", kind(message))
    result = ceret("index", tmp_path, "--out", tmp_path / "a.ceret")
    assert one_line_error(result) == f"Error: {line}"
    assert result.exit_code == (2 if kind is SettingsError else 1)
    assert ("Try 'main index --help' for help." in result.stderr) == (kind is SettingsError)


def test_options_that_are_not_named_as_their_argument(ceret, one_line_error, fail, photo, mask, crop_index, tmp_path):
    fail("ce_retrieval.retrieval.search.check_query", SettingsError("`k`, `exclude_same_source`, `invert`, `alpha`"))
    result = ceret("query", photo, "--mask", mask, "--index", crop_index)
    assert one_line_error(result) == "Error: -k, --exclude-same-source, --invert-mask, --mask-alpha"
    fail("ce_retrieval.completion.plan.plan_jobs", SettingsError("`k`, `terms`, `candidate_fills`, `weights`"))
    result = ceret("complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path)
    assert one_line_error(result) == "Error: -k, --term, --save-candidates, --weights"


def test_errors_and_notes_of_single_photos_name_options(ceret, fail, photo, mask, crop_index, tmp_path):
    fail("ce_retrieval.completion.folders.read_mask", SettingsError("leave out `alpha`"))
    (photo.parent / "photos").mkdir()
    photo = photo.rename(photo.parent / "photos" / "photo.png")
    arguments = ["complete", photo.parent, "--mask", mask, "--index", crop_index, "--out", tmp_path / "out"]
    result = ceret(*arguments, "--method", "retrieval", "--rerank", "rim", "--json")
    assert result.exit_code == 1
    assert result.stderr == f"failed: {photo}: leave out --mask-alpha\n"
    assert '"error": "' + f"{photo}: leave out --mask-alpha" in result.stdout


@pytest.mark.parametrize("method", METHODS)
def test_every_setting_is_an_option_of_its_own_name(method):
    options = options_of(main.get_command(None, "complete"))
    for name in METHODS[method].options():
        assert options[name] == option_name(name)


def test_an_argument_is_one_option_everywhere():
    """So that a message of the library means the same to all commands."""
    found = {}
    for command in COMMANDS:
        for name, option in options_of(main.get_command(None, command)).items():
            assert found.setdefault(name, option) == option, command
    assert found["workers"] == "--workers" and found["max_memory"] == "--max-memory"
