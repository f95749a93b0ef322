"""One vector a photo, by the descriptor `kind` or by any network: the mean of what is visible, of norm 1."""

import numpy as np
import pytest
from onnx_models import AXES, MEAN, SIDE, conv, patches_times_kernel, some_photos, unit, write

from ce_retrieval.descriptors.one_vector import OneVector, check_kind, make_one_vector
from ce_retrieval.descriptors.thumbnail import Thumbnail
from ce_retrieval.errors import DescriptorError, SettingsError


def test_the_cells_of_a_network_are_averaged_over_what_is_visible(tmp_path):
    kind = make_one_vector(f"onnx:{conv(tmp_path / 'net.onnx')}", SIDE)
    assert (kind.spec, kind.size, kind.channels) == (f"onnx:{tmp_path / 'net.onnx'}", SIDE, 5)
    assert len(kind.weights_sha256) == 64
    photos = some_photos()
    cells = unit(patches_times_kernel(photos / 255))
    whole = cells.mean(axis=1)
    found = kind.describe(photos)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, whole / np.linalg.norm(whole, axis=1, keepdims=True), atol=1e-4)
    holes = np.zeros((3, SIDE, SIDE), bool)
    holes[:, :, :16] = True
    half = cells.reshape(3, 4, 4, 5)[:, :, 2:].reshape(3, 8, 5).mean(axis=1)
    seen = kind.describe(photos, holes)
    np.testing.assert_allclose(seen, half / np.linalg.norm(half, axis=1, keepdims=True), atol=1e-4)
    photos[holes] = 0
    np.testing.assert_array_equal(kind.describe(photos, holes), seen)


def test_the_vector_of_a_network_is_scaled_to_norm_1(tmp_path):
    path = write(tmp_path / "net.onnx", [MEAN], [AXES], normalise=False)
    found = make_one_vector(f"onnx:{path}", SIDE).describe(some_photos())
    mean = some_photos().mean(axis=(1, 2))
    np.testing.assert_allclose(found, mean / np.linalg.norm(mean, axis=1, keepdims=True), atol=1e-4)


def test_a_photo_of_nothing_has_a_vector_of_zeros():
    flat = np.full((1, 32, 32, 3), 128, np.uint8)
    centred = OneVector(Thumbnail(32, 4))
    assert np.isfinite(centred.describe(flat)).all()
    other = np.where(np.arange(32)[:, None, None] < 16, 127, 128).astype(np.uint8).repeat(32, 1).repeat(3, 2)[None]
    np.testing.assert_allclose(np.linalg.norm(centred.describe(other), axis=1), 1, atol=1e-5)


def test_a_hole_that_leaves_no_cell_is_named(tmp_path):
    kind = make_one_vector(f"onnx:{conv(tmp_path / 'net.onnx')}", SIDE)
    hole = np.ones((1, SIDE, SIDE), bool)
    hole[0, :2, :2] = False
    with pytest.raises(DescriptorError, match="the hole leaves none of the 16 cells visible enough"):
        kind.describe(some_photos(1), hole)


def test_what_is_no_kind(tmp_path):
    for spec in ("hog", "", "encoder", "kinds", "none:x"):
        with pytest.raises(SettingsError, match=r"`kind` is '.*expected kind, onnx:FILE or none"):
            check_kind(spec)
    with pytest.raises(DescriptorError, match="there is no such file"):
        make_one_vector(f"onnx:{tmp_path / 'none.onnx'}", SIDE)
    check_kind("none")
