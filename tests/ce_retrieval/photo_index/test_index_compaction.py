"""A compacted index answers as before, in less space, while readers of the old one go on."""

import dataclasses
import gc
import subprocess
import sys

import numpy as np
import pytest

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError, StorageError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    batches,
    build_index,
    compact_index,
    read_manifest,
    remove_photos,
    verify_index,
)
from ce_retrieval.places.search import place_votes


def segment_names(index):
    return sorted(path.name for path in (index / "segments").iterdir())


def everything(index):
    """All that a reader sees: records, vectors, kind features and the order of searches."""
    opened = PhotoIndex.open(index)
    grids = np.concatenate(list(opened.grids()))
    weights = np.ones((len(grids), grids.shape[1]), np.float32)
    found = opened.search(grids.astype(np.float32), weights, len(opened))
    kinds = [part.tolist() for part in opened.kinds()] if opened.manifest.kind else []
    rows = [row for part in kinds for row in part]
    return opened.table.to_pylist(), grids.tobytes(), rows, found.scores.tobytes(), found.ids.tobytes()


def test_searches_find_the_same_and_the_space_is_free(index, photos, helpers):
    remove_photos(index, where="label == 'even' and key < 'even/0014'")
    for seed in (70, 71, 72):
        add_photos(index, [helpers.write_photos(photos, [seed])])
    manifest, before = read_manifest(index), everything(index)
    gc.collect()
    done = compact_index(index)
    assert (done.photos, done.dropped, done.deleted) == (26, 7, True)
    assert done.segments == (len(manifest.segments), len(read_manifest(index).segments)) == (7, 5)
    assert everything(index) == before
    assert verify_index(index, photos=True).problems == ()
    after = read_manifest(index)
    assert after.removed == 0 and after.kept_out == manifest.kept_out
    assert segment_names(index) == sorted(segment.name for segment in after.segments)
    assert done.freed > 0
    left = helpers.contents(index)
    assert compact_index(index).segments == (5, 5) and helpers.contents(index) == left, "nothing is left to do"
    report = add_photos(index, [photos])
    assert (report.count, report.present, report.kept_out) == (26, 26, 7), "stamps and names were kept"
    assert helpers.contents(index) == left


def test_full_segments_without_removed_photos_are_not_touched(index, photos):
    before = {segment.name: segment for segment in read_manifest(index).segments}
    remove_photos(index, [photos / "even" / "0016.png"])
    compact_index(index)
    after = read_manifest(index).segments
    kept = [segment.name for segment in after if segment.name in before]
    assert len(kept) == 3 and all(before[segment.name] == segment for segment in after if segment.name in kept)
    assert [segment.name for segment in after].index("000005") == 1, "it stands where its photos stood"
    report = add_photos(index, [photos])
    assert (report.count, report.added) == (29, 0)


def test_a_compacted_index_is_that_of_a_build_of_what_is_left(
    tmp_path, photos, small_segments, fake_kind, helpers, monkeypatch
):
    out, rebuilt = tmp_path / "out.ceret", tmp_path / "rebuilt.ceret"
    settings = dataclasses.replace(helpers.SETTINGS, kind="kind", places=True)
    build_index([photos], out, settings)
    gone = sorted(photos.rglob("*.png"))[1::3]
    remove_photos(out, gone)
    query = helpers.pixels(3, side=80)
    votes, before = place_votes(PhotoIndex.open(out), query), everything(out)
    monkeypatch.setattr(batches, "SEGMENT_ITEMS", 32)
    assert compact_index(out).segments == (4, 1)
    assert everything(out) == before
    assert np.array_equal(place_votes(PhotoIndex.open(out), query), votes) and votes.max() > 0
    for path in gone:
        path.unlink()
    build_index([photos], rebuilt, settings)
    (compacted,), (built,) = read_manifest(out).segments, read_manifest(rebuilt).segments
    assert len(built.files) == 4 and dataclasses.replace(built, name=compacted.name) == compacted


def test_the_old_files_stay_as_long_as_a_reader_has_them(index, photos, helpers):
    code = (
        "import sys; from ce_retrieval.photo_index import PhotoIndex; index = PhotoIndex.open(sys.argv[1]); "
        "print('open', flush=True); input(); print(sum(len(part) for part in index.grids()), index.table.num_rows)"
    )
    reader = subprocess.Popen(
        [sys.executable, "-c", code, str(index)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert reader.stdout.readline() == "open\n"
    remove_photos(index, [photos / "even"])
    done = compact_index(index)
    assert not done.deleted and len(PhotoIndex.open(index)) == 15
    gc.collect()
    assert segment_names(index) == [f"{number:06d}" for number in range(1, 6)]
    add_photos(index, [helpers.write_photos(photos, [80])])
    assert segment_names(index)[:4] == ["000001", "000002", "000003", "000004"], "other writers keep them too"
    answer, _ = reader.communicate("\n")
    assert answer == "30 30\n" and reader.returncode == 0
    add_photos(index)
    assert segment_names(index) == ["000003", "000004", "000005", "000006"], "the next writer deletes them"


def test_a_segment_without_photos_takes_its_name_along(index, photos):
    last = [one["key"] for one in PhotoIndex.open(index).table.to_pylist()[24:]]
    reader = PhotoIndex.open(index)
    remove_photos(index, [photos / key for key in last])
    compact_index(index)
    assert [segment.name for segment in read_manifest(index).segments] == ["000001", "000002", "000005"]
    add_photos(index, [])
    assert len(np.concatenate(list(reader.grids()))) == 30


def test_what_was_skipped_stays_noted(photos, tmp_path, small_segments, helpers):
    (photos / "even" / "bad.png").write_bytes(b"no photo")
    out = tmp_path / "out.ceret"
    build_index([photos], out, helpers.SETTINGS)
    skipped = read_manifest(out).skipped
    remove_photos(out, [photos / "even"])
    compact_index(out)
    assert read_manifest(out).skipped == skipped and len(skipped) == 1


def test_a_compaction_that_cannot_be_is_one_line(index, photos, helpers, full_disk):
    remove_photos(index, [photos / "even"])
    before = helpers.contents(index)
    with full_disk(1000), pytest.raises(StorageError, match="cannot write"):
        compact_index(index)
    assert helpers.contents(index) == before, "nothing is left behind"
    vectors = index / "segments" / "000002" / "vectors.h5"
    data = vectors.read_bytes()
    vectors.write_bytes(data[:-1])
    with pytest.raises(CorruptIndexError, match="bytes instead of"):
        compact_index(index)
    vectors.write_bytes(data)
    helpers.edit_manifest(index, complete=False)
    with pytest.raises(PhotoIndexError, match="was stopped"):
        compact_index(index)


def test_codes_of_compacted_segments_stay_where_nobody_reads(photos, tmp_path, small_segments, helpers):
    out = tmp_path / "coded.ceret"
    build_index([photos], out, dataclasses.replace(helpers.SETTINGS, recipe="pooled"))
    remove_photos(out, where="startswith(key, 'odd')")
    assert compact_index(out).deleted
    assert verify_index(out).problems == ()
    assert all(
        (out / "segments" / one.name / file).exists() for one in read_manifest(out).segments for file in one.files
    )
