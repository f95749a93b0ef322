import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from skimage.feature import hog

from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.descriptors.hog import _orientation_bins

SIDES = {"hog": 2, "hog:cells": 1}


def reference(photos, side):
    described = [
        hog(
            p,
            orientations=9,
            pixels_per_cell=(8, 8),
            cells_per_block=(side, side),
            block_norm="L2-Hys",
            channel_axis=-1,
        )
        for p in photos
    ]
    return np.stack(described).reshape(len(photos), -1, side * side * 9)


def assert_equal_to_reference(described, photos, side):
    expected = reference(photos, side)
    assert described.shape == expected.shape
    assert described.dtype == np.float32
    wrong = np.abs(described - expected) > 1e-5
    assert wrong.mean() <= 1e-3  # pixels on the edges of bins, and equal magnitudes of two channels
    assert np.isfinite(described).all()


@pytest.mark.parametrize("spec", SIDES)
def test_equal_to_skimage_on_bundled_photos(spec, photos):
    assert_equal_to_reference(make_descriptor(spec, 128).describe(photos), photos, SIDES[spec])


@pytest.mark.parametrize("spec", SIDES)
def test_equal_to_skimage_on_scenes(spec, scenes):
    assert_equal_to_reference(make_descriptor(spec, 128).describe(scenes), scenes, SIDES[spec])


@pytest.mark.parametrize("spec", SIDES)
@pytest.mark.parametrize("size", [16, 75, 83, 96])
def test_equal_to_skimage_at_other_sizes(spec, size, photos):
    crops = np.ascontiguousarray(photos[:3, :size, :size])
    assert_equal_to_reference(make_descriptor(spec, size).describe(crops), crops, SIDES[spec])


@pytest.mark.parametrize("spec", SIDES)
def test_equal_to_skimage_on_flat_faint_and_noisy_photos(spec):
    rng = np.random.default_rng(0)
    flat = np.full((128, 128, 3), 77, np.uint8)
    faint = flat.copy()
    faint[64, 70, 1] += 1
    noise = rng.integers(0, 256, (128, 128, 3), dtype=np.uint8)
    binary = (rng.integers(0, 2, (128, 128, 3)) * 255).astype(np.uint8)
    photos = np.stack([flat, faint, noise, binary])
    described = make_descriptor(spec, 128).describe(photos)
    assert_equal_to_reference(described[:2], photos[:2], SIDES[spec])
    assert_equal_to_reference(described[2:], photos[2:], SIDES[spec])
    assert (described[0] == 0).all()


def test_bins_of_all_gradients_are_the_references():
    from skimage.feature import _hoghistogram

    bins = _orientation_bins()
    for down, right in np.random.default_rng(1).integers(-255, 256, (2000, 2)):
        histogram = np.zeros((1, 1, 9))
        rows, columns = np.full((8, 8), float(down)), np.full((8, 8), float(right))
        _hoghistogram.hog_histograms(columns, rows, 8, 8, 8, 8, 1, 1, 9, histogram)
        assert histogram.any() == bool(down or right)
        if down or right:
            assert histogram.argmax() == bins[down + 255, right + 255]


def test_views_and_empty_batches(photos):
    descriptor = make_descriptor("hog", 128)
    mirrored = photos[:4, :, ::-1]
    np.testing.assert_array_equal(descriptor.describe(mirrored), descriptor.describe(np.ascontiguousarray(mirrored)))
    locked = photos[:4].copy()
    locked.flags.writeable = False
    np.testing.assert_array_equal(descriptor.describe(locked), descriptor.describe(photos[:4]))
    assert descriptor.describe(photos[:0]).shape == (0, 225, 36)


def test_boxes_are_where_pixels_matter(photos):
    for spec in SIDES:
        descriptor = make_descriptor(spec, 128)
        before = descriptor.describe(photos[:1])
        for cell in (0, 17, descriptor.cells - 1):
            y0, x0, y1, x1 = descriptor.boxes[cell]
            outside = photos[:1].copy()
            # A gradient looks one pixel past the cell, so the change stays two away.
            far = np.ones((128, 128), bool)
            far[max(y0 - 1, 0) : y1 + 1, max(x0 - 1, 0) : x1 + 1] = False
            outside[:, far] = 255 - outside[:, far]
            np.testing.assert_array_equal(descriptor.describe(outside)[0, cell], before[0, cell])
            inside = photos[:1].copy()
            inside[:, y0:y1, x0:x1] = np.random.default_rng(0).integers(0, 256, (y1 - y0, x1 - x0, 3))
            assert (descriptor.describe(inside)[0, cell] != before[0, cell]).any()


def test_pixels_under_the_hole_are_not_seen(photos, centre):
    holes = np.broadcast_to(centre, (len(photos), 128, 128))
    other = photos.copy()
    other[holes] = np.random.default_rng(0).integers(0, 256, other[holes].shape)
    for spec in SIDES:
        descriptor = make_descriptor(spec, 128)
        np.testing.assert_array_equal(descriptor.describe(photos, holes), descriptor.describe(other, holes))


def test_the_hole_is_filled_with_the_mean_of_the_visible_pixels(photos, centre):
    holes = np.broadcast_to(centre, (len(photos), 128, 128))
    filled = photos.copy()
    for photo in filled:
        photo[centre] = np.rint(photo[~centre].mean(axis=0))
    for spec, side in SIDES.items():
        assert_equal_to_reference(make_descriptor(spec, 128).describe(photos, holes), filled, side)


def test_blocks_that_touch_the_hole_weigh_nothing(centre):
    descriptor = make_descriptor("hog", 128)
    touches = [centre[y0:y1, x0:x1].any() for y0, x0, y1, x1 in descriptor.boxes]
    np.testing.assert_array_equal(cell_weights(descriptor, centre) == 0, touches)
    assert sum(touches) == 81
    assert (cell_weights(make_descriptor("hog:cells", 128), centre) == 0).sum() == 64


def test_threads_agree(photos):
    descriptor = make_descriptor("hog", 128)
    expected = descriptor.describe(photos)
    with ThreadPoolExecutor(4) as pool:
        for described in pool.map(descriptor.describe, [photos] * 16):
            np.testing.assert_array_equal(described, expected)


@pytest.mark.slow
def test_works_where_no_machine_code_can_be_kept(tmp_path):
    """A read-only package without a user cache folder: numba finds no place for its cache, and HOG must still be computed."""
    room = tmp_path / "ce_retrieval" / "descriptors"
    room.mkdir(parents=True)
    source = Path(__file__).resolve().parents[3] / "ce_retrieval"
    for name in ("errors", "settings"):
        shutil.copy(source / f"{name}.py", tmp_path / "ce_retrieval")
    for name in ("base", "cells", "hog", "hog_kernel"):
        shutil.copy(source / "descriptors" / f"{name}.py", room)
    # A file where the cache's folder would be defeats even a user who may write anywhere.
    (room / "__pycache__").write_text("")
    (tmp_path / "home").write_text("")
    script = (
        "import numpy as np\nfrom ce_retrieval.descriptors.hog import Hog\n"
        "print(Hog(16).describe(np.eye(16, dtype=np.uint8)[None, :, :, None].repeat(3, 3)).sum())"
    )
    home = str(tmp_path / "home")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NUMBA")}
    environment |= {"HOME": home, "XDG_CACHE_HOME": home, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-W", "error", "-c", script]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) > 0
    assert "cache" not in done.stderr
