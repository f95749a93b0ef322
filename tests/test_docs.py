"""The documents are right: the README's program runs, commands and options exist and are documented, links and paths resolve."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

from ce_retrieval.completion.settings import TERM_WEIGHTS
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
    """The part of the reference about one command."""
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
    Image.fromarray(hole).save(tmp_path / "hole.png")
    (tmp_path / "other-photos").mkdir()
    Image.fromarray(bundled_photos[3]).save(tmp_path / "other-photos" / "wider.png")
    monkeypatch.chdir(tmp_path)
    exec(compile(program, README, "exec"), {"__name__": "__main__"})
    assert len(capsys.readouterr().out.splitlines()) == 5
    assert (tmp_path / "filled" / "beach.png").exists() and (tmp_path / "filled" / "beach.json").exists()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_and_option_is_documented(name: str) -> None:
    text = section(name)
    assert text, f"docs/cli.md has no section '## `ceret {name} ...`'"
    words = set(re.findall(r"(?<![\w-])--?[a-z][a-z0-9-]*", text))
    missing = options_of(name) - words - {"--help", "-h"}
    assert not missing, f"docs/cli.md does not mention {sorted(missing)} under ceret {name}"


def test_no_help_shows_a_control_character_as_text() -> None:
    # click's mark of a paragraph that keeps its lines is a real backspace: in a raw docstring it would be printed.
    assert not [name for name in COMMANDS if "\\b" in (command_named(name).help or "")]


@pytest.mark.parametrize("name", COMMANDS)
def test_every_documented_option_exists(name: str) -> None:
    named = set(re.findall(r"^\| `(--?[a-z][a-z0-9-]*)", section(name), re.MULTILINE))
    assert named <= options_of(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_readme_names_every_command(name: str) -> None:
    assert re.search(rf"\bceret {name}\b", README.read_text())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_command_could_be_typed(page: Path) -> None:
    # In a console block after "$ ", in another block at the start of the line, or indented.
    lines = re.findall(r"^(?:\$ | {4}|)ceret ((?:.*\\\n)*.*)", page.read_text(), re.MULTILINE)
    for line in lines:
        name, *words = shlex.split(line.replace("\\\n", " "), comments=True)
        # Parsing alone: an unknown option, a missing one or a bad value is an error here. With the group's settings, since
        # click keeps the help option that a command is first parsed with.
        command_named(name).make_context(name, words, parent=click.Context(main, **main.context_settings))
    assert lines or page.name not in ("README.md", "tour.md", "completion.md", "evaluation.md", "training.md")


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_and_named_commands_resolve(page: Path) -> None:
    text = page.read_text()
    for link, anchor in re.findall(r"\]\(([^)#\s]*)(?:#([^)\s]+))?\)", text):
        if re.match(r"https?:|mailto:", link):
            continue
        target = page.parent / link if link else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), f"{link}#{anchor}"
    named = set(re.findall(r"`ceret ([a-z0-9]+)", text))
    assert named <= set(COMMANDS), f"{page.name} names commands that do not exist"


def test_named_files_exist() -> None:
    homes = (ROOT, ROOT / "ce_retrieval", ROOT / "ce_retrieval" / "completion")
    named = {
        name
        for page in PAGES
        if page.name != "CHANGELOG.md"  # it may name files of earlier versions
        for name in re.findall(r"`((?:\w+/)*\w+\.py)`", page.read_text())
    }
    assert len(named) > 20
    assert not [name for name in named if not any((home / name).exists() for home in homes)]


def test_the_tree_of_the_code_is_whole() -> None:
    tree = (ROOT / "CONTRIBUTING.md").read_text()
    packages = {path.parent.name for path in (ROOT / "ce_retrieval").rglob("__init__.py")}
    files = {path.name for path in (ROOT / "ce_retrieval").glob("*.py")} - {"__init__.py"}
    files |= {path.name for path in (ROOT / "ce_retrieval" / "completion").glob("*.py")} - {"__init__.py"}
    missing = [name for name in packages if f"{name}/ " not in tree] + [name for name in files if name not in tree]
    assert not missing, f"CONTRIBUTING.md does not draw {missing}"


def test_the_documented_weights_of_terms_are_the_defaults() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\d.]+) \|", (ROOT / "docs" / "completion.md").read_text(), re.MULTILINE)
    assert {name: float(weight) for name, weight in rows} == TERM_WEIGHTS
    reference = re.findall(r"`(\w+)` ([\d.]*\d)", section("complete").partition("`--term ")[2].partition("|\n")[0])
    assert {name: float(weight) for name, weight in reference} == TERM_WEIGHTS


def test_the_readme_shows_pictures_that_are_there_and_small() -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text())
    assert pictures == ["docs/images/places.jpg", "docs/images/app-top.jpg"]
    assert all(20_000 < (ROOT / picture).stat().st_size < 400_000 for picture in pictures)


def test_make_targets_that_the_documents_name_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {
        target for page in PAGES for target in re.findall(r"(?:^ {4}|`)make ([a-z-]+)", page.read_text(), re.MULTILINE)
    }
    assert {"demo", "test", "test-slow"} <= named <= targets


def locked(*names: str) -> dict[str, str]:
    """Versions by package, of all these locks together."""
    lines = [line for name in names for line in (ROOT / name).read_text().splitlines() if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][0-9a-z.]*", line) for line in lines), "one version, and no place"
    packages = [re.sub("[-_.]+", "-", line.split("==")[0]).lower() for line in lines]
    assert len(set(packages)) == len(packages), "a package belongs to one lock"
    return dict(zip(packages, [line.split("==")[1] for line in lines], strict=True))


# FAISS comes from `cpu` or `gpu`, which exclude each other; the others take hundreds of megabytes, and their tests are skipped.
NOT_LOCKED = {"gpu", "lance", "milvus", "ray"}


def test_locks_hold_what_the_package_asks_for() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    optional = project["optional-dependencies"]
    assert optional.keys() >= NOT_LOCKED
    extras = [line for extra, lines in optional.items() if extra not in NOT_LOCKED for line in lines]
    for lines, locks in (
        (project["dependencies"] + optional["cpu"], ("requirements.lock",)),
        (extras, ("requirements.lock", "requirements-test.lock")),
    ):
        versions = locked(*locks)
        for requirement in map(Requirement, lines):
            assert requirement.specifier.contains(versions[requirement.name]), f"{requirement} in {locks}"


def test_documents_name_no_extra_that_does_not_exist() -> None:
    extras = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"])
    sources = [path for folder in ("ce_retrieval", "indexes", "cli") for path in (ROOT / folder).rglob("*.py")]
    named = {
        name
        for page in (*PAGES, *sources)
        for names in re.findall(r"(?:ceret|['`]\.)\[([a-z,]+)\]", page.read_text())
        for name in names.split(",")
    }
    assert {"cpu", "gpu", "onnx", "dev"} <= named <= extras
