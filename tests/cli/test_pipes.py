"""A named pipe in the place of a file is never waited for: an error or a note names it."""

import os
import shutil

import pytest

BUILD = ("--features", "thumbnail:8", "--size", 32, "--workers", 1, "--kind", "none")
RETRIEVAL = ("--method", "retrieval", "--rerank", "rim", "-k", 2)


@pytest.fixture
def pipe(tmp_path):
    def make(name: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        os.mkfifo(tmp_path / name)

    return make


@pytest.mark.parametrize("name", ["photo.png", "photo.json", "photo.candidates/01.png"])
def test_where_a_result_of_complete_goes(ceret, one_line_error, photo, mask, crop_index, tmp_path, pipe, name):
    pipe(f"out/{name}")
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    error = one_line_error(ceret(*arguments, "--save-candidates"))
    assert f"cannot write {tmp_path / 'out' / name}: it is a device or a pipe: choose a file" in error


def test_where_the_picture_of_query_goes(ceret, one_line_error, photo, mask, crop_index, tmp_path, pipe):
    pipe("pipe.png")
    arguments = ["query", photo, "--mask", mask, "--index", crop_index, "-k", 2]
    assert "a device or a pipe" in one_line_error(ceret(*arguments, "--out", tmp_path / "pipe.png"))


@pytest.mark.parametrize("name", ["table.md", "results.json", "sheet-01.png"])
def test_where_an_evaluation_goes(ceret, one_line_error, crop_folder, crop_index, tmp_path, pipe, name):
    pipe(f"out/{name}")
    arguments = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth"]
    assert "a device or a pipe" in one_line_error(ceret(*arguments, "--out", tmp_path / "out"))


def test_where_packed_photos_go(ceret, one_line_error, crop_folder, tmp_path, pipe):
    pipe("a.h5")
    assert "a device or a pipe" in one_line_error(ceret("pack", crop_folder / "photo1", "--out", tmp_path / "a.h5"))


def test_in_the_place_of_a_manifest(ceret, one_line_error, crop_folder, tmp_path, pipe):
    pipe("a.ceret/manifest.json")
    for arguments in (["info", tmp_path / "a.ceret"], ["index", crop_folder, "--out", tmp_path / "a.ceret", *BUILD]):
        error = one_line_error(ceret(*arguments))
        assert "manifest.json cannot be read: not a regular file; make it readable, or give another index" in error


@pytest.mark.parametrize("name", ["lock", "segments/000001/vectors.h5"])
def test_in_an_index(ceret, one_line_error, crop_folder, tmp_path, pipe, name):
    index = tmp_path / "a.ceret"
    assert ceret("index", crop_folder / "photo3", "--out", index, *BUILD).exit_code == 0
    (index / name).unlink()
    pipe(f"a.ceret/{name}")
    assert name in one_line_error(ceret("add", index))
    assert ceret("verify", index).exit_code == (0 if name == "lock" else 1)


def test_beside_photos(ceret, crop_folder, tmp_path, pipe):
    for name in ("00.json", "results.json", "manifest.json"):
        pipe(f"photos/{name}")
    (tmp_path / "photos" / "segments").mkdir()
    shutil.copy(crop_folder / "photo1" / "00.png", tmp_path / "photos")
    built = ceret("index", tmp_path / "photos", "--out", tmp_path / "a.ceret", *BUILD)
    assert "1 photo" in built.stdout


def test_in_the_place_of_a_shard(ceret, one_line_error, crop_folder, tmp_path, pipe):
    pipe("shards/a.tar")
    pipe("shards/b.parquet")
    arguments = ["--out", tmp_path / "a.ceret", *BUILD]
    error = one_line_error(ceret("index", tmp_path / "shards" / "a.tar", *arguments))
    assert "a.tar: cannot be opened: not a regular file; give a tar" in error
    both = ceret("index", tmp_path / "shards", crop_folder / "photo1", *arguments)
    assert both.exit_code == 0 and both.stderr.lower().count("not a regular file") == 2


def test_in_the_place_of_metrics(tmp_path, pipe):
    pytest.importorskip("torch")
    from ce_retrieval.errors import TrainingError
    from ce_retrieval.training.run_folder import RunFolder

    pipe("run/metrics.csv")
    (tmp_path / "run" / "checkpoints" / "step-00000001").mkdir(parents=True)
    with pytest.raises(TrainingError, match=r"metrics.csv cannot be read \(not a regular file\)"):
        RunFolder(tmp_path / "run").check(resume=True)
