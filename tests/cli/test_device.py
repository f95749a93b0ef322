"""`--device`: an index is searched on GPUs with the same result; a device that is not there is one line."""

import json
import sys

import faiss
import pytest
from fake_cards import fake_faiss

from ce_retrieval.errors import SettingsError
from ce_retrieval.photo_index import PhotoIndex


@pytest.fixture
def two_cards(monkeypatch):
    module = fake_faiss(2)
    monkeypatch.setitem(sys.modules, "faiss", module)
    return module


def neighbours(ceret, photo, mask, index, *more):
    result = ceret("query", photo, "--mask", mask, "--index", index, "-k", 9, "--json", *more)
    assert result.exit_code == 0, result.output
    return [(one["name"], one["distance"]) for one in json.loads(result.stdout)["neighbors"]]


@pytest.mark.parametrize("more", [(), ("--where", "width == 96"), ("--features", "index", "--focus", "none")])
def test_a_query_finds_the_same_on_gpus(ceret, photo, mask, crop_index, two_cards, more):
    on_cpu = neighbours(ceret, photo, mask, crop_index, *more)
    assert not two_cards.made
    for device, cards in (("cuda", {0, 1}), ("auto", {0, 1}), ("cuda:1", {1})):
        two_cards.made.clear()
        assert neighbours(ceret, photo, mask, crop_index, "--device", device, *more) == on_cpu
        assert {part.device for part in two_cards.made if part.ntotal} == cards


def test_photos_are_completed_on_gpus(ceret, photo, mask, crop_index, two_cards, tmp_path):
    filled = []
    for device in ("cpu", "cuda"):
        options = ("--method", "retrieval", "--rerank", "none", "--device", device, "--out", tmp_path / device)
        assert ceret("complete", photo, "--mask", mask, "--index", crop_index, *options).exit_code == 0
        filled.append((tmp_path / device / "photo.png").read_bytes())
    assert filled[0] == filled[1] and two_cards.searched


def test_methods_are_measured_on_gpus(ceret, crop_folder, crop_index, two_cards, tmp_path):
    """By the features of the index, and by others, for which the evaluation makes an index of its own."""
    tables = []
    for device in ("cpu", "cuda"):
        options = ("--methods", "thumbnail:16,thumbnail:8", "--limit", 2, "--keep-leaks", "--device", device)
        result = ceret("evaluate", crop_folder, "--index", crop_index, *options, "--out", tmp_path / device, "--json")
        assert result.exit_code == 0, result.output
        rows = (tmp_path / device / "table.md").read_text().splitlines()[2:4]
        tables.append([row.split("|")[1:-3] for row in rows])  # the last columns are time and memory
        assert bool(two_cards.searched) == (device == "cuda")
    assert tables[0] == tables[1] and [row[0].strip() for row in tables[0]] == ["thumbnail:16", "thumbnail:8"]
    assert len({part.vectors.d for part in two_cards.made}) == 2, "both indexes are searched on the cards"


def test_duplicates_are_found_on_gpus(ceret, crop_index, two_cards):
    on_cpu = ceret("duplicates", crop_index)
    assert not two_cards.made
    assert ceret("duplicates", crop_index, "--device", "cuda").stdout == on_cpu.stdout
    assert {part.device for part in two_cards.made if part.ntotal} == {0, 1}


@pytest.mark.skipif(hasattr(faiss, "StandardGpuResources"), reason="the FAISS of these tests is faiss-gpu")
def test_faiss_without_gpu_support_is_named(ceret, photo, crop_index, one_line_error):
    assert one_line_error(ceret("query", photo, "--index", crop_index, "--device", "cuda")) == (
        "Error: --device is cuda, but this FAISS has no GPU support: run `pip uninstall faiss-cpu` and, in the folder "
        "of ceret, `pip install '.[gpu]'`, or leave --device at cpu"
    )
    assert ceret("query", photo, "--index", crop_index, "--device", "auto").exit_code == 0


def test_a_gpu_that_is_not_there_is_named(ceret, photo, crop_index, one_line_error, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", fake_faiss(0))
    for command in (("query", photo, "--index"), ("duplicates",)):
        assert one_line_error(ceret(*command, crop_index, "--device", "cuda")) == (
            "Error: --device is cuda, but FAISS sees no GPU: `nvidia-smi` must list one, or leave --device at cpu"
        )


def test_a_device_of_another_name_is_a_usage_error(ceret, photo, crop_index, one_line_error):
    result = ceret("query", photo, "--index", crop_index, "--device", "gpu")
    assert one_line_error(result) == "Error: --device is 'gpu': choose auto, cpu, cuda or cuda:N"
    assert result.exit_code == 2
    with pytest.raises(SettingsError, match="`device` is 1: choose auto"):
        PhotoIndex.open(crop_index, device=1)


def test_a_completion_without_an_index_takes_no_device(ceret, photo, mask, tmp_path, one_line_error):
    result = ceret("complete", photo, "--mask", mask, "--device", "cuda", "--out", tmp_path)
    assert one_line_error(result).startswith("Error: --device says where an index is searched: give --index")


def test_a_search_by_other_features_takes_no_device(ceret, photo, crop_index, one_line_error):
    for more in (("--device", "cuda"), ("--store", "http://localhost:1")):
        line = one_line_error(ceret("query", photo, "--index", crop_index, "--features", "kind", *more))
        assert (
            line
            == f"Error: {more[0]} says where the index's own features are searched: leave it out with --features kind"
        )
