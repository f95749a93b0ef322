"""`ceret complete --method scenes` and `--method patchmatch`: what is written, options, batches that go on."""

import json

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.completion.settings import TERM_WEIGHTS
from ce_retrieval.photos import load_photo

SCENES = ("--method", "scenes", "--rerank", "rim", "--aligned", 8, "--kind", "none")
NO_NETWORK = "no network is used by these settings: leave --weights out, or set --rerank to guided"


@pytest.fixture
def photos(photo, tmp_path):
    place = tmp_path / "photos"
    (place / "sub").mkdir(parents=True)
    picture = np.asarray(Image.open(photo))
    for i in range(3):
        Image.fromarray(np.roll(picture, 9 * i, axis=1)).save(place / ("sub" if i > 1 else "") / f"{i}.png")
    return place


def test_scenes_writes_the_photo_the_seam_and_the_candidates(ceret, photo, mask, crop_index, tmp_path):
    out = tmp_path / "out"
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", out, *SCENES, "--seam", 40]
    result = ceret(
        *arguments, "--top", 3, "--pick", 2, "--term", "texture=0", "--term", "seam=2", "--mixed", "--trust", 0.05
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{out / 'photo.png'}\n", "")
    record = json.loads((out / "photo.json").read_text())
    settings = record["settings"]
    assert record["method"] == "scenes" and settings["terms"] == {**TERM_WEIGHTS, "kind": 0, "texture": 0, "seam": 2}
    assert settings["trust"] == 0.05
    assert (settings["top"], settings["pick"], settings["seam"], settings["mixed"]) == (3, 2, 40.0, True)
    assert [c["share"] for c in record["candidates"]] == [0.0, 1.0, 0.0]
    seam = np.asarray(Image.open(out / "photo.candidates" / "seam.png"))[..., 0]
    before, after = load_photo(photo).pixels, load_photo(out / "photo.png").pixels
    np.testing.assert_array_equal(before[seam == 0], after[seam == 0])
    hole = np.asarray(Image.open(mask)) > 0
    assert (seam[hole] == 255).all() and ((seam > 0) & ~hole).sum() == record["changed_outside_hole"] > 0
    assert (out / "photo.candidates" / "sheet.png").exists()


def test_a_folder_goes_on_where_it_was_stopped(ceret, photos, mask, crop_index, tmp_path):
    out = tmp_path / "out"
    arguments = ["complete", photos, "--mask", mask, "--index", crop_index, "--out", out, *SCENES, "--workers", 2]
    assert ceret(*arguments).stdout == f"{out}: 3 completed, 0 done before, 0 failed\n"
    kept = (out / "0.png").read_bytes()
    (out / "sub" / "2.json").unlink()
    (out / "1.candidates" / "seam.png").unlink()
    assert ceret(*arguments).stdout == f"{out}: 2 completed, 1 done before, 0 failed\n"
    assert ceret(*arguments[:-2]).stdout == f"{out}: 0 completed, 3 done before, 0 failed\n"
    assert ceret(*arguments, "--save-candidates").stdout == f"{out}: 3 completed, 0 done before, 0 failed\n"
    assert ceret(*arguments, "--save-candidates").stdout == f"{out}: 0 completed, 3 done before, 0 failed\n"
    assert (out / "0.png").read_bytes() == kept
    record = json.loads((out / "0.json").read_text())
    names = sorted(path.name for path in (out / "0.candidates").glob("[0-9]*.png"))
    assert names == [f"{c['rank']:02d}.png" for c in record["candidates"]]
    assert ceret(*arguments, "--seam", 0).stdout == f"{out}: 3 completed, 0 done before, 0 failed\n"


@pytest.mark.parametrize("index", [False, True])
def test_patches_need_no_index_but_take_one(ceret, photo, mask, crop_index, tmp_path, index):
    out = tmp_path / "out"
    arguments = ["complete", photo, "--mask", mask, "--out", out, "--method", "patchmatch", "--start", "smooth"]
    arguments += ["--index", crop_index, "--rerank", "rim", "--aligned", 5, "--kind", "none"] if index else []
    result = ceret(*arguments)
    assert (result.exit_code, result.stdout, result.stderr) == (0, f"{out / 'photo.png'}\n", "")
    hole = np.asarray(Image.open(mask)) > 0
    before, after = load_photo(photo).pixels, load_photo(out / "photo.png").pixels
    np.testing.assert_array_equal(before[~hole], after[~hole])
    assert len(json.loads((out / "photo.json").read_text())["candidates"]) == (1 if index else 0)
    assert ceret(*arguments).stdout == f"{out / 'photo.png'} (done before)\n"


def test_what_does_not_go_together_is_named(ceret, one_line_error, photo, mask, crop_index, tiny_weights, tmp_path):
    base = ["complete", photo, "--mask", mask, "--out", tmp_path / "out"]
    scenes = ["--method", "scenes", "--index", crop_index]
    for options, message in (
        (["--method", "scenes"], "--method scenes needs --index"),
        ([*scenes, "-k", 3], "--method scenes does not read all options: leave out -k"),
        ([*scenes, "-k", 3, "--fill", "mean"], "leave out -k, --fill"),
        ([*scenes, "--start", "smooth"], "leave out --start"),
        ([*scenes, "--term", "beauty=1"], "TERM one of scene, context, texture, seam, gist"),
        ([*scenes, "--term", "seam=-1"], "VALUE a number from 0 to 1000000000"),
        ([*scenes, "--term", "seam"], "is not TERM=VALUE"),
        (["--method", "retrieval", "--index", crop_index, "--top", 3, "--seam", 2], "leave out --top, --seam"),
        ([*scenes, "--trust", 2], "--trust"),
        (
            ["--method", "patchmatch", "--rerank", "rim"],
            "without an --index, --method patchmatch does not read --rerank",
        ),
        (["--method", "patchmatch", "--save-candidates"], "leave out --save-candidates"),
        (["--method", "patchmatch", "--weights", tiny_weights], NO_NETWORK),
        (["--method", "patchmatch", "--index", crop_index, "--rerank", "rim", "--weights", "w"], NO_NETWORK),
        (
            [*SCENES, "--index", crop_index, "--pick", 30],
            "--pick is 30, but 20 candidates are kept: choose a larger --top",
        ),
        ([*SCENES, "--index", crop_index, "--seam", 50], "is not a number from 0 to 40"),
        ([*SCENES, "--index", crop_index, "--term", "content=1"], "content needs a network"),
    ):
        result = ceret(*base, *options)
        assert result.exit_code == 2, (options, result.output)
        assert message in result.stderr.splitlines()[-1], (options, result.stderr)
    result = ceret(*base, "--method", "patchmatch", "--start", "scene")
    assert "--start is 'scene', which needs an --index" in one_line_error(result)
    assert not (tmp_path / "out").exists()


def test_without_an_index_the_default_says_once_what_one_would_add(ceret, photo, mask, tmp_path):
    (tmp_path / "photos").mkdir()
    for name in ("a.png", "b.png"):
        Image.open(photo).save(tmp_path / "photos" / name)
    result = ceret("complete", tmp_path / "photos", "--mask", mask, "--out", tmp_path / "out")
    assert result.exit_code == 0 and result.stdout == f"{tmp_path / 'out'}: 2 completed, 0 done before, 0 failed\n"
    (line,) = result.stderr.splitlines()
    assert line.startswith("note: auto: without an `index` the photo's own patches fill every hole")
    record = json.loads((tmp_path / "out" / "a.json").read_text())
    assert record["method"] == "auto" and {part["method"] for part in record["parts"]} == {"patchmatch"}
    again = ceret("complete", tmp_path / "photos", "--mask", mask, "--out", tmp_path / "out")
    assert again.stdout == f"{tmp_path / 'out'}: 0 completed, 2 done before, 0 failed\n"
