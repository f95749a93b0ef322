"""Tuning: the recall that it reports is the true one, the least effort that reaches the wanted share is kept."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import PhotoIndexError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index, read_manifest, verify_index
from ce_retrieval.photo_index.vectors import open_vectors
from ce_retrieval.retrieval import tuning
from ce_retrieval.retrieval.tuning import Measured, TuningSettings, tune_index
from indexes import pooled

SETTINGS = TuningSettings(recipe="pooled", queries=12)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for seed in range(30):
        rough = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
        Image.fromarray(rough).resize((40, 40), Image.Resampling.BICUBIC).save(folder / f"{seed:02d}.png")
    return folder


@pytest.fixture
def index(photos, tmp_path):
    build_index([photos], tmp_path / "photos.ceret", IndexSettings("thumbnail:8", size=32, kind="none"))
    return tmp_path / "photos.ceret"


def test_codes_are_measured_and_the_effort_is_kept(index):
    done = tune_index(index, SETTINGS)
    codes = read_manifest(index).codes
    assert done.recipe.name == "pooled" and codes.effort == done.measured[-1].effort
    assert codes.recall == round(done.measured[-1].recall, 4) >= 0.95
    assert set(done.measured[0].recalls) == {"half", "centre", "blocks", "1/16 of the side", "1/5 of the side"}
    assert not verify_index(index).problems
    assert PhotoIndex.open(index).vectors.effort == codes.effort
    assert tune_index(index, TuningSettings()).recipe.name == "exact"
    assert read_manifest(index).codes is None and not list(index.rglob("codes-*"))


def test_the_recall_is_that_of_the_search(index, monkeypatch):
    """Against distances by their definition."""
    monkeypatch.setattr(pooled, "FEWEST", 12)
    monkeypatch.setattr(pooled, "MOST", 12)
    monkeypatch.setattr(pooled, "A_NEIGHBOUR", 1)
    monkeypatch.setattr(tuning, "EFFORTS", (1.0,))
    done = tune_index(index, dataclasses.replace(SETTINGS, recall=0.5))
    opened, manifest = PhotoIndex.open(index), read_manifest(index)
    queries = tuning._queries(opened, SETTINGS)
    grids = np.concatenate(list(opened.grids())).astype(np.float64)
    vectors = open_vectors(index, manifest)
    for hole, (asked, weights, own) in queries.items():
        shares = []
        for grid, weight, one in zip(asked.astype(np.float64), weights, own, strict=True):
            order = np.argsort(((grids - grid) ** 2).sum(axis=2) @ weight)
            found = vectors.search(grid[None].astype(np.float32), weight[None], 11).ids[0]
            true = [i for i in order.tolist() if i != one][:10]
            shares.append(len(set(true) & set([i for i in found.tolist() if i != one][:10])) / 10)
        assert done.measured[0].recalls[hole] == pytest.approx(np.mean(shares))
    assert done.measured[0].recall < 1, "or the test says nothing"


def test_more_effort_is_tried_until_it_suffices(index, monkeypatch):
    tried = []

    def measure(vectors, queries, truth):
        tried.append(vectors.effort)
        return Measured(vectors.effort, {"all": 0.9 if len(tried) < 3 else 0.96}, {"all": 0.001})

    monkeypatch.setattr(tuning, "_measure", measure)
    assert tune_index(index, SETTINGS).measured[-1].effort == 1.0 and tried == [0.25, 0.5, 1.0]
    before = (index / "manifest.json").read_bytes()
    monkeypatch.setattr(tuning, "_measure", lambda v, q, t: Measured(v.effort, {"all": 0.9, "few": 0.8}, {}))
    with pytest.raises(
        PhotoIndexError, match=r"find 0.800 of the nearest photos at most \(holes: few\), less than 0.95"
    ):
        tune_index(index, SETTINGS)
    assert (index / "manifest.json").read_bytes() == before


def test_what_cannot_be_measured_is_an_error(index, photos, monkeypatch):
    with pytest.raises(SettingsError, match="`recall` is 2"):
        TuningSettings(recall=2)
    monkeypatch.setattr(tuning, "NEAREST", 30)
    with pytest.raises(PhotoIndexError, match="holds 30 photos: to measure a search takes more than 30"):
        tune_index(index, SETTINGS)
    monkeypatch.setattr(tuning, "NEAREST", 10)
    for file in photos.rglob("*.png"):
        file.unlink()
    with pytest.raises(PhotoIndexError, match=r"no photo to measure with: .* cannot be read any more"):
        tune_index(index, SETTINGS)


def test_photos_that_are_equally_near_are_equally_good(photos, tmp_path):
    """Of fifteen copies any ten are the nearest ten; in so small an index all are measured, so all are found."""
    for number in range(15):
        (photos / f"copy{number}.png").write_bytes((photos / "03.png").read_bytes())
    out = tmp_path / "copies.ceret"
    build_index([photos], out, IndexSettings("thumbnail:8", size=32, kind="none"))
    done = tune_index(out, dataclasses.replace(SETTINGS, queries=45, recall=1))
    assert [one.recall for one in done.measured] == [1]


def test_a_search_that_finds_others_is_not_praised(index, monkeypatch):
    """The farthest photos in the place of the nearest: nothing is found."""
    search = pooled.PooledIndex.search

    def farthest(self, grids, weights, k, allowed=None):
        found = search(self, grids, weights, len(self), allowed)
        return type(found)(found.scores[:, -k:], found.ids[:, -k:])

    monkeypatch.setattr(pooled.PooledIndex, "search", farthest)
    with pytest.raises(PhotoIndexError, match=r"find 0\.000 of the nearest photos at most"):
        tune_index(index, SETTINGS)
