"""`ceret publish`, and `--store` of the commands that search: an index in a folder of milvus-lite."""

import json
import shutil
import sys

import pytest

pytest.importorskip("pymilvus", reason="needs pymilvus: pip install '.[milvus]'")
pytest.importorskip("milvus_lite", reason="needs milvus-lite: pip install '.[milvus]'")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("stores")


@pytest.fixture(scope="module")
def store(folder):
    """The address of a store that is not there yet."""
    return f"milvus:{folder / 'photos.db'}"


def found(ceret, photo, mask, index, *more):
    result = ceret("query", photo, "--mask", mask, "--index", index, "-k", 9, "--json", *more)
    assert result.exit_code == 0, result.output
    return [(one["name"], round(one["distance"], 6)) for one in json.loads(result.stdout)["neighbors"]]


def test_an_index_is_published_once_and_searched(ceret, photo, mask, crop_index, store, tmp_path):
    first = ceret("publish", crop_index, "--store", store)
    assert first.exit_code == 0, first.output
    name, _, rest = first.stdout.strip().partition(": ")
    assert name.startswith("ceret_v1_") and rest.endswith("photos")
    again = json.loads(ceret("publish", crop_index, "--store", store, "--json").stdout)
    assert again["collection"] == name and again["present"] and again["others"] == 0
    for more in ((), ("--where", "width == 96"), ("--exclude-same-source",)):
        here = found(ceret, photo, mask, crop_index, *more)
        assert found(ceret, photo, mask, crop_index, "--store", store, *more) == here
    fills = []
    for more in ((), ("--store", store)):
        out = tmp_path / f"filled{len(more)}"
        options = ("--method", "retrieval", "--rerank", "none", "--out", out)
        result = ceret("complete", photo, "--mask", mask, "--index", crop_index, *options, *more)
        assert result.exit_code == 0, result.output
        fills.append((out / "photo.png").read_bytes())
    assert fills[0] == fills[1]


def test_an_index_that_is_not_in_the_store_is_named(ceret, photo, crop_index, store, tmp_path, one_line_error):
    ceret("publish", crop_index, "--store", store)
    other = tmp_path / "other.ceret"
    shutil.copytree(crop_index, other)
    assert ceret("remove", other, "--where", "width == 120").exit_code == 0
    line = one_line_error(ceret("query", photo, "--index", other, "--store", store))
    assert "holds no collection of" in line and f"run `ceret publish {other}` with this store" in line
    line = one_line_error(ceret("query", photo, "--index", crop_index, "--store", f"milvus:{tmp_path}/new.db"))
    assert line.endswith("new.db: make it with `ceret publish`") and not (tmp_path / "new.db").exists()


def test_a_milvus_that_is_down_is_named(ceret, photo, crop_index, one_line_error):
    for command in (("query", photo, "--index", crop_index), ("publish", crop_index)):
        line = one_line_error(ceret(*command, "--store", "http://me:secret@localhost:1"))
        assert line.startswith("Error: the Milvus at http://localhost:1 does not answer (") and "secret" not in line


def test_bad_values_name_the_option(ceret, photo, mask, crop_index, store, tmp_path, one_line_error):
    line = one_line_error(ceret("publish", crop_index, "--store", "here"))
    assert line.startswith("Error: --store is 'here': expected http://HOST:PORT of a Milvus")
    line = one_line_error(ceret("query", photo, "--index", crop_index, "--store", store, "--device", "auto"))
    assert line == "Error: --device is auto, but a --store searches by itself: leave one of them out"
    line = one_line_error(ceret("complete", photo, "--mask", mask, "--store", store, "--out", tmp_path))
    assert line.startswith("Error: --store says where an index is searched: give --index")


def test_without_milvus_lite_the_extra_is_named(ceret, crop_index, folder, monkeypatch, one_line_error):
    for name in [name for name in sys.modules if name.split(".")[0] == "milvus_lite"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "milvus_lite", None)
    line = one_line_error(ceret("publish", crop_index, "--store", f"milvus:{folder / 'lite.db'}"))
    assert "pip install '.[milvus]'" in line and not (folder / "lite.db").exists()
