"""A collection that has moved: the index follows, after a look at the new place."""

import pytest

from ce_retrieval.errors import PhotoIndexError, SettingsError
from ce_retrieval.photo_index import PhotoIndex, add_photos, build_index, read_manifest, relocate_index, verify_index


def test_an_index_follows_a_folder_that_moved(index, photos, helpers):
    new = photos.with_name("moved")
    photos.rename(new)
    assert len(verify_index(index, photos=True).problems) == 30
    segments = read_manifest(index).segments
    done = relocate_index(index, photos, new)
    assert (done.sources, done.checked, done.problems) == (((str(photos), str(new)),), 30, ())
    assert verify_index(index, photos=True).problems == () and read_manifest(index).segments == segments
    opened = PhotoIndex.open(index)
    assert opened.name_of(opened.records([0])[0]).startswith(f"{new}/")
    before = helpers.contents(index)
    assert add_photos(index, [new]).present == 30 == build_index([new], index, helpers.SETTINGS).present
    assert helpers.contents(index) == before


def test_all_sources_below_a_folder_follow_it(tmp_path, small_segments, helpers):
    old, new = tmp_path / "old", tmp_path / "new"
    near = helpers.write_photos(tmp_path / "older", range(4))  # begins with the same letters
    helpers.write_photos(old / "a", range(4, 8))
    tar = helpers.write_tar(old / "b.tar", range(8, 12))
    table = helpers.write_table(old / "c.parquet", range(12, 16))
    out = tmp_path / "out.ceret"
    build_index([near, old / "a", tar, table], out, helpers.SETTINGS)
    old.rename(new)
    done = relocate_index(out, old, new)
    assert [pair[1] for pair in done.sources] == [str(new / name) for name in ("a", "b.tar", "c.parquet")]
    assert read_manifest(out).sources[0].root == str(near)
    assert done.checked == 12 and verify_index(out, photos=True).problems == ()


def test_a_few_lost_photos_are_named_and_another_collection_is_refused(index, photos, tmp_path, helpers):
    new = tmp_path / "moved"
    photos.rename(new)
    before = helpers.contents(index)
    other = tmp_path / "other"
    for path in new.rglob("*.png"):  # the same names, other photos
        (other / path.parent.name).mkdir(parents=True, exist_ok=True)
        (other / path.parent.name / path.name).write_bytes(helpers.encoded(int(path.stem) + 100))
    differ, remedy = "cannot be read or differ from those indexed", "give the folder that holds them now"
    cases = [
        (photos, tmp_path / "nowhere", "does not exist: give the new place"),
        (tmp_path / "mistaken", new, f"no source of {index} lies at .*its sources are at {photos}"),
        (
            photos,
            new / "even",
            f"of 30 photos looked at in .*, 30 {differ}, the first: .*png cannot be read; {remedy}$",
        ),
        (
            photos,
            other,
            f"30 {differ}, the first: .*png has changed since it was indexed; {remedy}$",
        ),
    ]
    for old, place, message in cases:
        with pytest.raises(PhotoIndexError, match=message):
            relocate_index(index, old, place)
        assert helpers.contents(index) == before
    (new / "even" / "0002.png").unlink()
    (new / "odd" / "0003.png").write_bytes(helpers.encoded(50))
    problems = relocate_index(index, photos, new).problems
    assert len(problems) == 2 and "0002.png" in problems[0] and "0003.png" in problems[1]
    report = add_photos(index)
    assert (report.count, len(report.changed), len(report.vanished)) == (29, 1, 1)


def test_the_old_place_is_not_a_new_one(index, photos):
    with pytest.raises(SettingsError, match=f"{photos} is given as the old and the new place: give the place where"):
        relocate_index(index, photos, photos / ".." / photos.name)


def test_two_sources_do_not_become_one(index, photos, tmp_path, helpers):
    copy = helpers.write_photos(tmp_path / "copy", range(30))
    add_photos(index, [copy])
    with pytest.raises(PhotoIndexError, match=f"{copy} is a source of {index} already"):
        relocate_index(index, photos, copy)


def test_no_lock_is_left_where_no_index_is(tmp_path):
    with pytest.raises(PhotoIndexError, match="is not a ceret index"):
        relocate_index(tmp_path, tmp_path / "old", tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_photos_given_one_by_one_move_with_their_folder(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "out.ceret"
    build_index(sorted((photos / "even").glob("*.png")), out, helpers.SETTINGS)
    assert [(source.kind, source.root) for source in read_manifest(out).sources] == [("files", str(photos / "even"))]
    new = tmp_path / "new"
    photos.rename(new)
    relocate_index(out, photos, new)
    helpers.write_photos(new, [60])
    assert verify_index(out, photos=True).problems == ()
    assert add_photos(out).present == 15 == read_manifest(out).count, "others of the folder were not given"
    (new / "even" / "0000.png").unlink()
    assert add_photos(out).vanished == (str(new / "even" / "0000.png"),)
    assert add_photos(out, sorted((new / "even").glob("*.png"))).added == 1
