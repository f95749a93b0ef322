"""Kind features that an index gets later, loses, and keeps: added, resumed, dropped, moved."""

import shutil

import numpy as np
import pytest
from kind_features import expected_kinds, kind_files, kinds_of

from ce_retrieval.errors import (
    NoKindError,
    PhotoError,
)
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    read_manifest,
    verify_index,
)


def test_an_index_without_them_gets_them_to_the_same_bytes(index, kind_index, photos, helpers):
    with pytest.raises(NoKindError, match=f"has no kind features: add them with `ceret add {index} --kind kind`"):
        _ = PhotoIndex.open(index).kind
    assert add_photos(index, [photos]).kind is None, "nobody has asked for them"
    seen = []
    report = add_photos(index, kind="kind", progress=lambda done, total: seen.append((done, total)))
    assert (report.kind, report.added, report.present) == ("kind", 0, 30) and seen[-1] == (30, 30)
    assert kind_files(index) == kind_files(kind_index)
    np.testing.assert_array_equal(kinds_of(index), kinds_of(kind_index))
    before = helpers.contents(index)
    add_photos(index, kind="kind")
    assert helpers.contents(index) == before, "nothing is described again"


def test_photos_that_are_new_changed_and_gone_when_they_are_added(index, photos, helpers, fake_kind):
    helpers.write_photos(photos, range(100, 107))
    (photos / "even" / "0002.png").unlink()
    (photos / "even" / "0004.png").write_bytes(helpers.encoded(70))
    report = add_photos(index, [photos], kind="kind")
    assert (report.added, len(report.changed), len(report.vanished), report.count) == (7, 1, 1, 36)
    np.testing.assert_allclose(kinds_of(index), expected_kinds(index), atol=2e-3)
    assert verify_index(index).problems == ()


def test_a_photo_that_was_gone_then_and_comes_back_is_described(index, photos, fake_kind):
    aside = (photos / "even" / "0002.png").rename(photos.parent / "aside.png")
    add_photos(index, [photos], kind="kind")
    aside.rename(photos / "even" / "0002.png")
    assert add_photos(index, [photos]).count == 30
    np.testing.assert_allclose(kinds_of(index), expected_kinds(index), atol=2e-3)
    (photos / "even" / "0002.png").rename(aside)
    assert add_photos(index, [photos]).count == 29
    aside.rename(photos / "even" / "0002.png")
    segments = len(read_manifest(index).segments)
    assert add_photos(index, [photos]).count == 30 and len(read_manifest(index).segments) == segments


def test_a_stopped_run_goes_on_where_it_was(index, photos, fake_kind, helpers):
    def stop(done, total):
        if done >= 20:
            raise KeyboardInterrupt

    before = (index / "manifest.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        add_photos(index, kind="kind", progress=stop)
    assert (index / "manifest.json").read_bytes() == before and len(kind_files(index)) == 2
    assert len(PhotoIndex.open(index)) == 30
    file = index / kind_files(index)[0]
    written = file.stat().st_mtime_ns
    add_photos(index, kind="kind")
    assert file.stat().st_mtime_ns == written and verify_index(index).problems == ()
    np.testing.assert_allclose(kinds_of(index), expected_kinds(index), atol=2e-3)


def test_other_writers_delete_what_a_stopped_run_left(index, photos, fake_kind):
    def stop(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_photos(index, kind="kind", progress=lambda done, total: done < 20 or stop(done, total))
    assert kind_files(index)
    add_photos(index, [photos])
    assert kind_files(index) == []


def test_they_can_be_left_out_and_dropped(kind_index, photos, index, helpers):
    opened = PhotoIndex.open(kind_index)
    report = add_photos(kind_index, kind="none")
    assert report.kind is None and read_manifest(kind_index).kind is None
    assert len(list(opened.kinds())) == 4, "readers keep what they opened"
    add_photos(kind_index)
    assert len(list(opened.kinds())) == 4, "even after another writer"
    del opened
    add_photos(kind_index)
    assert helpers.contents(kind_index) == helpers.contents(index)


def test_a_photo_that_cannot_be_read_any_more_is_named(index, photos, tmp_path, helpers, fake_kind):
    more = helpers.write_photos(tmp_path / "more", range(50, 54))
    add_photos(index, [more])
    (more / "even" / "0050.png").unlink()
    before = (index / "manifest.json").read_bytes()
    with pytest.raises(PhotoError, match=r"0050\.png of .* cannot be read any more: put it back, or bring the index"):
        add_photos(index, [photos], kind="kind")
    assert (index / "manifest.json").read_bytes() == before
    assert add_photos(index, kind="kind").kind == "kind", "without sources all of them are brought up to date"


def test_a_source_that_moved_keeps_them(kind_index, photos, tmp_path):
    from ce_retrieval.photo_index import relocate_index

    before = kinds_of(kind_index)
    moved = photos.rename(tmp_path / "moved")
    relocate_index(kind_index, photos, moved)
    np.testing.assert_array_equal(kinds_of(kind_index), before)
    assert add_photos(kind_index).present == 30


def test_a_copy_of_an_index_is_changed_alone(kind_index, tmp_path):
    shutil.copytree(kind_index, tmp_path / "copy.ceret")
    add_photos(tmp_path / "copy.ceret", kind="none")
    assert len(kinds_of(kind_index)) == 30
