"""The documents say what is so: the README's program runs, commands and options exist and are documented, links resolve."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from cli.main import COMMANDS, main

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
REFERENCE = ROOT / "docs" / "cli.md"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


def command_named(name: str) -> click.Command:
    command = main.get_command(click.Context(main), name)
    assert command is not None, f"ceret has no command {name}"
    return command


def options_of(name: str) -> set[str]:
    params = [param for param in command_named(name).params if isinstance(param, click.Option)]
    return {option for param in params for option in (*param.opts, *param.secondary_opts)}


def section(name: str) -> str:
    """The part of the reference about one command, with the parts that it refers to as `as for ceret NAME`."""
    parts = re.split(r"^## `ceret ", REFERENCE.read_text(), flags=re.MULTILINE)
    return next((part for part in parts if re.match(rf"{name}\b", part)), "")


def test_the_program_of_the_readme_runs(
    tmp_path: Path, bundled_photos: list, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (program,) = blocks(README, "python")
    assert len([line for line in program.splitlines() if line]) <= 12
    photo = bundled_photos[3][100:260, 200:400]
    (tmp_path / "photos").mkdir()
    for number in range(24):
        y, x = 12 * number, 16 * number
        Image.fromarray(bundled_photos[3][y : y + 128, x : x + 128]).save(tmp_path / "photos" / f"{number}.png")
    Image.fromarray(photo).save(tmp_path / "beach.jpg", quality=95)
    hole = np.zeros(photo.shape[:2], bool)
    hole[60:100, 80:140] = True
    Image.fromarray(hole).save(tmp_path / "beach-mask.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, README, "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert (tmp_path / "filled" / "beach.png").exists() and (tmp_path / "filled" / "beach.json").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    text = section(name)
    assert text, f"docs/cli.md has no section '## `ceret {name} ...`'"
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", text))
    missing = options_of(name) - words - {"--help", "-h"}
    assert not missing, f"docs/cli.md does not mention {sorted(missing)} under ceret {name}"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_documented_option_exists(name: str) -> None:
    named = set(re.findall(r"^\| `(--?[a-z][a-z-]*)", section(name), re.MULTILINE))
    assert named <= options_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    assert re.search(rf"\bceret {name}\b", README.read_text())


def test_every_command_of_a_console_block_could_be_typed() -> None:
    lines = [
        line[2:]
        for page in PAGES
        for block in blocks(page, "console")
        for line in block.splitlines()
        if line[:2] == "$ "
    ]
    assert len(lines) > 5
    for line in lines:
        program, name, *words = shlex.split(line)
        assert program == "ceret"
        # Parsing alone: an unknown option, a missing one or a bad value is an error here.
        command_named(name).make_context(name, words)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_commands_resolve(page: Path) -> None:
    text = page.read_text()
    links = [link for link in re.findall(r"\]\(([^)#\s]+)", text) if not re.match(r"https?:|mailto:", link)]
    assert not [link for link in links if not (page.parent / link).exists()]
    named = set(re.findall(r"`ceret ([a-z]+)", text))
    assert named <= set(COMMANDS), f"{page.name} names commands that do not exist"


def test_the_readme_shows_a_picture_that_is_there_and_small() -> None:
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text())
    assert 20_000 < (ROOT / picture).stat().st_size < 400_000


def test_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^ {4}|`)make ([a-z]+)", page.read_text(), re.MULTILINE)
    }
    assert {"demo", "test"} <= named <= targets


def locked(*names: str) -> dict[str, str]:
    """Versions by package, of all these locks together."""
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines), "one version, and no place"
    packages = [re.sub("[-_.]+", "-", line.split("==")[0]).lower() for line in lines]
    assert len(set(packages)) == len(packages), "a package belongs to one lock"
    return dict(zip(packages, [line.split("==")[1] for line in lines], strict=True))


def test_locks_hold_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = [line for extra in project["optional-dependencies"].values() for line in extra]
    for lines, locks in (
        (project["dependencies"], ("requirements.lock",)),
        (extras, ("requirements.lock", "requirements-test.lock")),
    ):
        versions = locked(*locks)
        for requirement in map(Requirement, lines):
            assert requirement.specifier.contains(versions[requirement.name]), f"{requirement} in {locks}"


def test_documents_name_no_extra_that_does_not_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    sources = [path for folder in ("ce_retrieval", "indexes", "cli") for path in (ROOT / folder).rglob("*.py")]
    named = {
        name for page in (*PAGES, *sources) for name in re.findall(r"(?:ceret|['`]\.)\[([a-z]+)\]", page.read_text())
    }
    assert {"onnx", "dev"} <= named <= extras
