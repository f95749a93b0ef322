"""What the tests of completion share: the small collection's index, opened, and completers that are made once."""

from collections.abc import Callable
from functools import cache

import pytest

from ce_retrieval.completion.overlay import RetrievalCompleter
from ce_retrieval.completion.settings import RetrievalSettings
from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache


@pytest.fixture(scope="session")
def index(crop_index) -> PhotoIndex:
    return PhotoIndex.open(crop_index)


@pytest.fixture(scope="session")
def scenes(index) -> PhotoCache:
    """The decoded photos of the collection."""
    return PhotoCache(index, 1 << 24, 2)


@pytest.fixture(scope="session")
def by_retrieval(index, scenes) -> Callable[[RetrievalSettings], RetrievalCompleter]:
    """The completer of method `retrieval` with these settings."""
    return cache(lambda settings: RetrievalCompleter(index, settings, scenes=scenes, workers=2))
