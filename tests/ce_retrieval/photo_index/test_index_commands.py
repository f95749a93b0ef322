"""`ceret index`, `add`, `info` and `verify`: what they print, and one line for every bad input."""

import json

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from cli.main import main

BUILD = ["--features", "thumbnail:8", "--size", "32", "--kind", "none"]


def ceret(*arguments, code=0):
    done = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert done.exit_code == code, done.output
    if code:
        assert done.exception is None or isinstance(done.exception, SystemExit), "a traceback"
    return done


def error_of(*arguments, code=1):
    done = ceret(*arguments, code=code)
    assert done.stdout == ""
    assert done.stderr.startswith("Error: " if code == 1 else "Usage: ")
    assert done.stderr.count("\n") == (1 if code == 1 else 4)
    assert "Traceback" not in done.output
    return done.stderr


@pytest.fixture()
def query(tmp_path, helpers):
    """A photo and a mask of its centre, and the options that name them."""
    Image.fromarray(helpers.pixels(3, side=64)).save(tmp_path / "query.png")
    mask = np.zeros((64, 64), np.uint8)
    mask[16:48, 16:48] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    return [tmp_path / "query.png", "--mask", tmp_path / "mask.png"]


def test_an_index_is_built_described_grown_and_checked(tmp_path, photos, small_segments, helpers):
    out = tmp_path / "out.ceret"
    (photos / "bad.jpg").write_bytes(b"")
    done = ceret("index", photos, "--out", out, *BUILD)
    assert done.stdout == f"{out}: 30 photos; 1 file skipped; no kind features\n"
    assert done.stderr.startswith("1 file skipped:\n") and f"{photos}/bad.jpg: the file is empty" in done.stderr
    about = json.loads(ceret("info", out, "--json", "--skipped").stdout)
    assert (about["photos"], about["features"], about["hole"], about["skipped"]) == (30, "thumbnail:8", "none", 1)
    assert about["skipped_files"][0][0] == str(photos / "bad.jpg")
    assert "thumbnail:8" in ceret("info", out).stdout
    bad = [str(photos / "bad.jpg"), "the file is empty (0 bytes)"]
    none = {"changed": [], "vanished": [], "refused": [], "notes": [], "kind": None, "places": False}
    counts = {
        "photos": 30,
        "added": 0,
        "present": 30,
        "skipped": 1,
        "kept_out": 0,
        "duplicates": 0,
        "duplicate_files": [],
    }
    again = {"index": str(out), **counts, "skipped_files": [bad], **none}
    assert json.loads(ceret("index", photos, "--out", out, *BUILD, "--json").stdout) == again
    helpers.write_photos(photos, range(100, 103))
    assert "3 photos added, 30 were there already, 33 in all; 1 file skipped" in ceret("add", out, photos).stdout
    (photos / "worse.jpg").write_bytes(b"")
    report = json.loads(ceret("add", out, photos, "--json").stdout)
    assert (report["photos"], report["added"], report["present"]) == (33, 0, 33)
    assert report["skipped_files"] == [bad, [str(photos / "worse.jpg"), "the file is empty (0 bytes)"]]
    assert ceret("verify", out).stdout == f"{out}: 12 files checked, 0 problems\n"
    assert json.loads(ceret("verify", out, "--json").stdout) == {"files": 12, "photos": None, "problems": []}


def test_verify_lists_the_problems_and_exits_with_1(index):
    path = index / "segments" / "000001" / "vectors.h5"
    path.write_bytes(path.read_bytes()[:-5])
    done = ceret("verify", index, code=1)
    assert f"{path} has" in done.stdout and "1 problem\n" in done.stdout


def test_no_index(tmp_path, query, photos):
    missing = tmp_path / "missing.ceret"
    for command in (
        ["info", missing],
        ["verify", missing],
        ["add", missing, photos],
        ["query", *query, "--index", missing],
    ):
        assert f"no index at {missing}: make one" in error_of(*command)
    complete = ["complete", *query, "--index", missing, "--out", tmp_path / "filled"]
    assert f"no index at {missing}" in error_of(*complete)
    assert not (tmp_path / "filled").exists()


def test_another_format_version(index, query, photos, tmp_path):
    content = json.loads((index / "manifest.json").read_bytes())
    (index / "manifest.json").write_text(json.dumps({**content, "version": 99}))
    commands = (
        ["info", index],
        ["verify", index],
        ["add", index, photos],
        ["index", photos, "--out", index, *BUILD],
        ["query", *query, "--index", index],
        ["complete", *query, "--index", index, "--out", tmp_path / "filled"],
    )
    for command in commands:
        assert (
            "has format version 99, this ceret reads versions 1 to 8: use the ceret that wrote it, or delete"
            in error_of(*command)
        )


@pytest.mark.parametrize("harm", ["truncated", "altered"])
def test_a_harmed_segment(index, query, photos, helpers, harm):
    path = index / "segments" / "000003" / "vectors.h5"
    data = path.read_bytes()
    path.write_bytes(data[:-100] if harm == "truncated" else data[:-100] + bytes(100))
    before = helpers.contents(index)
    for command in (
        ["query", *query, "--index", index],
        ["add", index, photos],
        ["index", photos, "--out", index, *BUILD],
    ):
        error = error_of(*command)
        assert (
            str(path) in error
            and f"restore it from a copy, or delete {index} and build it again with `ceret index`" in error
        )
    assert helpers.contents(index) == before


def test_a_stopped_build(index, query, helpers):
    helpers.edit_manifest(index, complete=False)
    assert "run the same `ceret index` command again" in error_of("query", *query, "--index", index)


def test_places_that_cannot_be_written(photos, tmp_path):
    (tmp_path / "file").write_text("")
    error = error_of("index", photos, "--out", tmp_path / "file" / "out.ceret", *BUILD)
    assert "cannot write" in error and "choose another folder" in error
    assert "is a file" in error_of("index", photos, "--out", tmp_path / "file", *BUILD)
    assert "not an index (it holds" in error_of("index", photos, "--out", photos, *BUILD)
    assert (tmp_path / "file").read_text() == ""


def test_k_larger_than_the_collection(index, query):
    error = error_of("query", *query, "--index", index, "-k", 31, code=2)
    assert "-k is 31" in error and "choose 1 to 30" in error
    error_of("query", *query, "--index", index, "-k", 0, code=2)


def test_a_hole_that_is_not_that_of_a_center_index(photos, query, tmp_path, small_segments):
    out = tmp_path / "center.ceret"
    ceret("index", photos, "--out", out, "--hole", "center", *BUILD)
    ceret("query", *query, "--index", out, "--focus", "none")
    mask = np.zeros((64, 64), np.uint8)
    mask[4:20, 4:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    error = error_of("query", *query, "--index", out)
    assert "the hole protocol 'center'" in error and "build an index with the protocol 'none'" in error


@pytest.mark.parametrize("name", ["../{:04d}.png", "/{:04d}.png", "a/../../{:04d}.png"])
def test_a_tar_with_unsafe_names(index, tmp_path, name, helpers):
    tar = helpers.write_tar(tmp_path / "unsafe.tar", range(3), name=name)
    before = helpers.contents(index)
    for command in (["index", tar, "--out", tmp_path / "new.ceret", *BUILD], ["add", index, tar]):
        error = error_of(*command)
        assert str(tar) in error and "absolute path or '..'" in error
    assert not (tmp_path / "new.ceret").exists()
    assert helpers.contents(index) == before


def test_sources_that_hold_nothing(tmp_path):
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out.ceret"
    assert "no photo in it" in error_of("index", tmp_path / "empty", "--out", out, *BUILD)
    assert "no such file or folder" in error_of("index", tmp_path / "missing", "--out", out, *BUILD)
    (tmp_path / "empty" / "bad.jpg").write_bytes(b"no photo")
    error = error_of("index", tmp_path / "empty", "--out", out, *BUILD)
    assert "could be read (1 file skipped, the first: " in error and "give other photos" in error
    assert not out.exists()


def test_wrong_usage_has_exit_code_2(photos, tmp_path):
    out = ["--out", tmp_path / "out.ceret"]
    commands = (
        ["index", photos],
        ["index", *out],
        ["index", photos, *out, "--hole", "left"],
        ["index", photos, *out, "--workers", 0],
        ["index", photos, *out, "--max-memory", "much"],
        ["index", photos, *out, "--size", 0],
        ["add"],
        ["relocate", tmp_path, tmp_path],
        ["verify", tmp_path, "--workers", 0],
        ["nonsense"],
    )
    for command in commands:
        error_of(*command, code=2)
    assert not (tmp_path / "out.ceret").exists()


def test_settings_that_cannot_be(photos, tmp_path):
    out = ["--out", tmp_path / "out.ceret"]
    error = error_of("index", photos, *out, "--features", "magic", code=2)
    assert "--features 'magic' are unknown: choose one of encoder" in error
    assert "do not divide" in error_of("index", photos, *out, "--features", "thumbnail:7", "--size", 32, code=2)
    for empty in ("encoder:", "thumbnail:", "onnx:"):
        assert f"Error: {empty}" in error_of("index", photos, *out, "--features", empty, code=2)
    assert len(error_of("index", photos, *out, "--features", "thumbnail:" + "x" * 3000, code=2)) < 400
    error = error_of("index", photos, *out, "--max-memory", "100MB", *BUILD, code=2)
    assert " 100MB is too little for thumbnail:8" in error and "give at least" in error
    assert not (tmp_path / "out.ceret").exists()
