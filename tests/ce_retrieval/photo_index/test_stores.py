"""An index in a Milvus: published, searched with the same result, changed, and stopped in the middle of everything."""

import shutil

import numpy as np
import pytest
from milvus_server import Server

from ce_retrieval.errors import PhotoIndexError
from ce_retrieval.photo_index import PhotoIndex, publish_index, remove_photos, stores
from ce_retrieval.photo_index.stores import collection_name
from indexes import milvus as milvus_module
from indexes import pooled
from indexes.base import EngineError
from indexes.milvus import Milvus


@pytest.fixture
def server(tmp_path):
    """A server that runs."""
    one = Server(tmp_path / "data")
    one.start()
    yield one
    one.kill()


@pytest.fixture
def index(crop_index, tmp_path):
    """The path of an index of its own, of which two photos are removed."""
    path = tmp_path / "photos.ceret"
    shutil.copytree(crop_index, path)
    opened = PhotoIndex.open(path)
    remove_photos(path, sha256=[record.sha256 for record in opened.records([3, 8])])
    return path


def queries(index, count=4):
    rng = np.random.default_rng(0)
    grids = next(PhotoIndex.open(index).grids())[:count].astype(np.float32)
    weights = rng.random(grids.shape[:2]).astype(np.float32)
    return grids + 0.01 * rng.standard_normal(grids.shape).astype(np.float32), weights


def check_same(index, store, monkeypatch):
    """A search by the store, whose first pass decides, finds what this process finds."""
    monkeypatch.setattr(pooled, "FEWEST", 8)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    grids, weights = queries(index)
    here, there = PhotoIndex.open(index), PhotoIndex.open(index, store=store)
    for allowed in (None, np.arange(len(here)) != 5):
        expected, found = (one.search(grids, weights, 3, allowed) for one in (here, there))
        np.testing.assert_array_equal(found.ids, expected.ids)
        np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-4, atol=1e-7)


def test_a_server_and_a_folder_find_what_this_process_finds(index, server, tmp_path, monkeypatch):
    seen, count = [], len(PhotoIndex.open(index))
    for store in (server.address, f"milvus:{tmp_path / 'store.db'}"):
        done = publish_index(PhotoIndex.open(index), store, lambda *progress: seen.append(progress))
        assert (done.photos, done.present, done.others) == (count, False, 0) and seen.pop() == (count, count)
        assert done.collection == collection_name(PhotoIndex.open(index))
        assert publish_index(PhotoIndex.open(index), store).present
        check_same(index, store, monkeypatch)


def test_columns_are_those_of_the_index(index, server):
    opened = PhotoIndex.open(index)
    publish_index(opened, server.address)
    milvus = Milvus(server.address)
    name = collection_name(opened)
    record, root = opened.records([7])[0], opened.manifest.sources[0].root
    vector = np.ones((1, 64 * 4), np.float32)
    wanted = f"key == '{record.key}' and sha256 == '{record.sha256}' and width == {record.width} and source == '{root}'"
    assert milvus.search(name, vector, 5, wanted) == [[7]]


def test_a_changed_index_must_be_published_again(index, server, monkeypatch):
    publish_index(PhotoIndex.open(index), server.address)
    remove_photos(index, where="width == 120")
    with pytest.raises(
        PhotoIndexError, match=r"holds no collection of .*photos.ceret as it is now \(it holds 1 other one\): run"
    ):
        PhotoIndex.open(index, store=server.address)
    assert publish_index(PhotoIndex.open(index), server.address).others == 1
    check_same(index, server.address, monkeypatch)


def test_a_store_without_the_index_names_the_command(index, server):
    with pytest.raises(PhotoIndexError, match=r"\(it holds none\): run `ceret publish .*photos.ceret` with this store"):
        PhotoIndex.open(index, store=server.address)


def test_a_collection_of_another_version_is_named(index, server, monkeypatch):
    publish_index(PhotoIndex.open(index), server.address)
    monkeypatch.setattr(stores, "VERSION", 2)
    with pytest.raises(PhotoIndexError, match=r"as ceret_v1_[0-9a-f]{32}, this ceret reads version 2"):
        PhotoIndex.open(index, store=server.address)


def test_a_collection_that_is_not_what_its_name_says_is_named(index, server):
    opened = PhotoIndex.open(index)
    name, milvus = collection_name(opened), Milvus(server.address)
    milvus.create(name, 7)
    with pytest.raises(EngineError, match="has another schema"):
        PhotoIndex.open(index, store=server.address)
    milvus.create(name, 64 * 4)
    milvus.open(name, 64 * 4).add(np.zeros((5, 64 * 4), np.float32))
    with pytest.raises(PhotoIndexError, match=r"holds 5 of \d+ photos: drop it there, then run `ceret publish"):
        PhotoIndex.open(index, store=server.address)
    with pytest.raises(PhotoIndexError, match="holds 5 of"):
        publish_index(opened, server.address)


def test_features_without_a_square_grid_cannot_be_published(fake_kind, crop_folder, tmp_path, server):
    from ce_retrieval.photo_index import IndexSettings, build_index

    build_index([crop_folder], tmp_path / "k.ceret", IndexSettings(features="kind", size=128, workers=1, kind="none"))
    with pytest.raises(EngineError, match="a grid of 1 cells cannot be pooled"):
        publish_index(PhotoIndex.open(tmp_path / "k.ceret"), server.address)


def test_a_milvus_that_is_down_is_named(index, server):
    server.kill()
    for act in (
        lambda: publish_index(PhotoIndex.open(index), server.address),
        lambda: PhotoIndex.open(index, store=server.address),
    ):
        with pytest.raises(
            EngineError, match=f"the Milvus at {server.address} does not answer .*: start it or correct the address"
        ):
            act()


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_a_milvus_that_ends_within_a_build_leaves_nothing_to_be_searched(index, server, monkeypatch, end):
    monkeypatch.setattr(milvus_module, "CALL", 3)
    monkeypatch.setattr(milvus_module, "ROWS", 10)
    sent = []

    def insert(self, name, rows, insert=Milvus.insert):
        if len(sent) == 2:
            getattr(server, end)()
        sent.append(len(rows))
        insert(self, name, rows)

    with monkeypatch.context() as during:
        during.setattr(Milvus, "insert", insert)
        with pytest.raises(EngineError, match=r"does not answer .*run the command again"):
            publish_index(PhotoIndex.open(index), server.address)
    assert len(sent) == 3, "in the middle"
    server.kill()
    server.start()
    with pytest.raises(PhotoIndexError, match="it holds none"):
        PhotoIndex.open(index, store=server.address)
    assert not publish_index(PhotoIndex.open(index), server.address).present
    check_same(index, server.address, monkeypatch)


@pytest.mark.parametrize("end", ["kill", "hang"])
def test_a_milvus_that_ends_between_searches_is_named(index, server, monkeypatch, end):
    monkeypatch.setattr(pooled, "FEWEST", 8)
    monkeypatch.setattr(pooled, "CANDIDATES", 1)
    monkeypatch.setattr(milvus_module, "CALL", 3)
    publish_index(PhotoIndex.open(index), server.address)
    opened = PhotoIndex.open(index, store=server.address)
    grids, weights = queries(index)
    found = opened.search(grids, weights, 3)
    getattr(server, end)()
    with pytest.raises(EngineError, match=f"the Milvus at {server.address} does not answer"):
        opened.search(grids, weights, 3)
    server.kill()
    server.start()
    again = PhotoIndex.open(index, store=server.address).search(grids, weights, 3)
    np.testing.assert_array_equal(again.ids, found.ids)


def test_a_second_writer_is_noticed(index, server, monkeypatch):
    def insert(self, name, rows, insert=Milvus.insert):
        insert(self, name, rows)
        insert(self, name, [{**row, "id": row["id"] + 10_000} for row in rows])

    with monkeypatch.context() as during:
        during.setattr(Milvus, "insert", insert)
        with pytest.raises(PhotoIndexError, match="another program writes it too"):
            publish_index(PhotoIndex.open(index), server.address)
    with pytest.raises(PhotoIndexError, match="it holds none"):
        PhotoIndex.open(index, store=server.address)
