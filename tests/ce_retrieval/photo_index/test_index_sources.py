"""An index follows its sources: parts of them, links, tars, tables and shards that come, change, break and go."""

import os

import numpy as np
import pytest
from changed_indexes import described

from ce_retrieval.photo_index import (
    Origin,
    PhotoIndex,
    SameSource,
    add_photos,
    build_index,
    read_manifest,
    verify_index,
)


def test_photos_of_other_places_are_not_looked_for(index, photos, tmp_path, helpers):
    other = helpers.write_photos(tmp_path / "other", [60])
    (photos / "even" / "0002.png").unlink()
    assert add_photos(index, [other]).vanished == ()
    assert add_photos(index, [photos / "odd"]).vanished == ()
    assert add_photos(index, [photos / "even"]).vanished == (str(photos / "even" / "0002.png"),)


def test_a_part_of_a_source_is_known_under_the_name_of_the_whole(index, photos, tmp_path, helpers):
    """A file counts once, by its real path, whatever source or link it is added through."""
    (tmp_path / "link").symlink_to(photos)
    (tmp_path / "name.png").symlink_to(photos / "odd" / "0003.png")
    before = helpers.contents(index)
    for given in (photos / "even", photos / "odd" / "0001.png", tmp_path / "link", tmp_path / "name.png"):
        report = add_photos(index, [given])
        assert report.added == 0 and report.present > 0, given
    assert helpers.contents(index) == before
    (photos / "odd" / "0001.png").write_bytes(helpers.encoded(61))
    helpers.write_photos(photos, [62])
    report = add_photos(index, [tmp_path / "link" / "odd", tmp_path / "link" / "even"])
    assert (report.count, report.added, report.changed) == (31, 1, (str(photos / "odd" / "0001.png"),))
    assert add_photos(index, [photos]).present == 31
    assert {record.label for record in PhotoIndex.open(index).records(range(31))} == {"odd", "even"}
    assert [source.root for source in read_manifest(index).sources] == [str(photos)]


def test_photos_that_only_links_led_to_are_known_at_their_own_place(tmp_path, small_segments, helpers):
    real = helpers.write_photos(tmp_path / "real", range(6))
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "linked").symlink_to(real / "even")
    (folder / "one.png").symlink_to(real / "odd" / "0001.png")
    out = tmp_path / "out.ceret"
    assert build_index([folder], out, helpers.SETTINGS).count == 4
    report = add_photos(out, [real])
    assert (report.count, report.added, report.present) == (6, 2, 4)


def test_a_new_source_that_brings_nothing_is_not_noted(index, photos, tmp_path, helpers):
    known = tmp_path / "known"
    known.symlink_to(photos / "odd")
    new = [helpers.write_photos(tmp_path / str(n), [60 + n]) for n in range(2)]
    report = add_photos(index, [known, new[0], photos / "even", new[1]])
    assert (report.added, report.present) == (2, 30)
    assert [source.root for source in read_manifest(index).sources] == [str(photos), *map(str, new)]
    assert described(index).keys() >= {str(new[1] / "odd" / "0061.png"), str(new[0] / "even" / "0060.png")}


def test_a_tar_or_table_that_is_written_again_is_compared_item_by_item(tmp_path, small_segments, helpers):
    tar = helpers.write_tar(tmp_path / "a.tar", range(6))
    table = helpers.write_table(tmp_path / "b.parquet", range(10, 16))
    out = tmp_path / "out.ceret"
    build_index([tar, table], out, helpers.SETTINGS)
    for path in (tar, table):
        os.utime(path, ns=(1, 1))
    assert add_photos(out, [tar, table]).present == 12
    helpers.write_tar(tar, [0, 1, 3, 4, 5, 9])
    helpers.write_table(table, [10, 11, 50, 13, 14])
    report = add_photos(out, [tar, table])
    assert report.count == 11 and report.changed and f"{tar}::0002.png" in report.vanished
    assert f"{table}::2" in report.changed and f"{table}::5" in report.vanished
    opened = PhotoIndex.open(out)
    for record in opened.records(range(11)):
        opened.read_photo(record)
    assert verify_index(out, photos=True).problems == ()


def test_a_tar_with_two_members_of_one_name_keeps_both(tmp_path, small_segments, helpers):
    tar = helpers.write_tar(tmp_path / "a.tar", [1, 2], name="same.png")
    out = tmp_path / "out.ceret"
    assert build_index([tar], out, helpers.SETTINGS).count == 2
    assert add_photos(out, [tar]).present == 2
    os.utime(tar, ns=(1, 1))
    assert add_photos(out, [tar]).present == 2 == read_manifest(out).count


def test_a_shard_that_is_gone_from_its_folder_is_removed(tmp_path, small_segments, helpers):
    (tmp_path / "shards").mkdir()
    tars = [helpers.write_tar(tmp_path / "shards" / f"{n}.tar", range(4 * n, 4 * n + 4)) for n in range(3)]
    out = tmp_path / "out.ceret"
    assert build_index([tmp_path / "shards"], out, helpers.SETTINGS).count == 12
    tars[1].unlink()
    assert add_photos(out, [tmp_path / "shards"]).vanished == tuple(f"{tars[1]}::{n:04d}.png" for n in range(4, 8))
    assert described(out).keys() == {f"{tars[n // 4]}::{n:04d}.png" for n in (0, 1, 2, 3, 8, 9, 10, 11)}


def damage_texts(table):
    """Spoil a table's names of photos; its footer and photos stay whole."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(table) as file:
        columns = [file.metadata.row_group(0).column(number) for number in range(2)]
    (column,) = (one for one in columns if one.path_in_schema == "key")
    data, start, length = bytearray(table.read_bytes()), column.dictionary_page_offset, column.total_compressed_size
    data[start : start + length] = bytes(length)
    table.write_bytes(data)


def test_a_source_that_turns_out_to_be_damaged_stops_no_other_and_loses_nothing(
    photos, tmp_path, small_segments, helpers
):
    table = helpers.write_table(tmp_path / "a.parquet", range(40, 44), key="name")
    whole = table.read_bytes()
    damage_texts(table)
    out = tmp_path / "out.ceret"
    report = build_index([table, photos], out, helpers.SETTINGS)
    assert report.count == 30
    ((root, reason),) = report.refused
    assert root == str(table) and reason.startswith("damaged near row 0")
    table.write_bytes(whole)
    assert add_photos(out).added == 4
    damage_texts(table)
    report = add_photos(out)
    assert (report.count, report.present, report.vanished, len(report.refused)) == (34, 30, (), 1)


def test_a_stopped_build_goes_on_with_shards_that_came_and_without_those_that_went(tmp_path, small_segments, helpers):
    folder, out = tmp_path / "shards", tmp_path / "out.ceret"
    folder.mkdir()
    tars = [helpers.write_tar(folder / f"{n}.tar", range(10 * n, 10 * n + 10)) for n in range(2)]
    for number, after in ((2, 1), (3, 10)):  # before and after the first segment

        def stop(done, total, after=after):
            if done >= after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            build_index([folder], out, helpers.SETTINGS, stop)
        helpers.write_tar(folder / f"{number}.tar", range(100 * number, 100 * number + 5))
    assert len(read_manifest(out).segments) == 1
    tars[0].unlink()
    report = build_index([folder], out, helpers.SETTINGS)
    assert (report.count, len(report.vanished)) == (20, 8)
    assert verify_index(out, photos=True).problems == ()


def test_photos_given_one_by_one_lie_in_their_folder(photos, tmp_path, small_segments, helpers):
    out, given = tmp_path / "out.ceret", sorted((photos / "even").glob("*.png"))
    build_index([*given, photos / "odd"], out, helpers.SETTINGS)
    opened = PhotoIndex.open(out)
    same = SameSource(opened).photos(Origin.of(given[1]))
    assert [opened.name_of(record) for record in opened.records(np.flatnonzero(same))] == list(map(str, given))
