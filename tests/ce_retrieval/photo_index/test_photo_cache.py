"""The cache of an index's photos."""

import threading

import numpy as np
import pytest

from ce_retrieval.photo_index import PhotoIndex
from ce_retrieval.photo_index.photo_cache import PhotoCache
from ce_retrieval.photos import load_photo


class Counting(PhotoIndex):
    """An index that counts what is decoded."""

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.decoded: list[str] = []

    def read_photo(self, record, size=None):
        self.decoded.append(record.key)
        return super().read_photo(record, size)


@pytest.fixture
def index(crop_index) -> Counting:
    return Counting.open(crop_index)


def test_photos_come_in_the_order_asked_at_the_indexs_size(index, crop_folder):
    cache = PhotoCache(index, 1 << 20, workers=3)
    for ids in ([7, 3, 59, 0], np.array([3, 3, 11]), [7]):
        found = cache.get(ids)
        assert found.positions.tolist() == list(range(len(ids))) and found.dropped == ()
        for i, photo in zip(ids, found.photos, strict=True):
            key = index.records([i])[0].key
            np.testing.assert_array_equal(photo, load_photo(crop_folder / key, size=64).pixels)
    assert len(index.decoded) <= 6  # 3 is asked for twice at once when it is held already
    assert len(set(index.decoded)) == 5


@pytest.mark.parametrize("held", [1, 4, 60])
def test_the_bound_holds_and_the_last_used_stay(index, held):
    cache = PhotoCache(index, held * 3 * 64 * 64 + 5, workers=2)
    for i in [*range(30), 5, 29]:
        cache.get([i])
        assert len(cache._photos) <= held
    assert list(cache._photos)[-1] == 29
    before = len(index.decoded)
    cache.get(list(range(60)))
    assert len(cache._photos) <= held
    assert len(index.decoded) - before >= 60 - held
    assert sum(photo.nbytes for photo in cache._photos.values()) <= held * 3 * 64 * 64


def test_a_bound_smaller_than_a_photo_still_serves(index):
    assert len(PhotoCache(index, 1, workers=2).get(range(10)).photos) == 10


def test_no_photo_at_all(index):
    found = PhotoCache(index, 1 << 20, workers=2).get([])
    assert found.photos.shape == (0, 64, 64, 3) and len(found.positions) == 0


def test_threads_share_a_cache(index, crop_folder):
    cache = PhotoCache(index, 20 * 3 * 64 * 64, workers=2)
    truth = np.stack([load_photo(crop_folder / record.key, size=64).pixels for record in index.records(range(60))])
    wrong: list[int] = []

    def work(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(15):
            ids = rng.integers(0, 60, 12)
            found = cache.get(ids)
            if not np.array_equal(found.photos, truth[ids]) or len(found.positions) != 12:
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert len(cache._photos) <= 20
