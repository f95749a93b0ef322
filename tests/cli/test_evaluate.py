"""`ceret evaluate`: what it prints and writes, and every bad input."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.evaluation import EvaluationSettings


@pytest.fixture(scope="module")
def queries(tmp_path_factory, bundled_photos):
    """Six photos that are not in the collection, in two of its folders."""
    folder = tmp_path_factory.mktemp("queries")
    for number in (0, 2):
        (folder / f"photo{number}").mkdir()
        for i in range(3):
            crop = bundled_photos[number][50 + 60 * i : 146 + 60 * i, 41 + 90 * i : 137 + 90 * i]
            Image.fromarray(np.ascontiguousarray(crop)).save(folder / f"photo{number}/{i}.png")
    return folder


def test_a_table_on_stdout_and_everything_in_the_folder(ceret, queries, crop_index, tmp_path):
    out = tmp_path / "out"
    result = ceret(
        "evaluate", queries, "--index", crop_index, "--methods", "thumbnail:16, hog+rim,smooth", "--out", out
    )
    assert result.exit_code == 0 and result.stderr == "", result.output
    lines = result.stdout.splitlines()
    assert [line.split("|")[1].strip() for line in lines[:5]] == ["method", "---", "thumbnail:16", "hog+rim", "smooth"]
    assert result.stdout.startswith((out / "table.md").read_text())
    assert [line for line in lines if line.startswith("written: ")] == [
        f"written: {out / name}" for name in ("table.md", "sheet-01.png", "results.json")
    ]
    assert (out / "hog.ceret/manifest.json").is_file()
    results = json.loads((out / "results.json").read_bytes())
    assert results["settings"] == json.loads(
        json.dumps(vars(EvaluationSettings(("thumbnail:16", " hog+rim", "smooth"))))
    )
    assert all(0 <= method["precision"] <= 1 for method in results["methods"][:2])


def test_the_default_methods_are_the_indexs_features_by_every_fill(ceret, queries, crop_index, tmp_path):
    result = ceret("evaluate", queries, "--index", crop_index, "--out", tmp_path, "--limit", 2, "--seed", 4)
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "results.json").read_bytes())
    names = [method["name"] for method in results["methods"]]
    features = "thumbnail:16"
    assert names == [features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean", "smooth", "oracle"]
    assert len(results["photos"]) == 2 and results["settings"]["seed"] == 4


def test_options_reach_the_evaluation(ceret, queries, crop_index, shapes, tmp_path):
    base = ["evaluate", queries, "--index", crop_index, "--methods", "smooth", "--out", tmp_path]
    errors = []
    for options in (["--masks", "region"], ["--masks", "region", "--shapes", shapes], ["--masks", "block"]):
        assert ceret(*base, *options).exit_code == 0
        errors.append(json.loads((tmp_path / "results.json").read_bytes())["methods"][0]["l1"])
    assert len(set(errors)) == 3


@pytest.fixture
def shapes(tmp_path):
    shape = np.zeros((40, 40), np.uint8)
    shape[5:30, 10:14] = 7
    (tmp_path / "shapes").mkdir()
    Image.fromarray(shape).convert("P").save(tmp_path / "shapes/a.png")
    return tmp_path / "shapes"


def test_what_is_left_out_is_listed_on_stderr(ceret, queries, crop_folder, crop_index, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(queries, photos)
    (photos / "bad.jpg").write_bytes(b"no photo")
    Image.open(crop_folder / "photo0/06.png").save(photos / "copy.jpg", quality=70)
    base = ["evaluate", photos, "--index", crop_index, "--methods", "smooth", "--out", tmp_path / "out"]
    result = ceret(*base)
    assert result.exit_code == 0
    assert "1 query photo skipped:\n  bad.jpg: " in result.stderr
    assert f"near-duplicate: copy.jpg of {crop_folder}/photo0/06.png (similarity " in result.stderr
    assert "6 photos at 64x64" in result.stdout and "left out: copy.jpg" in result.stdout
    assert "7 photos at 64x64" in ceret(*base, "--keep-leaks").stdout


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--methods", "sift"], "gist, hog, thumbnail, telea, navier-stokes, biharmonic, smooth, oracle, rim"),
        (["--methods", "smooth,smooth"], "named twice"),
        (["--methods", "thumbnail@far"], "no positive number of pixels"),
        (["--masks", "middle"], "choose one of center, block, region, or give a folder"),
        (["--shapes", "."], "--masks region"),
        (["--methods", "thumbnail:7"], "thumbnail:7"),
    ],
)
def test_bad_choices_name_what_there_is(ceret, one_line_error, queries, crop_index, tmp_path, options, says):
    out = tmp_path / "out"
    assert says in one_line_error(ceret("evaluate", queries, "--index", crop_index, "--out", out, *options))
    assert not (out / "results.json").exists()


def test_bad_places(ceret, one_line_error, queries, crop_index, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    good = {"photos": queries, "index": crop_index, "out": tmp_path / "out"}
    for changed, says in (
        ({"index": tmp_path / "none.ceret"}, "no index at"),
        ({"photos": tmp_path / "nowhere"}, "nowhere"),
        ({"photos": tmp_path / "empty"}, "no photo in it"),
        ({"out": tmp_path / "file"}, "file"),
    ):
        given = {**good, **changed}
        line = one_line_error(ceret("evaluate", given["photos"], "--index", given["index"], "--out", given["out"]))
        assert says in line


def test_usage(ceret, queries, crop_index, tmp_path):
    assert ceret("evaluate", queries, "--index", crop_index).exit_code == 2
    assert ceret("evaluate", "--index", crop_index, "--out", tmp_path).exit_code == 2
    assert ceret("evaluate", queries, "--index", crop_index, "--out", tmp_path, "--limit", 0).exit_code == 2
    text = " ".join(ceret("evaluate", "--help").stdout.split())
    assert "thumbnail@8+rim+blend" in text and "center, block, region, or mask files. [default: center]" in text
