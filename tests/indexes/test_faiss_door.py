"""Which FAISS is there: none, one or two at once, each seen by a process with a site folder of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CHOICE = "`pip install '.[cpu]'`, or with a CUDA GPU `pip install '.[gpu]'`, in the folder of ceret"
LOAD = "from indexes.faiss_door import load_faiss; print(load_faiss().NAME)"
QUERY = "from ce_retrieval.installation import main; main()"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site folder with all that this environment has but FAISS."""
    folder = tmp_path / "site"
    folder.mkdir()
    for path in sys.path:
        place = Path(path)
        if place.name == "site-packages":
            for entry in place.iterdir():
                if not entry.name.startswith(("faiss", "__editable__")) and entry.suffix != ".pth":
                    link = folder / entry.name
                    if not link.exists():
                        link.symlink_to(entry)
    return folder


def put(site: Path, *distributions: str, code: str = "NAME = 'a FAISS'") -> None:
    """Install distributions of FAISS: their common package, and pip's note of each."""
    (site / "faiss").mkdir(exist_ok=True)
    (site / "faiss" / "__init__.py").write_text(code)
    for name in distributions:
        note = site / f"{name}-1.15.1.dist-info"
        note.mkdir()
        (note / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.15.1\n")


def run(site: Path, code: str, *words: object) -> subprocess.CompletedProcess:
    command = [sys.executable, "-S", "-c", code, *map(str, words)]
    path = f"{ROOT}:{site}"
    environment = {"PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1", "HOME": str(site)}
    return subprocess.run(command, cwd=site, env=environment, capture_output=True, text=True, timeout=120)


def refusal(site: Path) -> str:
    """The error of loading FAISS."""
    done = run(site, LOAD)
    assert done.returncode and not done.stdout
    kind, _, message = done.stderr.splitlines()[-1].partition(": ")
    assert kind == "indexes.base.EngineError"
    return message


@pytest.mark.parametrize("name", ["faiss_cpu", "faiss_gpu", "faiss_gpu_cu12", "faiss-cpu"])
def test_one_distribution_is_enough(site: Path, name: str) -> None:
    put(site, name)
    done = run(site, LOAD)
    assert (done.returncode, done.stdout) == (0, "a FAISS\n"), done.stderr


def test_a_package_that_pip_did_not_install_is_enough(site: Path) -> None:
    """As conda installs it, and as one builds it."""
    put(site)
    assert run(site, LOAD).stdout == "a FAISS\n"


def test_without_faiss_both_extras_are_named(site: Path) -> None:
    assert refusal(site) == f"FAISS is not installed: run {CHOICE}"


@pytest.mark.parametrize("code", ["NAME = 'a FAISS'", "raise ImportError('undefined symbol')"])
def test_two_distributions_in_one_place_are_named(site: Path, code: str) -> None:
    """Also where the mixture of their files cannot be loaded."""
    put(site, "faiss_cpu", "faiss_gpu", code=code)
    assert refusal(site) == (
        "faiss-cpu and faiss-gpu are both installed and overwrite each other's files: run `pip uninstall faiss-cpu faiss-gpu`, "
        f"then {CHOICE}"
    )


def test_a_faiss_that_cannot_be_loaded_says_why(site: Path) -> None:
    put(site, "faiss_gpu", code="raise ImportError('libcublas.so.12: cannot open\\n shared object file')")
    assert refusal(site) == (
        "FAISS is installed but cannot be loaded (libcublas.so.12: cannot open shared object file): uninstall it, then run "
        f"{CHOICE}"
    )


def test_a_command_that_searches_ends_with_one_line_without_faiss(
    site: Path, crop_index: Path, crop_folder: Path
) -> None:
    photo = next(path for path in sorted(crop_folder.rglob("*.png")))
    done = run(site, QUERY, "query", photo, "--index", crop_index, "-k", 1)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.splitlines() == [f"Error: FAISS is not installed: run {CHOICE}"]


def test_commands_that_do_not_search_need_no_faiss(site: Path, crop_index: Path, crop_folder: Path) -> None:
    options = ("--features", "thumbnail:8", "--size", 64, "--kind", "none")
    for words in (["info", crop_index], ["verify", crop_index], ["index", crop_folder, *options, "--out", "i.ceret"]):
        done = run(site, QUERY, *words)
        assert done.returncode == 0, done.stderr
