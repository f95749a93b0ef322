"""Many given paths: each photo once, one source for many files of a folder, and what holds no photo passed over."""

import os
import tarfile

import pytest

from ce_retrieval.errors import SourceError, some
from ce_retrieval.photos import open_source, open_sources

CONVERT = "convert them to JPEG or PNG"


@pytest.fixture()
def collection(tmp_path):
    """col: a.jpg b.jpg, sea/c.jpg sea/d.jpg, beach/e.jpg."""
    for name in ("a.jpg", "b.jpg", "sea/c.jpg", "sea/d.jpg", "beach/e.jpg"):
        path = tmp_path / "col" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return tmp_path / "col"


def found(sources):
    """(kind, folder or file, keys) of every source."""
    return [(source.kind, os.path.basename(source.root), [item.key for item in source.items()]) for source in sources]


def paths(sources):
    return sorted(item.path for source in sources for item in source.items())


def test_what_lies_within_another_given_folder_is_read_once(collection):
    sources = open_sources([collection, collection / "sea", collection / "sea" / "c.jpg", collection / "a.jpg"])
    assert found(sources) == [("folder", "col", ["a.jpg", "b.jpg", "beach/e.jpg", "sea/c.jpg", "sea/d.jpg"])]
    parts = ", ".join(str(collection / name) for name in ("sea", "sea/c.jpg", "a.jpg"))
    assert sources.notes() == [(parts, "given twice, read once")]
    sources = open_sources([collection / "sea" / "c.jpg", collection / "sea", collection])
    assert found(sources) == [("folder", "col", ["a.jpg", "b.jpg", "beach/e.jpg", "sea/c.jpg", "sea/d.jpg"])]
    assert sources.given[0] == str(collection / "sea" / "c.jpg") and len(sources.parts) == 2


def test_links_lead_to_photos_once(collection, tmp_path):
    (collection / "link").symlink_to("sea")
    (collection / "1.jpg").symlink_to("sea/c.jpg")
    (tmp_path / "col2").symlink_to(collection)
    expected = sorted(str(collection / name) for name in ("a.jpg", "b.jpg", "sea/c.jpg", "sea/d.jpg", "beach/e.jpg"))
    for given in (["col"], ["col", "col2"], ["col2"], ["col2", "col", "col/link"], ["col/link", "col"]):
        sources = open_sources([tmp_path / name for name in given])
        assert paths(sources) == expected == paths(sources), given
        assert sum(source.count() for source in sources) == 5
        assert [note for _, note in sources.notes()][-1].startswith("2 links lead to photos that are read already")


def test_a_photo_that_only_links_lead_to_is_read_by_the_first(collection, tmp_path):
    (tmp_path / "store").mkdir()
    for name in ("x", "y.jpg"):
        (tmp_path / "store" / name).write_bytes(b"")
    for folder in ("sea", "beach"):
        (collection / folder / "x.jpg").symlink_to(tmp_path / "store" / "x")
        (collection / folder / "store").symlink_to(tmp_path / "store")
    sources = open_sources([collection / "sea", collection / "beach"])
    expected = [("folder", "sea", ["c.jpg", "d.jpg", "store/y.jpg", "x.jpg"]), ("folder", "beach", ["e.jpg"])]
    assert found(sources) == expected == found(sources)
    with_store = [*expected[:1], ("folder", "beach", ["e.jpg"]), ("folder", "store", ["y.jpg"])]
    with_store[0] = ("folder", "sea", ["c.jpg", "d.jpg", "x.jpg"])
    assert found(open_sources([collection / "sea", collection / "beach", tmp_path / "store"])) == with_store


def test_a_link_to_a_hidden_or_broken_place_is_still_a_photo(collection):
    (collection / ".annex").mkdir()
    (collection / ".annex" / "blob.jpg").write_bytes(b"blob")
    (collection / "annexed.jpg").symlink_to(".annex/blob.jpg")
    (collection / "broken.jpg").symlink_to("missing.jpg")
    (collection / "blob").write_bytes(b"")
    (collection / "named.jpg").symlink_to("blob")
    keys = [item.key for item in open_source(collection).items()]
    assert keys == ["a.jpg", "annexed.jpg", "b.jpg", "beach/e.jpg", "broken.jpg", "named.jpg", "sea/c.jpg", "sea/d.jpg"]


def test_many_photos_of_one_folder_are_one_source(collection, tmp_path):
    (collection / "2.jpg").symlink_to("a.jpg")
    names = ["b.jpg", "2.jpg", "a.jpg", "sea/c.jpg", "beach/e.jpg", "sea/d.jpg"]
    sources = open_sources([collection / name for name in names])
    expected = [("files", "col", ["a.jpg", "b.jpg"]), ("files", "sea", ["c.jpg", "d.jpg"])]
    assert found(sources) == [*expected, ("file", "e.jpg", ["e.jpg"])]
    assert sources.parts == [str(collection / "2.jpg")], "a link to a photo that is given too"
    assert all(source.read(item) for source in sources for item in source.items())
    reading = open_source(collection, "files", check=False)
    assert [reading.read(item) for item in sources[0].items()] == [b"a.jpg", b"b.jpg"]


def test_what_a_shell_pattern_catches_besides_photos_is_passed_over(collection):
    (collection / "notes.txt").write_text("text")
    (collection / "empty").mkdir()
    (collection / "one.gif").touch()
    (collection / "two.GIF").touch()
    (collection / "bad.tar").write_bytes(b"no tar" * 300)
    (collection / "dangling").symlink_to("nowhere")
    sources = open_sources(sorted(collection.iterdir()))
    kinds = [
        ("files", "col", ["a.jpg", "b.jpg"]),
        ("folder", "beach", ["e.jpg"]),
        ("folder", "sea", ["c.jpg", "d.jpg"]),
    ]
    assert found(sources) == kinds
    refused = {os.path.basename(path): reason for path, reason in sources.refused}
    assert refused.keys() == {"bad.tar", "dangling", "empty", "notes.txt"}
    assert "not a whole tar" in refused["bad.tar"] and "no photo in it" in refused["empty"]
    assert "not a known kind" in refused["notes.txt"] and str(collection) not in refused["notes.txt"]
    assert sources.notes() == [(str(collection), f"2 files with suffix .gif were not looked at: {CONVERT}")]
    sources = open_sources([collection / "one.gif", collection / "a.jpg"])
    assert sources.notes() == [("the given paths", f"1 file with suffix .gif was not looked at: {CONVERT}")]
    with pytest.raises(
        SourceError, match=r"none of the 2 given paths .*; 2 files with suffix .gif were not looked at: convert"
    ):
        open_sources([collection / "one.gif", collection / "two.GIF"])


def test_nothing_among_many_is_one_short_line(tmp_path):
    for number in range(500):
        (tmp_path / f"{number}.txt").touch()
    with pytest.raises(SourceError) as caught:
        open_sources([tmp_path / f"{number}.txt" for number in range(500)])
    assert str(caught.value).startswith("none of the 500 given paths holds a photo that can be read; the first: ")
    assert len(str(caught.value)) < 500
    (tmp_path / "a.jpg").touch()
    with pytest.raises(SourceError, match=r"typo: no such file or folder; check the path"):
        open_sources([tmp_path / "a.jpg", tmp_path / "typo"])


def test_metadata_tables_beside_tars_are_passed_over(tmp_path):
    """The layout of img2dataset."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    for number in range(2):
        with tarfile.open(tmp_path / f"{number:05d}.tar", "w") as tar:
            for name in (f"{number}.jpg", f"{number}.json", "x.gif"):
                tar.addfile(tarfile.TarInfo(name))
        table = {"url": ["http://a"], "caption": ["a"], "key": ["0"], "status": ["success"], "width": [9]}
        pq.write_table(pa.table(table), tmp_path / f"{number:05d}.parquet")
        (tmp_path / f"{number:05d}_stats.json").write_text("{}")
    sources = open_sources([tmp_path])
    assert found(sources) == [("tar", f"{number:05d}.tar", [f"{number}.jpg"]) for number in range(2)]
    assert [os.path.basename(path) for path, _ in sources.refused] == ["00000.parquet", "00001.parquet"]
    assert all("no column could hold photos" in reason for _, reason in sources.refused)
    assert [note for _, note in sources.notes()] == [f"1 file with suffix .gif was not looked at: {CONVERT}"] * 2
    (tmp_path / "photo.jpg").touch()
    (folder,) = open_sources([tmp_path])
    assert [item.key for item in folder.items()] == ["photo.jpg"]
    told = {"2 files with suffix .parquet were not looked at", "2 files with suffix .tar were not looked at"}
    assert {note for _, note in folder.passed_over.notes("")} == told


def test_a_stamp_is_of_the_file_that_holds_the_photo(collection, tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("a.jpg"))
    files = {collection: collection / "a.jpg", collection / "b.jpg": collection / "b.jpg", tmp_path / "a.tar": None}
    for given, file in files.items():
        source = open_source(given)
        item, status = next(iter(source.items())), (file or given).stat()
        assert source.stamp(item) == (status.st_size, status.st_mtime_ns)
        (file or given).unlink()
        source.close()
        assert source.stamp(item) == (-1, -1)


def test_some_cuts_a_list():
    assert some(["a", "b", "c"]) == "a, b, c" and some(list("abcde")) == "a, b, c and 2 more" and some([]) == ""
