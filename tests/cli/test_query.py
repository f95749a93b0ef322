"""`ceret query`: what it prints and writes, and every bad input."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.photo_index import IndexSettings, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval import search


def test_neighbours_are_printed_best_first(ceret, crop_folder, crop_index, tmp_path):
    hole = np.zeros((96, 96), np.uint8)
    hole[30:60, 30:60] = 255
    Image.fromarray(hole).save(tmp_path / "mask.png")
    query = crop_folder / "photo0/06.png"
    result = ceret("query", query, "--mask", tmp_path / "mask.png", "--index", crop_index, "-k", 7)
    assert result.exit_code == 0 and result.stderr == ""
    lines = result.stdout.splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, 8))
    assert lines[0].split()[2] == str(query)
    distances = [float(line.split()[1]) for line in lines]
    assert distances == sorted(distances)


def test_json_is_all_of_stdout(ceret, photo, mask, crop_index):
    result = ceret("query", photo, "--mask", mask, "--index", crop_index, "--json")
    assert result.exit_code == 0 and result.stderr == ""
    answer = json.loads(result.stdout)
    assert answer["photo"] == str(photo) and answer["focus"] == 8.0
    assert [n["rank"] for n in answer["neighbors"]] == list(range(1, 21))
    assert set(answer["neighbors"][0]["record"]) >= {"key", "label", "licence", "sha256", "width", "height"}
    none = json.loads(ceret("query", photo, "--mask", mask, "--index", crop_index, "--json", "--focus", "none").stdout)
    assert none["focus"] is None
    assert [n["distance"] for n in none["neighbors"]] != [n["distance"] for n in answer["neighbors"]]


def test_a_small_collection_lowers_the_default_k_but_not_a_given_one(
    ceret, one_line_error, photo, mask, crop_folder, tmp_path
):
    build_index(
        [crop_folder / "photo3"],
        tmp_path / "a.ceret",
        IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"),
    )
    arguments = ["query", photo, "--mask", mask, "--index", tmp_path / "a.ceret"]
    assert len(ceret(*arguments).stdout.splitlines()) == 15
    assert "-k is 20, but" in one_line_error(ceret(*arguments, "-k", 20))


def test_the_default_k_that_is_shown_is_that_of_the_library(ceret):
    assert f"[default: {search.DEFAULT_K}, or all" in ceret("query", "--help").stdout


def test_a_picture_is_written(ceret, photo, mask, crop_index, tmp_path):
    out = tmp_path / "sheet.png"
    result = ceret("query", photo, "--mask", mask, "--index", crop_index, "-k", 5, "--out", out)
    assert result.exit_code == 0 and result.stdout.splitlines()[-1] == f"picture: {out}"
    assert load_photo(out).pixels.shape[1] > 5 * 96
    both = ceret("query", photo, "--mask", mask, "--index", crop_index, "-k", 5, "--out", out, "--json")
    assert len(json.loads(both.stdout)["neighbors"]) == 5


def test_lost_neighbours_are_left_out_of_the_picture(ceret, photo, mask, crop_folder, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(crop_folder / "photo1", photos)
    build_index([photos], tmp_path / "a.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    arguments = ["query", photo, "--mask", mask, "--index", tmp_path / "a.ceret", "--out", tmp_path / "sheet.png"]
    (photos / "04.jpg").unlink()
    result = ceret(*arguments)
    assert result.exit_code == 0 and (tmp_path / "sheet.png").is_file()
    assert len(result.stdout.splitlines()) == 16
    assert result.stderr.startswith("not in the picture: ") and "04.jpg" in result.stderr
    (tmp_path / "sheet.png").unlink()
    shutil.rmtree(photos)
    result = ceret(*arguments)
    assert result.exit_code == 1 and len(result.stdout.splitlines()) == 15
    assert result.stderr.splitlines()[-1].startswith("Error: ") and not (tmp_path / "sheet.png").exists()


def test_alpha_and_inverted_masks(ceret, photo, mask, crop_index, tmp_path):
    def neighbours(*arguments: object) -> str:
        result = ceret("query", photo, "--index", crop_index, *arguments)
        assert result.exit_code == 0, result.output
        return result.stdout

    hole = np.asarray(Image.open(mask))
    Image.fromarray(255 - hole).save(tmp_path / "dark.png")
    Image.fromarray(np.dstack([np.asarray(Image.open(photo)), 255 - hole])).save(tmp_path / "alpha.png")
    expected = neighbours("--mask", mask)
    assert neighbours("--mask", tmp_path / "dark.png", "--invert-mask") == expected
    assert neighbours("--mask", tmp_path / "alpha.png", "--mask-alpha") == expected


@pytest.mark.parametrize(
    ("values", "options", "message"),
    [
        (np.zeros((80, 100)), (), "marks nothing as missing"),
        (np.full((80, 100), 255), (), "covers the whole photo"),
        (np.zeros((80, 99)), (), "99x80 pixels, its photo is 100x80"),
        (np.tile(np.arange(100) * 2, (80, 1)), (), "not two-valued"),
        (np.zeros((80, 100)), ("--mask-alpha",), "leave out --mask-alpha"),
    ],
)
def test_bad_masks(ceret, one_line_error, photo, crop_index, tmp_path, values, options, message):
    Image.fromarray(values.astype(np.uint8)).save(tmp_path / "bad.png")
    result = ceret("query", photo, "--mask", tmp_path / "bad.png", "--index", crop_index, *options)
    assert message in one_line_error(result) and "bad.png" in result.stderr


def test_a_mask_read_the_wrong_way_round_is_suspected(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    hole = np.zeros((80, 100), np.uint8)
    hole[40:43, 50:53] = 255
    Image.fromarray(hole).save(tmp_path / "tiny.png")
    result = ceret("query", photo, "--mask", tmp_path / "tiny.png", "--invert-mask", "--index", crop_index)
    assert "--invert-mask (or leave it out)" in one_line_error(result)


def test_bad_photos(ceret, one_line_error, mask, crop_index, tmp_path):
    small = Image.new("RGB", (100, 4), "red")
    small.save(tmp_path / "small.png")
    Image.new("L", (100, 4), 255).save(tmp_path / "small-mask.png")
    hole = np.zeros((4, 100), np.uint8)
    hole[1:3, 40:60] = 255
    Image.fromarray(hole).save(tmp_path / "small-mask.png")
    (tmp_path / "text.png").write_text("no photo")
    for photo, of, message in (
        ("nowhere.png", mask, "nowhere.png"),
        ("text.png", mask, "text.png"),
        ("small.png", tmp_path / "small-mask.png", "at least"),
    ):
        result = ceret("query", tmp_path / photo, "--mask", of, "--index", crop_index)
        assert message in one_line_error(result)
    result = ceret("query", tmp_path / "small.png", "--mask", tmp_path / "nowhere.png", "--index", crop_index)
    assert "nowhere.png does not exist" in one_line_error(result)


def test_bad_indexes(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    def error(path: object) -> str:
        return one_line_error(ceret("query", photo, "--mask", mask, "--index", path))

    assert "no index at" in error(tmp_path / "nowhere.ceret")
    assert "not a ceret index" in error(tmp_path)
    for name in ("version", "truncated", "altered", "missing"):
        shutil.copytree(crop_index, tmp_path / name)
    manifest = tmp_path / "version" / "manifest.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": 99}))
    assert "format version 99" in error(tmp_path / "version")
    vectors = next((tmp_path / "truncated").rglob("vectors.h5"))
    vectors.write_bytes(vectors.read_bytes()[:-1])
    assert "vectors.h5 has" in error(tmp_path / "truncated")
    vectors = next((tmp_path / "altered").rglob("vectors.h5"))
    data = bytearray(vectors.read_bytes())
    data[-100] ^= 1
    vectors.write_bytes(data)
    assert "altered" in error(tmp_path / "altered")
    next((tmp_path / "missing").rglob("photos.parquet")).unlink()
    assert "photos.parquet cannot be read" in error(tmp_path / "missing")


def test_other_holes_than_the_centre_are_refused(ceret, one_line_error, photo, mask, crop_folder, tmp_path):
    settings = IndexSettings(features="thumbnail:16", hole="center", size=64, workers=1, kind="none")
    build_index([crop_folder / "photo3"], tmp_path / "c.ceret", settings)
    Image.fromarray(np.roll(np.asarray(Image.open(mask)), 15, axis=0)).save(tmp_path / "off.png")
    result = ceret("query", photo, "--mask", tmp_path / "off.png", "--index", tmp_path / "c.ceret")
    assert "the hole protocol 'center'" in one_line_error(result)
    hole = np.zeros((80, 100), np.uint8)
    hole[20:60, 25:75] = 255
    Image.fromarray(hole).save(tmp_path / "centre.png")
    assert ceret("query", photo, "--mask", tmp_path / "centre.png", "--index", tmp_path / "c.ceret").exit_code == 0


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet.webp", "sheet"])
def test_a_picture_is_a_png(ceret, one_line_error, photo, mask, crop_index, tmp_path, name):
    result = ceret("query", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / name)
    assert f"{name}: pictures are written as PNG; give NAME.png" in one_line_error(result)
    assert result.exit_code == 2 and not (tmp_path / name).exists()


def test_a_picture_that_cannot_be_written(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    for name in ("nowhere/sheet.png", "photo.png/sheet.png", "sheet.xyz"):
        result = ceret("query", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / name)
        assert name.rpartition("/")[2] in one_line_error(result)


def test_filters(ceret, mask, crop_folder, crop_index, tmp_path):
    Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), 28)).save(tmp_path / "hole.png")
    query = crop_folder / "photo0/06.png"
    arguments = ["query", query, "--mask", tmp_path / "hole.png", "--index", crop_index, "--json"]

    def answer(*options: object) -> dict:
        result = ceret(*arguments, *options)
        assert (result.exit_code, result.stderr) == (0, "")
        return json.loads(result.stdout)

    everything = answer("-k", 60)
    assert (everything["where"], everything["exclude_same_source"]) == (None, False)
    keys = [n["record"]["key"] for n in everything["neighbors"]]
    where = "label in ['photo0', 'photo2'] and width < 100 and not endswith(key, '.jpg')"
    some = answer("-k", 60, "--where", where)
    assert some["where"] == where
    expected = [key for key in keys if key[:6] in ("photo0", "photo2") and key[7:] != "07.png" and key.endswith("png")]
    assert [n["record"]["key"] for n in some["neighbors"]] == expected
    assert len(expected) == 22
    assert [n["record"]["key"] for n in answer("-k", 5, "--where", where)["neighbors"]] == expected[:5]
    apart = answer("-k", 10, "--exclude-same-source")
    assert apart["exclude_same_source"] is True
    assert [n["record"]["key"] for n in apart["neighbors"]] == [key for key in keys if key[:6] != "photo0"][:10]
    both = answer("-k", 60, "--exclude-same-source", "--where", where)["neighbors"]
    assert [n["record"]["key"] for n in both] == [key for key in expected if key[:6] != "photo0"]


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("license == 'CC0'", "names license, which is not a column: there are key, label, caption, licence"),
        ("width == 'x'", "compares width, a number, with 'x', a text"),
        ("width >=", "is not an expression"),
        ("", "--where is empty"),
        ("caption.lower() == 'x'", "has caption.lower(), which filters do not support"),
        ("__import__('os').abort()", "calls __import__('os').abort"),
        ("key == '" + "x" * 30_000 + "'", "characters long"),
        ("width > 9000", "none of 60 photos of"),
    ],
    ids=lambda text: text[:30],
)
def test_bad_filters(ceret, one_line_error, photo, mask, crop_index, where, message):
    result = ceret("query", photo, "--mask", mask, "--index", crop_index, "--where", where)
    line = one_line_error(result)
    assert message in line and len(line) < 500


def test_nothing_left_without_the_querys_own_source(ceret, one_line_error, mask, photo, crop_index, crop_folder):
    arguments = ["query", crop_folder / "photo0/06.png", "--mask", mask, "--index", crop_index]
    Image.fromarray(np.pad(np.full((40, 40), 255, np.uint8), 28)).save(mask)
    result = ceret(*arguments, "--exclude-same-source", "--where", "label == 'photo0'")
    assert "from the query's own folder or a near-duplicate" in one_line_error(result)


def test_without_a_mask_photos_like_this_one_are_found(ceret, one_line_error, crop_folder, crop_index, tmp_path):
    query, out = crop_folder / "photo0/06.png", tmp_path / "sheet.png"
    result = ceret("query", query, "--index", crop_index, "-k", 3, "--out", out)
    assert result.exit_code == 0 and result.stderr == "" and out.is_file()
    assert result.stdout.splitlines()[0].split() == ["1", "0.00000", str(query)]
    answer = json.loads(ceret("query", query, "--index", crop_index, "--json").stdout)
    assert answer["focus"] is None and len(answer["neighbors"]) == 20
    line = one_line_error(ceret("query", query, "--index", crop_index, "--invert-mask"))
    assert "give one with --mask" in line
    assert "--focus needs a hole" in one_line_error(ceret("query", query, "--index", crop_index, "--focus", 8))
