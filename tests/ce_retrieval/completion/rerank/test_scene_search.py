"""Scenes of the photo's kind and the nearest contexts, against brute force; what happens where no kind can be told."""

import numpy as np
import pytest

from ce_retrieval.completion.methods import make_completer
from ce_retrieval.completion.rerank.scene_search import SceneSearch
from ce_retrieval.completion.settings import RetrievalSettings, SceneSettings
from ce_retrieval.photo_index import IndexSettings, Origin, PhotoIndex, build_index
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval import kind_similarity
from ce_retrieval.retrieval.query import square_query
from ce_retrieval.retrieval.search import search_contexts

SETTINGS = {"rerank": "none", "focus": None}


@pytest.fixture
def index(crop_folder, tmp_path, fake_kind) -> PhotoIndex:
    path = tmp_path / "crops.ceret"
    build_index([crop_folder], path, IndexSettings(features="thumbnail:16", size=64, workers=1))
    return PhotoIndex.open(path)


@pytest.fixture
def photo(crop_folder):
    return load_photo(crop_folder / "photo1/02.png").pixels


@pytest.fixture
def hole(photo, odd_holes):
    return odd_holes(*photo.shape[:2])["centre"]


def scenes(index, photo, hole, settings, least=20, origin=None):
    """Return the search, and the neighbours or the error of one photo."""
    search = SceneSearch(index, settings, PhotoCache(index, 1 << 24, 1), least)
    results = [None]
    squares = {0: square_query(photo, hole, 64)}
    found = search.neighbors([photo], [hole], squares, results, [origin])
    return search, found.get(0, results[0])


def test_nine_of_ten_scenes_are_of_the_kind(index, photo, hole):
    search, found = scenes(index, photo, hole, SceneSettings(candidates=20, **SETTINGS))
    assert search.count == 20 and search.searched == 60 and not search.notes
    square, missing = square_query(photo, hole, 64)
    contexts = search_contexts(index, square[None], missing[None], 60)
    similarity = kind_similarity(index, square, missing)
    nearest = contexts.ids[0, :2].tolist()
    others = [i for i in np.argsort(-similarity, kind="stable").tolist() if i not in nearest][:18]
    assert {one.id for one in found} == {*nearest, *others}
    distance = dict(zip(contexts.ids[0].tolist(), contexts.scores[0].tolist(), strict=True))
    assert [one.distance for one in found] == sorted(distance[one.id] for one in found)
    assert [one.rank for one in found] == list(range(1, 21))
    assert all(one.kind == pytest.approx(similarity[one.id]) for one in found)
    by_context = {
        one.id for one in scenes(index, photo, hole, SceneSettings(candidates=20, kind="none", **SETTINGS))[1]
    }
    assert by_context == set(contexts.ids[0, :20].tolist()) != {*nearest, *others}


def test_filters_hold_for_both_parts(index, photo, hole, crop_folder):
    where = SceneSettings(candidates=20, where="label != 'photo2'", **SETTINGS)
    search, found = scenes(index, photo, hole, where)
    assert search.searched == 45 and len(found) == 20
    assert all(one.record.label != "photo2" for one in found)
    apart = SceneSettings(candidates=20, exclude_same_source=True, **SETTINGS)
    _, found = scenes(index, photo, hole, apart, origin=Origin.of(crop_folder / "photo1/02.png"))
    assert len(found) == 20 and all(one.record.label != "photo1" for one in found)
    few = SceneSettings(candidates=4, exclude_same_source=True, **SETTINGS)
    square, missing = square_query(photo, hole, 64)
    alike = np.argsort(-kind_similarity(index, square, missing))[:3]
    assert any(record.label == "photo1" for record in index.records(alike)), "its own folder is most alike"
    _, found = scenes(index, photo, hole, few, least=1, origin=Origin.of(crop_folder / "photo1/02.png"))
    assert len(found) == 4


def test_a_small_collection_is_taken_whole(index, photo, hole):
    search, found = scenes(index, photo, hole, SceneSettings(candidates=100, **SETTINGS))
    assert search.count == 60 == len(found) and all(one.kind is not None for one in found)


def test_without_kinds_the_contexts_remain(index, photo, hole, crop_folder, tmp_path):
    plain = tmp_path / "plain.ceret"
    build_index([crop_folder], plain, IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    search, found = scenes(PhotoIndex.open(plain), photo, hole, SceneSettings(candidates=20, **SETTINGS))
    ((path, line),) = search.notes
    assert path == str(plain) and line == f"has no kind features: add them with `ceret add {plain} --kind kind`"
    assert len(found) == 20 and all(one.kind is None for one in found)
    almost = np.ones_like(hole)
    almost[:4] = False
    search, found = scenes(index, photo, almost, SceneSettings(candidates=20, **SETTINGS))
    assert not search.notes and len(found) == 20 and all(one.kind is None for one in found)
    settings = {"candidates": 20, "aligned": 20, **SETTINGS}
    done = make_completer("scenes", index, settings=settings).complete(photo, almost)
    assert done.notes == (
        "the hole leaves too little of the photo to tell its kind: the nearest contexts are its scenes",
    )
    assert not make_completer("scenes", index, settings=settings).complete(photo, hole).notes


def test_only_placed_scenes_are_chosen_by_kind(index, photo, hole):
    _, found = scenes(index, photo, hole, RetrievalSettings(candidates=20, **SETTINGS))
    assert all(one.kind is None for one in found)
    settings = {"candidates": 20, "aligned": 20, "top": 3, **SETTINGS}
    done = make_completer("scenes", index, settings=settings).complete(photo, hole)
    assert all("kind" in candidate.scores for candidate in done.candidates)
    without = make_completer("scenes", index, settings={**settings, "kind": "none"}).complete(photo, hole)
    assert all("kind" not in candidate.scores for candidate in without.candidates)


def test_kinds_of_other_weights_are_as_good_as_none(index, photo, hole, fake_kind, monkeypatch):
    monkeypatch.setattr(fake_kind, "weights_sha256", "cd" * 32)
    settings = {"candidates": 20, "aligned": 20, **SETTINGS}
    completer = make_completer("scenes", PhotoIndex.open(index.path), settings=settings)
    ((path, line),) = completer.notes
    assert path == str(index.path) and "ceret add" in line
    assert completer.settings.terms["kind"] == 0 < completer.settings.terms["gist"]
    done = completer.complete(photo, hole)
    assert not done.notes and all("kind" not in candidate.scores for candidate in done.candidates)
