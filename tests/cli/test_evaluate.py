"""`ceret evaluate`: what it prints and writes, and every bad input."""

import json
import shutil
from dataclasses import asdict

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
    assert result.stdout.startswith((out / "table.md").read_text().partition("\n<!-- ceret: ")[0])
    assert [line for line in lines if line.startswith("written: ")] == [
        f"written: {out / name}" for name in ("table.md", "sheet-01.png", "results.json")
    ]
    assert (out / "hog.ceret/manifest.json").is_file()
    results = json.loads((out / "results.json").read_bytes())
    assert results["settings"] == json.loads(
        json.dumps(asdict(EvaluationSettings(("thumbnail:16", " hog+rim", "smooth"))))
    )
    assert all(0 <= method["precision"] <= 1 for method in results["methods"][:2])


def test_the_default_methods_are_the_indexs_features_by_every_fill(ceret, queries, crop_index, tmp_path, monkeypatch):
    monkeypatch.setattr("ce_retrieval.models.shipped.FOLDER", tmp_path / "nowhere")
    result = ceret("evaluate", queries, "--index", crop_index, "--out", tmp_path, "--limit", 2, "--seed", 4)
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "results.json").read_bytes())
    names = [method["name"] for method in results["methods"]]
    features = "thumbnail:16"
    assert names == [features, f"{features}+rim", f"{features}+rim+blend", f"{features}+rim+mean", "smooth", "oracle"]
    assert len(results["photos"]) == 2 and results["settings"]["seed"] == 4


def test_networks_are_measured_by_the_given_weights(ceret, queries, crop_index, tiny_weights, tmp_path):
    base = ["evaluate", queries, "--index", crop_index, "--out", tmp_path, "--limit", 3]
    methods = f"thumbnail:16+guided,network,network+blend,network:{tiny_weights}"
    result = ceret(*base, "--methods", methods, "--weights", tiny_weights)
    assert result.exit_code == 0, result.output
    results = json.loads((tmp_path / "results.json").read_bytes())
    assert [method["name"] for method in results["methods"]] == methods.split(",")
    _, paste, blend, named = (method["l2"] for method in results["methods"])
    assert paste == named != blend
    assert results["settings"]["weights"] == str(tiny_weights)
    ((sha256, path),) = {(n["sha256"], n["path"]) for n in results["about"]["networks"]}
    assert len(sha256) == 64 and path == str(tiny_weights)
    result = ceret(*base, "--weights", tiny_weights)
    assert result.exit_code == 0, result.output
    names = [method["name"] for method in json.loads((tmp_path / "results.json").read_bytes())["methods"]]
    assert "thumbnail:16+guided+blend" in names and "network" in names


def test_methods_with_settings_and_a_perceptual_distance(ceret, one_line_error, queries, crop_index, tmp_path):
    from onnx_models import conv  # skips where the onnx package is missing

    path = conv(tmp_path / "net.onnx")
    methods = "scenes+rim+aligned=9,patchmatch+index+rim+aligned=9,patchmatch"
    base = ["evaluate", queries, "--index", crop_index, "--out", tmp_path / "out", "--methods", methods, "--limit", 2]
    result = ceret(*base, "--perceptual", f"onnx:{path}", "--json")
    assert result.exit_code == 0, result.output
    results = json.loads(result.stdout)
    assert [entry["name"] for entry in results["methods"]] == methods.split(",")
    assert [entry["kind@1"] is None for entry in results["methods"]] == [False, False, True]
    assert [entry["kind@20"] is None for entry in results["methods"]] == [False, True, True]
    assert all(entry["perceptual"]["mean"] == entry["perceptual"]["layers"]["out"] > 0 for entry in results["methods"])
    assert results["settings"]["perceptual"] == f"onnx:{path}"
    table = ceret(*base, "--perceptual", f"onnx:{path}").stdout
    assert table.startswith(
        "| method | L1 % | L2 % | PSNR dB | PSNR of mean L2 | SSIM | sharpness | perceptual | KID x1000 | P@10 | kind@1 |"
    )
    (tmp_path / "net.onnx.json").unlink()
    for spec, says in (
        (f"onnx:{path}", "net.onnx.json is missing: write it"),
        (f"onnx:{path}:outs", "has no layer 'outs': near it are out"),
        ("net.onnx", "--perceptual is 'net.onnx': expected onnx:FILE[:LAYER,...]"),
        (f"onnx:{tmp_path}/no.onnx", "there is no such file"),
    ):
        assert says in one_line_error(ceret(*base, "--perceptual", spec))


def test_a_network_that_cannot_serve_is_named_before_any_work(
    ceret, one_line_error, queries, crop_index, center_weights, tmp_path, monkeypatch
):
    monkeypatch.setattr("ce_retrieval.models.shipped.FOLDER", tmp_path / "nowhere")
    base = ["evaluate", queries, "--index", crop_index, "--out", tmp_path / "out", "--methods"]
    assert "the weights that ship with ceret are not installed" in one_line_error(ceret(*base, "network"))
    assert "not installed" in one_line_error(ceret(*base, "thumbnail:16+guided"))
    assert "no such checkpoint" in one_line_error(ceret(*base, f"network:{tmp_path}/none.safetensors"))
    Image.fromarray(np.pad(np.full((8, 8), 255, np.uint8), ((0, 56), (0, 56)))).save(tmp_path / "mask.png")
    (tmp_path / "masks").mkdir()
    (tmp_path / "mask.png").rename(tmp_path / "masks" / "mask.png")
    error = one_line_error(ceret(*base, f"network:{center_weights}", "--masks", tmp_path / "masks"))
    assert "none of 6 photos can be measured" in error and "outside the central half" in error
    assert not (tmp_path / "out" / "results.json").exists()


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
        (["--methods", "scenes+aligned=0"], "aligned is 0: expected a whole number from 1 to"),
        (["--methods", "scenes+colour=2"], "'colour=2' does not fit there"),
        (["--methods", "sift"], "patchmatch, network, telea, navier-stokes, biharmonic, smooth, oracle, ring"),
        (["--methods", "smooth,smooth"], "--methods names 'smooth' twice"),
        (["--methods", "thumbnail@far"], "the focus 'far' is not a number from 0.1 to 1000000000 px, nor none"),
        (["--masks", "middle"], "choose one of center, block, region, irregular, or give a folder"),
        (["--shapes", "."], "--shapes belong to --masks region, not center"),
        (["--methods", "thumbnail:7"], "thumbnail:7"),
        (["--methods", ""], "--methods '' is unknown: it begins with one of"),
        (["--methods", "x" * 3000], "xxx... is unknown: it begins with one of"),
    ],
)
def test_bad_choices_name_what_there_is(ceret, one_line_error, queries, crop_index, tmp_path, options, says):
    out = tmp_path / "out"
    assert says in one_line_error(ceret("evaluate", queries, "--index", crop_index, "--out", out, *options))
    assert not out.exists()


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
    assert "thumbnail@8+rim+blend" in text
    assert "center, block, region, irregular, or mask files. [default: center]" in text
