"""Searches by pixels against brute force, reading the collection, and indexes of further features."""

import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import EvaluationError, PhotoError
from ce_retrieval.evaluation import collection as module
from ce_retrieval.evaluation.collection import NearestByPixels, indexes_for, read_collection
from ce_retrieval.evaluation.contexts.altered import altered_copies
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, add_photos, build_index
from ce_retrieval.photo_index.photo_cache import PhotoCache


def silent(what: str, done: int, total: int) -> None:
    """Report nothing."""


def brute_force(queries, regions, photos):
    """Mean squared differences (Q, n) over each query's region."""
    found = np.empty((len(queries), len(photos)))
    for q, (query, region) in enumerate(zip(queries, regions, strict=True)):
        for p, photo in enumerate(photos):
            found[q, p] = ((photo[region] / 255 - query[region] / 255) ** 2).mean()
    return found


@pytest.mark.parametrize("kind", ["shared", "own"])
@pytest.mark.parametrize("block", [1, 7, 30, 60])
def test_nearest_by_pixels_is_brute_force(collection, odd_holes, kind, block):
    rng = np.random.default_rng(0)
    holes = list(odd_holes(64, 64).values())
    queries = np.stack([np.roll(photo, 5, axis=1) for photo in collection[rng.permutation(60)[: len(holes)]]])
    regions = np.stack(holes if kind == "own" else [holes[0]] * len(holes))
    search = NearestByPixels(queries, regions)
    assert (search.ids == -1).all()
    for start in range(0, 60, block):
        search.feed(np.arange(start, min(start + block, 60)), collection[start : start + block])
    expected = brute_force(queries, regions, collection)
    np.testing.assert_array_equal(search.ids, expected.argmin(axis=1))
    np.testing.assert_allclose(search.distance, expected.min(axis=1), rtol=1e-12)


def test_of_equal_photos_the_first_is_kept_within_and_across_blocks(collection):
    queries = np.bitwise_xor(collection[:8], 9)  # near to the photo itself, equal to none
    regions = np.zeros((8, 64, 64), bool)
    regions[:, 10:50, 3:60] = True
    doubled = np.concatenate([collection[8:], collection[:8][::-1], collection[8:20], collection[:8], collection])
    expected = brute_force(queries, regions, doubled).argmin(axis=1)
    for block in (13, 40, len(doubled)):
        search = NearestByPixels(queries, regions)
        for start in range(0, len(doubled), block):
            part = doubled[start : start + block]
            search.feed(1000 + np.arange(start, start + len(part)), part)
        np.testing.assert_array_equal(search.ids, 1000 + expected)


def test_an_identical_photo_is_at_distance_zero(collection):
    search = NearestByPixels(collection[7:8], np.ones((1, 64, 64), bool))
    search.feed(np.arange(60), collection)
    assert search.ids[0] == 7 and search.distance[0] == 0


def test_reading_the_collection(opened, collection, monkeypatch):
    monkeypatch.setattr(module, "BLOCK", 17)
    steps = []
    blocks = list(read_collection(opened, PhotoCache(opened, 1 << 20, 2), lambda *step: steps.append(step)))
    np.testing.assert_array_equal(np.concatenate([ids for ids, _ in blocks]), np.arange(60))
    np.testing.assert_array_equal(np.concatenate([photos for _, photos in blocks]), collection)
    assert [done for _, done, _ in steps] == [17, 34, 51, 60] and {total for *_, total in steps} == {60}


@pytest.fixture
def own_collection(crop_folder, tmp_path):
    """A copy of part of the collection that a test may change, with an index."""
    shutil.copytree(crop_folder / "photo0", tmp_path / "photos")
    build_index([tmp_path / "photos"], tmp_path / "t.ceret", IndexSettings("thumbnail:16", "none", 64, 1, kind="none"))
    return tmp_path / "photos", PhotoIndex.open(tmp_path / "t.ceret")


def test_a_photo_that_vanished_or_changed_is_an_error(own_collection):
    """Without it the figures would be those of another collection, and a leak would not be seen."""
    photos, index = own_collection
    ids = np.concatenate([ids for ids, _ in read_collection(index, PhotoCache(index, 1 << 20, 2), silent)])
    assert ids.tolist() == list(range(15))
    Image.new("RGB", (64, 64)).save(photos / "03.png")
    for told in ("has changed since it was indexed", "cannot be read any more"):
        with pytest.raises(EvaluationError, match=rf"03\.png .*{told}.*`ceret add"):
            list(read_collection(index, PhotoCache(index, 1, 2), silent))
        (photos / "03.png").unlink(missing_ok=True)
    with pytest.raises(PhotoError, match=r"03\.png of .* cannot be read any more"):
        altered_copies(index, 15, 0, silent)


def test_an_index_of_other_features_is_built_once(own_collection, tmp_path):
    _, index = own_collection
    steps = []
    out = tmp_path / "out"
    made = indexes_for(["hog", "thumbnail:16"], index, out, lambda *step: steps.append(step))
    assert made["thumbnail:16"] is index
    assert (made["hog"].manifest.descriptor, made["hog"].manifest.size, len(made["hog"])) == ("hog", 64, 15)
    assert {what for what, *_ in steps} == {"indexing by hog"} and steps[-1][1:] == (15, 15)
    before = {path: path.stat().st_mtime_ns for path in (out / "hog.ceret").rglob("*") if path.name != "lock"}
    steps.clear()
    again = indexes_for(["hog"], index, out, lambda *step: steps.append(step))
    assert len(again["hog"]) == 15 and not steps
    assert before == {path: path.stat().st_mtime_ns for path in (out / "hog.ceret").rglob("*") if path.name != "lock"}


def test_the_hole_protocol_is_that_of_the_given_index(own_collection, tmp_path):
    photos, _ = own_collection
    build_index([photos], tmp_path / "c.ceret", IndexSettings("thumbnail:16", "center", 64, 1, kind="none"))
    made = indexes_for(["thumbnail:8"], PhotoIndex.open(tmp_path / "c.ceret"), tmp_path / "out", silent)
    assert made["thumbnail:8"].manifest.hole == "center"
    assert (tmp_path / "out/thumbnail-8.ceret").is_dir()


def test_a_collection_that_changed_is_refused(own_collection, tmp_path):
    photos, index = own_collection
    indexes_for(["hog"], index, tmp_path / "out", silent)
    # the same name, another photo: the given index knows the new one, the other the old one
    Image.fromarray(np.full((96, 96, 3), 90, np.uint8)).save(photos / "03.png")
    shutil.rmtree(index.path)
    build_index([photos], index.path, IndexSettings("thumbnail:16", "none", 64, 1, kind="none"))
    with pytest.raises(EvaluationError, match=r"not of the same photos.*delete .*hog.ceret.*`ceret add "):
        indexes_for(["hog"], PhotoIndex.open(index.path), tmp_path / "out", silent)
    # one photo less
    (photos / "01.png").unlink()
    with pytest.raises(EvaluationError, match=r"not of the same photos.*delete .*gist.ceret"):
        indexes_for(["gist"], index, tmp_path / "out", silent)


def test_a_collection_that_has_grown_is_evaluated_in_its_own_order(own_collection, tmp_path):
    photos, index = own_collection
    shutil.copy(photos / "01.png", photos / "00a.png")
    add_photos(index.path, [photos])
    grown = PhotoIndex.open(index.path)
    shutil.copy(photos / "01.png", photos / "99.png")  # not of the collection
    made = indexes_for(["thumbnail:8"], grown, tmp_path / "out", silent)["thumbnail:8"]
    assert made.table.equals(grown.table) and made.table.column("key")[-1].as_py() == "00a.png"
