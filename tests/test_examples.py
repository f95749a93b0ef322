"""Every example runs as its docstring says, on small data, and prints what it promises."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import load_photo

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TRIED = {"fill_a_hole.py", "context_neighbours.py", "compare_features.py", "demo.py"}


def run_example(name: str, *arguments: object, code: int = 0) -> str:
    words = [sys.executable, "-W", "error", str(ROOT / "examples" / name), *map(str, arguments)]
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(words, capture_output=True, text=True, env=env, timeout=300)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, bundled_photos: list) -> Path:
    """48 photos in 4 folders, one each bundled photo: squares of it."""
    root = tmp_path_factory.mktemp("photos")
    for number, photo in enumerate(bundled_photos):
        (root / f"kind{number}").mkdir()
        for row in range(3):
            for col in range(4):
                y, x = row * (photo.shape[0] - 128) // 2, col * (photo.shape[1] - 128) // 3
                square = Image.fromarray(photo[y : y + 128, x : x + 128])
                square.save(root / f"kind{number}" / f"{number}{row}{col}.png", compress_level=1)
    return root


@pytest.fixture(scope="module")
def query(tmp_path_factory: pytest.TempPathFactory, bundled_photos: list) -> tuple[Path, Path, np.ndarray]:
    root = tmp_path_factory.mktemp("query")
    photo = bundled_photos[1][60:220, 100:300]
    hole = np.zeros(photo.shape[:2], bool)
    hole[50:110, 70:120] = True
    Image.fromarray(photo).save(root / "cat.png")
    Image.fromarray(hole).save(root / "mask.png")
    return root / "cat.png", root / "mask.png", hole


def test_every_example_is_tried_here() -> None:
    assert {path.name for path in EXAMPLES} == TRIED


def test_examples_are_short() -> None:
    lengths = {path.name: len(path.read_text().splitlines()) for path in EXAMPLES}
    assert lengths["compare_features.py"] <= 40
    assert all(length <= 60 for name, length in lengths.items() if name != "demo.py"), lengths


def test_fill_a_hole(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    photo, mask, hole = query
    printed = run_example("fill_a_hole.py", photo, mask, folder, tmp_path)
    before, after = (load_photo(path).pixels for path in (photo, tmp_path / "cat.png"))
    assert (before[~hole] == after[~hole]).all()
    assert (before[hole] != after[hole]).any()
    source = json.loads((tmp_path / "cat.json").read_text())["candidates"][0]["photo"]
    assert f"{hole.sum()} missing pixels of {hole.size}, filled from {source}" in printed
    assert Path(source).is_relative_to(folder)


def test_fill_a_hole_names_a_missing_photo_in_one_line(folder: Path, tmp_path: Path) -> None:
    error = run_example("fill_a_hole.py", tmp_path / "no.jpg", tmp_path / "no.png", folder, tmp_path, code=1)
    assert error.startswith("Error: ") and "no.jpg" in error and error.count("\n") == 1


def test_context_neighbours(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    printed = run_example("context_neighbours.py", query[0], folder, tmp_path).splitlines()
    assert [line for line in printed if line.startswith("focus")] == ["focus: none", "focus: 8.0"]
    assert sum(str(folder) in line for line in printed) == 10
    for name in ("all", "focus"):
        assert load_photo(tmp_path / f"neighbours-{name}.png").width > 500


def test_compare_features(folder: Path) -> None:
    lines = run_example("compare_features.py", folder, "thumbnail", "hog").splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("| ")]
    table = {row[0]: dict(zip(cells[0][1:], row[1:], strict=True)) for row in cells}
    assert list(table)[1:] == ["thumbnail", "thumbnail+rim+blend", "hog", "hog+rim+blend"]
    assert all(0 < float(table[name]["L1 %"]) < 60 for name in list(table)[1:])
    assert 0 <= float(table["hog"]["P@10"]) <= 1
    assert any("collection of 43 photos" in line for line in lines)


def test_demo_on_ones_own_photos(folder: Path, tmp_path: Path, shipped_weights: Path) -> None:
    out = tmp_path / "demo"
    printed = run_example("demo.py", "--photos", folder, "--out", out)
    for name in ("summary.png", "neighbours.png", "candidates.png"):
        assert str(out / name) in printed
        assert load_photo(out / name).width > 500
    for name in ("filled", "predicted"):
        assert len(list((out / name).glob("*.png"))) == 4
    held_out = {path.stem.partition("-")[2] for path in (out / "queries").iterdir()}
    collection = {path.stem for path in (out / "collection").rglob("*.png")}
    assert (len(held_out), len(collection)) == (4, 44)
    assert not held_out & collection
    for path in (out / "filled").glob("*.json"):
        best = Path(json.loads(path.read_text())["candidates"][0]["photo"])
        assert best.stem in collection and best.resolve().is_relative_to(folder)


def test_demo_leaves_other_folders_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    error = run_example("demo.py", "--photos", folder, "--out", tmp_path, code=1)
    assert "holds other things" in error
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_no_square_of_the_bundled_demo_overlaps_its_query(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    demo = __import__("demo")
    demo.start_afresh(tmp_path / "demo")
    monkeypatch.setattr(demo, "SCALES", (128, 240))
    truths = demo.hold_out_bundled(tmp_path / "demo")
    assert list(truths) == [name for name, *_ in demo.QUERIES]
    folders = {path.name for path in (tmp_path / "demo" / "collection").iterdir()}
    assert "motorcycle_left" not in folders, "a view that queries come from is held out as a whole"
    row, column = next(query[2:] for query in demo.QUERIES if query[0] == "cat")
    taken = np.zeros((300, 451), bool)
    squares = list((tmp_path / "demo" / "collection" / "chelsea").glob("*.jpg"))
    for path in squares:
        side, y, x = map(int, path.stem.split("-"))
        taken[y : y + side, x : x + side] = True
    assert len(squares) > 10
    assert not taken[row : row + demo.SIDE, column : column + demo.SIDE].any()
