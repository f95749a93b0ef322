import numpy as np
import pytest

from ce_retrieval.descriptors import cell_weights, make_descriptor
from ce_retrieval.errors import SettingsError


def brute_force(photo, hole, grid):
    side = photo.shape[0] // grid
    out = np.zeros((grid * grid, 3))
    for g in range(grid * grid):
        y, x = g // grid * side, g % grid * side
        pixels = photo[y : y + side, x : x + side][~hole[y : y + side, x : x + side]]
        if len(pixels):
            out[g] = pixels.mean(axis=0) / 255 - 0.5
    return out


@pytest.mark.parametrize("grid", [1, 2, 4, 16, 32, 128])
def test_equal_to_brute_force(grid, photos):
    described = make_descriptor(f"thumbnail:{grid}", 128).describe(photos[:3])
    assert described.shape == (3, grid * grid, 3)
    assert described.dtype == np.float32
    whole = np.zeros((128, 128), bool)
    np.testing.assert_allclose(described, [brute_force(p, whole, grid) for p in photos[:3]], atol=1e-6)


@pytest.mark.parametrize("grid", [4, 16, 32])
def test_holes_equal_to_brute_force(grid, photos):
    rng = np.random.default_rng(2)
    holes = rng.random((5, 128, 128)) < 0.5
    holes[1, 20:90, 30:100] = True
    holes[2] = False
    holes[3] = True
    described = make_descriptor(f"thumbnail:{grid}", 128).describe(photos[:5], holes)
    expected = [brute_force(p, h, grid) for p, h in zip(photos[:5], holes, strict=True)]
    np.testing.assert_allclose(described, expected, atol=1e-6)


def test_sums_do_not_overflow():
    for size, grid in ((512, 1), (256, 16), (510, 15)):
        white = np.full((1, size, size, 3), 255, np.uint8)
        np.testing.assert_allclose(make_descriptor(f"thumbnail:{grid}", size).describe(white), 0.5, atol=1e-6)


def test_boxes_tile_the_photo():
    descriptor = make_descriptor("thumbnail:8", 96)
    covered = np.zeros((96, 96), int)
    for y0, x0, y1, x1 in descriptor.boxes:
        covered[y0:y1, x0:x1] += 1
    assert (covered == 1).all()
    assert descriptor.boxes.dtype == np.int32


def test_mirrored_views_are_read_right(photos):
    descriptor = make_descriptor("thumbnail", 128)
    np.testing.assert_allclose(
        descriptor.describe(photos[:, :, ::-1]).reshape(-1, 32, 32, 3)[:, :, ::-1],
        descriptor.describe(photos).reshape(-1, 32, 32, 3),
    )


def test_pixels_under_the_hole_are_not_seen(photos, centre):
    holes = np.broadcast_to(centre, (len(photos), 128, 128))
    other = photos.copy()
    other[holes] = 0
    descriptor = make_descriptor("thumbnail", 128)
    np.testing.assert_array_equal(descriptor.describe(photos, holes), descriptor.describe(other, holes))
    seen = cell_weights(descriptor, centre) > 0
    np.testing.assert_array_equal(descriptor.describe(photos, holes)[:, seen], descriptor.describe(photos)[:, seen])


def test_a_grid_that_does_not_divide_lists_those_that_do():
    with pytest.raises(SettingsError, match=r"thumbnail:32.*100 px.*1, 2, 4, 5, 10, 20, 25, 50, 100$"):
        make_descriptor("thumbnail", 100)
    with pytest.raises(SettingsError, match=r"thumbnail:256"):
        make_descriptor("thumbnail:256", 128)
