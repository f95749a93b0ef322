"""Who may import whom: one way only, indexes <- ce_retrieval <- cli, and down the spine inside ce_retrieval."""

import ast
import functools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Rooms of ce_retrieval -> floor. A room imports itself and rooms of lower floors; what is not listed here is a mistake.
FLOORS = {
    "errors": 0,
    "reading": 0,
    "installation": 1,
    "pixels": 1,
    "pool": 1,
    "settings": 1,
    "storage": 1,
    "metrics": 2,
    "figures": 2,
    "own_files": 2,
    "photos": 3,
    "holes": 4,
    "models": 5,
    "descriptors": 6,
    "places": 6,
    "photo_index": 7,
    "retrieval": 8,
    "completion": 9,
    "evaluation": 10,
    "training": 10,
    "transfer": 11,
    "app": 11,
}
GROUND = ("metrics", "figures", "pixels")
# What takes long to import: in the functions that use it alone.
HEAVY = {
    "torch",
    "safetensors",
    "faiss",
    "numba",
    "cv2",
    "skimage",
    "h5py",
    "pyarrow",
    "rich",
    "onnxruntime",
    "ortools",
    "pymilvus",
    "lance",
    "ray",
    "gradio",
    "matplotlib",
}
LONG_CLI_FILES = ("main.py", "options.py", "output.py", "completion_options.py", "transfer_options.py", "values.py")


def files(package):
    return sorted(path for path in (ROOT / package).rglob("*.py"))


def module_of(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@functools.cache
def imports_of(path):
    """Every module that a file imports, anywhere in it; `from a import b` counts as a.b, which may be a name of a."""
    module = module_of(path)
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                kept = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*kept, *([node.module] if node.module else [])])
            found += [f"{base}.{alias.name}" for alias in node.names]
    return found


def room(module):
    """The room of a module of ce_retrieval, '' for the package itself."""
    return module.split(".")[1] if "." in module else ""


def offences(package, forbidden):
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in files(package)
        for name in imports_of(path)
        if name.split(".")[0] in forbidden
    ]


def test_indexes_knows_numpy_and_its_engines_only():
    assert not offences("indexes", {"ce_retrieval", "cli", "torch", "PIL", "click", "cv2", "skimage", "rich"})


def test_the_library_knows_nothing_of_the_command_line():
    assert not offences("ce_retrieval", {"cli", "click", "rich"})


def test_nothing_imports_tests_or_benchmarks():
    for package in ("indexes", "ce_retrieval", "cli"):
        assert not offences(package, {"tests", "benchmarks", "examples", "pytest"})


def test_every_room_has_a_floor():
    rooms = {room(module_of(path)) for path in files("ce_retrieval")} - {""}
    assert rooms == set(FLOORS), "a room was added or removed: give it its floor here and in the design"


def test_nothing_points_back_up_the_spine():
    wrong = []
    for path in files("ce_retrieval"):
        source = room(module_of(path))
        for name in imports_of(path):
            target = room(name)
            if name.split(".")[0] != "ce_retrieval" or source == target or not source:
                continue
            if target not in FLOORS or FLOORS[target] >= FLOORS[source]:
                wrong.append(f"{path.relative_to(ROOT)} imports {name}")
    assert not wrong


def test_metrics_and_figures_stand_on_the_ground():
    for path in files("ce_retrieval"):
        if room(module_of(path)) in GROUND:
            ours = {room(name) for name in imports_of(path) if name.startswith("ce_retrieval")}
            assert ours <= {"errors", "pixels"}, f"{path.name} imports {ours}"


def test_only_photo_index_and_retrieval_know_the_engines():
    users = {
        room(module_of(path)) for path in files("ce_retrieval") for n in imports_of(path) if n.startswith("indexes")
    }
    assert "photo_index" in users and users <= {"photo_index", "retrieval", "completion", "evaluation"}


@pytest.mark.parametrize("path", files("cli"), ids=lambda path: path.name)
def test_a_command_is_short(path):
    if path.name not in LONG_CLI_FILES:
        assert len(path.read_text().splitlines()) <= 80


@pytest.mark.parametrize("path", [*files("indexes"), *files("ce_retrieval"), *files("cli")], ids=module_of)
def test_a_file_is_of_readable_length(path):
    assert len(path.read_text().splitlines()) <= 320


def test_importing_the_spine_loads_no_heavy_library():
    modules = [module_of(path) for package in ("indexes", "ce_retrieval") for path in files(package)]
    # A kernel is numba's own module, imported where it is run.
    light = [m for m in modules if room(m) not in ("models", "training", "transfer") and not m.endswith("_kernel")]
    code = (
        "import importlib, sys\n"
        f"for module in {light!r}:\n"
        "    importlib.import_module(module)\n"
        f"    heavy = {HEAVY | {'click'}!r} & set(sys.modules)\n"
        "    assert not heavy, f'{module} loads {heavy}'\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
