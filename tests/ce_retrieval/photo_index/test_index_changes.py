"""An index follows its photos: what was bad is tried again, what changed is described anew, what vanished is removed."""

import json
import os
import shutil

import numpy as np
import pytest
from changed_indexes import described, hashes_of

from ce_retrieval.errors import CorruptIndexError, PhotoError, PhotoIndexError, SourceError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_alike,
    build_index,
    compare,
    read_manifest,
    segments,
    verify_index,
)

LISTED = "the folder cannot be listed: permission denied"


@pytest.fixture()
def hashed(monkeypatch):
    """The keys of photos that were read to be compared, not described."""
    read = []
    real = compare._verdict

    def watched(rows, name, source, item, check):
        class Watched:
            def __getattr__(self, attribute):
                return getattr(source, attribute)

            def read(self, item):
                read.append(item.key)
                return source.read(item)

        return real(rows, name, Watched(), item, check)

    monkeypatch.setattr(compare, "_verdict", watched)
    return read


def test_a_skipped_file_is_tried_again_until_it_can_be_read(photos, tmp_path, small_segments, helpers):
    data = helpers.encoded(50)
    (photos / "cut.png").write_bytes(data[: len(data) // 2])
    (photos / "gone.png").write_bytes(b"")
    out = tmp_path / "out.ceret"
    assert len(build_index([photos], out, helpers.SETTINGS).skipped) == 2
    before = helpers.contents(out)
    report = add_photos(out, [photos])
    assert (report.added, report.present, len(report.skipped)) == (0, 30, 2)
    assert helpers.contents(out) == before, "what is still bad changes nothing"
    (photos / "gone.png").unlink()
    (photos / "cut.png").write_bytes(b"<html>")
    assert [name for name, _ in add_photos(out, [photos]).skipped] == [str(photos / "cut.png")]
    assert ["text page" in one.reason for one in read_manifest(out).skipped] == [True]
    (photos / "cut.png").write_bytes(data)
    with pytest.raises(PhotoIndexError, match=r"1 new \(.*cut.png\)"):
        build_index([photos], out, helpers.SETTINGS)
    report = add_photos(out, [photos])
    assert (report.count, report.added, report.present, report.skipped) == (31, 1, 30, ())
    assert read_manifest(out).skipped == ()
    assert described(out) == hashes_of(photos.rglob("*.png"))


def test_changed_photos_are_described_anew_and_vanished_ones_removed(index, photos, helpers):
    reader = PhotoIndex.open(index)
    before = {name: data for name, data in helpers.contents(index).items() if name != "manifest.json"}
    changed, gone = photos / "even" / "0004.png", [photos / "odd" / "0003.png", photos / "even" / "0000.png"]
    changed.write_bytes(helpers.encoded(70))
    for path in gone:
        path.unlink()
    helpers.write_photos(photos, [80])
    with pytest.raises(PhotoIndexError, match=r"1 new \(.*1 changed \(.*0004.png\), 2 vanished \(.*`ceret add "):
        build_index([photos], index, helpers.SETTINGS)
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.present) == (29, 1, 27)
    assert report.changed == (str(changed),) and set(report.vanished) == set(map(str, gone))
    assert described(index) == hashes_of(photos.rglob("*.png"))
    assert read_manifest(index).removed == 3 and verify_index(index, photos=True).problems == ()
    assert before.items() <= helpers.contents(index).items(), "segments are immutable"
    assert len(reader) == reader.table.num_rows == 30, "a reader keeps what it opened"
    opened = PhotoIndex.open(index)
    (row,) = [i for i, record in enumerate(opened.records(range(29))) if record.key == "even/0004.png"]
    np.testing.assert_array_equal(opened.read_photo(opened.records([row])[0]).pixels, helpers.pixels(70))
    after = helpers.contents(index)
    assert add_photos(index, [photos]).present == 29 and helpers.contents(index) == after
    assert build_index([photos], index, helpers.SETTINGS).present == 29


def test_a_photo_that_comes_back_is_taken_back_without_being_described_again(index, photos, helpers):
    before = helpers.contents(index)
    (photos / "even").rename(photos.parent / "elsewhere")
    report = add_photos(index, [photos])
    assert (report.count, len(report.vanished)) == (15, 15)
    assert json.loads((index / "manifest.json").read_bytes())["version"] == 2
    (photos.parent / "elsewhere").rename(photos / "even")
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.changed, report.vanished) == (30, 15, (), ())
    assert helpers.contents(index) == before, "version 1 again"


def test_a_photo_changed_and_restored_is_the_old_row_again(index, photos, helpers):
    path = photos / "odd" / "0001.png"
    old, status = path.read_bytes(), path.stat()
    path.write_bytes(helpers.encoded(60))
    add_photos(index, [photos])
    path.write_bytes(old)
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.changed) == (30, 0, (str(path),))
    assert len(read_manifest(index).segments) == 5 and read_manifest(index).removed == 1
    assert described(index) == hashes_of(photos.rglob("*.png"))


def test_a_photo_that_has_become_unreadable_is_removed_and_tried_again(index, photos, helpers):
    path = photos / "odd" / "0001.png"
    data = path.read_bytes()
    path.write_bytes(data[:100])
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.changed, report.vanished) == (29, 0, (), ()), "it is not described anew"
    assert (
        [name for name, _ in report.skipped]
        == [str(path)]
        == [str(photos / one.key) for one in read_manifest(index).skipped]
    )
    path.write_bytes(data)
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.skipped) == (30, 1, ()) and read_manifest(index).skipped == ()


def test_a_file_is_read_only_if_its_size_or_time_is_another(index, photos, hashed, helpers):
    assert add_photos(index, [photos]).present == 30 and hashed == []
    before = helpers.contents(index)
    path = photos / "odd" / "0001.png"
    os.utime(path, ns=(1, 1))
    report = add_photos(index, [photos])
    assert (report.present, report.changed) == (30, ()) and hashed == ["odd/0001.png"]
    assert helpers.contents(index) == before


def test_an_index_without_sizes_and_times_reads_as_before_and_compares_by_hash(
    photos, tmp_path, small_segments, hashed, helpers, monkeypatch
):
    real = segments._vectors_file

    def without_stamps(grids, stamps):
        import io

        import h5py

        buffer = io.BytesIO()
        with h5py.File(io.BytesIO(real(grids, stamps))) as old, h5py.File(buffer, "w") as file:
            file.create_dataset("grids", data=old["grids"][:])
        return buffer.getbuffer()

    monkeypatch.setattr(segments, "_vectors_file", without_stamps)
    out = tmp_path / "old.ceret"
    build_index([photos], out, helpers.SETTINGS)
    assert described(out) == hashes_of(photos.rglob("*.png")) and verify_index(out).problems == ()
    (photos / "even" / "0002.png").write_bytes(helpers.encoded(60))
    report = add_photos(out, [photos])
    assert (report.present, len(report.changed)) == (29, 1) and len(hashed) == 30
    assert described(out) == hashes_of(photos.rglob("*.png"))


def test_without_sources_the_index_is_brought_up_to_date_with_its_own(photos, tmp_path, small_segments, helpers):
    tar = helpers.write_tar(tmp_path / "more.tar", range(40, 44))
    single, other = tmp_path / "single.png", tmp_path / "other"
    single.write_bytes(helpers.encoded(90))
    helpers.write_photos(other, [91])
    out = tmp_path / "out.ceret"
    assert build_index([photos, tar, single, other], out, helpers.SETTINGS).count == 36
    assert add_photos(out).present == 36
    helpers.write_photos(photos, [77])
    single.unlink()
    shutil.move(other, tmp_path / "moved")
    report = add_photos(out)
    assert (report.count, report.added, report.present, report.vanished) == (36, 1, 35 - 1, (str(single),))
    ((lost, why),) = report.refused
    assert lost == str(other) and f"if it has moved run `ceret relocate {out} {other} NEW`" in why
    assert read_manifest(out).removed == 1, "nothing is known of the photos of a source that is not there"
    for gone in (photos, tar):
        gone.rename(gone.with_suffix(".away"))
    with pytest.raises(SourceError, match=f"{photos} is not there: put it back"):
        add_photos(out)


def test_what_cannot_be_looked_at_has_not_vanished(index, photos, unlistable, helpers):
    before = read_manifest(index)
    unlistable("odd")
    report = add_photos(index, [photos])
    assert (report.count, report.present, report.vanished) == (30, 15, ())
    assert report.notes == ((str(photos / "odd") + "/", LISTED),) and report.skipped == ()
    assert [(one.key, one.reason) for one in read_manifest(index).skipped] == [("odd/", LISTED)]
    assert read_manifest(index).removed == 0
    unlistable("none")
    assert add_photos(index, [photos]).notes == () and read_manifest(index) == before


def test_verify_reads_the_photos_if_it_is_asked_to(index, photos, helpers):
    seen = []
    found = verify_index(index, photos=True, workers=2, progress=lambda done, total: seen.append((done, total)))
    assert (found.files, found.photos, found.problems) == (8, 30, ()) and seen[-1] == (30, 30)
    (photos / "odd" / "0001.png").write_bytes(helpers.encoded(60))
    (photos / "odd" / "0003.png").unlink()
    assert verify_index(index).problems == ()
    problems = verify_index(index, photos=True).problems
    assert len(problems) == 2
    assert "0001.png has changed since it was indexed" in problems[0] and f"`ceret add {index}`" in problems[0]
    assert "0003.png of" in problems[1] and "cannot be read any more" in problems[1] and "`ceret add" in problems[1]
    segment = index / "segments" / "000001" / "vectors.h5"
    segment.write_bytes(segment.read_bytes()[:-1])
    found = verify_index(index, photos=True)
    assert found.photos == 22 and "vectors.h5 has" in found.problems[0]


def test_the_manifest_refuses_removed_rows_that_cannot_be(index, helpers):
    content = json.loads((index / "manifest.json").read_bytes())
    for removed in ("8", "3-1", "1,1", "-1", "0-99", "x", 5):
        parts = [{**part, "removed": removed} for part in content["segments"][:1]]
        helpers.edit_manifest(index, version=2, segments=parts + content["segments"][1:])
        with pytest.raises(CorruptIndexError, match="is damaged"):
            read_manifest(index)
    parts[0]["removed"] = "0-1,3,5-7"
    helpers.edit_manifest(index, version=2, segments=parts + content["segments"][1:])
    assert read_manifest(index).segments[0].removed == (0, 1, 3, 5, 6, 7)
    assert len(PhotoIndex.open(index)) == 24 == PhotoIndex.open(index).table.num_rows


def test_an_index_whose_photos_have_all_vanished_says_so(photos, tmp_path, small_segments, helpers):
    single = tmp_path / "single"
    helpers.write_photos(single, [1])
    out = tmp_path / "out.ceret"
    build_index([single], out, helpers.SETTINGS)
    (single / "odd" / "0001.png").unlink()
    (single / "bad.jpg").write_bytes(b"")
    assert add_photos(out, [single]).count == 0
    with pytest.raises(PhotoIndexError, match=r"holds no photo any more: .*`ceret add"):
        PhotoIndex.open(out)


def test_an_index_of_other_features_follows_the_order_of_a_grown_one(index, photos, tmp_path, helpers):
    helpers.write_photos(photos, [1], prefix="a")
    tar = helpers.write_tar(tmp_path / "a.tar", range(60, 63))
    add_photos(index, [tar, photos])
    helpers.write_photos(photos, [2], prefix="a")
    (photos / "odd" / "0003.png").unlink()
    add_photos(index, [photos])
    opened, other = PhotoIndex.open(index), tmp_path / "other.ceret"
    build_alike(opened, other, helpers.SETTINGS)
    assert PhotoIndex.open(other).table.equals(opened.table)
    before = helpers.contents(other)
    build_alike(opened, other, helpers.SETTINGS)
    assert helpers.contents(other) == before
    helpers.edit_manifest(other, complete=False)
    (photos / "even" / "a0002.png").unlink()
    build_alike(opened, other, helpers.SETTINGS)
    assert helpers.contents(other) == before, "it was whole"


def test_errors_of_photos_name_a_command_that_helps(index, photos, helpers):
    opened = PhotoIndex.open(index)
    record = opened.records([0])[0]
    (photos / record.key).unlink()
    with pytest.raises(PhotoError, match=f"bring the index up to date with `ceret add {index}`$"):
        opened.read_photo(record)
    photos.rename(photos.with_name("moved"))
    opened = PhotoIndex.open(index)
    with pytest.raises(PhotoError, match=f"if {photos} has moved, run `ceret relocate {index} {photos} NEW`"):
        opened.read_photo(record)


def test_progress_counts_photos_that_are_as_they_were(index, photos, helpers, monkeypatch):
    monkeypatch.setattr("ce_retrieval.photo_index.update.TELL_EVERY", 10)
    helpers.write_photos(photos, [60])
    seen = []
    add_photos(index, [photos], progress=lambda done, total: seen.append((done, total)))
    assert seen == [(10, 31), (20, 31), (30, 31), (31, 31)]
