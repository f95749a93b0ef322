"""The installed package: a wheel that runs by itself, and other software in the place of our packages."""

import json
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import load_photo

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("ce_retrieval", "cli", "indexes")
COMMAND = "from ce_retrieval.installation import main; main()"
# What a program would begin with: every public name.
PUBLIC = """
import ce_retrieval
for name in ce_retrieval.__all__:
    try:
        getattr(ce_retrieval, name)
    except ce_retrieval.CeretError as error:
        print(f"{name}: {error}")
"""


def run(code: str, *words: object, path: list[Path], cwd: Path) -> subprocess.CompletedProcess:
    """Run a program with these folders on the path, and what the environment has but for the editable install (-S)."""
    places = [*path, *dict.fromkeys(Path(sysconfig.get_path(kind)) for kind in ("purelib", "platlib"))]
    return subprocess.run(
        [sys.executable, "-S", "-c", code, *map(str, words)],
        cwd=cwd,
        env={"PYTHONPATH": ":".join(map(str, places)), "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the sources: nothing of an earlier build gets into it."""
    place = tmp_path_factory.mktemp("wheel")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, place / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, place / "source")
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--no-index", "--quiet"]
    done = subprocess.run([*build, "--wheel-dir", place, place / "source"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (made,) = place.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path) -> Path:
    """The wheel, unpacked."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(wheel.parent / "site")
    return wheel.parent / "site"


def test_the_wheel_holds_the_packages_and_no_more(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    sources = {str(path.relative_to(ROOT)) for name in PACKAGES for path in (ROOT / name).rglob("*.py")}
    weights = {str(path.relative_to(ROOT)) for path in (ROOT / "ce_retrieval" / "weights").iterdir()}
    kinds = (".html", ".css", ".js")
    page = {str(path.relative_to(ROOT)) for path in (ROOT / "ce_retrieval").rglob("*") if path.suffix in kinds}
    assert names == sources | weights | page | {f"{name}/py.typed" for name in PACKAGES}


def test_the_installed_command_indexes_and_completes(installed: Path, tmp_path: Path, bundled_photos: list) -> None:
    """By its entry point, in another folder; where the packages come from is asked of the process itself."""
    script = """
import importlib.metadata, json, sys
import ce_retrieval, cli, indexes
(entry,) = importlib.metadata.distribution("ceret").entry_points.select(group="console_scripts", name="ceret")
sys.argv[0] = "ceret"
try:
    entry.load()()
finally:
    print(json.dumps([ce_retrieval.__file__, cli.__file__, indexes.__file__]), file=sys.stderr)
"""
    (tmp_path / "photos").mkdir()
    for number in range(12):
        crop = bundled_photos[1][12 * number : 12 * number + 96, 20 * number : 20 * number + 96]
        Image.fromarray(crop).save(tmp_path / "photos" / f"{number}.png")
    Image.fromarray(bundled_photos[0][60:156, 100:196]).save(tmp_path / "photo.png")
    Image.fromarray(np.pad(np.full((24, 24), 255, np.uint8), 36)).save(tmp_path / "mask.png")
    search = ("--mask", "mask.png", "--index", "p.ceret", "--out", "filled", "--method", "retrieval", "--rerank", "rim")
    for words, printed in (
        (["--help"], "Usage: ceret [OPTIONS] COMMAND [ARGS]..."),
        (
            ["index", "photos", "--features", "thumbnail:8", "--size", 64, "--kind", "none", "--out", "p.ceret"],
            "p.ceret: 12 photos; 0 files",
        ),
        (["complete", "photo.png", *search], "filled/photo.png"),
    ):
        done = run(script, *words, path=[installed], cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(printed)
        (places,) = done.stderr.splitlines()
        assert json.loads(places) == [str(installed / name / "__init__.py") for name in PACKAGES]
    assert load_photo(tmp_path / "filled" / "photo.png").pixels.shape == (96, 96, 3)


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A folder for packages of other software."""
    (tmp_path / "other").mkdir()
    return tmp_path / "other"


def put(folder: Path, name: str, kind: str) -> Path:
    """Write a package, or module, that must not be run."""
    file = folder / f"{name}.py" if kind == "module" else folder / name / "__init__.py"
    file.parent.mkdir(exist_ok=True)
    file.write_text("raise SystemExit('other software runs')\n")
    return file


@pytest.mark.parametrize(("name", "kind"), [("cli", "package"), ("cli", "module"), ("indexes", "package")])
def test_a_package_that_hides_ours_is_named_in_one_line(foreign: Path, tmp_path: Path, name: str, kind: str) -> None:
    file = put(foreign, name, kind)
    for code in (COMMAND, *(["from cli.main import main; main()"] if name == "indexes" else [])):
        done = run(code, "info", "nowhere.ceret", path=[foreign, ROOT], cwd=tmp_path)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr == (
            f"Error: {file} belongs to other software and stands in the place of ceret's package {name!r}: take it off "
            "PYTHONPATH, or reinstall ceret in a virtual environment without that software\n"
        )


def test_a_package_written_over_ours_is_named(foreign: Path, tmp_path: Path) -> None:
    """As `pip install indexes` does: its __init__.py replaces ours, our other files stay, and it may need what is not there."""
    for name in PACKAGES:
        shutil.copytree(ROOT / name, foreign / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
    for text in ("", "import a_library_that_is_not_there\n"):
        (foreign / "indexes" / "__init__.py").write_text(text)
        done = run(COMMAND, "--help", path=[foreign], cwd=tmp_path)
        assert done.returncode == 1 and len(done.stderr.splitlines()) == 1
        assert f"Error: {foreign / 'indexes' / '__init__.py'} belongs to other software" in done.stderr
    (foreign / "indexes" / "__init__.py").unlink()  # it has been uninstalled, and ours with it
    done = run(COMMAND, "--help", path=[foreign], cwd=tmp_path)
    assert f"Error: {foreign / 'indexes'} belongs to other software" in done.stderr
    shutil.rmtree(foreign / "indexes")
    done = run(COMMAND, "--help", path=[foreign], cwd=tmp_path)
    assert done.stderr == "Error: ceret's package 'indexes' is missing: reinstall ceret\n"


def test_a_program_that_uses_the_library_gets_our_error(foreign: Path, tmp_path: Path) -> None:
    put(foreign, "indexes", "package")
    done = run(PUBLIC, path=[foreign, ROOT], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    refused = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert {"PhotoIndex", "build_index", "find_neighbors", "SceneCompleter"} <= set(refused)
    assert not {"load_photo", "read_mask", "SceneSettings"} & set(refused), "these need no index"
    assert len(set(refused.values())) == 1 and "belongs to other software" in refused["PhotoIndex"]
