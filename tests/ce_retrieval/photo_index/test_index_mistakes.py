"""Mistakes in calls: each is told before anything is read or written."""

import dataclasses
from pathlib import Path

import pytest

from ce_retrieval.errors import FilterError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import (
    PhotoIndex,
    add_photos,
    build_index,
    export_index,
    merge_indexes,
    publish_index,
    remove_photos,
    restore_photos,
)


def test_a_recipe_asked_for_of_a_complete_index_is_not_passed_over(photos, index, helpers):
    with pytest.raises(PhotoIndexError, match=r"has the recipe auto: change it with `ceret tune .* --recipe pooled`"):
        build_index([photos], index, dataclasses.replace(helpers.SETTINGS, recipe="pooled"))
    assert build_index([photos], index, helpers.SETTINGS).added == 0


def test_an_index_is_not_built_inside_another(photos, index, helpers):
    before = sorted(index.rglob("*"))
    with pytest.raises(PhotoIndexError, match="lies inside the index"):
        build_index([photos], index / "other.ceret", helpers.SETTINGS)
    assert sorted(index.rglob("*")) == before


@pytest.mark.parametrize("given", ["photos", Path("photos"), b"photos"])
def test_one_path_in_the_place_of_a_list_is_told(index, helpers, given):
    """A text would be read letter by letter: "." and "/" are folders of photos."""
    calls = {
        "paths": [
            lambda: build_index(given, "new.ceret", helpers.SETTINGS),
            lambda: add_photos(index, given),
            lambda: merge_indexes("new.ceret", given),
        ],
        "names": [lambda: remove_photos(index, given), lambda: restore_photos(index, given)],
        "sha256": [lambda: remove_photos(index, sha256=given), lambda: restore_photos(index, sha256=given)],
    }
    for name, some in calls.items():
        for call in some:
            with pytest.raises(SettingsError, match=f"`{name}` is .*photos.*: expected a list"):
                call()


def test_values_of_a_wrong_type_are_told(index):
    opened = PhotoIndex.open(index)
    for call, match in (
        (lambda: add_photos(index, skip_duplicates="no"), "`skip_duplicates` is 'no': expected True or False"),
        (lambda: remove_photos(index, sha256=[3]), "`sha256` is 3: expected 64 digits"),
        (lambda: remove_photos(index, sha256=[b"a"]), "`sha256` is b'a': expected 64 digits"),
        (lambda: remove_photos(index, where=3), "`where` is 3: expected a text"),
        (lambda: opened.matching(["width > 3"]), "`where` is .*: expected a text"),
        (lambda: export_index(index, "out", ["faiss"]), "`to` is .*: expected one of faiss, parquet, lance"),
        (lambda: PhotoIndex.open(index, store=3), "`store` is 3: expected a text, http://HOST:PORT or"),
        (lambda: PhotoIndex.open(index, store=Path("a.db")), "`store` is a.db: expected a text"),
        (lambda: publish_index(opened, b"milvus:a.db"), "`store` is b'milvus:a.db': expected a text"),
    ):
        with pytest.raises((SettingsError, FilterError), match=match):
            call()
    with pytest.raises(PhotoIndexError, match="lies inside the index"):
        publish_index(opened, f"milvus:{index}/inside.db")
