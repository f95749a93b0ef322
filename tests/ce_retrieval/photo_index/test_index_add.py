"""Adding to an index: new files alone, beside readers, one writer at a time."""

import fcntl
import multiprocessing
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest

from ce_retrieval.errors import LockedIndexError, SettingsError
from ce_retrieval.photo_index import PhotoIndex, add_photos, build_index, verify_index
from ce_retrieval.storage import writer_lock

ONES = np.ones((1, 64), np.float32)


def all_grids(index):
    return np.concatenate(list(index.grids())).astype(np.float32)


def brute_force(grids, query, k):
    return np.argsort(((grids - query) ** 2).sum(axis=(1, 2)), kind="stable")[:k].tolist()


def test_only_what_is_new_is_added(index, photos, helpers):
    before = helpers.contents(index)
    assert add_photos(index, [photos]).added == 0
    assert helpers.contents(index) == before
    helpers.write_photos(photos, range(100, 113))
    (photos / "bad.jpg").write_bytes(b"")
    report = add_photos(index, [photos])
    assert (report.count, report.added, report.present) == (43, 13, 30)
    assert [name for name, _ in report.skipped] == [str(photos / "bad.jpg")]
    after = helpers.contents(index)
    for name, data in before.items():
        assert name == "manifest.json" or after[name] == data, "a segment is immutable"
    assert verify_index(index).problems == ()
    again = add_photos(index, [photos])
    assert (again.added, again.present, again.skipped) == (0, 43, report.skipped), "a bad file is tried again"
    opened = PhotoIndex.open(index)
    assert {r.key for r in opened.records(range(43))} == {str(p.relative_to(photos)) for p in photos.rglob("*.png")}
    assert build_index([photos], index, helpers.SETTINGS).present == 43


def test_another_source_is_added_and_building_the_first_again_is_no_mistake(index, photos, tmp_path, helpers):
    tar = helpers.write_tar(tmp_path / "more.tar", range(200, 206))
    assert add_photos(index, [tar, photos]).added == 6
    opened = PhotoIndex.open(index)
    last = opened.records([35])[0]
    assert opened.name_of(last) == f"{tar}::0205.png"
    np.testing.assert_array_equal(opened.read_photo(last).pixels, helpers.pixels(205))
    assert build_index([photos], index, helpers.SETTINGS).count == 36
    assert add_photos(index, [tar]).added == 0


def test_a_reader_keeps_what_it_opened(index, photos, helpers):
    untouched, warm = PhotoIndex.open(index), PhotoIndex.open(index)
    query = all_grids(warm)[7:8]
    expected = brute_force(all_grids(warm), query[0], 30)
    assert warm.search(query, ONES, 30).ids[0].tolist() == expected
    helpers.write_photos(photos, range(100, 120))
    add_photos(index, [photos])
    for reader in (untouched, warm):
        assert len(reader) == 30
        assert reader.search(query, ONES, 30).ids[0].tolist() == expected
        assert len(reader.labels) == 30
    opened = PhotoIndex.open(index)
    assert len(opened) == 50
    assert opened.search(query, ONES, 20).ids[0].tolist() == brute_force(all_grids(opened), query[0], 20)


def test_readers_that_open_while_a_writer_adds_see_a_whole_index(index, photos, helpers):
    stop, problems, seen = threading.Event(), [], set()

    def read():
        while not stop.is_set():
            try:
                opened = PhotoIndex.open(index)
                grids = all_grids(opened)
                found = opened.search(grids[:1], ONES, 5).ids[0].tolist()
                if found != brute_force(grids, grids[0], 5) or len(opened.labels) != len(opened):
                    problems.append(found)
                seen.add(len(opened))
            except Exception as error:
                problems.append(error)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for first in range(100, 160, 20):
        helpers.write_photos(photos, range(first, first + 20))
        add_photos(index, [photos])
    stop.set()
    for reader in readers:
        reader.join()
    assert not problems
    assert min(seen) == 30 and len(seen) > 1


def test_k_out_of_range_says_how_many_there_are(index):
    opened = PhotoIndex.open(index)
    for k, message in (
        (0, "`k` is 0: expected a whole number from 1"),
        (31, "`k` is 31, but .*holds 30 photos: choose 1 to 30"),
    ):
        with pytest.raises(SettingsError, match=message):
            opened.search(all_grids(opened)[:1], ONES, k)


HOLD = """
import sys, time
from pathlib import Path
from ce_retrieval.storage import writer_lock
with writer_lock(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_second_writer_is_told_who_the_first_is_and_a_killed_one_leaves_no_lock(index, photos, helpers):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(index)], stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": os.getcwd()}
    )
    try:
        assert holder.stdout.readline() == b"held\n"
        for write in (lambda: add_photos(index, [photos]), lambda: build_index([photos], index, helpers.SETTINGS)):
            with pytest.raises(LockedIndexError, match=f"is being written by process {holder.pid}: wait"):
                write()
        assert len(PhotoIndex.open(index)) == 30, "a reader needs no lock"
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        holder.stdout.close()
    assert (index / "lock").exists()
    helpers.write_photos(photos, [100])
    assert add_photos(index, [photos]).added == 1


def test_a_lock_file_that_was_removed_before_it_was_locked_is_no_lock(tmp_path, monkeypatch):
    real = fcntl.flock

    def removed_meanwhile(handle, how):
        (tmp_path / "lock").unlink()
        real(handle, how)

    monkeypatch.setattr(fcntl, "flock", removed_meanwhile)
    with pytest.raises(LockedIndexError, match="just removed"), writer_lock(tmp_path):
        pass


def search_in_child(path):
    opened = PhotoIndex.open(path)
    return opened.search(all_grids(opened)[3:4], ONES, 5).ids[0].tolist()


def test_a_spawned_child_searches_an_index_that_its_parent_searched(index):
    expected = search_in_child(index)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        assert pool.apply_async(search_in_child, (index,)).get(timeout=60) == expected
