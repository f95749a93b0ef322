"""`skip_duplicates`: a photo whose bytes the index has is left out, stays out, and is taken when the first one is gone."""

import dataclasses
import json
import shutil

import pytest

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_index,
    compact_index,
    merge_indexes,
    read_manifest,
    remove_photos,
    verify_index,
)


@pytest.fixture
def settings(helpers):
    return dataclasses.replace(helpers.SETTINGS, skip_duplicates=True)


@pytest.fixture
def copies(photos):
    """Copies of photos: two of one photo before it in the order, and one after; one of a photo 20 places before it."""
    made = {"even/0001.png": "odd/0001.png", "even/0003.png": "odd/0001.png", "odd/0030.png": "odd/0001.png"}
    made["odd/0028.png"] = "even/0004.png"
    for name, first in made.items():
        shutil.copyfile(photos / first, photos / name)
    return sorted(made)


def keys(path):
    return PhotoIndex.open(path).table.column("key").to_pylist()


def noted(path):
    return sorted(one.key for segment in read_manifest(path).segments for one in segment.repeats)


def test_the_first_of_each_content_is_taken(photos, copies, tmp_path, small_segments, settings, helpers):
    out, plain = tmp_path / "out.ceret", tmp_path / "plain.ceret"
    report = build_index([photos], out, settings)
    left = ["odd/0001.png", "even/0003.png", "odd/0030.png", "odd/0028.png"]
    assert (report.count, report.added) == (30, 30)
    firsts = {name: str(photos / "even/0001.png") for name in left} | {"odd/0028.png": str(photos / "even/0004.png")}
    assert dict(report.duplicates) == {str(photos / name): first for name, first in firsts.items()}
    build_index([photos], plain, helpers.SETTINGS)
    assert keys(out) == [key for key in keys(plain) if key not in left]
    rows = {one["key"]: one for one in PhotoIndex.open(plain).table.to_pylist()}
    assert PhotoIndex.open(out).table.to_pylist() == [rows[key] for key in keys(out)]
    assert json.loads((out / "manifest.json").read_bytes())["version"] == 6
    assert verify_index(out, photos=True).problems == ()


def test_they_are_not_read_again_and_not_taken_by_later_additions(
    photos, copies, tmp_path, small_segments, settings, helpers, monkeypatch
):
    out = tmp_path / "out.ceret"
    build_index([photos], out, settings)
    before = helpers.contents(out)
    from ce_retrieval.photos import FolderSource

    monkeypatch.setattr(FolderSource, "read", lambda *_: pytest.fail("a photo was read"))
    for report in (add_photos(out), add_photos(out, [photos]), build_index([photos], out, settings)):
        assert (report.count, report.added, report.present, report.duplicates) == (30, 0, 30, ())
        assert helpers.contents(out) == before
    assert build_index([photos], out, helpers.SETTINGS).added == 0, "a finished index may leave them out"


def test_new_copies_are_left_out_by_later_additions_too(photos, copies, tmp_path, small_segments, settings, helpers):
    out, more = tmp_path / "out.ceret", tmp_path / "more"
    build_index([photos], out, settings)
    helpers.write_photos(more, (4, 5, 60))
    shutil.copyfile(more / "even/0060.png", more / "even/0061.png")
    tar = helpers.write_tar(tmp_path / "more.tar", (6, 62))
    report = add_photos(out, [more, tar])
    assert (report.count, report.added) == (32, 2)
    names = [str(more / "even/0004.png"), str(more / "even/0061.png"), str(more / "odd/0005.png"), f"{tar}::0006.png"]
    assert sorted(name for name, _ in report.duplicates) == sorted(names)
    before = helpers.contents(out)
    report = add_photos(out)
    assert (report.added, report.vanished, report.changed, helpers.contents(out)) == (0, (), (), before)


def test_a_copy_is_taken_when_the_first_is_gone(photos, copies, tmp_path, small_segments, settings):
    out = tmp_path / "out.ceret"
    build_index([photos], out, settings)
    (photos / "even/0001.png").unlink()
    report = add_photos(out)
    assert (report.count, report.added, report.vanished) == (30, 1, (str(photos / "even/0001.png"),))
    assert "even/0003.png" in keys(out) and report.duplicates == (), "it is the first of those that are left"
    assert noted(out) == ["odd/0001.png", "odd/0028.png", "odd/0030.png"]
    (photos / "even/0003.png").unlink()
    (photos / "odd/0001.png").unlink()
    report = add_photos(out)
    assert (report.count, report.added) == (30, 1) and "odd/0030.png" in keys(out)
    assert noted(out) == ["odd/0028.png"]


def test_a_first_that_comes_back_or_changes(photos, copies, tmp_path, small_segments, settings, helpers):
    out = tmp_path / "out.ceret"
    build_index([photos], out, settings)
    first = photos / "even/0001.png"
    data = first.read_bytes()
    first.write_bytes(helpers.encoded(70))
    report = add_photos(out)
    assert (report.count, report.added, report.changed) == (31, 1, (str(first),))
    first.write_bytes(data)
    report = add_photos(out)
    assert report.duplicates == ((str(first), str(photos / "even/0003.png")),), "another photo has its bytes by now"
    assert report.count == 30 and "even/0001.png" in noted(out)
    before = helpers.contents(out)
    assert add_photos(out).count == 30 and helpers.contents(out) == before
    (photos / "odd/0028.png").write_bytes(helpers.encoded(71))
    report = add_photos(out)
    assert (report.count, report.added) == (31, 1) and "odd/0028.png" not in noted(out)
    (photos / "odd/0028.png").write_bytes(b"no photo")
    assert len(add_photos(out).skipped) == 1


def test_a_stopped_build_ends_with_the_same_bytes(photos, copies, tmp_path, small_segments, settings, helpers):
    out, whole = tmp_path / "out.ceret", tmp_path / "whole.ceret"
    build_index([photos], whole, settings)

    def stop(after):
        def progress(done, total):
            if done >= after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_index([photos], out, settings, progress)

    for after in (12, 20, 28):
        stop(after)
        assert not read_manifest(out).complete
    with pytest.raises(PhotoIndexError, match="was built leaving out duplicates: choose another folder"):
        build_index([photos], out, helpers.SETTINGS)
    build_index([photos], out, settings)
    assert helpers.contents(out) == helpers.contents(whole)


def test_it_is_turned_on_and_off_by_an_addition(photos, copies, tmp_path, small_segments, settings, helpers):
    out = tmp_path / "out.ceret"
    build_index([photos], out, helpers.SETTINGS)
    with pytest.raises(PhotoIndexError, match=r"was built with duplicates: change that with `ceret add .* --skip-dup"):
        build_index([photos], out, settings)
    shutil.copyfile(photos / "odd/0001.png", photos / "odd/0040.png")
    report = add_photos(out, skip_duplicates=True)
    assert (report.count, report.added, noted(out)) == (34, 0, ["odd/0040.png"]), "those that it has stay"
    report = add_photos(out, skip_duplicates=False)
    assert (report.count, report.added, noted(out)) == (35, 1, [])
    assert json.loads((out / "manifest.json").read_bytes())["version"] == 1


def test_they_stay_noted_when_the_index_is_compacted_and_merged(
    photos, copies, tmp_path, small_segments, settings, helpers
):
    out, other, merged = (tmp_path / f"{name}.ceret" for name in ("out", "other", "merged"))
    build_index([photos], out, settings)
    remove_photos(out, where="endswith(key, '8.png')")
    compact_index(out)
    assert noted(out) == copies_left(copies) and len(keys(out)) == 27
    assert add_photos(out).count == 27
    build_index([photos / "odd"], other, helpers.SETTINGS)
    assert merge_indexes(merged, [other, out]).photos == 17 + 13, "copies that one of them has are taken with it"
    assert read_manifest(merged).skip_duplicates and noted(merged) == ["even/0003.png"]
    report = add_photos(merged)
    assert (report.count, report.added, report.present) == (30, 0, 30)


def copies_left(copies):
    return sorted({*copies, "odd/0001.png"} - {"even/0001.png"})


def test_a_folder_that_is_removed_takes_its_duplicates_along(photos, copies, tmp_path, small_segments, settings):
    out = tmp_path / "out.ceret"
    build_index([photos], out, settings)
    remove_photos(out, [photos / "even"])
    report = add_photos(out)
    assert report.added == 2, "copies elsewhere are other photos"
    assert sorted(key for key in keys(out) if key in copies_left(copies)) == ["odd/0001.png", "odd/0028.png"]
    remove_photos(out, [photos / "odd/0030.png"])
    assert ("odd/0030.png") in [key for _, key in read_manifest(out).kept_out.names]
    (photos / "odd/0001.png").unlink()
    assert add_photos(out).added == 0
