"""The compiled resize: Pillow's pixels, and Pillow itself wherever it has to do the work."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.photos import decode, decode_photo
from ce_retrieval.photos.resizing import Loops
from tests.ce_retrieval.photos.photo_encoding import encode

BICUBIC = Image.Resampling.BICUBIC


def picture(height, width, seed=0):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture(scope="module")
def loops():
    made = Loops()
    made.load()
    assert made.resampled is not None
    return made


@pytest.mark.parametrize(
    "height, width", [(150, 150), (97, 211), (300, 400), (180, 150), (7, 9), (128, 200), (200, 164), (1, 1)]
)
@pytest.mark.parametrize("target", [(128, 128), (64, 96), (31, 200)])
def test_the_pixels_are_those_of_pillow(loops, height, width, target):
    photo = picture(height, width)
    for box in (None, (0.0, 0.0, width - 0.7 * (width > 1), height - 0.3 * (height > 1))):
        expected = np.asarray(photo.resize(target, BICUBIC, box=box))
        made = loops.resize(photo, target, box)
        if made is not None:
            assert made.dtype == np.uint8
            np.testing.assert_array_equal(made, expected)
        else:
            assert height - target[1] > max(0, 2 * (width - target[0]))


def test_pillow_resizes_what_differs_between_its_versions_or_gains_nothing(loops):
    assert loops.resize(picture(150, 150), (128, 128)) is not None
    assert loops.resize(picture(400, 150), (128, 128)) is None  # rows first, from Pillow 13 on
    assert loops.resize(picture(150, 150).convert("L"), (128, 128)) is None
    assert loops.resize(picture(1025, 1024), (128, 128)) is None


def test_threads_agree(loops):
    photo = picture(150, 170)
    expected = np.asarray(photo.resize((128, 128), BICUBIC))
    with ThreadPoolExecutor(4) as pool:
        for made in pool.map(lambda _: loops.resize(photo, (128, 128)), range(64)):
            np.testing.assert_array_equal(made, expected)


def test_the_loops_are_loaded_after_many_photos():
    loops = Loops(after=3)
    made = [loops.resize(picture(20, 20), (8, 8)) is not None for _ in range(6)]
    assert made == [False] * 4 + [True] * 2


def test_a_pillow_with_another_filter_keeps_its_pixels(monkeypatch):
    resize = Image.Image.resize
    monkeypatch.setattr(
        Image.Image, "resize", lambda self, size, *rest, **more: resize(self, size, Image.Resampling.LANCZOS)
    )
    loops = Loops()
    loops.load()
    assert loops.resampled is None


def test_a_decoded_photo_is_the_same_by_either(loops, monkeypatch):
    data = encode(picture(200, 220), "JPEG")
    large = encode(picture(530, 523), "JPEG")  # decoded at half the scale, of which a part is taken
    before = [decode_photo(one, name="photo", size=128).pixels for one in (data, large)]
    used = []
    monkeypatch.setattr(decode, "LOOPS", loops)
    monkeypatch.setattr(loops, "resampled", lambda *given, real=loops.resampled: used.append(1) or real(*given))
    after = [decode_photo(one, name="photo", size=128).pixels for one in (data, large)]
    assert len(used) == 2
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)
        assert other.flags.writeable


def test_a_resize_leaves_pandas_alone(loops):
    """pyarrow imports it for some of its conversions, where it is installed."""
    pytest.importorskip("pandas")
    code = (
        "import sys\nfrom PIL import Image\nfrom ce_retrieval.photos.resizing import Loops\n"
        "loops = Loops()\nloops.load()\nloops.resize(Image.new('RGB', (40, 40)), (8, 8))\n"
        "assert loops.resampled and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
