"""What sort of place a photo shows: told by the outer columns, whatever of the photo is visible."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("torch")
pytest.importorskip("safetensors")

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.descriptors.kind import Kind, KindFeatures, fit_kind, load_kind, save_kind
from ce_retrieval.descriptors.kind_map import COMPONENTS, KindMap, fit_kind_map
from ce_retrieval.errors import CheckpointError, DescriptorError, SettingsError
from ce_retrieval.holes.strategies import center_holes
from ce_retrieval.models.shipped import FOLDER, KIND

WHOLE = np.ones(16, bool)


def places(count, seed, width=20):
    """Features of cells that depend on which of four kinds a photo is of, and more on what each column shows; the kinds."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(9)
    kinds = rng.integers(0, 4, count)
    shown, other = fixed.normal(size=(4, 4, 4, width)), fixed.normal(size=(4, 5, 4, width))  # by column, of its 4 cells
    columns = np.stack([rng.normal(size=(count, 5)) @ other[column].reshape(5, -1) * 3 for column in range(4)], axis=1)
    photos = shown[kinds] + columns.reshape(count, 4, 4, width) + rng.normal(size=(count, 4, 4, width))
    return photos.swapaxes(1, 2).reshape(count, 16, width).astype(np.float32) + 5, kinds


def precision(describe, visible):
    """Share of the ten nearest of 400 photos that are of the kind of a photo of which only some cells are visible."""
    gallery, kinds = places(400, 1)
    photos, own = places(50, 2)
    alike = describe(photos, visible) @ describe(gallery, WHOLE if describe != as_it_is else visible).T
    return (kinds[np.argsort(-alike, axis=1)[:, :10]] == own[:, None]).mean()


def as_it_is(photos, visible):
    values = (photos - 5)[:, visible].reshape(len(photos), -1)
    return values / np.linalg.norm(values, axis=1, keepdims=True)


@pytest.fixture(scope="module")
def kind_map():
    return fit_kind_map(places(600, 0)[0])


@pytest.mark.parametrize(
    "hidden", [[], [5, 6, 9, 10], [0, 4, 8, 12], [0, 4, 8, 12, 3, 7, 11, 15], [0, 1, 2, 3, 4, 5, 6, 7]]
)
def test_kinds_are_found_without_labels_whatever_is_hidden(kind_map, hidden):
    visible = WHOLE.copy()
    visible[hidden] = False
    assert precision(as_it_is, visible) < 0.65
    assert precision(kind_map.apply, visible) > 0.85


def test_hidden_cells_are_not_read(kind_map):
    photos, _ = places(5, 3)
    visible = WHOLE.copy()
    visible[[0, 5, 7]] = False
    changed = photos.copy()
    changed[:, ~visible] = np.nan
    found = kind_map.apply(photos, visible)
    np.testing.assert_array_equal(found, kind_map.apply(changed, visible))
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, rtol=1e-5)
    assert found.shape == (5, COMPONENTS)


def test_collections_without_kinds():
    with pytest.raises(DescriptorError, match="100 photos are too few to learn kinds from: use 128 or more"):
        fit_kind_map(places(100, 0)[0])
    with pytest.raises(DescriptorError, match="the photos are all alike"):
        fit_kind_map(np.ones((200, 16, 20), np.float32))
    with pytest.raises(DescriptorError, match="leaves too little of the photo to tell its kind"):
        fit_kind_map(places(200, 0)[0]).apply(places(1, 1)[0], ~WHOLE)


@pytest.fixture(scope="module")
def kind(one_thread_torch):
    if not (FOLDER / KIND).is_file():
        pytest.skip("the map of the package is not in this checkout")
    return make_descriptor("kind", 128)


@pytest.fixture(scope="module")
def photos(bundled_photos):
    crops = [photo[y : y + 128, x : x + 128] for photo in bundled_photos for y in (0, 100) for x in (0, 150)]
    return np.stack([crop for crop in crops if crop.shape == (128, 128, 3)])


def test_a_photo_is_one_vector_that_does_not_depend_on_the_hole(kind, photos):
    holes = np.broadcast_to(center_holes(1, 128)[0], photos.shape[:3])
    painted = photos.copy()
    painted[holes] = (255, 0, 255)
    found = kind.describe(photos, holes)
    assert found.shape == (len(photos), kind.cells, kind.channels) == (len(photos), 1, 64)
    np.testing.assert_array_equal(found, kind.describe(painted, holes))
    whole = kind.describe(photos)
    assert (found[:, 0] * whole[:, 0]).sum(axis=1).min() > 0.7  # told from what is left nearly the same
    mixed = holes.copy()
    mixed[::2] = False
    np.testing.assert_allclose(kind.describe(photos, mixed)[::2], whole[::2], atol=1e-5)


def test_parts_of_a_photo_are_of_its_kind(kind, photos, bundled_photos):
    """Two crops of one photo lie nearer than crops of two photos, most often."""
    found = kind.describe(photos)[:, 0]
    alike = found @ found.T
    own = np.repeat(np.arange(len(photos) // 4), 4)[: len(photos)]
    same = own[:, None] == own
    np.fill_diagonal(same, False)
    assert alike[same].mean() > alike[own[:, None] != own].mean() + 0.2


def test_what_cannot_be_described(kind, photos):
    hole = np.ones((1, 128, 128), bool)
    hole[:, :20, :20] = False
    with pytest.raises(DescriptorError, match="leaves too little of the photo to tell its kind"):
        kind.describe(photos[:1], hole)
    for argument, size, message in (("kind:x", 128, "without anything behind it"), ("kind", 64, "use 128")):
        with pytest.raises(SettingsError, match=message):
            make_descriptor(argument, size)


def test_a_map_is_saved_with_the_network_that_it_reads(tmp_path, kind, photos):
    kind_map, features = kind._map, kind._features
    path = tmp_path / "kind.safetensors"
    sha256 = save_kind(path, kind_map, features.network_sha256, {"photos": 3})
    loaded = load_kind(path)
    assert loaded.weights_sha256 == sha256 == kind.weights_sha256
    np.testing.assert_array_equal(loaded.describe(photos[:2]), kind.describe(photos[:2]))
    save_kind(path, kind_map, "0" * 64, {})
    with pytest.raises(CheckpointError, match="fitted with other weights of the network"):
        load_kind(path)
    with pytest.raises(CheckpointError, match="no map of kinds"):
        load_kind(FOLDER / "compact.safetensors")
    with pytest.raises(CheckpointError, match="do not fit each other"):
        dataclasses.replace(kind_map, scale=kind_map.scale[:-1])


def test_a_map_is_fitted_to_photos(bundled_photos, one_thread_torch):
    rng = np.random.default_rng(0)
    crops = []
    for number in range(140):
        photo = bundled_photos[number % len(bundled_photos)]
        y, x = (int(rng.integers(0, side - 128 + 1)) for side in photo.shape[:2])
        crops.append(photo[y : y + 128, x : x + 128])
    kind_map, features = fit_kind(np.stack(crops))
    assert isinstance(kind_map, KindMap) and isinstance(features, KindFeatures)
    found = Kind(kind_map, features, None).describe(np.stack(crops[:8]))
    assert np.isfinite(found).all()
