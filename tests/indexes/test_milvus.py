"""Search by Milvus: what needs no Milvus, and pooled grids in milvus-lite against the exact search."""

import sys

import numpy as np
import pytest

from indexes import milvus, pooled
from indexes.base import EngineError
from indexes.milvus import LISTED, RANGES, TEXT, Milvus, cut_text, id_filter
from indexes.pooled import PooledIndex
from indexes.pooling import Pooling


def passing(expression, count):
    """The ids that an expression lets through, as Python reads it."""
    code = compile(expression, "a filter", "eval")
    return [number for number in range(count) if eval(code, {"id": number})]


MASKS = {
    "one": np.arange(5000) == 17,
    "ends": np.isin(np.arange(5000), [0, 1, 4999]),
    "a range": (np.arange(5000) > 100) & (np.arange(5000) < 4000),
    "every third": np.arange(5000) % 3 == 0,
    "most": np.arange(5000) % 7 != 0,
    "all": np.ones(5000, bool),
}


@pytest.mark.parametrize("mask", MASKS)
def test_a_filter_lets_the_allowed_through_and_no_others(mask):
    expression = id_filter(MASKS[mask])
    assert expression and passing(expression, 5000) == np.flatnonzero(MASKS[mask]).tolist()


def test_a_filter_is_as_short_as_it_can_be():
    assert id_filter(np.arange(9) < 4) == "(id >= 0 and id < 4)"
    assert id_filter(MASKS["most"]).startswith("id not in [") and id_filter(MASKS["every third"]).startswith("id in [")
    long = np.zeros(4 * LISTED, bool)
    long[: 2 * LISTED + 2 : 2] = True
    assert len(long) > RANGES and id_filter(long) is None


def test_a_text_is_cut_at_a_character():
    assert cut_text("short") == "short" and cut_text("x" * TEXT) == "x" * TEXT
    assert cut_text("ab" + "é" * TEXT) == "ab" + "é" * ((TEXT - 2) // 2)


def test_without_pymilvus_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    with pytest.raises(EngineError, match=r"needs pymilvus: run `pip install '\.\[milvus\]'`"):
        Milvus("http://localhost:19530")


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("localhost:19530", "expected http://HOST:PORT of a Milvus, or milvus:FOLDER.db"),
        ("http://", "expected http://HOST:PORT"),
        ("", "expected http://HOST:PORT"),
        ("milvus:photos", "a name that ends with .db"),
        ("milvus:.db", "a name that ends with .db"),
        ("milvus:nowhere.db", "there is no store nowhere.db: make it with `ceret publish`"),
    ],
)
def test_an_address_that_is_none_is_refused(address, problem, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(EngineError, match=problem):
        Milvus(address)


def test_what_is_no_folder_of_milvus_lite_is_left_alone(tmp_path):
    (tmp_path / "file.db").write_text("mine")
    (tmp_path / "folder.db").mkdir()
    (tmp_path / "folder.db" / "mine.txt").write_text("mine")
    for name in ("file.db", "folder.db"):
        with pytest.raises(EngineError, match=f"{name} is not a folder of milvus-lite 3: give another path"):
            Milvus(f"milvus:{tmp_path / name}", create=True)
    with pytest.raises(EngineError, match="cannot be made: its folder does not exist"):
        Milvus(f"milvus:{tmp_path / 'no' / 'new.db'}", create=True)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.db", "folder.db", "mine.txt"]


@pytest.fixture
def store(tmp_path):
    """An empty folder of milvus-lite, connected."""
    pytest.importorskip("pymilvus", reason="needs pymilvus: pip install '.[milvus]'")
    pytest.importorskip("milvus_lite", reason="needs milvus-lite: pip install '.[milvus]'")
    opened = Milvus(f"milvus:{tmp_path / 'store.db'}", create=True)
    yield opened
    opened.close()


def test_pooled_grids_are_searched_by_milvus(store, monkeypatch):
    from pooled_cases import CELLS, CHANNELS, check_distances, collection, exact_index, random_weights, recall

    monkeypatch.setattr(pooled, "CANDIDATES", 1)  # so that the fewest are measured
    grids, queries, weights = collection(2500), collection(6, seed=1), random_weights(6)
    vectors = store.create("grids", 36 * (CHANNELS + 1))
    index = PooledIndex(vectors, Pooling(CELLS, CHANNELS, 1), grids[:1000].mean(axis=0), grids.__getitem__)
    for block in np.array_split(grids, 3):
        index.add(block)
    store.flush("grids")
    exact = exact_index(grids)
    searched = []
    monkeypatch.setattr(store, "search", lambda *a, search=store.search: searched.append(a[3]) or search(*a))
    for allowed in (None, np.arange(2500) < 2400, np.arange(2500) % 25 != 0, np.arange(2500) % 20 == 0):
        found = index.search(queries, weights, 10, allowed)
        check_distances(found, grids, queries, weights, allowed)
        assert recall(found, exact.search(queries, weights, 10, allowed)) > 0.97
    assert searched[0] == "" and searched[1].startswith("(id >= 0") and len(searched) == 3, (
        "few are measured without it"
    )


def test_more_than_milvus_returns_is_measured(store, monkeypatch):
    from pooled_cases import CELLS, CHANNELS, check_equal, collection, exact_index, random_weights

    monkeypatch.setattr(milvus, "MOST", 600)
    grids, queries, weights = collection(900), collection(3, seed=1), random_weights(3)
    vectors = store.create("grids", 36 * (CHANNELS + 1))
    index = PooledIndex(vectors, Pooling(CELLS, CHANNELS, 1), grids.mean(axis=0), grids.__getitem__)
    index.add(grids)
    monkeypatch.setattr(pooled, "FEWEST", 700)
    check_equal(index.search(queries, weights, 20), exact_index(grids).search(queries, weights, 20))


def test_columns_are_scalar_fields(store):
    vectors = store.create("photos", 4)
    columns = {"key": ["a.jpg", 'it\'s "b"\\.jpg', "ü.png"], "label": ["x" * 70_000, "", "sea"], "width": [10, 20, 30]}
    vectors.add(np.eye(3, 4, dtype=np.float32), columns)
    assert store.count("photos") == len(vectors) == 3
    queries = np.ones((1, 4), np.float32)
    assert store.search("photos", queries, 3, "width >= 20 and label == 'sea'") == [[2]]
    assert sorted(store.search("photos", queries, 3, "width >= 20")[0]) == [1, 2]


def test_a_collection_of_another_schema_is_refused(store):
    store.create("photos", 4)
    with pytest.raises(
        EngineError, match=r"photos at milvus:.* has another schema .* expected vectors of 8 by IP: drop it"
    ):
        store.open("photos", 8)
    assert len(store.open("photos", 4)) == 0


def test_a_folder_that_another_process_uses_is_named(store, tmp_path):
    import subprocess

    code = f"from indexes.milvus import Milvus; Milvus({f'milvus:{tmp_path}/store.db'!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    last = done.stderr.splitlines()[-1]
    assert (
        done.returncode
        and last.startswith("indexes.base.EngineError: milvus:")
        and "end other programs that use it" in last
    )
