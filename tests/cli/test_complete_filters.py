"""`ceret complete` with --where and --exclude-same-source, by every method that reads an index."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import load_photo


@pytest.fixture
def own(crop_folder, tmp_path):
    """A photo of the collection, in place, and a mask for it."""
    hole = np.zeros((96, 96), np.uint8)
    hole[36:60, 40:64] = 255
    Image.fromarray(hole).save(tmp_path / "hole.png")
    return crop_folder / "photo2" / "06.png", tmp_path / "hole.png"


METHODS = {
    "retrieval": ["--rerank", "rim", "-k", 40],
    "scenes": ["--rerank", "rim", "--aligned", 6, "--top", 4, "--kind", "none"],
    "patchmatch": ["--rerank", "rim", "--aligned", 4, "--kind", "none"],
}


@pytest.mark.parametrize("method", METHODS)
def test_scenes_that_pass_alone_fill_the_hole(ceret, own, crop_index, tmp_path, method):
    photo, mask = own
    where = "label in ['photo1', 'photo2'] and width == 96"
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--method", method, *METHODS[method]]
    result = ceret(*arguments, "--out", tmp_path, "--where", where, "--exclude-same-source")
    assert (result.exit_code, result.stderr) == (0, ""), result.stderr
    record = json.loads((tmp_path / "06.json").read_text())
    settings = record["settings"]
    assert (settings["where"], settings["exclude_same_source"]) == (where, True)
    used = [candidate["photo"] for candidate in record["candidates"]]
    assert used and all("/photo1/" in name and "07" not in name for name in used), used
    if method == "retrieval":
        assert len(used) == 14, "all that are left"
    before, after = load_photo(photo).pixels, load_photo(tmp_path / "06.png").pixels
    hole = np.asarray(Image.open(mask)) > 0
    assert (before[hole] != after[hole]).any()


def test_another_filter_is_another_result(ceret, own, crop_index, tmp_path):
    photo, mask = own
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path, *METHODS["scenes"]]
    for filters in ([], ["--where", "width < 100"], ["--where", "width < 100", "--exclude-same-source"]):
        assert "done before" not in ceret(*arguments, *filters).stdout
        assert "done before" in ceret(*arguments, *filters).stdout


@pytest.mark.parametrize("method", METHODS)
def test_a_copy_elsewhere_is_not_filled_from_itself(ceret, own, crop_index, tmp_path, method):
    photo, mask = own
    shutil.copy(photo, tmp_path / "copy.png")
    arguments = ["complete", tmp_path / "copy.png", "--mask", mask, "--index", crop_index, "--method", method]
    note = (
        f"note: {tmp_path / 'copy.png'}: 1 scene is the photo itself or a copy of it, and was left out, the first: {photo}; set "
        "--allow-same-photo to fill from it\n"
    )
    for options, itself, told in (
        ([], False, note),
        (["--allow-same-photo"], True, ""),
        (["--exclude-same-source"], False, ""),
    ):
        result = ceret(*arguments, *METHODS[method], "--out", tmp_path / "out", *options)
        assert (result.exit_code, result.stderr) == (0, told)
        record = json.loads((tmp_path / "out" / "copy.json").read_text())
        used = [c["photo"] for c in record["candidates"]]
        assert (str(photo) in used) is itself
        assert any("/photo2/" in name for name in used) or method == "patchmatch", "its neighbours of another file stay"
        assert (f"{photo}: the photo itself, or a copy of it" in record["dropped"]) is bool(told)


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("license == 'CC0'", "names license, which is not a column: there are key, label, caption, licence"),
        ("width == 'x'", "compares width, a number, with 'x', a text"),
        ("width >=", "is not an expression"),
        ("", "--where is empty"),
        ("width > 9000", "none of 60 photos of"),
        ("not " * 4900 + "width == 1", "--where 'not not"),
    ],
    ids=lambda text: text[:30],
)
@pytest.mark.parametrize("method", METHODS)
def test_bad_filters_are_one_line(ceret, one_line_error, own, crop_index, tmp_path, method, where, message):
    photo, mask = own
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--method", method, "--rerank", "rim"]
    result = ceret(*arguments, "--out", tmp_path / "out", "--where", where)
    assert message in one_line_error(result)
    assert not (tmp_path / "out").exists()


def test_a_network_alone_has_nothing_to_filter(ceret, photo, mask, tiny_weights, tmp_path):
    arguments = ["complete", photo, "--mask", mask, "--method", "network", "--weights", tiny_weights, "--out", tmp_path]
    result = ceret(*arguments, "--where", "width > 3", "--exclude-same-source")
    assert result.exit_code == 2 and "leave out --where, --exclude-same-source" in result.stderr.splitlines()[-1]
