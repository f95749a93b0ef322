"""Damaged, foreign and unfinished indexes are named; a disk that fails loses nothing."""

import dataclasses
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ce_retrieval.errors import CeretError, CorruptIndexError, PhotoIndexError, StorageError
from ce_retrieval.photo_index import PhotoIndex, add_photos, build_index, read_manifest, verify_index
from cli.main import main


def segment_file(index, number, name):
    return index / "segments" / f"{number:06d}" / name


def flip(path):
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def read_all(index):
    index.search(np.zeros((1, 64, 3), np.float32), np.ones((1, 64), np.float32), 1)
    index.records([len(index) - 1, 0, len(index) // 2, len(index) // 3])


@pytest.mark.parametrize("name", ["vectors.h5", "photos.parquet"])
@pytest.mark.parametrize(
    ("harm", "message"),
    [(flip, "is altered"), (cut, r"has \d+ bytes instead of \d+"), (Path.unlink, "cannot be read: no such file")],
)
def test_a_harmed_segment_is_named_by_whoever_reads_it(index, photos, helpers, name, harm, message):
    path = segment_file(index, 2, name)
    harm(path)
    manifest = (index / "manifest.json").read_bytes()
    acts = [
        lambda: read_all(PhotoIndex.open(index)),
        lambda: add_photos(index, [photos]),
        lambda: build_index([photos], index, helpers.SETTINGS),
    ]
    for act in acts:
        with pytest.raises(CorruptIndexError, match=f"{path} {message}"):
            act()
    assert (index / "manifest.json").read_bytes() == manifest
    found = verify_index(index)
    assert found.files == 8 and len(found.problems) == 1 and str(path) in found.problems[0]


def test_verify_lists_every_problem(index):
    flip(segment_file(index, 1, "vectors.h5"))
    cut(segment_file(index, 3, "photos.parquet"))
    shutil.rmtree(index / "segments" / "000004")
    assert len(verify_index(index).problems) == 4


def test_an_index_of_another_version_says_both(index, photos):
    content = json.loads((index / "manifest.json").read_bytes())
    (index / "manifest.json").write_text(json.dumps({**content, "version": 9, "news": 1}))
    for act in (PhotoIndex.open, read_manifest, verify_index, lambda path: add_photos(path, [photos])):
        with pytest.raises(
            PhotoIndexError, match="has format version 9, this ceret reads versions 1 to 8: use the ceret that"
        ):
            act(index)


def test_no_index_and_other_folders_are_told_apart(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "missing", tmp_path / "file" / "below"):
        with pytest.raises(PhotoIndexError, match=r"no index at .*make one"):
            PhotoIndex.open(path)
    for path in (tmp_path, tmp_path / "file"):
        with pytest.raises(PhotoIndexError, match="is not a ceret index"):
            PhotoIndex.open(path)


def test_a_manifest_harmed_anywhere_is_an_error_of_one_line(index):
    path = index / "manifest.json"
    whole = path.read_bytes()
    rng = random.Random(0)
    harmed = [whole[:cut] for cut in range(0, len(whole) - 1, 97)]
    for _ in range(200):
        changed = bytearray(whole)
        changed[rng.randrange(len(whole))] = rng.choice(b'0123456789abcdef"{}[],: \xff\0')
        harmed.append(bytes(changed))
    harmed += [b"", b"[]", b"null", b'{"format": "ceret-index", "version": 1}', b"[" * 100_000, b"\xff" * 50]
    for data in harmed:
        path.write_bytes(data)
        if data == whole or json_equal(data, whole):
            continue
        with pytest.raises(PhotoIndexError) as caught:
            read_manifest(index)
        message = str(caught.value)
        assert "\n" not in message and ("manifest.json" in message or "format version" in message)


def json_equal(data, whole):
    try:
        return json.loads(data) == json.loads(whole)
    except (ValueError, RecursionError):
        return False


def test_a_manifest_with_an_entry_of_a_later_ceret_is_refused(index, helpers):
    helpers.edit_manifest(index, novelty=1)
    with pytest.raises(CorruptIndexError, match="novelty"):
        read_manifest(index)


def test_a_manifest_that_disagrees_with_its_segments_is_found_by_verify(index, helpers):
    helpers.edit_manifest(index, channels=2)
    assert "expected float16 (8, 64, 2)" in verify_index(index).problems[0]
    helpers.edit_manifest(index, channels=40)
    with pytest.raises(CorruptIndexError, match=r"manifest\.json is damaged .*'000001' has 8 photos in \d+ bytes"):
        verify_index(index)


@pytest.fixture
def error_on_a_full_disk(full_disk):
    """A function that runs `ceret ARGUMENTS...` where no file grows beyond `limit` bytes; returns its error, one line."""

    def error_of(limit, *arguments):
        with full_disk(limit):
            done = CliRunner().invoke(main, [*map(str, arguments)])
        assert (done.exit_code, done.stdout) == (1, ""), done.output
        assert done.stderr.startswith("Error: ") and done.stderr.count("\n") == 1, done.stderr
        return done.stderr

    return error_of


def assert_stopped(index, photos):
    """The build stopped after so many photos, and nothing else is wrong with the index."""
    message = f"the build was stopped after {photos} photos: run the same `ceret index` command again"
    assert verify_index(index).problems == (message,)


# A manifest of no segment has 627 bytes, one of four has 2300; the files of a segment have about 4000.
@pytest.mark.parametrize(("limit", "begun"), [(0, False), (1, False), (700, True), (2500, True), (4000, True)])
def test_a_disk_that_is_full_costs_the_segment_under_way_and_nothing_else(
    photos, index, tmp_path, helpers, error_on_a_full_disk, limit, begun
):
    out = tmp_path / "out.ceret"
    error = error_on_a_full_disk(
        limit, "index", photos, "--out", out, "--features", "thumbnail:8", "--size", "32", "--kind", "none"
    )
    assert f"cannot write {out}" in error and "free space" in error
    assert (out / "manifest.json").exists() == begun
    if begun:
        assert_stopped(out, photos=0)
    assert build_index([photos], out, helpers.SETTINGS).count == 30
    assert helpers.contents(out) == helpers.contents(index)


def test_a_disk_that_is_full_keeps_the_segments_before(photos, tmp_path, small_segments, helpers, error_on_a_full_disk):
    helpers.write_photos(photos / "z", range(30, 50, 2))
    for path in (photos / "z" / "even").iterdir():  # names so long that the last segment is the largest
        path.rename(path.with_name(f"{random.Random(path.name).randbytes(100).hex()}.png"))
    out = tmp_path / "out.ceret"
    command = ["index", photos, "--out", out, "--features", "thumbnail:8", "--size", "32", "--kind", "none"]
    assert f"cannot write {out}" in error_on_a_full_disk(5500, *command)
    assert_stopped(out, photos=32)
    report = build_index([photos], out, helpers.SETTINGS)
    assert (report.present, report.added) == (32, 8)


def test_a_disk_that_is_full_leaves_an_index_as_it_was_when_photos_are_added(
    photos, index, helpers, error_on_a_full_disk
):
    before = helpers.contents(index)
    helpers.write_photos(photos, range(100, 110))
    for limit in (0, 1000, 4000):
        assert f"cannot write {index}" in error_on_a_full_disk(limit, "add", index, photos)
        assert helpers.contents(index) == before
        assert len(PhotoIndex.open(index)) == 30
    assert add_photos(index, [photos]).added == 10


@pytest.fixture()
def small_disk(tmp_path):
    """A mounted file system of 100 kB; needs root."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("nothing can be mounted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_file_system_without_space_and_then_with(photos, index, small_disk, helpers):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(64 << 10))
    out = small_disk / "out.ceret"
    with pytest.raises(StorageError, match="no space left on device; free space"):
        build_index([photos], out, helpers.SETTINGS)
    done = len(read_manifest(out).segments)
    assert 0 < done < 4
    assert_stopped(out, photos=8 * done)
    filler.unlink()
    report = build_index([photos], out, helpers.SETTINGS)
    assert report.present == 8 * done
    assert helpers.contents(out) == helpers.contents(index)


def test_a_read_only_file_system_is_searched_but_not_written(photos, small_disk, helpers):
    out = small_disk / "out.ceret"
    few = helpers.write_photos(photos.parent / "few", range(5))
    build_index([few], out, helpers.SETTINGS)
    assert subprocess.run(["mount", "-o", "remount,ro", str(small_disk)]).returncode == 0
    assert len(PhotoIndex.open(out)) == 5 and verify_index(out).problems == ()
    with pytest.raises(StorageError, match="read-only file system"):
        add_photos(out, [photos])
    with pytest.raises(StorageError, match="read-only file system"):
        build_index([photos], small_disk / "other.ceret", helpers.SETTINGS)


def test_places_that_cannot_be_written_are_named(photos, tmp_path, helpers):
    (tmp_path / "file").write_text("")
    places = [tmp_path / "file" / "out.ceret", tmp_path / ("x" * 300), Path("/proc/ceret-test/out.ceret")]
    for place in places:
        with pytest.raises(StorageError, match="cannot write"):
            build_index([photos], place, helpers.SETTINGS)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_named(photos, tmp_path, helpers):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(StorageError, match="permission denied"):
        build_index([photos], closed / "out.ceret", helpers.SETTINGS)


def test_leftovers_of_killed_writers_are_cleared(photos, index, helpers):
    before = helpers.contents(index)
    (index / "segments" / "000005.tmp").mkdir()
    (index / "segments" / "000005.tmp" / "vectors.h5").write_bytes(b"half")
    shutil.copytree(index / "segments" / "000001", index / "segments" / "000009")
    (index / ".manifest.json.123.tmp").write_bytes(b"half")
    build_index([photos], index, helpers.SETTINGS)
    assert helpers.contents(index) == before


def test_an_error_in_the_middle_is_no_kill_but_as_harmless(photos, index, tmp_path, helpers, monkeypatch):
    """An unexpected error of a descriptor, say, passes through and loses the segment under way alone."""
    from ce_retrieval.photo_index import resume

    real = resume.make_descriptor(helpers.SETTINGS.features, helpers.SETTINGS.size)
    calls = []

    class Failing:
        def __getattr__(self, name):
            return getattr(real, name)

        def describe(self, photos, holes):
            calls.append(1)
            if len(calls) > 5:
                raise CeretError("broken")
            return real.describe(photos, holes)

    monkeypatch.setattr(resume, "make_descriptor", lambda spec, size: Failing())
    with pytest.raises(CeretError, match="broken"):
        build_index([photos], tmp_path / "out.ceret", dataclasses.replace(helpers.SETTINGS, workers=1))
    monkeypatch.undo()
    monkeypatch.setattr("ce_retrieval.photo_index.batches.SEGMENT_ITEMS", 8)
    monkeypatch.setattr("ce_retrieval.photo_index.batches.BATCH_ITEMS", 4)
    assert build_index([photos], tmp_path / "out.ceret", helpers.SETTINGS).present == 16
    assert helpers.contents(tmp_path / "out.ceret") == helpers.contents(index)
