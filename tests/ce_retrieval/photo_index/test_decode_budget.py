"""Large photos wait for each other instead of being skipped, whatever the number of threads."""

import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.errors import PhotoError
from ce_retrieval.photo_index import decode_budget as decoding
from ce_retrieval.photo_index.decode_budget import OTHER_BYTES, STEPS, DecodeBudget, make_decode_budget
from ce_retrieval.photos import DEFAULT_MAX_PIXELS, LargePhotoError, decode_photo


def flat_photo(width, height, kind="PNG"):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), (10, 200, 30)).save(buffer, kind)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("side", [(40, 50), (1200, 1100), (3000, 2000)])
def test_a_photo_of_any_size_is_decoded_as_without_a_budget(kind, side):
    data = flat_photo(*side, kind)
    found, expected = DecodeBudget(1 << 30).decode(data, "x", 64), decode_photo(data, name="x", size=64)
    np.testing.assert_array_equal(found.pixels, expected.pixels)
    assert (found.width, found.height) == side


def test_a_photo_that_never_fits_is_refused_and_the_budget_is_whole_again():
    budget = DecodeBudget(OTHER_BYTES * 1000)
    assert budget.decode(flat_photo(20, 50), "fits", 16).width == 20
    with pytest.raises(PhotoError, match=r"large: 1020 pixels take too much memory to decode: set `max_memory` to 1MB"):
        budget.decode(flat_photo(20, 51), "large", 16)
    with pytest.raises(PhotoError, match="damaged"):
        budget.decode(flat_photo(20, 50)[:-30], "damaged", 16)
    assert budget._free == budget.total


def test_threads_together_never_hold_more_than_the_total(monkeypatch):
    lock, held, most = threading.Lock(), 0, 0

    def slow_decode(data, *, name, size, max_pixels):
        nonlocal held, most
        if len(data) > max_pixels:
            raise LargePhotoError("larger", len(data), 1, max_pixels, "")
        with lock:
            held += max_pixels * OTHER_BYTES
            most = max(most, held)
        time.sleep(0.002)
        with lock:
            held -= max_pixels * OTHER_BYTES
        return len(data)

    monkeypatch.setattr(decoding, "STEPS", (10, 100, 1000))
    monkeypatch.setattr(decoding, "decode_photo", slow_decode)
    monkeypatch.setattr(decoding, "DEFAULT_MAX_PIXELS", 1000)
    budget = DecodeBudget(1500 * OTHER_BYTES)
    sizes = [5, 5, 5, 700, 50, 90, 1000, 3] * 10
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda size: budget.decode(bytes(size), "x", 16), sizes)) == sizes
    assert budget.total >= most > 1000 * OTHER_BYTES, "never exceeded, and more than one at a time"


@pytest.mark.parametrize("workers", [1, 2, 16, 64])
@pytest.mark.parametrize("features", ["thumbnail", "hog", "gist"])
def test_the_default_memory_takes_the_largest_photo_on_any_number_of_cores(workers, features):
    budget = make_decode_budget(make_descriptor(features, 128), workers, 4 << 30)
    assert budget.total // OTHER_BYTES >= DEFAULT_MAX_PIXELS == STEPS[-1]
