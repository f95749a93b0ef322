"""An exported index is searched by what `about.json` says, and finds what ceret finds."""

import dataclasses
import json
import os

import numpy as np
import pyarrow.parquet as pq
import pytest

from ce_retrieval.errors import InstallationError, PhotoIndexError, SettingsError, StorageError
from ce_retrieval.photo_index import PhotoIndex, add_photos, build_index, export, export_index, remove_photos


def queries(index):
    """Grids and weights of a few photos under holes."""
    grids = np.concatenate(list(index.grids()))[3::5].astype(np.float32) + np.float32(0.01)
    weights = np.random.default_rng(0).random(grids.shape[:2], np.float32)
    weights[:, :20] = 0
    return grids, weights


@pytest.fixture
def shrunk(index, photos, helpers):
    """The index without two photos, with one more in a segment of its own."""
    remove_photos(index, [photos / "even/0006.png", photos / "odd/0001.png"])
    add_photos(index, [helpers.write_photos(photos, [80])])
    return index


def test_a_faiss_file_is_searched_by_its_description_alone(shrunk, tmp_path):
    import faiss

    out = tmp_path / "out"
    done = export_index(shrunk, out, "faiss")
    assert (done.photos, done.files) == (29, ("about.json", "photos.parquet", "vectors.faiss"))
    assert done.bytes == sum(one.stat().st_size for one in out.iterdir())
    opened = PhotoIndex.open(shrunk)
    grids, weights = queries(opened)
    expected = opened.search(grids, weights, 7)

    about = json.loads((out / "about.json").read_bytes())
    assert (about["format"], about["version"]) == ("ceret-export", 1)
    assert about["descriptor"] == "thumbnail:8" and about["photo_size"] == 32 and about["hole"] == "none"
    engine = faiss.read_index(str(out / "vectors.faiss"))
    assert (engine.ntotal, engine.d, engine.metric_type) == (29, about["dimension"], faiss.METRIC_INNER_PRODUCT)
    query = grids - np.array(about["origin"], np.float32)
    lifted = np.concatenate([(2 * weights[:, :, None] * query).reshape(len(query), -1), -weights], axis=1)
    products, ids = engine.search(lifted.astype(np.float32), 7)
    squares = (weights * (query**2).sum(axis=2)).sum(axis=1)
    distances = (squares[:, None] - products) / weights.sum(axis=1)[:, None]
    assert np.array_equal(ids, expected.ids)
    assert np.allclose(distances, expected.scores, rtol=1e-3, atol=1e-5)


def test_the_table_names_the_photos(shrunk, photos, tmp_path, helpers):
    add_photos(shrunk, [helpers.write_tar(tmp_path / "more.tar", (90, 91))])
    out, opened = tmp_path / "out", PhotoIndex.open(shrunk)
    told = []
    export_index(shrunk, out, "faiss", progress=lambda *counts: told.append(counts))
    rows = pq.read_table(out / "photos.parquet").to_pylist()
    records = opened.records(range(31))
    assert not {"grid", "kind"} & set(rows[0]), "the vectors are in the other file"
    assert [row["id"] for row in rows] == list(range(31)) and told[-1] == (31, 31)
    assert [row["name"] for row in rows] == [opened.name_of(record) for record in records]
    assert [row["source"] for row in rows[-2:]] == [str(tmp_path / "more.tar")] * 2
    known = [{**dataclasses.asdict(record), "source": row["source"]} for record, row in zip(records, rows, strict=True)]
    assert [{key: row[key] for key in known[0]} for row in rows] == known


@pytest.mark.parametrize("to", ["parquet", "lance"])
def test_a_table_holds_the_vectors(photos, tmp_path, small_segments, fake_kind, helpers, to):
    if to == "lance":
        pytest.importorskip("lance", reason="pylance is not installed: pip install '.[lance]'")
    index, out = tmp_path / "index.ceret", tmp_path / "out"
    build_index([photos], index, dataclasses.replace(helpers.SETTINGS, kind="kind"))
    remove_photos(index, [photos / "even/0006.png"])
    done = export_index(index, out, to)
    assert done.files == ("about.json", f"photos.{to}")
    if to == "lance":
        import lance

        table = lance.dataset(str(out / "photos.lance")).to_table()
    else:
        table = pq.read_table(out / "photos.parquet")
    opened, about = PhotoIndex.open(index), json.loads((out / "about.json").read_bytes())
    shape = (29, about["cells"], about["channels"])
    for name, expected in (("grid", list(opened.grids())), ("kind", list(opened.kinds()))):
        column = table.column(name).combine_chunks()
        vectors = np.concatenate(expected)
        flat = column.flatten().to_numpy(zero_copy_only=False)
        assert flat.dtype == np.float16 and column.type.list_size == vectors[0].size
        assert np.array_equal(flat.reshape(shape if name == "grid" else (29, -1)), vectors)
    assert table.column("name").to_pylist() == [opened.name_of(one) for one in opened.records(range(29))]


def test_bad_input_is_one_line_and_leaves_nothing(index, tmp_path, full_disk, monkeypatch, helpers):
    out = tmp_path / "out"
    before = helpers.contents(tmp_path)

    def refused(error, match, *arguments):
        with pytest.raises(error, match=match) as told:
            export_index(*arguments)
        assert "\n" not in str(told.value) and helpers.contents(tmp_path) == before

    refused(SettingsError, "`to` is 'csv': expected one of faiss, parquet, lance", index, out, "csv")
    refused(PhotoIndexError, "no index at", tmp_path / "none.ceret", out, "faiss")
    refused(PhotoIndexError, "exists already", index, index, "faiss")
    monkeypatch.setattr(export, "find_spec", lambda name: None)
    refused(InstallationError, r"needs pylance: pip install '.\[lance\]'", index, out, "lance")
    with full_disk(2000):
        from ce_retrieval.errors import StorageError

        refused(StorageError, "cannot write", index, out, "faiss")
    assert not out.exists()


def test_another_file_format_of_faiss_is_noticed(monkeypatch, tmp_path):
    from indexes import flat_file
    from indexes.base import EngineError

    monkeypatch.setattr(flat_file, "_header", lambda dimension, count: b"IxF?")
    with pytest.raises(EngineError, match="writes flat indexes in another format: export as parquet"):
        flat_file.write_flat(tmp_path / "vectors.faiss", 4, 1, [np.zeros((1, 4), np.float32)])


@pytest.mark.parametrize("to", ["faiss", "parquet"])
def test_the_name_of_the_folder_may_be_any(index, tmp_path, to):
    out = tmp_path / os.fsdecode(b"by\xfftes \n")
    done = export_index(index, out, to)
    assert sorted(one.name for one in out.iterdir()) == list(done.files)
    with open(out / "photos.parquet", "rb") as file:
        assert pq.read_table(file).num_rows == done.photos


def test_nothing_is_put_inside_an_index(index, tmp_path, monkeypatch):
    (tmp_path / "link").symlink_to(index / "segments")
    before = sorted(index.rglob("*"))
    for out in (index / "out", tmp_path / "link" / "out"):
        with pytest.raises(PhotoIndexError, match=r"lies inside the index .*: choose another place"):
            export_index(index, out)
    monkeypatch.chdir(index)
    with pytest.raises(PhotoIndexError, match=r"^out lies inside the index"):
        export_index(".", "out")
    assert sorted(index.rglob("*")) == before


def test_a_place_that_cannot_be_is_named_with_a_remedy(index, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match=r"file is not a folder; choose another folder$"):
        export_index(index, tmp_path / "file" / "out")
    with pytest.raises(StorageError, match=r"file name too long; choose a shorter name$"):
        export_index(index, tmp_path / ("x" * 300))
