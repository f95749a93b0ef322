"""`ceret remove`, `compact`, `merge` and `export`: what they print, and their bad input."""

import json

import pytest

from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index


@pytest.fixture
def index(crop_folder, tmp_path):
    path = tmp_path / "all.ceret"
    build_index([crop_folder], path, IndexSettings(features="thumbnail:8", size=32, workers=1, kind="none"))
    return path


def test_photos_are_removed_compacted_and_restored(ceret, index, crop_folder):
    gone = [crop_folder / "photo0", crop_folder / "photo1" / "03.png"]
    assert ceret("remove", index, *gone).stdout == f"{index}: 16 photos removed, 44 left\n"
    about = json.loads(ceret("info", index, "--json").stdout)
    assert (about["photos"], about["removed"], about["kept_out"]) == (44, 16, 16)
    done = ceret("compact", index)
    assert done.stdout.startswith(f"{index}: 44 photos in 1 segment (before: 1), 16 removed photos dropped, ")
    assert done.stdout.endswith(" bytes freed\n") and done.stderr == ""
    added = ceret("add", index)
    assert added.stdout == (
        f"{index}: 0 photos added, 44 were there already, 16 stay removed, 44 in all; 0 files skipped; no kind features\n"
    )
    restored = ceret("remove", index, "--restore", crop_folder / "photo0", "--json")
    assert json.loads(restored.stdout) == {"index": str(index), "restored": 15}
    assert "1 stays removed, 59 in all" in ceret("add", index).stdout
    done = json.loads(ceret("remove", index, "--where", "label == 'photo2'", "--json").stdout)
    assert done == {"index": str(index), "removed": 15, "photos": 44}
    about = json.loads(ceret("compact", index, "--json").stdout)
    assert (about["photos"], about["dropped"], about["segments"], about["deleted"]) == (44, 15, [2, 1], True)


def test_a_reader_that_has_the_index_open_is_noted(ceret, index, crop_folder):
    reader = PhotoIndex.open(index)
    ceret("remove", index, crop_folder / "photo0")
    done = ceret("compact", index)
    assert done.stderr.startswith(f"note: {index}: a program has it open") and len(reader.table) == 60


def test_indexes_are_merged(ceret, one_line_error, index, crop_folder, tmp_path):
    second, out = tmp_path / "second.ceret", tmp_path / "out.ceret"
    settings = IndexSettings(features="thumbnail:8", size=32, workers=1, kind="none")
    build_index([crop_folder / "photo0"], second, settings)
    ceret("remove", second, crop_folder / "photo0" / "01.png")
    done = ceret("merge", out, index, second)
    assert (
        done.stdout == f"{out}: 59 photos of 2 indexes, 14 in several of them, 1 kept out; 3 files shared, 1 copied\n"
    )
    assert done.stderr == "" and len(PhotoIndex.open(out)) == 59
    about = json.loads(ceret("merge", tmp_path / "again.ceret", index, index, "--json").stdout)
    assert (about["photos"], about["repeated"], about["merged"]) == (60, 60, [str(index), str(index)])
    assert "exists already: choose another name" in one_line_error(ceret("merge", out, index, second))
    assert "give at least two" in one_line_error(ceret("merge", tmp_path / "one.ceret", index))
    build_index([crop_folder], tmp_path / "small.ceret", IndexSettings(features="thumbnail:4", size=32, kind="none"))
    error = one_line_error(ceret("merge", tmp_path / "bad.ceret", index, tmp_path / "small.ceret"))
    assert "small.ceret has descriptor thumbnail:4" in error and "`ceret index`" in error


def test_bad_input_is_one_line(ceret, one_line_error, index, crop_folder):
    photo = crop_folder / "photo0" / "01.png"
    for words, message in (
        ((), "in one way: by name, by --sha256 or by --where"),
        ((photo, "--where", "width > 1"), "in one way"),
        ((photo, "--sha256", "ab" * 32), "in one way"),
        (("--sha256", "ab"), "--sha256 is 'ab': expected 64 digits"),
        (("--sha256", "ab" * 32), "no photo of"),
        ((crop_folder / "none.png",), "none.png is neither a photo nor a folder"),
        ((crop_folder,), "would remove all 60 photos"),
        (("--where", "width > 5000"), "none of 60 photos"),
        (("--where", "wid > 1"), "wid"),
        (("--restore",), "in one way: by name or by --sha256"),
        (("--restore", photo), "was not removed in this way"),
        (("--restore", "--where", "width > 1"), "--restore takes no --where"),
    ):
        assert message in one_line_error(ceret("remove", index, *words)), words
    assert "no index at" in one_line_error(ceret("compact", crop_folder / "none.ceret"))


def test_an_index_is_exported(ceret, one_line_error, index, tmp_path):
    out = tmp_path / "out"
    done = ceret("export", index, out, "--to", "faiss")
    assert (
        done.stdout.startswith(f"{out}: 60 photos in about.json, photos.parquet, vectors.faiss, ") and not done.stderr
    )
    about = json.loads(ceret("export", index, tmp_path / "more", "--to", "parquet", "--json").stdout)
    assert (about["photos"], about["to"], about["files"]) == (60, "parquet", ["about.json", "photos.parquet"])
    assert "exists already" in one_line_error(ceret("export", index, out, "--to", "faiss"))
    assert "'csv' is not one of 'faiss', 'parquet', 'lance'" in one_line_error(
        ceret("export", index, out, "--to", "csv")
    )
