"""Parquet tables: columns found by name and type, rows read at random from few row groups in memory."""

import json
import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.photos import PhotoItem, open_source

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path, columns, **options):
    table = columns if isinstance(columns, pa.Table) else pa.table(columns)
    pq.write_table(table, path, **options)
    return path


def photos(count: int) -> list[bytes]:
    rng = random.Random(0)
    return [rng.randbytes(rng.randrange(1, 2000)) for _ in range(count)]


@pytest.mark.parametrize("suffix", [".parquet", ".parq", ".PQ"])
def test_round_trip_over_many_row_groups(tmp_path, suffix):
    data = photos(103)
    source = open_source(write(tmp_path / f"t{suffix}", {"jpg": data}, row_group_size=10))
    items = list(source.items())
    assert (source.kind, source.root, source.count()) == ("parquet", str(tmp_path / f"t{suffix}"), 103)
    assert [item.key for item in items] == [f"{row:03d}" for row in range(103)]
    assert [item.offset for item in items] == list(range(103))
    assert [source.read(item) for item in items] == data
    shuffled = random.Random(1).sample(items, 103)
    with ThreadPoolExecutor(8) as pool:
        for item, content in zip(shuffled, pool.map(source.read, shuffled), strict=True):
            assert content == data[item.offset]
    source.close()
    with pytest.raises(PhotoError, match="closed"):
        source.read(items[0])


def test_row_groups_are_read_once_in_order_and_only_two_are_kept(tmp_path, monkeypatch):
    source = open_source(write(tmp_path / "t.parquet", {"jpg": photos(40)}, row_group_size=10))
    read = []
    original = pq.ParquetFile.read_row_group
    monkeypatch.setattr(
        pq.ParquetFile, "read_row_group", lambda self, i, **kw: (read.append(i), original(self, i, **kw))[1]
    )
    for item in source.items():
        source.read(item)
    for row in (39, 29, 39, 29, 0, 39):
        source.read(PhotoItem("x", offset=row))
    assert read == [0, 1, 2, 3, 0, 3]
    assert len(source._cache) == 2


def test_columns_beside_the_photo(tmp_path):
    columns = {
        "Image": pa.array([b"1", b"2", b"3"], pa.large_binary()),
        "thumbnail": [b"x", b"x", b"x"],
        "TEXT": ["a dog", None, "  a café "],
        "License": ["CC0", "CC-BY", None],
        "class": pa.array(["dog", None, "cafe"]).dictionary_encode(),
        "url": ["http://a/1.jpg", None, "http://a/3.jpg"],
    }
    source = open_source(write(tmp_path / "t.parquet", columns, row_group_size=2))
    assert [(i.key, i.label, i.caption, i.licence, i.offset, source.read(i)) for i in source.items()] == [
        ("0:http://a/1.jpg", "dog", "a dog", "CC0", 0, b"1"),
        ("1", "", "", "CC-BY", 1, b"2"),
        ("2:http://a/3.jpg", "cafe", "a café", "", 2, b"3"),
    ]


def test_hugging_face_form(tmp_path):
    data = photos(12)
    images = [{"bytes": one, "path": f"sea/{row}.jpg" if row != 4 else None} for row, one in enumerate(data)]
    images[7]["bytes"] = None
    images[8] = None
    table = pa.table({"image": images, "label": [row % 3 if row != 5 else None for row in range(12)]})
    names = ["forest", "sea"]
    features = {"image": {"_type": "Image"}, "label": {"names": names, "_type": "ClassLabel"}}
    table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    source = open_source(write(tmp_path / "t.parquet", table, row_group_size=5))
    items = list(source.items())
    assert [i.key for i in items[3:6]] == ["03:sea/3.jpg", "04", "05:sea/5.jpg"]
    assert [i.label for i in items[:6]] == ["forest", "sea", "2", "forest", "sea", ""]
    for row, item in enumerate(items):
        if row in (7, 8):
            with pytest.raises(PhotoError, match=f"row {row} holds no bytes in column 'image'"):
                source.read(item)
        else:
            assert source.read(item) == data[row]


@pytest.mark.parametrize("metadata", [b"{not json", b"[]", b'{"info": 3}', b'{"info": {"features": {"label": []}}}'])
def test_odd_metadata_leaves_numbers(tmp_path, metadata):
    table = pa.table({"image": [b"1"], "label": [4]}).replace_schema_metadata({b"huggingface": metadata})
    assert [item.label for item in open_source(write(tmp_path / "t.parquet", table)).items()] == ["4"]


def test_which_column_holds_the_photos(tmp_path):
    path = tmp_path / "t.parquet"
    only = open_source(write(path, {"payload": [b"1"], "image": ["a/path.jpg"], "n": [1]}))
    assert only.read(PhotoItem("0", offset=0)) == b"1"
    first = open_source(write(path, {"bytes": [b"2"], "png": [b"1"], "mask": [b"3"]}))
    assert first.read(PhotoItem("0", offset=0)) == b"1"
    with pytest.raises(SourceError, match=r"several columns could hold.*left \(binary\), right \(binary\).*name a"):
        open_source(write(path, {"left": [b"1"], "right": [b"2"]}))
    with pytest.raises(SourceError, match=r"no column could hold.*image \(string\), n \(int64\)"):
        open_source(write(path, {"image": ["a.jpg"], "n": [1]}))


def test_bad_tables(tmp_path):
    path = tmp_path / "t.parquet"
    data = write(path, {"jpg": photos(50)}).read_bytes()
    for cut in (0, 3, 100, len(data) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(SourceError, match=r"t.parquet: not a whole parquet table") as caught:
            open_source(path)
        assert "\n" not in str(caught.value)
    with pytest.raises(SourceError, match="no photo in it"):
        open_source(write(path, {"jpg": pa.array([], pa.binary())}))


def test_damaged_pages_are_photo_errors(tmp_path):
    path = write(
        tmp_path / "t.parquet", {"jpg": photos(50)}, compression="zstd", row_group_size=25, use_dictionary=False
    )
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    source = open_source(path)
    items = list(source.items())
    with pytest.raises(PhotoError, match="damaged row group 0"):
        source.read(items[3])
    assert source.read(items[30]) == photos(50)[30]


def test_damaged_text_is_a_source_error(tmp_path):
    columns = {"jpg": photos(50), "text": [f"caption {row}" for row in range(50)]}
    path = write(tmp_path / "t.parquet", columns, compression="zstd", use_dictionary=False)
    column = pq.ParquetFile(path).metadata.row_group(0).column(1)
    data = bytearray(path.read_bytes())
    start = column.data_page_offset
    data[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(data)
    with pytest.raises(SourceError, match="damaged near row 0"):
        list(open_source(path).items())


def test_rows_that_do_not_exist(tmp_path):
    source = open_source(write(tmp_path / "t.parquet", {"jpg": [b"1"]}))
    for row in (-1, 1):
        with pytest.raises(PhotoError, match=f"row {row} is not in a table of 1 rows"):
            source.read(PhotoItem("x", offset=row))


def test_row_groups_too_large_for_memory_are_refused(tmp_path, monkeypatch):
    from ce_retrieval.photos import tables

    path = write(tmp_path / "t.parquet", {"jpg": [bytes(1000)] * 50}, row_group_size=10, use_dictionary=False)
    monkeypatch.setattr(tables, "_CACHED_BYTES", 5000)
    with pytest.raises(SourceError, match=r"row group 0 holds .*row_group_size=1000"):
        open_source(path)
    monkeypatch.setattr(tables, "_CACHED_BYTES", 15000)
    source = open_source(path)
    for row in (0, 15, 49):
        assert source.read(PhotoItem("x", offset=row)) == bytes(1000)
        assert len(source._cache) == 1
