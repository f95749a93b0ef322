"""Every number of every command: a value outside its range is a usage error that says the range, before any work."""

import click
import pytest

from ce_retrieval.completion.methods import METHODS
from ce_retrieval.completion.settings import TERM_WEIGHT
from ce_retrieval.evaluation.settings import EvaluationSettings
from ce_retrieval.photo_index import IndexSettings
from ce_retrieval.settings import FOCUS, ranges
from ce_retrieval.training.config import Schedule, TrainConfig
from cli.main import COMMANDS, main
from cli.values import Focus, Memory, TermWeight, number

PARAMETERS = [(name, param) for name in COMMANDS for param in main.get_command(None, name).params]
RANGED = (click.IntRange, click.FloatRange, Memory, Focus, TermWeight)
NUMBERS = [(name, param) for name, param in PARAMETERS if isinstance(param.type, RANGED)]
ALWAYS = ("nan", "inf", "-inf", "1e400", "9" * 5000, "text", "")  # in no range of numbers


def expected(kind):
    """What the message says of the range, and values below and above it as they are typed."""
    if isinstance(kind, Memory):
        return "an amount of memory from 1MB to 16TB", ["0", "1023KB", "-1GB", "17TB"]
    allowed = {Focus: FOCUS, TermWeight: TERM_WEIGHT}.get(type(kind)) or kind.allowed
    below = allowed.low if allowed.without_low else allowed.low - (1 if allowed.whole else 0.01)
    above = allowed.high if allowed.without_high else allowed.high + 1
    return str(allowed), [str(below), str(above), *(["1.5", "1e3"] if allowed.whole else [])]


@pytest.mark.parametrize(("name", "param"), NUMBERS, ids=[f"{name} {param.opts[-1]}" for name, param in NUMBERS])
def test_a_number_out_of_range_is_a_usage_error_that_names_the_range(ceret, tmp_path, monkeypatch, name, param):
    monkeypatch.chdir(tmp_path)
    range_said, outside = expected(param.type)
    required = [other for other in main.get_command(None, name).params if other.required]
    rest = [
        word for other in required for word in ([*other.opts[:1], "x"] if isinstance(other, click.Option) else ["x"])
    ]
    term = "scene=" if isinstance(param.type, TermWeight) else ""
    for value in (*outside, *ALWAYS):
        result = ceret(name, param.opts[-1], f"{term}{value}", *rest)
        assert result.exit_code == 2 and isinstance(result.exception, SystemExit), (value, result.exception)
        lines = result.stderr.splitlines()
        assert [line for line in lines if line.startswith("Error: ")] == lines[3:], (value, lines)
        assert f"Invalid value for '{param.opts[-1]}'" in lines[3] or f"'{param.opts[0]}'" in lines[3], (value, lines)
        assert range_said in lines[3] and len(lines[3]) < 260, (value, lines)
        assert result.stdout == "" and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", "x", "--index", "x", "--out", "x", "--seed", "-1"),
        ("complete", "x", "--mask", "x", "--out", "x", "--term", "scene=1e308"),
        ("index", "x", "--out", "x", "--max-memory", "0"),
        ("query", "x", "--mask", "x", "--index", "x", "--focus", "1e-300"),
        ("pack", "x", "--out", "x", "--workers", "0"),
        ("train", "x", "--out", "x", "--validate-every", "0"),
    ],
)
def test_cases_that_users_met(ceret, arguments):
    result = ceret(*arguments)
    assert result.exit_code == 2 and arguments[-2] in result.stderr and f"'{arguments[-1]}' is not " in result.stderr


def test_no_option_takes_a_number_without_a_range():
    for name, param in PARAMETERS:
        assert isinstance(param.type, RANGED) or not isinstance(param.type, type(click.INT) | type(click.FLOAT)), (
            name,
            param,
        )
        default = param.default if isinstance(param, click.Option) else None
        assert isinstance(param.type, RANGED) or not isinstance(default, int | float) or param.is_flag, (name, param)
    assert {(name, param.name) for name, param in NUMBERS} >= {
        ("add", "max_memory"),
        ("index", "workers"),
        ("query", "k"),
        ("complete", "focus"),
        ("complete", "terms"),
        ("evaluate", "seed"),
        ("train", "rate"),
        ("train", "checkpoint_every"),
    }


@pytest.mark.parametrize(
    "settings",
    [*(method.settings for method in METHODS.values()), EvaluationSettings, IndexSettings, TrainConfig, Schedule],
)
def test_a_range_of_the_library_holds_its_default(settings):
    for name, allowed in ranges(settings).items():
        default = getattr(settings, name, None)
        assert default is None or isinstance(default, bool | tuple) or allowed.holds(default), name
        assert (allowed.low is None) == (allowed.high is None), f"{name} has one end"


def test_numbers_at_the_ends_of_a_range_pass():
    for _, param in NUMBERS:
        allowed = getattr(param.type, "allowed", None)
        if isinstance(param.type, click.IntRange | click.FloatRange):
            for value, excluded in ((allowed.low, allowed.without_low), (allowed.high, allowed.without_high)):
                if not excluded:
                    assert number(allowed).convert(str(value), None, None) == value


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("beta1=2", "--set 'beta1=2': `beta1` is 2.0: expected a number of at least 0 and below 1"),
        ("beta1=nan", "`beta1` is nan: expected"),
        ("beta1=fast", "--set 'beta1=fast': expected a number of at least 0 and below 1, as in 0.9"),
        ("size=0", "the network's size is 0: expected a whole number from 16 to 4096"),
        ("size=1e400", "--set 'size=1e400': expected a whole number from 16 to 4096, as in 128"),
        ("size=" + "9" * 5000, "expected a whole number from 16 to 4096"),
        ("widths=8,0,8", "expected 3 values, each a whole number from 1 to 8192"),
        ("widths=8,8", "expected a whole number from 1 to 8192, as in 64,128,256"),
        ("jitter=inf", "`jitter` is inf: expected a number from 0 to 1"),
        ("batch=-1", "--batch is -1: expected a whole number from 1 to 1000000"),
        ("skips=maybe", "expected a value like true"),
        ("speed=9", "names no field: use FIELD=VALUE with one of masks"),
    ],
)
def test_numbers_of_set_too(ceret, one_line_error, tmp_path, monkeypatch, option, message):
    monkeypatch.setattr("ce_retrieval.models.requirements.require_torch", lambda *_: 1 / 0)  # no work before the check
    result = ceret("train", tmp_path, "--out", tmp_path / "run", "--steps", 2, "--set", option)
    line = one_line_error(result)
    assert result.exit_code == 2 and message in line and "--set" in line and len(line) < 500
    assert not (tmp_path / "run").exists()
