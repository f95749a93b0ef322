"""`ceret complete`: one photo, folders, what goes to which stream, and every bad input."""

import json
import os
import pty
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.settings import PLACED, TERM_WEIGHTS, AutoSettings, NetworkSettings, RetrievalSettings
from ce_retrieval.photo_index import IndexSettings, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.settings import ranges

CERET = [sys.executable, "-c", "from cli.main import main; main()", "complete"]
ROOT = Path(__file__).parents[2]
RETRIEVAL = ("--method", "retrieval", "--rerank", "rim")  # the quickest
FILLS = ranges(RetrievalSettings)["fill"].choices
NO_NETWORK = "no network is used by these settings: leave --weights out, or set --rerank to guided"
RERANKS = ranges(RetrievalSettings)["rerank"].choices


@pytest.fixture
def photos(photo, tmp_path) -> Path:
    """Five photos and one that is none."""
    place = tmp_path / "photos"
    (place / "sub").mkdir(parents=True)
    picture = np.asarray(Image.open(photo))
    for i in range(5):
        Image.fromarray(np.roll(picture, 9 * i, axis=1)).save(place / ("sub" if i > 2 else "") / f"{i}.png")
    (place / "bad.jpg").write_bytes(b"\xff\xd8\xff no photo")
    return place


@pytest.mark.parametrize("fill", FILLS)
@pytest.mark.parametrize("rerank", RERANKS)
def test_one_photo(ceret, photo, mask, crop_index, tiny_weights, tmp_path, fill, rerank):
    out = tmp_path / "new" / "out"
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", out, "--method", "retrieval"]
    arguments += ["--fill", fill, "--rerank", rerank, "-k", 6, "--focus", "12"]
    arguments += ["--weights", tiny_weights] if rerank == "guided" else []
    result = ceret(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{out / 'photo.png'}\n", "")
    hole = np.asarray(Image.open(mask)) > 0
    before, after = load_photo(photo).pixels, load_photo(out / "photo.png").pixels
    np.testing.assert_array_equal(before[~hole], after[~hole])
    assert (before[hole] != after[hole]).any()
    settings = json.loads((out / "photo.json").read_text())["settings"]
    assert (settings["k"], settings["fill"], settings["rerank"], settings["focus"]) == (6, fill, rerank, 12.0)
    assert ceret(*arguments).stdout == f"{out / 'photo.png'} (done before)\n"


@pytest.mark.parametrize("fill", [None, *ranges(NetworkSettings)["fill"].choices])
def test_a_network_alone_needs_no_index(ceret, photo, mask, tiny_weights, tmp_path, fill):
    arguments = ["complete", photo, "--mask", mask, "--out", tmp_path / "o"]
    arguments += ["--method", "network", "--weights", tiny_weights, *(["--fill", fill] if fill else [])]
    result = ceret(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{tmp_path / 'o' / 'photo.png'}\n", "")
    hole = np.asarray(Image.open(mask)) > 0
    before, after = load_photo(photo).pixels, load_photo(tmp_path / "o" / "photo.png").pixels
    np.testing.assert_array_equal(before[~hole], after[~hole])
    assert (before[hole] != after[hole]).any()
    record = json.loads((tmp_path / "o" / "photo.json").read_text())
    assert (record["method"], record["index"], record["settings"]["fill"]) == ("network", None, fill or "paste")
    assert record["network"]["path"] == str(tiny_weights)
    assert ceret(*arguments, "--json").exit_code == 0
    assert json.loads(ceret(*arguments, "--json").stdout)[0]["done_before"]


def test_options_that_do_not_go_together_are_named(ceret, photo, mask, crop_index, tiny_weights, tmp_path):
    base = ["complete", photo, "--mask", mask, "--out", tmp_path / "out"]
    for options, message in (
        (["--method", "scenes"], "--method scenes needs --index NAME.ceret; --method auto works without one"),
        (["--method", "network", "--index", crop_index], "--method network uses no index: leave out --index"),
        (
            ["--method", "network", "-k", 3, "--focus", "auto", "--rerank", "rim"],
            "--method network does not read all options: leave out -k, --focus, --rerank",
        ),
        (["--method", "network", "--rerank", "guided"], "leave out --rerank"),
        (["--method", "network", "--save-candidates"], "leave out --save-candidates"),
        (["--method", "network", "--weights", tiny_weights, "--fill", "mean"], "expected one of paste, blend"),
        ([*RETRIEVAL, "--index", crop_index, "--weights", tiny_weights], NO_NETWORK),
        (["--method", "scenes", "--index", crop_index, "--rerank", "rim", "--weights", tiny_weights], NO_NETWORK),
        (
            ["--index", crop_index, "--fill", "mean", "-k", 3],
            "--method auto does not read all options: leave out --fill, -k, or use --method retrieval",
        ),
    ):
        result = ceret(*base, *options)
        assert result.exit_code == 2 and result.stderr.splitlines()[-1].startswith("Error: "), options
        assert message in result.stderr.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_what_a_network_cannot_do_is_one_line(
    ceret, one_line_error, photo, mask, crop_index, tiny_weights, center_weights, tmp_path, monkeypatch
):
    values = np.full((80, 100), 255, np.uint8)
    values[40, 50] = 0
    Image.fromarray(values).save(tmp_path / "blind.png")
    Image.fromarray(np.pad(np.full((9, 9), 255, np.uint8), ((0, 71), (0, 91)))).save(tmp_path / "corner.png")
    monkeypatch.setattr("ce_retrieval.models.shipped.FOLDER", tmp_path / "nowhere")
    network = ["--method", "network"]
    for options, message in (
        ([*network, "--mask", tmp_path / "blind.png", "--weights", tiny_weights], "nothing to see"),
        ([*network, "--mask", tmp_path / "corner.png", "--weights", center_weights], "outside the central half"),
        ([*network, "--mask", mask, "--weights", tmp_path / "none"], "no such checkpoint"),
        ([*network, "--mask", mask, "--weights", photo], "no safetensors file"),
        ([*network, "--mask", mask], "the weights that ship with ceret are not installed"),
        (["--index", crop_index, "--rerank", "guided", "--mask", mask], "ship with ceret are not installed"),
    ):
        result = ceret("complete", photo, "--out", tmp_path / "out", *options)
        assert message in one_line_error(result), (options, result.stderr)
        assert not (tmp_path / "out" / "photo.png").exists()
    monkeypatch.setattr("ce_retrieval.models.requirements.find_spec", lambda name: None)
    result = ceret("complete", photo, "--out", tmp_path / "out", *network, "--mask", mask, "--weights", tiny_weights)
    assert "pip install torch safetensors" in one_line_error(result)


def test_the_defaults_are_those_of_the_library(ceret, photo, mask, crop_index, tmp_path):
    result = ceret(
        *("complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / "out", "--save-candidates"),
        *("--method", "retrieval"),
    )
    assert result.exit_code == 0
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    settings = record["settings"]
    assert (settings["k"], settings["fill"], settings["rerank"], settings["focus"]) == (20, "blend", "guided", 8.0)
    assert len(record["candidates"]) == len(os.listdir(tmp_path / "out" / "photo.candidates")) == 20
    result = ceret("complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / "best", "--top", 3)
    assert result.exit_code == 0
    record = json.loads((tmp_path / "best" / "photo.json").read_text())
    settings = {**record["settings"], "top": AutoSettings.top}
    expected = asdict(replace(AutoSettings(), terms={**TERM_WEIGHTS, "kind": 0.0}, focus=8.0, aligned=PLACED))
    assert record["method"] == "auto" and settings == json.loads(json.dumps(expected))


@pytest.mark.parametrize("method", ["retrieval", "scenes"])
def test_weights_are_those_of_the_rerank_by_default(ceret, photo, mask, crop_index, tiny_weights, tmp_path, method):
    result = ceret(
        *("complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / "out"),
        *("--method", method, "--weights", tiny_weights),
    )
    assert result.exit_code == 0, result.stderr
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    assert record["settings"]["rerank"] == "guided" and record["network"]["path"] == str(tiny_weights)


def test_a_small_collection_lowers_the_default_k_but_not_a_given_one(
    ceret, one_line_error, photo, mask, crop_folder, tmp_path
):
    build_index(
        [crop_folder / "photo3"],
        tmp_path / "a.ceret",
        IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"),
    )
    arguments = ["complete", photo, "--mask", mask, "--index", tmp_path / "a.ceret", "--out", tmp_path / "out"]
    arguments += ["--method", "retrieval"]
    assert "-k is 16, but" in one_line_error(ceret(*arguments, "-k", 16))
    assert not (tmp_path / "out").exists()
    assert ceret(*arguments).exit_code == 0
    assert len(json.loads((tmp_path / "out" / "photo.json").read_text())["candidates"]) == 15


def test_a_folder_goes_past_a_bad_photo_and_lists_it_at_the_end(ceret, photos, mask, crop_index, tmp_path):
    out = tmp_path / "out"
    arguments = ["complete", photos, "--mask", mask, "--index", crop_index, "--out", out, *RETRIEVAL]
    result = ceret(*arguments)
    assert result.exit_code == 1
    assert result.stdout == f"{out}: 5 completed, 0 done before, 1 failed\n"
    assert len(result.stderr.splitlines()) == 1
    assert result.stderr.startswith(f"failed: {photos / 'bad.jpg'}: ")
    assert sorted(path.relative_to(out).as_posix() for path in out.rglob("*.png")) == [
        "0.png",
        "1.png",
        "2.png",
        "sub/3.png",
        "sub/4.png",
    ]
    (photos / "bad.jpg").unlink()
    result = ceret(*arguments)
    assert (result.exit_code, result.stdout) == (0, f"{out}: 0 completed, 5 done before, 0 failed\n")


def test_json_is_all_of_stdout(ceret, photos, mask, crop_index, tmp_path):
    out = tmp_path / "out"
    result = ceret("complete", photos, "--mask", mask, "--index", crop_index, "--out", out, "--json", *RETRIEVAL)
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1
    outcomes = json.loads(result.stdout)
    assert [o["photo"] for o in outcomes] == [
        str(photos / name) for name in ("0.png", "1.png", "2.png", "bad.jpg", "sub/3.png", "sub/4.png")
    ]
    assert [o["written"] is None for o in outcomes] == [False, False, False, True, False, False]
    assert outcomes[3]["error"].startswith(str(photos / "bad.jpg"))
    assert outcomes[4] == {
        "photo": str(photos / "sub/3.png"),
        "written": str(out / "sub/3.png"),
        "done_before": False,
        "error": None,
        "hint": None,
    }


def test_progress_is_on_stderr_and_only_on_a_terminal(ceret, photos, mask, crop_index, tmp_path):
    (photos / "bad.jpg").unlink()
    arguments = [photos, "--mask", mask, "--index", crop_index, "--json", *RETRIEVAL, "--out"]
    quiet = ceret("complete", *arguments, tmp_path / "a")
    assert (quiet.exit_code, quiet.stderr) == (0, "") and len(json.loads(quiet.stdout)) == 5
    ours, theirs = pty.openpty()
    shown = subprocess.run(
        [*CERET, *map(str, arguments), str(tmp_path / "b")],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        cwd=ROOT,
        check=True,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )
    os.close(theirs)
    terminal = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "completing" in terminal and "5/5" in terminal
    assert len(json.loads(shown.stdout)) == 5


def test_bad_input_is_one_line(ceret, one_line_error, photo, mask, photos, crop_index, crop_folder, tmp_path):
    Image.new("L", (100, 80), 255).save(tmp_path / "full.png")
    Image.new("L", (100, 80), 0).save(tmp_path / "empty.png")
    Image.new("L", (99, 80), 0).save(tmp_path / "other.png")
    (tmp_path / "masks").mkdir()
    shutil.copy(mask, tmp_path / "masks" / "another.png")
    (tmp_path / "file").write_text("kept")
    hole = np.zeros((4, 100), np.uint8)
    hole[1:3, 40:60] = 255
    Image.fromarray(hole).save(tmp_path / "small-mask.png")
    Image.new("RGB", (100, 4), "red").save(tmp_path / "small.png")
    build_index(
        [crop_folder / "photo3"],
        tmp_path / "center.ceret",
        IndexSettings(features="thumbnail:16", hole="center", size=64, workers=1, kind="none"),
    )
    given = {"photo": photo, "mask": mask, "index": crop_index, "out": tmp_path / "out"}
    for change, message in (
        ({"photo": tmp_path / "nowhere.jpg"}, "no photo at"),
        ({"photo": tmp_path / "masks" / ".."}, "choose another"),
        ({"photo": photos / "bad.jpg"}, "bad.jpg"),
        ({"photo": tmp_path / "small.png", "mask": tmp_path / "small-mask.png"}, "at least"),
        ({"mask": tmp_path / "nowhere.png"}, "no mask at"),
        ({"mask": tmp_path / "full.png"}, "covers the whole photo"),
        ({"mask": tmp_path / "empty.png"}, "marks nothing as missing"),
        ({"mask": tmp_path / "other.png"}, "99x80 pixels, its photo is 100x80"),
        ({"mask": tmp_path / "masks"}, "add photo.png"),
        ({"mask": photo}, "is given as its own mask"),
        ({"index": tmp_path / "nowhere.ceret"}, "no index at"),
        ({"index": tmp_path / "masks"}, "not a ceret index"),
        ({"index": tmp_path / "center.ceret", "method": "scenes"}, "built with the hole protocol 'center'"),
        ({"out": tmp_path / "file"}, "cannot write"),
        ({"out": tmp_path / "file" / "sub"}, "cannot write"),
        ({"out": tmp_path}, "overwrite the photo"),
    ):
        use = {**given, **change}
        if message == "choose another":
            use["out"] = use["photo"]
        options = ["--mask", use["mask"], "--index", use["index"], "--out", use["out"]]
        result = ceret("complete", use["photo"], *options, "--method", use.get("method", "auto"))
        assert message in one_line_error(result), (change, result.stderr)
    assert (tmp_path / "file").read_text() == "kept"
    np.testing.assert_array_equal(load_photo(photo).pixels, np.asarray(Image.open(photo)))


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(
    ceret, one_line_error, photos, mask, crop_index, tmp_path, full_disk
):
    (photos / "bad.jpg").unlink()
    out = tmp_path / "out"
    arguments = ["complete", photos, "--mask", mask, "--index", crop_index, "--out", out, *RETRIEVAL]
    with full_disk(8192):  # the pictures are larger, the JSON is not
        error = one_line_error(ceret(*arguments))
    assert ".png" in error
    assert not list(out.rglob("*.png")) and not list(out.rglob("*.json")) and not list(out.rglob(".*"))
    assert ceret(*arguments).stdout == f"{out}: 5 completed, 0 done before, 0 failed\n"
    assert min(path.stat().st_size for path in out.rglob("*.png")) > 8192


def test_a_hole_over_most_of_the_photo_is_doubted(ceret, photo, crop_index, tmp_path):
    height, width = load_photo(photo).pixels.shape[:2]
    values = np.full((height, width), 255, np.uint8)
    values[: height // 3] = 0
    mask = tmp_path / "wide.png"
    Image.fromarray(values).save(mask)
    options = ["--mask", mask, "--index", crop_index, "-k", 2]
    retrieval = ["--method", "retrieval", "--out", tmp_path / "out"]
    for arguments in (["complete", photo, *options, *retrieval], ["query", photo, *options]):
        result = ceret(*arguments)
        assert result.exit_code == 0
        assert result.stderr.startswith("note: ") and "--invert-mask" in result.stderr
        assert len(result.stderr.splitlines()) == 1
