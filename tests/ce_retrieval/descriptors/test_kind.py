"""What sort of place a photo shows: one vector from whatever of the photo is visible, by the network of the package."""

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.descriptors.kind import load_kind
from ce_retrieval.errors import CheckpointError, DescriptorError, SettingsError
from ce_retrieval.models import shipped
from ce_retrieval.models.shipped import FOLDER, KIND


@pytest.fixture(scope="module")
def kind(one_thread_torch):
    if not (FOLDER / KIND).is_file():
        pytest.skip("the network of kinds of the package is not in this checkout")
    return make_descriptor("kind", 128)


@pytest.fixture(scope="module")
def crops(bundled_photos):
    """Four crops of each of four photos, in their order: uint8 (16, 128, 128, 3)."""
    return np.stack([photo[y : y + 128, x : x + 128] for photo in bundled_photos for y in (0, 100) for x in (0, 150)])


@pytest.fixture
def holes(crops, centre):
    return np.broadcast_to(centre, crops.shape[:3])


def test_a_photo_is_one_vector_of_norm_1(kind, crops, holes):
    found = kind.describe(crops, holes)
    assert found.shape == (16, kind.cells, kind.channels) == (16, 1, 64) and found.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, rtol=1e-5)
    assert len(kind.weights_sha256) == 64


def test_pixels_under_the_hole_are_not_read(kind, crops, holes):
    painted = crops.copy()
    painted[holes] = (255, 0, 255)
    np.testing.assert_array_equal(kind.describe(crops, holes), kind.describe(painted, holes))


@pytest.mark.parametrize(
    ("hidden", "least"),
    [
        (np.s_[32:96, 32:96], 0.9),
        (np.s_[:, :64], 0.5),
        (np.s_[:, 64:], 0.5),
        (np.s_[64:, :], 0.6),
        (np.s_[:64, :], 0.5),
    ],
    ids=["centre", "left", "right", "lower", "upper"],
)
def test_a_part_of_a_photo_has_nearly_the_vector_of_the_whole(kind, crops, hidden, least):
    hole = np.zeros(crops.shape[:3], bool)
    hole[(slice(None), *hidden)] = True
    part, whole = kind.describe(crops, hole)[:, 0], kind.describe(crops)[:, 0]
    assert (part * whole).sum(axis=1).min() > least
    nearest = (part @ whole.T).argmax(axis=1)
    assert (nearest // 4 == np.arange(16) // 4).mean() > 0.9


def test_two_crops_of_one_photo_are_nearer_than_crops_of_two(kind, crops):
    found = kind.describe(crops)[:, 0]
    alike = found @ found.T
    own = np.arange(16) // 4
    same = own[:, None] == own
    np.fill_diagonal(same, False)
    assert alike[same].mean() > alike[own[:, None] != own].mean() + 0.2


def test_photos_with_and_without_holes_in_one_batch(kind, crops, holes):
    mixed = holes.copy()
    mixed[::2] = False
    found = kind.describe(crops, mixed)
    np.testing.assert_allclose(found[::2], kind.describe(crops)[::2], atol=1e-5)
    np.testing.assert_allclose(found[1::2], kind.describe(crops, holes)[1::2], atol=1e-5)


def test_a_hole_that_leaves_too_little(kind, crops):
    hole = np.ones((2, 128, 128), bool)
    hole[0] = False
    hole[1, :18, :18] = False  # 1.98 % are visible
    with pytest.raises(DescriptorError, match="leaves too little of the photo to tell its kind: make the hole smaller"):
        kind.describe(crops[:2], hole)
    hole[1, :19, :18] = False
    assert np.isfinite(kind.describe(crops[:2], hole)).all()


@pytest.mark.parametrize(
    ("spec", "size", "message"),
    [
        ("kind:x", 128, "kind:x'?: expected kind, without anything behind it"),
        ("kind", 64, "kind: `size` is 64 px: use 128"),
        ("kind", 129, "kind: `size` is 129 px: use 128"),
    ],
)
def test_another_argument_or_size(kind, spec, size, message):
    with pytest.raises(SettingsError, match=message):
        make_descriptor(spec, size)


def test_a_file_that_is_missing_damaged_or_of_another_network(kind, tmp_path, monkeypatch):
    with pytest.raises(CheckpointError, match=r"compact\.safetensors: holds no network of kinds"):
        load_kind(FOLDER / shipped.SHIPPED)
    monkeypatch.setattr(shipped, "FOLDER", tmp_path)
    with pytest.raises(CheckpointError, match=r"kind\.safetensors: no such checkpoint file"):
        make_descriptor("kind", 128)
    data = bytearray((FOLDER / KIND).read_bytes())
    data[-1] ^= 1
    (tmp_path / KIND).write_bytes(data)
    with pytest.raises(CheckpointError, match=r"kind\.safetensors: altered, its weights do not match its header"):
        make_descriptor("kind", 128)
