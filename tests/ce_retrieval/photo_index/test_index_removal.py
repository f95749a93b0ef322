"""Photos removed on purpose: by name, folder, hash or filter; they stay out until they are restored; and all bad input."""

import json
import os
import shutil

import numpy as np
import pytest

from ce_retrieval.errors import CorruptIndexError, FilterError, LockedIndexError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_index,
    compact_index,
    read_manifest,
    relocate_index,
    remove_photos,
    restore_photos,
    verify_index,
)
from ce_retrieval.storage import writer_lock


def names(index):
    opened = PhotoIndex.open(index)
    return [opened.name_of(record) for record in opened.records(range(len(opened)))]


def keys(index):
    return PhotoIndex.open(index).table.column("key").to_pylist()


def test_photos_are_removed_by_path_and_stay_out(index, photos, helpers):
    reader = PhotoIndex.open(index)
    before = helpers.contents(index)
    gone = [photos / "even" / "0004.png", photos / "odd" / "0003.png"]
    done = remove_photos(index, gone)
    assert (done.removed, done.count) == (2, 28)
    assert not {str(path) for path in gone} & set(names(index))
    after = helpers.contents(index)
    assert {name for name in after if after[name] != before[name]} == {"manifest.json"}
    assert json.loads(after["manifest.json"])["version"] == 5
    assert len(reader) == reader.table.num_rows == len(np.concatenate(list(reader.grids()))) == 30
    for paths in ([photos], [], gone):
        report = add_photos(index, paths)
        assert (report.count, report.added, report.kept_out, report.vanished) == (
            28,
            0,
            0 if paths == [] else 2,
            (),
        ) or (paths == [] and report.kept_out == 2)
    assert helpers.contents(index) == after, "an addition changes nothing"
    assert build_index([photos], index, helpers.SETTINGS).count == 28
    assert verify_index(index, photos=True).problems == ()


def test_what_was_removed_by_name_stays_out_whatever_its_file_holds(index, photos, helpers):
    path = photos / "even" / "0004.png"
    remove_photos(index, [path])
    path.write_bytes(helpers.encoded(70))
    assert (add_photos(index, [photos]).count, add_photos(index).kept_out) == (29, 1)
    path.rename(photos / "even" / "moved.png")
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.kept_out) == (30, 1, 0), "another name is another photo, and is counted"


def test_a_folder_is_removed_and_compacted_away_and_still_stays_out(index, photos):
    assert remove_photos(index, [photos / "even"]).removed == 15
    compact_index(index)
    assert read_manifest(index).removed == 0
    assert (add_photos(index, [photos]).count, add_photos(index).kept_out) == (15, 15)
    link = photos.parent / "link"
    link.symlink_to(photos)
    assert add_photos(index, [link]).count == 15, "by another path they are the same photos"
    assert restore_photos(index, [photos]) == 15
    report = add_photos(index)
    assert (report.count, report.added, report.kept_out) == (30, 15, 0)


def test_what_is_restored_before_a_compaction_is_not_described_again(index, photos, helpers):
    before = helpers.contents(index)
    remove_photos(index, [photos / "even"])
    assert restore_photos(index, [photos / "even" / "0002.png"]) == 1
    assert add_photos(index).count == 16
    assert restore_photos(index, [photos / "even"]) == 14
    assert add_photos(index).count == 30
    assert helpers.contents(index) == before


def test_a_hash_stays_out_under_any_name(index, photos, helpers):
    opened = PhotoIndex.open(index)
    record = opened.records([5])[0]
    assert remove_photos(index, sha256=[record.sha256.upper()]).removed == 1
    shutil.copy(photos / record.key, photos / "copy.png")
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.kept_out) == (29, 0, 2)
    (photos / record.key).write_bytes(helpers.encoded(99))
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.kept_out) == (30, 1, 1), "other bytes are another photo"
    assert restore_photos(index, sha256=[record.sha256]) == 1
    assert add_photos(index, [photos]).count == 31


def test_photos_are_removed_by_a_filter(index, photos):
    assert remove_photos(index, where="label == 'odd' and key > 'odd/0010'").removed == 10
    assert sum(key.startswith("odd") for key in keys(index)) == 5
    assert add_photos(index, [photos]).count == 20


def test_photos_in_tars_and_tables_are_named_as_a_search_names_them(tmp_path, small_segments, helpers, monkeypatch):
    tar = helpers.write_tar(tmp_path / "a.tar", range(6), name="part/{:04d}.png")
    table = helpers.write_table(tmp_path / "b.parquet", range(10, 14))
    single = helpers.write_photos(tmp_path / "photos", [20]) / "even" / "0020.png"
    out = tmp_path / "out.ceret"
    build_index([tar, table, single], out, helpers.SETTINGS)
    monkeypatch.chdir(tmp_path)
    before = names(out)
    assert remove_photos(out, ["a.tar::part/0001.png"]).removed == 1
    assert remove_photos(out, [before[7], single]).removed == 2
    assert set(before) - set(names(out)) == {f"{tar}::part/0001.png", before[7], str(single)}
    report = add_photos(out, [tar, table, single])
    assert (report.count, report.kept_out) == (8, 3)
    assert remove_photos(out, ["a.tar"]).removed == 5
    assert add_photos(out).count == 3
    assert len(read_manifest(out).kept_out.names) == 8


def test_members_of_one_name_go_together(tmp_path, small_segments, helpers):
    tar = helpers.write_tar(tmp_path / "a.tar", range(4), name="same.png")
    helpers.write_photos(tmp_path / "photos", range(4))
    out = tmp_path / "out.ceret"
    build_index([tar, tmp_path / "photos"], out, helpers.SETTINGS)
    sha256 = PhotoIndex.open(out).records([1])[0].sha256
    assert remove_photos(out, where=f"sha256 == '{sha256}' and key == 'same.png'").removed == 4
    assert add_photos(out).count == 4


def test_a_moved_collection_keeps_out_what_was_removed(index, photos):
    remove_photos(index, [photos / "even" / "0004.png"])
    moved = photos.rename(photos.parent / "moved")
    relocate_index(index, photos, moved)
    report = add_photos(index, [moved])
    assert (report.count, report.kept_out) == (29, 1)


def test_ways_that_are_none_or_two_are_errors(index, photos):
    for more in ({}, {"sha256": ["ab" * 32], "where": "width > 1"}, {"names": [photos], "where": "width > 1"}):
        with pytest.raises(SettingsError, match="in one way: by name, by `sha256` or by `where`"):
            remove_photos(index, **more)
    for more in ({}, {"names": [photos], "sha256": ["ab" * 32]}):
        with pytest.raises(SettingsError, match="in one way: by name or by `sha256`"):
            restore_photos(index, **more)
    with pytest.raises(SettingsError, match="`sha256` is 'abc': expected 64 digits"):
        remove_photos(index, sha256=["abc"])


def test_what_matches_nothing_or_everything_is_an_error_and_changes_nothing(index, photos, helpers):
    remove_photos(index, [photos / "even" / "0000.png"])
    before = helpers.contents(index)
    wrong = [
        ({"names": [photos / "even" / "0002.png", photos / "none.png"]}, "none.png is neither a photo nor a folder"),
        ({"names": [photos / "even" / "0000.png"]}, "0000.png was removed before"),
        ({"names": [f"{photos}/eve"]}, "eve is neither a photo"),
        ({"sha256": ["ab" * 32]}, "no photo of .* has the SHA-256 abab"),
        ({"names": [photos]}, "would remove all 29 photos of .*: delete it instead"),
        ({"where": "width > 1"}, "would remove all 29 photos"),
    ]
    for given, message in wrong:
        with pytest.raises(PhotoIndexError, match=message):
            remove_photos(index, **given)
    with pytest.raises(FilterError, match="none of 29 photos"):
        remove_photos(index, where="width > 1000")
    with pytest.raises(PhotoIndexError, match=r"0002.png of .* was not removed in this way"):
        restore_photos(index, [photos / "even" / "0002.png"])
    with pytest.raises(PhotoIndexError, match=r"abab.* was not removed in this way"):
        restore_photos(index, sha256=["ab" * 32])
    assert helpers.contents(index) == before


def test_an_index_that_cannot_be_changed_is_an_error(index, photos, tmp_path, helpers):
    with pytest.raises(PhotoIndexError, match="no index at"):
        remove_photos(tmp_path / "none.ceret", [photos])
    with writer_lock(index), pytest.raises(LockedIndexError, match="being written by process"):
        remove_photos(index, [photos / "even"])
    helpers.edit_manifest(index, complete=False)
    with pytest.raises(PhotoIndexError, match="was stopped: run its `ceret index` command again"):
        remove_photos(index, [photos / "even"])
    helpers.edit_manifest(index, complete=True)
    (index / "segments" / "000002" / "photos.parquet").write_bytes(b"")
    with pytest.raises(CorruptIndexError, match="has 0 bytes"):
        remove_photos(index, [photos / "even"])


@pytest.mark.parametrize(
    "kept_out",
    [
        {"names": {"1": ["a.png"]}, "sha256": []},
        {"names": {"0": [3]}, "sha256": []},
        {"names": {}, "sha256": ["zz"]},
        {"names": {}},
        [],
    ],
)
def test_a_damaged_entry_is_seen(index, helpers, kept_out):
    helpers.edit_manifest(index, kept_out=kept_out)
    with pytest.raises(CorruptIndexError, match="is damaged"):
        read_manifest(index)


def test_a_source_whose_name_is_not_utf_8_can_be_named(tmp_path, small_segments, helpers):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    photos = helpers.write_photos(folder, range(3))
    out = tmp_path / "out.ceret"
    build_index([photos], out, helpers.SETTINGS)
    assert remove_photos(out, [folder / "odd"]).removed == 1
    assert (add_photos(out, [photos]).count, len(names(out))) == (2, 2)
