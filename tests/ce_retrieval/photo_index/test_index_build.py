"""What an index holds: from every kind of source, in every record, the same bytes on every run."""

import dataclasses
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import pytest

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.errors import PhotoError, PhotoIndexError, SettingsError, SourceError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, build_index, read_manifest, verify_index
from ce_retrieval.photos import decode_photo

BAD = {
    "empty.jpg": (b"", "empty"),
    "page.jpg": (b"<html>404</html>", "text page"),
    "noise.png": (b"\x89PNG\r\n\x1a\n" + b"\0" * 50, "damaged"),
}


def stored_grids(index):
    return np.concatenate(list(index.grids()))


def expected_grids(datas, settings):
    descriptor = make_descriptor(settings.features, settings.size)
    photos = np.stack([decode_photo(data, name="", size=settings.size).pixels for data in datas])
    return descriptor.describe(photos).astype(np.float16)


def test_a_folder_is_indexed_photo_by_photo_in_the_order_of_its_paths(index, photos, helpers):
    opened = PhotoIndex.open(index)
    files = sorted(photos.rglob("*.png"))
    assert len(opened) == 30 and len(opened.manifest.segments) == 4
    assert [opened.name_of(record) for record in opened.records(range(30))] == [str(file) for file in files]
    datas = [file.read_bytes() for file in files]
    np.testing.assert_array_equal(stored_grids(opened), expected_grids(datas, helpers.SETTINGS))
    for record, file, data in zip(opened.records(range(30)), files, datas, strict=True):
        assert record.label == file.parent.name == opened.labels[files.index(file)]
        assert (record.width, record.height, record.offset) == (40, 40, -1)
        assert record.sha256 == hashlib.sha256(data).hexdigest()
        np.testing.assert_array_equal(opened.read_photo(record).pixels, decode_photo(data, name="").pixels)
    assert verify_index(index).problems == ()


def test_tar_and_parquet_give_the_same_photos_with_their_captions_and_licences(tmp_path, small_segments, helpers):
    about = '{"caption": "a caption", "license": "CC0", "label": "sea"}'
    sources = {
        "tar": helpers.write_tar(tmp_path / "shard.tar", range(10), json=about),
        "parquet": helpers.write_table(
            tmp_path / "table.parquet", range(10), caption="a caption", license="CC0", label="sea"
        ),
    }
    expected = expected_grids([helpers.encoded(seed) for seed in range(10)], helpers.SETTINGS)
    for name, source in sources.items():
        out = tmp_path / f"{name}.ceret"
        build_index([source], out, helpers.SETTINGS)
        opened = PhotoIndex.open(out)
        np.testing.assert_array_equal(stored_grids(opened), expected)
        for seed, record in enumerate(opened.records(range(10))):
            assert (record.caption, record.licence, record.label) == ("a caption", "CC0", "sea")
            assert opened.name_of(record).startswith(f"{source}::")
            np.testing.assert_array_equal(opened.read_photo(record).pixels, helpers.pixels(seed))


def test_several_sources_follow_each_other_and_each_record_knows_its_own(tmp_path, photos, small_segments, helpers):
    tar = helpers.write_tar(tmp_path / "shard.tar", range(100, 111))
    single = tmp_path / "single.png"
    single.write_bytes(helpers.encoded(300))
    table = helpers.write_table(tmp_path / "table.parquet", range(200, 205))
    out = tmp_path / "all.ceret"
    report = build_index([photos, tar, single, table], out, helpers.SETTINGS)
    opened = PhotoIndex.open(out)
    assert report.count == report.added == len(opened) == 30 + 11 + 1 + 5
    records = opened.records(range(len(opened)))
    assert [record.source for record in records] == [0] * 30 + [1] * 11 + [2] + [3] * 5
    assert opened.name_of(records[41]) == str(single)
    np.testing.assert_array_equal(opened.read_photo(records[35]).pixels, helpers.pixels(105))
    np.testing.assert_array_equal(opened.read_photo(records[-1]).pixels, helpers.pixels(204))


def test_what_cannot_be_read_is_named_with_the_reason_and_the_rest_is_indexed(
    photos, tmp_path, small_segments, helpers
):
    for name, (data, _) in BAD.items():
        (photos / name).write_bytes(data)
    (photos / "small.png").write_bytes(helpers.encoded(1, side=10))
    (photos / "dangling.png").symlink_to(photos / "nowhere")
    truncated = helpers.encoded(2)
    (photos / "odd" / "0003.png").write_bytes(truncated[: len(truncated) // 2])
    out = tmp_path / "out.ceret"
    report = build_index([photos], out, helpers.SETTINGS)
    reasons = {name.removeprefix(f"{photos}/"): reason for name, reason in report.skipped}
    assert set(reasons) == {*BAD, "small.png", "dangling.png", "odd/0003.png"}
    for name, (_, part) in BAD.items():
        assert part in reasons[name]
    assert "10x10" in reasons["small.png"] and "cannot be read" in reasons["dangling.png"]
    assert not any(name in reason for name, reason in reasons.items()), "the name is there already"
    assert report.count == len(PhotoIndex.open(out)) == 29
    kept = [(skipped.key, skipped.reason) for skipped in read_manifest(out).skipped]
    assert sorted(kept) == sorted(reasons.items())
    assert verify_index(out).problems == ()


def test_a_segment_with_nothing_readable_is_still_a_whole_segment(tmp_path, small_segments, helpers):
    folder = helpers.write_photos(tmp_path / "photos", range(4), prefix="z")
    for number in range(20):
        (folder / f"a{number:02d}.jpg").write_bytes(b"")
    out = tmp_path / "out.ceret"
    assert build_index([folder], out, helpers.SETTINGS).count == 4
    opened = PhotoIndex.open(out)
    assert [segment.count for segment in opened.manifest.segments] == [0, 0, 4]
    grid = next(opened.grids())[:1].astype(np.float32)
    assert opened.search(grid, np.ones((1, 64), np.float32), 4).ids[0, 0] == 0
    assert verify_index(out).problems == ()


def test_two_builds_are_the_same_bytes_whatever_the_number_of_threads(photos, index, tmp_path, helpers):
    (photos / "bad.jpg").write_bytes(b"")
    for workers in (1, 2, 7):
        settings = dataclasses.replace(helpers.SETTINGS, workers=workers)
        build_index([photos], tmp_path / f"{workers}.ceret", settings)
    first = helpers.contents(tmp_path / "1.ceret")
    assert len(first) == 9  # a manifest, four segments of two files
    assert first == helpers.contents(tmp_path / "2.ceret") == helpers.contents(tmp_path / "7.ceret")
    assert first != helpers.contents(index)


def test_building_again_changes_nothing_and_names_what_is_new(photos, index, helpers):
    before = helpers.contents(index)
    report = build_index([photos], index, helpers.SETTINGS)
    assert (report.count, report.added, report.present) == (30, 0, 30)
    assert helpers.contents(index) == before
    helpers.write_photos(photos, [77])
    with pytest.raises(
        PhotoIndexError, match=rf"1 new \(.*odd/0077.png\); bring it up to date with `ceret add {index} "
    ):
        build_index([photos], index, helpers.SETTINGS)
    assert helpers.contents(index) == before


def test_an_index_is_not_overwritten_by_another_of_other_settings_or_sources(photos, index, tmp_path, helpers):
    before = helpers.contents(index)
    for change in ({"features": "thumbnail:16"}, {"hole": "center"}, {"size": 64}):
        with pytest.raises(PhotoIndexError, match="was built with"):
            build_index([photos], index, dataclasses.replace(helpers.SETTINGS, **change))
    other = helpers.write_photos(tmp_path / "other", range(3))
    with pytest.raises(PhotoIndexError, match="was built from"):
        build_index([other], index, helpers.SETTINGS)
    assert helpers.contents(index) == before


def test_nothing_readable_is_an_error_and_leaves_no_index(tmp_path, small_segments, helpers):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(20):
        (folder / f"{number}.jpg").write_bytes(b"no photo")
    with pytest.raises(SourceError, match=r"no photo of .* could be read \(20 files skipped"):
        build_index([folder], tmp_path / "out.ceret", helpers.SETTINGS)
    assert not (tmp_path / "out.ceret").exists()
    helpers.write_photos(folder, range(3))
    assert build_index([folder], tmp_path / "out.ceret", helpers.SETTINGS).count == 3


def test_a_bad_source_or_setting_leaves_nothing_behind(photos, tmp_path, helpers):
    out = tmp_path / "out.ceret"
    cases = [
        ([tmp_path / "missing"], {}, SourceError, "missing"),
        ([helpers.write_tar(tmp_path / "bad.tar", [1], name="../{:04d}.png")], {}, SourceError, r"'\.\.'"),
        ([helpers.write_tar(tmp_path / "abs.tar", [1], name="/{:04d}.png")], {}, SourceError, "absolute"),
        ([photos], {"features": "nonsense"}, SettingsError, "nonsense"),
        ([photos], {"hole": "left"}, SettingsError, "left"),
        ([photos], {"workers": 0}, SettingsError, "`workers` is 0: expected a whole number from 1 to 1024"),
        ([photos], {"max_memory": 1 << 20}, SettingsError, "`max_memory` 1MB is too little"),
        ([photos], {"max_memory": 0}, SettingsError, "`max_memory` is 0: expected a whole number from 1048576"),
    ]
    for sources, change, error, message in cases:
        with pytest.raises(error, match=message):
            build_index(sources, out, dataclasses.replace(helpers.SETTINGS, **change))
        assert not out.exists()


def test_the_memory_that_an_error_asks_for_is_enough(photos, tmp_path, small_segments, helpers):
    with pytest.raises(SettingsError, match="give at least ") as caught:
        build_index([photos], tmp_path / "out.ceret", dataclasses.replace(helpers.SETTINGS, max_memory=1 << 20))
    megabytes = int(str(caught.value).partition("give at least ")[2].partition("MB")[0])
    settings = dataclasses.replace(helpers.SETTINGS, max_memory=megabytes << 20)
    assert build_index([photos], tmp_path / "out.ceret", settings).count == 30


def test_a_folder_that_is_something_else_is_left_alone(photos, tmp_path, helpers):
    out = tmp_path / "mine"
    out.mkdir()
    (out / "thesis.txt").write_text("important")
    with pytest.raises(PhotoIndexError, match=r"not an index \(it holds thesis.txt\)"):
        build_index([photos], out, helpers.SETTINGS)
    assert [path.name for path in out.iterdir()] == ["thesis.txt"]
    with pytest.raises(PhotoIndexError, match="is a file"):
        build_index([photos], out / "thesis.txt", helpers.SETTINGS)
    assert (out / "thesis.txt").read_text() == "important"


def test_an_empty_folder_becomes_an_index_and_foreign_files_in_it_survive(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    out.mkdir()
    build_index([photos], out, helpers.SETTINGS)
    (out / "notes.txt").write_text("kept")
    (out / "segments" / "README").write_text("kept")
    build_index([photos], out, helpers.SETTINGS)
    assert (out / "notes.txt").exists() and (out / "segments" / "README").exists()


def test_names_that_are_no_utf8_survive_the_manifest(tmp_path, small_segments, helpers):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    try:
        helpers.write_photos(folder, range(3))
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    out = tmp_path / "out.ceret"
    build_index([folder], out, helpers.SETTINGS)
    opened = PhotoIndex.open(out)
    assert opened.manifest.sources[0].root == str(folder)
    np.testing.assert_array_equal(opened.read_photo(opened.records([0])[0]).pixels, helpers.pixels(0))


@pytest.mark.parametrize("name", [b"my:i.ceret", b"s3:i.ceret", b"\xfe.ceret"])
def test_an_index_may_have_any_name(photos, tmp_path, monkeypatch, small_segments, helpers, name):
    """By a path with a colon, pyarrow would look for another machine."""
    monkeypatch.chdir(tmp_path)
    out = Path(os.fsdecode(name))
    build_index([photos], out, helpers.SETTINGS)
    assert len(PhotoIndex.open(out).records(range(3))) == 3
    assert verify_index(out, photos=True).problems == () and add_photos(out, [photos]).present == 30


def test_captions_with_half_a_surrogate_pair_are_stored_visibly(tmp_path, helpers):
    tar = helpers.write_tar(tmp_path / "shard.tar", range(2), json='{"caption": "broken \\ud83d emoji"}')
    build_index([tar], tmp_path / "out.ceret", helpers.SETTINGS)
    assert PhotoIndex.open(tmp_path / "out.ceret").records([1])[0].caption == "broken \\ud83d emoji"


@pytest.mark.parametrize("features", ["thumbnail:8", "hog"])
def test_under_the_center_protocol_nothing_sees_a_centre(tmp_path, features, helpers):
    from PIL import Image

    settings = dataclasses.replace(helpers.SETTINGS, features=features, hole="center")
    indexes = []
    for number in range(2):
        folder = tmp_path / str(number)
        folder.mkdir()
        for seed in range(4):
            photo = helpers.pixels(seed, side=32).copy()
            photo[8:24, 8:24] = helpers.pixels(seed + 100 * number, side=16)  # another centre in the second collection
            Image.fromarray(photo).save(folder / f"{seed}.png")
        build_index([folder], tmp_path / f"{number}.ceret", settings)
        indexes.append(PhotoIndex.open(tmp_path / f"{number}.ceret"))
    np.testing.assert_array_equal(stored_grids(indexes[0]), stored_grids(indexes[1]))
    hole = np.zeros((32, 32), bool)
    hole[8:24, 8:24] = True
    np.testing.assert_array_equal(indexes[0].protocol_hole, hole)
    whole = dataclasses.replace(settings, hole="none")
    build_index([tmp_path / "0"], tmp_path / "whole.ceret", whole)
    assert PhotoIndex.open(tmp_path / "whole.ceret").protocol_hole is None


def test_progress_counts_every_item_once(photos, tmp_path, small_segments, helpers):
    (photos / "bad.jpg").write_bytes(b"")
    seen = []
    build_index([photos], tmp_path / "out.ceret", helpers.SETTINGS, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 31), (8, 31), (12, 31), (16, 31), (20, 31), (24, 31), (28, 31), (31, 31)]


def test_the_manifest_says_what_the_index_is(index, photos):
    content = json.loads((index / "manifest.json").read_bytes())
    assert content["format"] == "ceret-index" and content["version"] == 1 and content["complete"] is True
    assert content["descriptor"] == "thumbnail:8" and content["size"] == 32 and content["cells"] == 64
    assert content["sources"] == [{"kind": "folder", "root": str(photos)}]
    assert {"numpy", "pillow", "h5py", "pyarrow"} <= set(content["libraries"])
    for segment in content["segments"]:
        for name, stored in segment["files"].items():
            data = (index / "segments" / segment["name"] / name).read_bytes()
            assert stored == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_photo_that_changed_or_vanished_is_not_taken_for_the_indexed_one(index, photos, helpers):
    opened = PhotoIndex.open(index)
    first, second = opened.records([0, 1])
    (photos / first.key).write_bytes(helpers.encoded(999))
    (photos / second.key).unlink()
    with pytest.raises(PhotoError, match=f"{first.key} has changed"):
        opened.read_photo(first)
    with pytest.raises(PhotoError, match=f"{second.key} of .* cannot be read any more"):
        opened.read_photo(second)


@pytest.mark.parametrize("features", ["", 5, None, "sift", ["hog"]])
def test_features_are_checked_when_the_settings_are_made(features):
    with pytest.raises(SettingsError, match=r"`features` .*(are unknown: choose one of encoder|expected a text)"):
        IndexSettings(features=features)


def test_the_threads_of_a_check_are_checked(tmp_path):
    with pytest.raises(SettingsError, match="`workers` is 0: expected a whole number from 1 to 1024"):
        verify_index(tmp_path, workers=0)
