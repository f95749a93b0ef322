"""A merged index holds the photos of all, once, and answers as an index of all of them; the merged ones stay as they were."""

import dataclasses
import errno
import os

import numpy as np
import pytest

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError, SettingsError
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
def other(tmp_path, small_segments, helpers):
    """An index of 12 photos in a tar, and the photos."""
    tar = helpers.write_tar(tmp_path / "more.tar", range(40, 52))
    path = tmp_path / "more.ceret"
    build_index([tar], path, helpers.SETTINGS)
    return path, tar


def nearest(index, grids):
    """Names and distances of all photos, nearest first, for each grid."""
    weights = np.ones((len(grids), grids.shape[1]), np.float32)
    found = index.search(grids, weights, len(index))
    names = [[index.name_of(record) for record in index.records(ids)] for ids in found.ids]
    return names, found.scores


def test_it_answers_as_an_index_of_all(index, other, photos, tmp_path, helpers):
    path, tar = other
    before = [helpers.contents(one) for one in (index, path)]
    out, whole = tmp_path / "out.ceret", tmp_path / "whole.ceret"
    done = merge_indexes(out, [index, path])
    assert (done.photos, done.repeated, done.kept_out, done.notes) == (42, 0, 0, ())
    assert [helpers.contents(one) for one in (index, path)] == before
    build_index([photos, tar], whole, helpers.SETTINGS)
    merged, built = PhotoIndex.open(out), PhotoIndex.open(whole)
    assert merged.table.equals(built.table)
    grids = np.concatenate(list(built.grids()))
    assert np.array_equal(np.concatenate(list(merged.grids())), grids)
    names, distances = nearest(merged, grids.astype(np.float32))
    expected, right = nearest(built, grids.astype(np.float32))
    assert names == expected and np.array_equal(distances, right)
    assert verify_index(out, photos=True).problems == ()
    report = add_photos(out)
    assert (report.present, report.added) == (42, 0)
    assert compact_index(out).segments == (6, 6)


def test_files_are_shared_and_outlive_the_merged_index(index, other, tmp_path, helpers):
    import shutil

    out = tmp_path / "out.ceret"
    done = merge_indexes(out, [index, other[0]])
    assert (done.linked, done.copied) == (4 * 2 + 2, 2), "the tar has another number now"
    vectors = [one / "segments" / "000002" / "vectors.h5" for one in (index, out)]
    assert os.path.samefile(*vectors)
    before = helpers.contents(out)
    remove_photos(index, where="label == 'even'")
    compact_index(index)
    shutil.rmtree(other[0])
    assert helpers.contents(out) == before and verify_index(out, photos=True).problems == ()


def test_files_are_copied_where_there_are_no_links(index, other, tmp_path, helpers, monkeypatch):
    linked, copied = tmp_path / "linked.ceret", tmp_path / "copied.ceret"
    merge_indexes(linked, [index, other[0]])

    def refuse(*_):
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(os, "link", refuse)
    done = merge_indexes(copied, [index, other[0]])
    assert (done.linked, done.copied) == (0, 12)
    assert helpers.contents(copied) == helpers.contents(linked)


def test_the_same_photo_is_there_once_whatever_the_source(index, photos, tmp_path, helpers):
    second, third, out = (tmp_path / f"{name}.ceret" for name in ("second", "third", "out"))
    helpers.write_photos(photos, range(30, 36))
    (photos / "even" / "0002.png").write_bytes(helpers.encoded(99))
    build_index([photos], second, helpers.SETTINGS)
    build_index([photos / "odd", *sorted((photos / "even").glob("*.png"))[:3]], third, helpers.SETTINGS)
    done = merge_indexes(out, [index, second, third])
    assert (done.photos, done.repeated) == (36, 30 + 18 + 3)
    merged = PhotoIndex.open(out)
    names = [merged.name_of(record) for record in merged.records(range(36))]
    assert sorted(names) == sorted(map(str, photos.rglob("*.png")))
    kinds = [source.kind for source in merged.manifest.sources]
    assert kinds == ["folder", "folder", "files"], "the two equal sources are one"
    report = add_photos(out)
    assert (report.present, report.added) == (35, 0)
    assert report.changed == (str(photos / "even" / "0002.png"),), "the first index's is taken, and found to be old"
    assert verify_index(out, photos=True).problems == ()


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_a_source_inside_another_leads_to_the_same_photos(index, photos, tmp_path, helpers, order):
    inner, out = tmp_path / "inner.ceret", tmp_path / "out.ceret"
    (photos / "odd" / "bad.png").write_bytes(b"no photo")
    add_photos(index)
    build_index([photos / "odd"], inner, helpers.SETTINGS)
    merge_indexes(out, [(index, inner)[one] for one in order])
    for given in ([], [photos], [photos / "odd"]):
        report = add_photos(out, given)
        assert (report.count, report.added, report.vanished) == (30, 0, ()), given
    assert len(read_manifest(out).skipped) == 1
    (photos / "odd" / "0001.png").unlink()
    assert add_photos(out).vanished == (str(photos / "odd" / "0001.png"),)
    names = [PhotoIndex.open(out).name_of(one) for one in PhotoIndex.open(out).records(range(29))]
    assert sorted(names) == sorted(str(path) for path in photos.rglob("0*.png"))


def test_what_one_keeps_out_stays_out(index, photos, tmp_path, helpers):
    second, out = tmp_path / "second.ceret", tmp_path / "out.ceret"
    build_index([photos / "even", photos / "odd"], second, helpers.SETTINGS)
    remove_photos(index, [photos / "even" / "0004.png"])
    victim = next(one for one in PhotoIndex.open(second).table.to_pylist() if one["key"] == "0003.png")
    remove_photos(second, sha256=[victim["sha256"]])
    done = merge_indexes(out, [index, second])
    assert (done.photos, done.kept_out) == (28, 2), "each in the index that did not remove it"
    keys = PhotoIndex.open(out).table.column("key").to_pylist()
    assert not [key for key in keys if key.endswith(("0003.png", "0004.png"))]
    report = add_photos(out)
    assert (report.count, report.added) == (28, 0)
    assert read_manifest(out).kept_out.sha256 == (victim["sha256"],)


def test_a_photo_that_vanished_from_one_is_taken_from_another(index, photos, tmp_path, helpers):
    second, out = tmp_path / "second.ceret", tmp_path / "out.ceret"
    build_index([photos], second, helpers.SETTINGS)
    photo = photos / "even" / "0000.png"
    data = photo.read_bytes()
    photo.unlink()
    add_photos(index)
    photo.write_bytes(data)
    assert len(PhotoIndex.open(index)) == 29 and merge_indexes(out, [index, second]).photos == 30


def test_notes_of_what_was_skipped_are_united(photos, tmp_path, small_segments, helpers):
    first, second, out = (tmp_path / f"{name}.ceret" for name in ("first", "second", "out"))
    for name in ("0004.png", "bad.png"):
        (photos / "even" / name).write_bytes(b"no photo")
    (photos / "anim.gif").touch()
    build_index([photos], first, helpers.SETTINGS)
    (photos / "even" / "0004.png").write_bytes(helpers.encoded(4))
    (photos / "even" / "late.png").write_bytes(b"no photo")
    build_index([photos], second, helpers.SETTINGS)
    merge_indexes(out, [first, second])
    assert sorted(one.key for one in read_manifest(out).passed_over) == ["**/*.gif", "even/bad.png", "even/late.png"]
    assert len(PhotoIndex.open(out)) == 30


def test_kind_and_local_features_stay_where_all_have_them(photos, tmp_path, small_segments, fake_kind, helpers):
    first, second, third = (tmp_path / f"{name}.ceret" for name in "abc")
    both = dataclasses.replace(helpers.SETTINGS, kind="kind", places=True)
    build_index([photos / "even"], first, both)
    build_index([photos / "odd"], second, both)
    build_index([photos / "odd"], third, helpers.SETTINGS)
    out, bare = tmp_path / "out.ceret", tmp_path / "bare.ceret"
    assert merge_indexes(out, [first, second]).notes == ()
    merged = PhotoIndex.open(out)
    kinds = [np.concatenate(list(PhotoIndex.open(one).kinds())) for one in (first, second)]
    assert np.array_equal(np.concatenate(list(merged.kinds())), np.concatenate(kinds))
    assert sum(len(file.counts) for file, _ in merged.place_files()) == 30
    done = merge_indexes(bare, [first, third])
    assert [line for _, line in done.notes] == [
        f"no kind features, which differ: add them with `ceret add {bare} --kind kind`",
        f"no local features, which differ: add them with `ceret add {bare} --places`",
    ]
    assert verify_index(bare).problems == () and not list(bare.rglob("kind-*")) and not list(bare.rglob("places-*"))
    assert add_photos(bare, kind="kind", places=True).kind == "kind"
    assert np.array_equal(np.concatenate(list(PhotoIndex.open(bare).kinds())), np.concatenate(kinds))


def test_bad_input_is_one_line_and_leaves_nothing(index, other, photos, tmp_path, helpers, full_disk):
    out = tmp_path / "out.ceret"

    def refused(error, match, *paths):
        before = helpers.contents(tmp_path)
        with pytest.raises(error, match=match) as told:
            merge_indexes(out, paths)
        assert "\n" not in str(told.value) and helpers.contents(tmp_path) == before

    refused(SettingsError, "at least two", index)
    refused(PhotoIndexError, "no index at", index, tmp_path / "none.ceret")
    for changes, match in (
        ({"features": "thumbnail:4"}, r"has descriptor thumbnail:4 and .* has thumbnail:8: build one"),
        ({"size": 40}, "has size in px 40 and .* has 32"),
        ({"hole": "center"}, "has hole protocol center and .* has none"),
    ):
        unlike = tmp_path / f"{match[4:8]}.ceret"
        build_index([photos], unlike, dataclasses.replace(helpers.SETTINGS, **changes))
        refused(PhotoIndexError, match, index, unlike)
    helpers.edit_manifest(unlike, complete=False)
    refused(PhotoIndexError, "was stopped", index, unlike)
    vectors = other[0] / "segments" / "000002" / "vectors.h5"
    data = vectors.read_bytes()
    vectors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    refused(CorruptIndexError, "000002/vectors.h5 is altered", index, other[0])
    vectors.unlink()
    refused(CorruptIndexError, "000002/vectors.h5 cannot be read: no such file", index, other[0])
    vectors.write_bytes(data)
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    refused(PhotoIndexError, "exists already: choose another name", index, other[0])
    out = index / "inside.ceret"
    refused(PhotoIndexError, "lies inside the index", index, other[0])


def test_an_index_of_nothing_is_not_made(photos, tmp_path, small_segments, helpers):
    first, second, out = (tmp_path / f"{name}.ceret" for name in ("first", "second", "out"))
    build_index([photos / "even"], first, helpers.SETTINGS)
    build_index([photos / "even"], second, helpers.SETTINGS)
    names = sorted((photos / "even").glob("*.png"))
    remove_photos(first, names[:8])
    remove_photos(second, names[8:])
    with pytest.raises(PhotoIndexError, match="no photo is left of 2 indexes"):
        merge_indexes(out, [first, second])
    assert not out.exists()
