"""Codes beside an index: made for many photos, kept by all that changes an index, and searched as exactly as they promise."""

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save

from ce_retrieval.errors import CorruptIndexError, PhotoIndexError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_index,
    compact_index,
    read_manifest,
    remove_photos,
    verify_index,
)
from ce_retrieval.photo_index.manifest import write_manifest
from ce_retrieval.photo_index.manifest_parts import digest
from ce_retrieval.photo_index.vectors import row_files
from indexes import recipes


@pytest.fixture(params=["pooled", "lists"])
def coded(request, photos, tmp_path, helpers, small_segments):
    """An index of 30 photos that is searched by codes."""
    out = tmp_path / "coded.ceret"
    build_index([photos], out, dataclasses.replace(helpers.SETTINGS, recipe=request.param))
    return out


def codes_of(path):
    return sorted(str(file.relative_to(path)) for file in path.rglob("codes-*.safetensors"))


def answers(path, k=5):
    """What some queries find, whole and with half of the cells hidden."""
    index = PhotoIndex.open(path)
    grids = np.concatenate(list(index.grids())).astype(np.float32)
    weights = np.ones((len(grids), grids.shape[1]), np.float32)
    weights[::2, : grids.shape[1] // 2] = 0
    found = index.search(grids, weights, k)
    return found.ids.tolist(), found.scores


def check_same(some, others):
    assert some[0] == others[0]
    np.testing.assert_allclose(some[1], others[1], rtol=1e-4, atol=1e-6)  # less one origin, or another


def test_an_index_with_codes_answers_as_the_exact_one(coded, index):
    manifest = read_manifest(coded)
    assert json.loads((coded / "manifest.json").read_bytes())["version"] == (8 if manifest.recipe == "lists" else 7)
    assert manifest.codes.lists == (4 if manifest.recipe == "lists" else 0)
    assert len(codes_of(coded)) == len(manifest.segments) == 4
    check_same(answers(coded), answers(index))
    assert not verify_index(coded).problems


def test_many_photos_get_codes_by_themselves_and_say_so_before(photos, tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(recipes, "MANY", 20)
    told = []
    out = tmp_path / "many.ceret"
    build_index([photos], out, helpers.SETTINGS, planned=lambda *plan: told.append(plan))
    ((chosen, possible),) = told
    assert chosen.name == "pooled" and [one.name for one in possible] == ["exact", "pooled", "lists"]
    assert chosen.memory < possible[0].memory and read_manifest(out).codes.effort == chosen.effort
    exact = tmp_path / "exact.ceret"
    build_index([photos], exact, dataclasses.replace(helpers.SETTINGS, recipe="exact"))
    assert read_manifest(exact).codes is None
    check_same(answers(out), answers(exact))


def test_an_index_that_grows_gets_codes(index, tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(recipes, "MANY", 32)
    assert read_manifest(index).codes is None
    add_photos(index, [helpers.write_photos(tmp_path / "more", range(50, 60))])
    assert len(codes_of(index)) == len(read_manifest(index).segments)
    assert not verify_index(index).problems


def test_additions_removals_and_compaction_keep_them(coded, photos, tmp_path, helpers):
    opened = PhotoIndex.open(coded)
    before = answers(coded)
    book = read_manifest(coded).codes
    add_photos(coded, [helpers.write_photos(tmp_path / "more", range(50, 60))])
    remove_photos(coded, where="startswith(key, 'odd')")
    after = answers(coded)
    compact_index(coded)
    check_same(answers(coded), after)
    assert not verify_index(coded).problems
    manifest = read_manifest(coded)
    assert manifest.codes == book and all(book.file in segment.files for segment in manifest.segments)
    grids = np.concatenate(list(opened.grids())).astype(np.float32)
    assert len(grids) == 30 == len(before[0]), "a reader keeps what it opened"
    assert opened.search(grids[:3], np.ones(grids[:3].shape[:2], np.float32), 1).ids.ravel().tolist() == [0, 1, 2]


def test_a_reader_finds_what_an_addition_that_goes_on_has_written(coded):
    """Its segments have no codes yet: these are made in memory."""
    manifest = read_manifest(coded)
    last = manifest.segments[-1]
    bare = dataclasses.replace(last, files={n: f for n, f in last.files.items() if not n.startswith("codes")})
    index = PhotoIndex(coded, dataclasses.replace(manifest, segments=(*manifest.segments[:-1], bare)))
    grid = list(index.grids())[-1][-1:].astype(np.float32)
    assert index.search(grid, np.ones(grid.shape[:2], np.float32), 1).ids.tolist() == [[29]]


@pytest.mark.parametrize("name", ["codes", "vectors"])
def test_a_damaged_file_is_named(coded, name):
    path = next((coded / "segments" / "000002").glob(f"{name}*"))
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    grids = np.zeros((1, 64, 3), np.float32)
    with pytest.raises(CorruptIndexError, match=f"{path} is altered"):
        PhotoIndex.open(coded).search(grids, np.ones((1, 64), np.float32), 30)
    assert any(str(path) in problem for problem in verify_index(coded).problems)


def test_what_fits_into_no_memory_is_refused_before_anything_is_built(photos, tmp_path, helpers, monkeypatch):
    monkeypatch.setattr(recipes, "choose", lambda *a, **k: refuse())

    def refuse():
        raise recipes.EngineError("`max_memory` 1MB is too little")

    with pytest.raises(PhotoIndexError, match="`max_memory` 1MB is too little"):
        build_index([photos], tmp_path / "x.ceret", helpers.SETTINGS)
    assert not (tmp_path / "x.ceret" / "segments").exists()


def test_features_of_one_cell_have_no_codes(photos, tmp_path, helpers):
    settings = dataclasses.replace(helpers.SETTINGS, features="thumbnail:1", recipe="pooled")
    with pytest.raises(PhotoIndexError, match=r"no recipe 'pooled' for these features.*take exact"):
        build_index([photos], tmp_path / "x.ceret", settings)


@pytest.mark.parametrize("recipe", ["exact", "pooled"])
def test_rows_are_the_grids_with_codes_and_without(recipe, photos, tmp_path, helpers):
    path = tmp_path / "rows.ceret"
    build_index([photos], path, dataclasses.replace(helpers.SETTINGS, recipe=recipe))
    remove_photos(path, [photos / "even/0006.png"])
    grids = np.concatenate(list(PhotoIndex.open(path).grids()))
    rows = row_files(path, read_manifest(path))
    assert len(rows) == len(grids) == 29
    np.testing.assert_array_equal(rows(np.arange(29)), grids)


def test_a_codebook_is_trained_on_every_photo_of_a_small_index(photos, tmp_path, helpers, small_segments, monkeypatch):
    from indexes.codebook import Codebook

    given, train = [], Codebook.train
    monkeypatch.setattr(Codebook, "train", lambda grids, parts: given.append(grids) or train(grids, parts))
    out = tmp_path / "trained.ceret"
    build_index([photos], out, dataclasses.replace(helpers.SETTINGS, recipe="pooled"))
    np.testing.assert_array_equal(given[0], np.concatenate(list(PhotoIndex.open(out).grids())))


def test_codes_of_a_list_that_is_not_there_are_named(photos, tmp_path, helpers):
    """A file of another index with more lists, whose checksum was made right."""
    out = tmp_path / "listed.ceret"
    build_index([photos], out, dataclasses.replace(helpers.SETTINGS, recipe="lists"))
    manifest = read_manifest(out)
    segment, name = manifest.segments[0], manifest.codes.file
    path = out / "segments" / segment.name / name
    arrays = load_file(path)
    arrays["codes"][3, 0] = 200
    path.write_bytes(save(arrays))
    altered = dataclasses.replace(segment, files={**segment.files, name: digest(path.read_bytes())})
    write_manifest(out, dataclasses.replace(manifest, segments=(altered, *manifest.segments[1:])))
    with pytest.raises(
        CorruptIndexError, match=rf"{name} is not a file of codes \(codes of list 200: the lists are 0 to 3\)"
    ):
        answers(out)
