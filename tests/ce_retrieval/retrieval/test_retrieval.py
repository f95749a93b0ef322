"""Context nearest neighbours against brute force, and blind to what is hidden."""

import shutil

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.errors import DescriptorError, MaskError, PhotoError, PhotoIndexError, SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index
from ce_retrieval.photos import load_photo
from ce_retrieval.retrieval.neighbor import neighbor_photos
from ce_retrieval.retrieval.query import protocol_hole, square_query
from ce_retrieval.retrieval.search import default_focus, find_neighbors, search_contexts

FEATURES = ("thumbnail:16", "hog", "gist")
HOLES = ("centre", "corner", "band", "pixel", "parts", "ring")


@pytest.fixture(scope="module")
def indexes(crop_folder, tmp_path_factory) -> dict[str, PhotoIndex]:
    """Indexes at 64 px by name: every feature with whole photos, and thumbnail with the centre protocol."""
    folder = tmp_path_factory.mktemp("indexes")
    opened = {}
    for features, hole in (*((name, "none") for name in FEATURES), ("thumbnail:16", "center"), ("hog", "center")):
        name = features if hole == "none" else f"{features} {hole}"
        path = folder / f"{name.replace(':', '-').replace(' ', '-')}.ceret"
        build_index([crop_folder], path, IndexSettings(features=features, hole=hole, size=64, workers=1, kind="none"))
        opened[name] = PhotoIndex.open(path)
    return opened


def crop(folder, name: str) -> np.ndarray:
    return load_photo(folder / name).pixels


def with_noise(photo: np.ndarray, hole: np.ndarray, seed: int = 0) -> np.ndarray:
    """The photo with other content under the hole."""
    other = photo.copy()
    other[hole] = np.random.default_rng(seed).integers(0, 256, (int(hole.sum()), 3))
    return other


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("hole", HOLES)
def test_a_photo_of_the_collection_is_its_own_nearest_context(indexes, crop_folder, odd_holes, features, hole):
    for name in ("photo0/03.png", "photo1/04.jpg", "photo2/07.png", "photo3/11.png"):
        photo = crop(crop_folder, name)
        missing = odd_holes(*photo.shape[:2])[hole]
        found = find_neighbors(indexes[features], with_noise(photo, missing), missing, 3)
        assert [n.rank for n in found] == [1, 2, 3]
        assert found[0].record.key == name
        assert found[0].name == str(crop_folder / name)
        # What remains is, at the hole, a filter that may not see what is hidden.
        assert found[0].distance < 0.3 * found[1].distance


@pytest.mark.parametrize("focus", [None, 4.0])
@pytest.mark.parametrize("features", FEATURES)
def test_ranks_and_distances_are_those_of_brute_force(indexes, crop_folder, odd_holes, features, focus):
    index = indexes[features]
    grids = np.concatenate(list(index.grids())).astype(np.float64)
    for name, hole in odd_holes(64, 64).items():
        photo = load_photo(crop_folder / "photo1/05.png", size=64).pixels
        found = find_neighbors(index, photo, hole, 12, focus=focus)
        weights = cell_weights(index.descriptor, hole, focus)
        query = index.descriptor.describe(photo[None], hole[None])
        by_hand = ((grids - query[0]) ** 2).sum(axis=2) @ weights.astype(np.float64) / weights.sum()
        order = np.argsort(by_hand, kind="stable")[:12]
        assert [n.id for n in found] == order.tolist(), name
        np.testing.assert_allclose([n.distance for n in found], by_hand[order], rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("shape", [(64, 64), (96, 96), (200, 131), (40, 50)])
def test_what_is_hidden_has_no_influence(indexes, bundled_photos, odd_holes, features, shape):
    photo = np.asarray(Image.fromarray(bundled_photos[1]).resize(shape[::-1]))
    for name, hole in odd_holes(*shape).items():
        found = [
            [(n.id, n.distance) for n in find_neighbors(indexes[features], query, hole, 10, focus=8.0)]
            for query in (photo, with_noise(photo, hole), np.where(hole[..., None], 255, photo).astype(np.uint8))
        ]
        assert found[0] == found[1] == found[2], name


@pytest.mark.parametrize("shape", [(150, 150), (200, 131), (40, 50), (64, 90), (33, 400)])
def test_a_resized_query_shows_known_pixels_alone(bundled_photos, odd_holes, shape):
    photo = np.asarray(Image.fromarray(bundled_photos[2]).resize(shape[::-1]))
    plain = np.asarray(Image.fromarray(photo).resize((64, 64), Image.Resampling.BICUBIC))
    for name, hole in odd_holes(*shape).items():
        square, missing = square_query(photo, hole, 64)
        assert square.shape == (64, 64, 3) and square.dtype == np.uint8
        for y, x in np.ndindex(64, 64):
            rows = slice(y * shape[0] // 64, -(-(y + 1) * shape[0] // 64))
            cols = slice(x * shape[1] // 64, -(-(x + 1) * shape[1] // 64))
            assert missing[y, x] == hole[rows, cols].any(), (name, y, x)
        other, _ = square_query(with_noise(photo, hole), hole, 64)
        np.testing.assert_array_equal(square, other)
        # Out of the filter's reach of the hole (2 px of either size) it is the plain resize.
        reach = 3 + int(np.ceil(2 * 64 / min(shape)))
        far = ~ndimage.binary_dilation(missing, np.ones((3, 3)), iterations=reach)
        assert far.any()
        np.testing.assert_array_equal(square[far], plain[far], name)


@pytest.mark.parametrize("grey", [10, 120, 200, 250])
@pytest.mark.parametrize("shape", [(150, 150), (40, 50), (61, 127)])
def test_a_resized_flat_photo_stays_flat_beside_its_hole(odd_holes, grey, shape):
    for name, hole in odd_holes(*shape).items():
        square, missing = square_query(np.full((*shape, 3), grey, np.uint8), hole, 64)
        assert (square[~missing] == grey).all(), name


def test_a_photo_of_the_right_size_is_not_touched(bundled_photos, odd_holes):
    photo, hole = bundled_photos[0][:64, :64], odd_holes(64, 64)["parts"]
    square, missing = square_query(photo, hole, 64)
    np.testing.assert_array_equal(square, photo)
    np.testing.assert_array_equal(missing, hole)


def test_focus_counts_what_is_near_the_hole(indexes, crop_folder):
    """A context that is right only near the hole wins with focus, one that is right only far from it without."""
    index = indexes["thumbnail:16"]
    grids = np.concatenate(list(index.grids())).astype(np.float32).reshape(len(index), 16, 16, 3)
    hole = np.zeros((64, 64), bool)
    hole[24:40, 24:40] = True
    near, far = 5, 50
    mixed = grids[far].copy()
    mixed[4:12, 4:12] = grids[near, 4:12, 4:12]
    photo = np.kron(np.rint((mixed + 0.5) * 255).astype(np.uint8), np.ones((4, 4, 1), np.uint8))
    assert find_neighbors(index, photo, hole, 1, focus=None)[0].id == far
    assert find_neighbors(index, photo, hole, 1, focus=3.0)[0].id == near


def test_the_default_focus_belongs_to_the_features():
    assert default_focus(make_descriptor("thumbnail:16", 64)) == 8.0
    assert default_focus(make_descriptor("hog", 64)) is None


@pytest.mark.parametrize("features", ["thumbnail:16", "hog"])
def test_center_protocol_takes_the_centre_whatever_the_photos_size(indexes, crop_folder, features):
    index = indexes[f"{features} center"]
    for side in (64, 96, 101, 150, 333):
        photo = np.asarray(Image.fromarray(crop(crop_folder, "photo0/02.png")).resize((side, side)))
        for first, last in ((side // 4, side * 3 // 4), (-(-side // 4), -(-side * 3 // 4))):
            hole = np.zeros((side, side), bool)
            hole[first:last, first:last] = True
            found = find_neighbors(index, photo, hole, 2)
            assert found[0].record.key == "photo0/02.png"
            again = find_neighbors(index, with_noise(photo, hole), hole, 2)
            assert [(n.id, n.distance) for n in found] == [(n.id, n.distance) for n in again]


@pytest.mark.parametrize("grow", [-1, 0, 1])
def test_center_protocol_allows_one_pixel_and_keeps_it_hidden(indexes, crop_folder, grow):
    index = indexes["thumbnail:16 center"]
    photo = load_photo(crop_folder / "photo2/01.png", size=64).pixels
    hole = np.zeros((64, 64), bool)
    hole[16 - grow : 48 + grow, 16 - grow : 48 + grow] = True
    described = protocol_hole(index, hole)
    assert (described >= hole).all() and described[16:48, 16:48].all()
    found = [
        [(n.id, n.distance) for n in find_neighbors(index, query, hole, 5)]
        for query in (photo, with_noise(photo, hole))
    ]
    assert found[0] == found[1]
    # Under this protocol the whole centre is out of sight, also where the hole leaves a pixel of it.
    center = np.zeros((64, 64), bool)
    center[16:48, 16:48] = True
    blind = find_neighbors(index, with_noise(photo, center), hole, 5)
    assert [(n.id, n.distance) for n in blind] == found[0]


@pytest.mark.parametrize(
    "box", [(14, 50, 14, 50), (18, 46, 18, 46), (18, 50, 16, 48), (0, 32, 0, 32), (16, 48, 16, 44), (16, 48, 0, 64)]
)
def test_center_protocol_refuses_other_holes(indexes, crop_folder, box):
    hole = np.zeros((64, 64), bool)
    hole[box[0] : box[1], box[2] : box[3]] = True
    photo = load_photo(crop_folder / "photo2/01.png", size=64).pixels
    with pytest.raises(PhotoIndexError, match=r"'center'.*half.*'none'"):
        find_neighbors(indexes["thumbnail:16 center"], photo, hole, 5)


def test_center_protocol_says_when_the_mask_may_be_inverted(indexes, crop_folder):
    hole = np.ones((64, 64), bool)
    hole[16:48, 16:48] = False
    photo = load_photo(crop_folder / "photo2/01.png", size=64).pixels
    with pytest.raises(PhotoIndexError, match=r"75 % of the photo.*invert"):
        find_neighbors(indexes["thumbnail:16 center"], photo, hole, 5)


def test_bad_queries_are_named(indexes, crop_folder):
    index, photo = indexes["thumbnail:16"], crop(crop_folder, "photo0/00.png")
    centre = np.zeros((96, 96), bool)
    centre[30:60, 30:60] = True
    with pytest.raises(MaskError, match="the hole is 95x96, the photo 96x96"):
        find_neighbors(index, photo, centre[:, :95], 5)
    with pytest.raises(MaskError, match="empty"):
        find_neighbors(index, photo, np.zeros((96, 96), bool), 5)
    with pytest.raises(MaskError, match=r"nothing of the photo visible; .*100 % of the photo.*invert"):
        find_neighbors(index, photo, np.ones((96, 96), bool), 5)
    with pytest.raises(PhotoError, match="7x96"):
        find_neighbors(index, photo[:, :7], centre[:, :7], 5)
    with pytest.raises(SettingsError, match=r"`k` is 61, but .* holds 60 photos: choose 1 to 60"):
        find_neighbors(index, photo, centre, 61)
    with pytest.raises(SettingsError, match="focus"):
        find_neighbors(index, photo, centre, 5, focus=-1.0)
    assert len(find_neighbors(index, photo, centre, 60)) == 60
    assert len(find_neighbors(index, photo, centre)) == 20


@pytest.mark.parametrize("features", FEATURES)
def test_a_hole_that_leaves_no_cell_is_named_with_the_share_that_it_covers(indexes, crop_folder, features):
    hole = np.ones((96, 96), bool)
    hole[50:52, 50:52] = False
    with pytest.raises(DescriptorError, match=r"over 99 % of the photo.*invert"):
        find_neighbors(indexes[features], crop(crop_folder, "photo0/00.png"), hole, 5)


@pytest.mark.parametrize("features", FEATURES)
def test_the_share_is_that_of_the_photos_own_hole(indexes, crop_folder, features):
    """Lines that cover a third of the photo, and all of it at the index's size: no mask to suspect there."""
    photo, hole = np.repeat(crop(crop_folder, "photo0/00.png"), 2, axis=0), np.zeros((192, 96), bool)
    hole[::3] = True
    with pytest.raises(DescriptorError, match=r"index photos at more than 64 px, where this hole .* visible$"):
        find_neighbors(indexes[features], photo, hole, 5)


def test_a_batch_finds_what_each_query_finds_alone(indexes, crop_folder, odd_holes):
    index = indexes["thumbnail:16"]
    photos = np.stack([load_photo(f, size=64).pixels for f in sorted(crop_folder.rglob("*.png"))[:30]])
    holes = np.stack([list(odd_holes(64, 64).values())[i % 6] for i in range(30)])
    together = search_contexts(index, photos, holes, 9, focus=8.0)
    for row in range(30):
        alone = search_contexts(index, photos[row : row + 1], holes[row : row + 1], 9, focus=8.0)
        np.testing.assert_array_equal(alone.ids[0], together.ids[row])
        np.testing.assert_array_equal(alone.scores[0], together.scores[row])


def test_neighbours_are_opened_in_their_own_shape_and_the_lost_are_named(crop_folder, tmp_path):
    photos = tmp_path / "photos"
    shutil.copytree(crop_folder / "photo0", photos)
    build_index([photos], tmp_path / "a.ceret", IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none"))
    index = PhotoIndex.open(tmp_path / "a.ceret")
    hole = np.zeros((96, 96), bool)
    hole[30:60, 30:60] = True
    neighbors = find_neighbors(index, load_photo(photos / "00.png").pixels, hole, 15)
    (photos / "03.png").unlink()
    shutil.copy(photos / "01.png", photos / "05.png")
    opened, dropped = neighbor_photos(index, neighbors, 60)
    assert {n.record.key for n, _ in opened} == {n.record.key for n in neighbors} - {"03.png", "05.png"}
    assert sorted(picture.shape for _, picture in opened) == [(45, 60, 3)] + 12 * [(60, 60, 3)]
    assert sorted("changed" in line for line in dropped) == [False, True]
    assert all("03.png" in line or "05.png" in line for line in dropped)
