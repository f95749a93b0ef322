"""Every example runs as its docstring says, on small data, and prints what it promises."""

import contextlib
import io
import json
import runpy
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import cv2
import numpy as np
import pytest
from PIL import Image
from skimage import data
from voc_sets import write_objects

from ce_retrieval import load_photo
from ce_retrieval.completion.settings import TERM_WEIGHTS
from ce_retrieval.transfer.sets.proposals import Proposals

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
TRIED = {
    "compare_features.py",
    "complete_folder.py",
    "context_neighbours.py",
    "demo.py",
    "figure8.py",
    "fill_a_hole.py",
    "fill_from_a_place.py",
    "own_metric.py",
    "own_ranking_term.py",
    "remove_object.py",
    "reproduce_table1.py",
    "selective_search.py",
}


def run_example(name: str, *arguments: object, fails: bool = False) -> str:
    """Run an example in this process, as `python examples/NAME` would; return what it prints, or why it exits."""
    example = str(ROOT / "examples" / name)
    printed, why = io.StringIO(), None
    with mock.patch.object(sys, "argv", [example, *map(str, arguments)]), contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(example, run_name="__main__")
        except SystemExit as end:
            why = end.code
    assert bool(why) is fails, (why, printed.getvalue())
    return str(why) if fails else printed.getvalue()


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
    programs = {"demo.py": 190, "selective_search.py": 80}  # used as they are, not only read
    assert all(length <= programs.get(name, 60) for name, length in lengths.items()), lengths


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
    error = run_example("fill_a_hole.py", tmp_path / "no.jpg", tmp_path / "no.png", folder, tmp_path, fails=True)
    assert error.startswith("Error: ") and "no.jpg" in error and "\n" not in error


def test_fill_from_a_place(bundled_photos: list, tmp_path: Path) -> None:
    left, right, _ = data.stereo_motorcycle()
    photo, hole = left[180:440, 180:520], np.zeros((260, 340), bool)
    hole[70:150, 100:200] = True
    (tmp_path / "others").mkdir()
    others = {"right": right, "cat": bundled_photos[1], "again": photo}
    for name, pixels in others.items():
        Image.fromarray(pixels).save(tmp_path / "others" / f"{name}.png")
    Image.fromarray(photo).save(tmp_path / "engine.png")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    words = (tmp_path / "engine.png", tmp_path / "mask.png", tmp_path / "others", tmp_path / "out")
    printed = run_example("fill_from_a_place.py", *words)
    assert f"{hole.sum()} px from right.png: agreement 0." in printed
    assert "filled from 1 photo of the same place" in printed
    filled = load_photo(tmp_path / "out" / "engine.png").pixels
    errors = np.square(filled[hole].astype(float) - photo[hole]).mean()
    shown = np.square(right[180:440, 180:520][hole].astype(float) - photo[hole]).mean()
    assert errors < shown / 4, "the other view, unmoved, is off by the parallax"
    record = json.loads((tmp_path / "out" / "engine.json").read_text())
    assert [Path(part["scene"]["photo"]).name for part in record["parts"]] == ["right.png"]


def test_fill_from_a_place_says_what_no_other_photo_shows(bundled_photos: list, tmp_path: Path) -> None:
    photo = bundled_photos[1][:160, :200]
    (tmp_path / "others").mkdir()
    Image.fromarray(bundled_photos[2]).save(tmp_path / "others" / "coffee.png")
    hole = np.zeros(photo.shape[:2], bool)
    hole[60:90, 80:110] = True
    Image.fromarray(photo).save(tmp_path / "cat.png")
    Image.fromarray(hole).save(tmp_path / "mask.png")
    words = (tmp_path / "cat.png", tmp_path / "mask.png", tmp_path / "others", tmp_path / "out")
    printed = run_example("fill_from_a_place.py", *words)
    assert f"{hole.sum()} px by patchmatch: no other photo shows them" in printed
    assert "no other photo shows this place" in printed


def test_reproduce_table1(folder: Path, tmp_path: Path, shipped_weights: Path) -> None:
    printed = run_example("reproduce_table1.py", folder / "kind1", folder / "kind2", tmp_path).splitlines()
    assert (tmp_path / "table1.md").read_text().splitlines()[: len(printed)] == printed
    assert [line.split("|")[1].strip() for line in printed[2:5]] == ["hog", "encoder:fill", "network"]


def test_own_metric(folder: Path, crop_index: Path, tmp_path: Path) -> None:
    table = run_example("own_metric.py", folder / "kind0", crop_index, tmp_path / "out").splitlines()
    column = table[0].split("|").index(" colour ")
    values = {row[1].strip(): float(row[column]) for row in (line.split("|") for line in table[2:6])}
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    for method in results["methods"]:
        assert values[method["name"]] == pytest.approx(np.mean(method["photos"]["colour"]), abs=5e-4)
        assert method["intervals"]["colour"][0] < values[method["name"]] < method["intervals"]["colour"][1]


def test_context_neighbours(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    printed = run_example("context_neighbours.py", query[0], folder, tmp_path).splitlines()
    assert [line for line in printed if line.startswith("focus")] == ["focus: none", "focus: 8.0"]
    assert sum(str(folder) in line for line in printed) == 10
    for name in ("all", "focus"):
        assert load_photo(tmp_path / f"neighbours-{name}.png").width > 500


def test_figure8(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "queries" / "kind1").mkdir(parents=True)
    square = load_photo(folder / "kind1" / "111.png").pixels[8:120, 8:120]
    Image.fromarray(square).save(tmp_path / "queries" / "kind1" / "cat.png")
    words = (tmp_path / "queries", folder, tmp_path / "out", "thumbnail", "hog")
    printed = run_example("figure8.py", *words).splitlines()
    for line, name in zip(printed, ("thumbnail", "hog"), strict=False):
        assert line.startswith(f"{name}: ") and float(line.split()[1]) >= 0.4, "crops of one photo are alike"
    picture = load_photo(tmp_path / "out" / "figure8.png").pixels
    assert printed[2].endswith("figure8.png") and (picture == (0, 158, 115)).all(axis=2).any()


def test_remove_object(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    photo = folder / "kind1" / "111.png"
    printed = run_example("remove_object.py", photo, "50,40,80,70", folder, tmp_path).splitlines()
    before, after = (load_photo(path).pixels for path in (photo, tmp_path / "111.png"))
    box = np.zeros(before.shape[:2], bool)
    box[47:83, 37:73] = True
    assert (before[box] != after[box]).any()
    assert (before[:20] == after[:20]).all()
    record = json.loads((tmp_path / "111.json").read_text())
    assert f"{box.sum()} pixels removed, and {record['changed_outside_hole']} beside" in printed[0]
    used = [candidate["photo"] for candidate in record["candidates"]]
    assert used and not any("/kind1/" in name for name in used), "nothing from the photo's own folder"
    assert [line.split()[-1] for line in printed[1:]] == used[:5]
    assert load_photo(tmp_path / "111.candidates" / "sheet.png").width > 300


def test_complete_folder(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    photo, mask, _ = query
    (tmp_path / "photos").mkdir()
    pixels = load_photo(photo).pixels
    for number in range(2):
        Image.fromarray(np.roll(pixels, 20 * number, axis=1)).save(tmp_path / "photos" / f"{number}.png")
    (tmp_path / "photos" / "bad.jpg").write_bytes(b"no photo")
    words = ("complete_folder.py", tmp_path / "photos", mask, folder, tmp_path / "out", "label in ['kind0', 'kind2']")
    printed = run_example(*words).splitlines()
    assert printed[-1] == "2 completed, 0 done before, 1 failed"
    assert sum("bad.jpg" in line for line in printed) == 1
    for number in range(2):
        record = json.loads((tmp_path / "out" / "filled" / f"{number}.json").read_text())
        labels = {candidate["label"] for candidate in record["candidates"]}
        assert labels and labels <= {"kind0", "kind2"}
    assert run_example(*words).splitlines()[-1] == "0 completed, 2 done before, 1 failed"
    assert "names width2" in run_example(*words[:-1], "width2 > 3", fails=True)


def test_own_ranking_term(folder: Path, query: tuple[Path, Path, np.ndarray], tmp_path: Path) -> None:
    photo, mask, _ = query
    printed = run_example("own_ranking_term.py", photo, mask, folder, tmp_path).splitlines()
    assert printed[-1] == str(tmp_path / "cat.png")
    record = json.loads((tmp_path / "cat.json").read_text())
    terms = record["settings"]["terms"]
    assert (terms["warmth"], terms["texture"], terms["scene"]) == (8.0, 0.5, TERM_WEIGHTS["scene"])
    for line, candidate in zip(printed[:-1], record["candidates"][:5], strict=True):
        assert f"warmth {candidate['scores']['warmth']:.1f}  {candidate['photo']}" in line
    assert any(f"{rank}  was {rank}  " not in line for rank, line in enumerate(printed[:-1], start=1))


class _Search:
    """Stands for OpenCV's selective search, which is not in this environment: boxes as x, y, width and height."""

    def setBaseImage(self, photo: np.ndarray) -> None:
        self.shape = photo.shape

    def switchToSelectiveSearchFast(self, base_k: int = 150, inc_k: int = 150) -> None:
        assert (base_k, inc_k) == (50, 50)  # those of the published boxes

    def process(self) -> np.ndarray:
        height, width = self.shape[:2]
        boxes = np.array([[0, 0, width, height], [100, 50, 200, 150], [0, 0, 19, 300], [0, 0, 300, 19]])
        return boxes if height > 20 else boxes[3:]


def test_selective_search(tmp_path: Path) -> None:
    write_objects(tmp_path / "VOC2007", (("trainval", 2), ("test", 1)), side=(100, 80))
    segmentation = SimpleNamespace(createSelectiveSearchSegmentation=_Search)
    out = tmp_path / "boxes.npz"
    with mock.patch.object(cv2, "ximgproc", SimpleNamespace(segmentation=segmentation), create=True):
        run_example("selective_search.py", tmp_path / "VOC2007", out)
        found = Proposals([out]).boxes("000003", 100, 80)
        # The photo was looked at five times as large.
        assert sorted(map(tuple, found)) == [(1, 1, 100, 80), (21, 11, 60, 40)]
        (tmp_path / "VOC2007/JPEGImages/000001.jpg").unlink()
        Image.new("RGB", (100, 4)).save(tmp_path / "VOC2007/JPEGImages/000002.jpg")
        with np.load(out) as kept:
            np.savez(out, **{name: kept[name] for name in ("000001", "000003")})
        run_example("selective_search.py", tmp_path / "VOC2007", out)  # what is there is kept
        assert Proposals([out]).boxes("000002", 100, 4).tolist() == [[1, 1, 100, 4]]  # nothing else is high enough
        out.unlink()
        why = run_example("selective_search.py", tmp_path / "VOC2007", out, fails=True)
        assert why.startswith("Error: ") and "000001.jpg cannot be read" in why
        assert "no such file" in run_example("selective_search.py", tmp_path, out, fails=True)
        np.savez(out, mine=np.zeros(3))
        before = out.read_bytes()
        assert "holds something else" in run_example("selective_search.py", tmp_path / "VOC2007", out, fails=True)
        assert out.read_bytes() == before
        assert "use boxes.npz" in run_example("selective_search.py", tmp_path / "VOC2007", "boxes", fails=True)


def test_compare_features(folder: Path) -> None:
    lines = run_example("compare_features.py", folder, "thumbnail", "hog").splitlines()
    figures = [line for line in lines[: lines.index("")] if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in figures]
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
    records = list((out / "filled").glob("*.json"))
    assert len(records) == 4
    for path in records:
        best = Path(json.loads(path.read_text())["candidates"][0]["photo"])
        assert best.stem in collection and best.resolve().is_relative_to(folder)


def test_demo_leaves_other_folders_alone(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("mine")
    error = run_example("demo.py", "--photos", folder, "--out", tmp_path, fails=True)
    assert "holds other things" in error
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_no_square_of_the_bundled_demo_overlaps_its_query(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    demo = __import__("demo")
    demo.start_afresh(tmp_path / "demo")
    monkeypatch.setattr(demo, "SCALES", (128, 240))
    # Only the cat's squares are looked at: less of the others is enough.
    left, right, disparity = data.stereo_motorcycle()
    monkeypatch.setattr(data, "stereo_motorcycle", lambda: (left, right[:240, :240], disparity))
    for name in ("astronaut", "coffee", "rocket"):
        monkeypatch.setattr(data, name, lambda: right[:240, :240])
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
