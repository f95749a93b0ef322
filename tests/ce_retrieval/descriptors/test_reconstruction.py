"""The layer `fill`: colours and texture of a photo as its network completes it, and the search that this allows."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from ce_retrieval.descriptors import cell_weights, make_descriptor  # noqa: E402
from ce_retrieval.descriptors.reconstruction import CELL, FLAT, TEXTURE, TYPICAL  # noqa: E402
from ce_retrieval.errors import CheckpointError, DescriptorError, SettingsError  # noqa: E402
from ce_retrieval.models import PaperRegionConfig  # noqa: E402
from ce_retrieval.models.build import build_network  # noqa: E402
from ce_retrieval.models.checkpoint import save_network  # noqa: E402
from ce_retrieval.models.inference import fill_photos  # noqa: E402
from ce_retrieval.models.shipped import load_weights  # noqa: E402
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index  # noqa: E402
from ce_retrieval.photos import save_photo  # noqa: E402
from ce_retrieval.retrieval.search import default_focus, search_contexts  # noqa: E402

SIZE = 32


@pytest.fixture
def descriptor(tiny_weights):
    return make_descriptor(f"encoder:{tiny_weights}", SIZE)


@pytest.fixture
def photos():
    return np.random.default_rng(0).integers(0, 256, (40, SIZE, SIZE, 3), dtype=np.uint8)


def center(start=8, stop=24):
    hole = np.zeros((SIZE, SIZE), bool)
    hole[start:stop, start:stop] = True
    return hole


def texture_of(photo, hole):
    """Log texture of each cell by plain loops, NaN where no pair of neighbours is visible."""
    grid = SIZE // CELL
    found = np.full((grid, grid), np.nan)
    for row, column in np.ndindex(grid, grid):
        total, pairs = 0.0, 0
        for y in range(row * CELL, (row + 1) * CELL):
            for x in range(column * CELL, (column + 1) * CELL):
                for ny, nx in ((y + 1, x), (y, x + 1)):
                    if hole[y, x] or (ny < SIZE and nx < SIZE and hole[ny, nx]):
                        continue
                    pairs += 1
                    if ny < SIZE and nx < SIZE:
                        total += np.abs(photo[ny, nx].astype(float) - photo[y, x]).mean() / 255
        if pairs:
            found[row, column] = total / pairs
    return found


def as_channel(texture):
    return TEXTURE * np.log((texture + FLAT) / (TYPICAL + FLAT))


def test_a_whole_photo_is_its_colours_and_its_texture(descriptor, photos):
    assert (descriptor.cells, descriptor.channels, descriptor.size) == (16, 4, SIZE)
    found = descriptor.describe(photos[:3])
    for grid, photo in zip(found, photos[:3], strict=True):
        means = photo.reshape(4, CELL, 4, CELL, 3).mean(axis=(1, 3)).reshape(16, 3) / 255 - 0.5
        np.testing.assert_allclose(grid[:, :3], means, atol=1e-6)
        np.testing.assert_allclose(
            grid[:, 3], as_channel(texture_of(photo, np.zeros_like(center()))).ravel(), atol=1e-6
        )


def test_under_the_hole_are_the_networks_colours_and_the_texture_around(descriptor, photos, tiny_weights):
    hole = center()
    hole[20:, 8:12] = True
    holes = np.stack([hole] * 3)
    found = descriptor.describe(photos[:3], holes)
    filled = fill_photos(load_weights(str(tiny_weights)).network, photos[:3], holes)
    for grid, photo, fill in zip(found, photos[:3], filled, strict=True):
        means = fill.reshape(4, CELL, 4, CELL, 3).mean(axis=(1, 3)).reshape(16, 3) / 255 - 0.5
        np.testing.assert_allclose(grid[:, :3], means, atol=0.003)
        texture = texture_of(photo, hole)
        hidden = np.isnan(texture)
        assert hidden.sum() == 4
        texture[hidden] = 0.1
        for _ in range(500):  # relaxation: each hidden cell becomes the mean of its neighbours
            mean = (texture[:-2, 1:-1] + texture[2:, 1:-1] + texture[1:-1, :-2] + texture[1:-1, 2:]) / 4
            texture[1:-1, 1:-1] = np.where(hidden[1:-1, 1:-1], mean, texture[1:-1, 1:-1])
        np.testing.assert_allclose(grid[:, 3], as_channel(texture).ravel(), atol=1e-5)


def test_nothing_under_the_hole_is_read_and_batches_do_not_matter(descriptor, photos):
    holes = np.stack([center()] * len(photos))
    holes[::2] = center(4, 20)
    found = descriptor.describe(photos, holes)
    other = photos.copy()
    other[holes] = 77
    np.testing.assert_array_equal(descriptor.describe(other, holes), found)
    alone = np.concatenate([descriptor.describe(photos[i : i + 1], holes[i : i + 1]) for i in range(4)])
    np.testing.assert_allclose(alone, found[:4], atol=2e-3)


def test_cells_under_the_hole_count_and_those_beside_it_by_their_distance(descriptor):
    hole = center(8, 20)  # ends in the middle of a cell
    weights = cell_weights(descriptor, hole, 8.0).reshape(4, 4)
    assert weights[1, 1] == descriptor.hidden
    outside = cell_weights(make_descriptor("thumbnail:4", SIZE), hole, 8.0).reshape(4, 4)
    np.testing.assert_allclose(weights[0], outside[0])
    assert weights[1, 2] == pytest.approx(outside[1, 2] + 0.5 * descriptor.hidden) and outside[1, 2] > 0
    assert default_focus(descriptor) == 8.0


@pytest.mark.parametrize("protocol", ["none", "center"])
def test_a_search_finds_the_patch_that_the_network_expects(tmp_path, tiny_weights, descriptor, photos, protocol):
    """Exact against brute force; and under "none" a photo that shows what is expected comes first."""
    query, holes = photos[:1], center()[None]
    expected = fill_photos(load_weights(str(tiny_weights)).network, query, holes)[0]
    for number, photo in enumerate([*photos[1:30], expected]):
        save_photo(tmp_path / "photos" / f"{number:02d}.png", photo) if number else (tmp_path / "photos").mkdir()
    save_photo(tmp_path / "photos" / "00.png", photos[1])
    settings = IndexSettings(features=f"encoder:{tiny_weights}", hole=protocol, size=SIZE, kind="none")
    build_index([tmp_path / "photos"], tmp_path / "x.ceret", settings)
    index = PhotoIndex.open(tmp_path / "x.ceret")
    found = search_contexts(index, query, holes, 5, focus=8.0)
    gallery = np.stack([*photos[1:30], expected])
    described = descriptor.describe(
        gallery, np.broadcast_to(holes, gallery.shape[:3]) if protocol == "center" else None
    )
    weights = cell_weights(descriptor, holes[0], 8.0)
    differences = np.square(described.astype(np.float16).astype(float) - descriptor.describe(query, holes)).sum(axis=2)
    distances = differences @ weights / weights.sum()
    np.testing.assert_array_equal(found.ids[0], np.argsort(distances)[:5])
    np.testing.assert_allclose(found.scores[0], np.sort(distances)[:5], atol=1e-4)
    assert found.ids[0, 0] == 29


def test_holes_and_networks_that_cannot_be_served(descriptor, photos, center_weights, tmp_path):
    with pytest.raises(DescriptorError, match="leaves its network nothing to see"):
        descriptor.describe(photos[:1], np.ones((1, SIZE, SIZE), bool))
    half = make_descriptor(f"encoder:{center_weights}", 64)
    hole = np.zeros((1, 64, 64), bool)
    hole[:, 10:40, 20:40] = True
    with pytest.raises(DescriptorError, match="outside the central half, all that paper-center predicts"):
        half.describe(np.zeros((1, 64, 64, 3), np.uint8), hole)
    with pytest.raises(SettingsError, match="takes photos of 64 px, not 32: use `size` 64"):
        make_descriptor(f"encoder:fill:{center_weights}", 32)
    path = tmp_path / "region.safetensors"
    save_network(path, build_network(PaperRegionConfig(groups=1)))
    with pytest.raises(SettingsError, match="cells of 8 px do not divide photos of 227 px: name another layer"):
        make_descriptor(f"encoder:fill:{path}", 227)


@pytest.mark.parametrize("count", [1, 3], ids=("numpy", "torch"))
def test_weights_that_predict_no_colours_are_named(tiny_weights, tmp_path, photos, count):
    from ce_retrieval.models.checkpoint import load_network, save_network

    network, _ = load_network(tiny_weights)
    network.stem.weight.data.fill_(float("nan"))
    save_network(tmp_path / "bad.safetensors", network)
    descriptor = make_descriptor(f"encoder:fill:{tmp_path / 'bad.safetensors'}", SIZE)
    with pytest.raises(CheckpointError, match=r"bad\.safetensors: its predictions are not finite"):
        descriptor.describe(photos[:count], np.stack([center()] * count))


def test_few_photos_are_described_in_numpy_as_many_are_in_torch(descriptor, photos):
    holes = np.stack([center()] * 3)
    many = descriptor.describe(photos[:3], holes)
    for few in (slice(0, 1), slice(1, 3)):
        found = descriptor.describe(photos[few], holes[few])
        np.testing.assert_allclose(found, many[few], atol=2e-3)  # torch computes in bfloat16 where it is fast
