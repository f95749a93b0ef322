"""A query without a hole: photos like this one, by every kind of features."""

import dataclasses

import numpy as np
import pytest

from ce_retrieval.errors import MaskError, PhotoError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.query import check_query
from ce_retrieval.retrieval.search import find_neighbors

SETTINGS = IndexSettings(features="thumbnail:16", size=64, workers=1, kind="kind", places=True)


@pytest.fixture
def index(crop_folder, tmp_path, fake_kind):
    build_index([crop_folder], tmp_path / "all.ceret", SETTINGS)
    return PhotoIndex.open(tmp_path / "all.ceret")


@pytest.mark.parametrize("features", ["index", "kind", "places"])
def test_a_photo_of_the_index_finds_itself_first_unless_that_is_excluded(index, crop_folder, features):
    path = crop_folder / "photo1" / "07.png"
    photo = load_photo(path).pixels
    found = find_neighbors(index, photo, k=5, features=features)
    assert found[0].name == str(path) and (len(found) == 5 or features == "places")  # few share a local feature
    if features == "index":
        assert found[0].distance < 1e-6 < found[1].distance
    apart = find_neighbors(index, photo, k=5, features=features, apart_from=path)
    assert not [n for n in apart if n.name.startswith(str(path.parent))]


def test_every_photo_of_the_index_is_described_as_it_was_indexed(index):
    for number, record in enumerate(index.records(range(0, len(index), 9))):
        photo = index.read_photo(record).pixels
        assert find_neighbors(index, photo, k=1)[0].id == 9 * number


def test_a_focus_needs_a_hole(index):
    with pytest.raises(SettingsError, match="`focus` needs a hole"):
        find_neighbors(index, np.zeros((64, 64, 3), np.uint8), focus=8.0)


def test_bad_photos_and_a_missing_hole_elsewhere_are_errors(index):
    with pytest.raises(PhotoError, match="the photo is float32"):
        find_neighbors(index, np.zeros((64, 64, 3), np.float32))
    with pytest.raises(MaskError, match="the hole is empty"):
        find_neighbors(index, np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64), bool))
    with pytest.raises(MaskError, match="NoneType"):
        check_query(np.zeros((64, 64, 3), np.uint8), None)


def test_an_index_that_has_not_seen_the_centre_says_so(crop_folder, tmp_path):
    settings = dataclasses.replace(SETTINGS, hole="center", kind="none", places=False)
    build_index([crop_folder / "photo1"], tmp_path / "center.ceret", settings)
    index = PhotoIndex.open(tmp_path / "center.ceret")
    with pytest.raises(PhotoIndexError, match="knows nothing of the centre of its photos"):
        find_neighbors(index, np.zeros((64, 64, 3), np.uint8))
