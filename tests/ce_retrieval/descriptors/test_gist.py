import numpy as np
import pytest
from skimage.color import rgb2lab

from ce_retrieval.descriptors import make_descriptor
from ce_retrieval.descriptors.gist import ENERGY_MEAN, ENERGY_SCALE, LAB_SCALE, _lab


def smoothed(plane, mirrored=4):
    """Gaussian low-pass of 4 cycles a photo, on the photo tiled with its mirror images so that borders are symmetric."""
    size = len(plane)
    tile = np.block([[plane, plane[:, ::-1]], [plane[::-1], plane[::-1, ::-1]]])
    f = np.fft.fftfreq(2 * size) * size  # cycles a photo
    gain = np.exp(-(f[:, None] ** 2 + f[None, :] ** 2) / (4 / np.sqrt(np.log(2))) ** 2)
    return np.fft.ifft2(np.fft.fft2(tile) * gain).real[:size, :size]


def slow_energies(photo):
    """The same definition in float64, response by response at the photo's full resolution: (16, 30)."""
    size = len(photo)
    quarter = size // 4
    grey = np.log(photo.astype(float).mean(axis=2) + 1)
    sharp = grey - smoothed(grey)
    sharp /= 0.2 + np.sqrt(np.abs(smoothed(sharp**2)))
    padded = np.pad(sharp, quarter, mode="symmetric")
    n = len(padded)
    fy, fx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), indexing="ij")
    spectrum = np.fft.fft2(padded)
    out = np.zeros((16, 30))
    for scale in range(5):
        for orientation in range(6):
            # Transfer functions as in the authors' published createGabor, param = [.35 .3/1.85^i 16 or^2/32^2 pi/or j]
            turn = np.angle(fx + 1j * fy) + np.pi / 6 * orientation
            turn += 2 * np.pi * (turn < -np.pi) - 2 * np.pi * (turn > np.pi)
            peak = 0.3 / 1.85**scale
            gain = np.exp(-3.5 * (np.hypot(fx, fy) / peak - 1) ** 2 - 2 * (16 * 36 / 1024) * np.pi * turn**2)
            magnitude = np.abs(np.fft.ifft2(spectrum * gain))[quarter:-quarter, quarter:-quarter]
            blocks = magnitude.reshape(4, quarter, 4, quarter).mean(axis=(1, 3))
            out[:, scale * 6 + orientation] = blocks.ravel()
    return out


def energies(described):
    return described[..., :30] / ENERGY_SCALE + np.repeat(ENERGY_MEAN, 6)


def assert_near_slow(size, photos):
    got = energies(make_descriptor("gist", size).describe(photos))
    expected = np.stack([slow_energies(p) for p in photos])
    error = (got - expected).reshape(len(photos), 16, 5, 6)
    shape = expected.reshape(error.shape)
    for scale in range(5):
        assert np.linalg.norm(error[:, :, scale]) < 0.01 * np.linalg.norm(shape[:, :, scale])
    assert np.abs(error).max() < 0.005
    assert np.linalg.norm(error) < 0.015 * np.linalg.norm(expected - expected.mean(axis=(0, 1)))


@pytest.mark.parametrize("size", [64, 96, 128, 256])
def test_energies_near_the_full_resolution_computation(size, photos):
    resized = np.ascontiguousarray(np.repeat(np.repeat(photos[:3], 2, 1), 2, 2)) if size > 128 else photos[:4]
    assert_near_slow(size, np.ascontiguousarray(resized[:, :size, :size]))


def test_energies_of_scenes_near_the_full_resolution_computation(scenes):
    assert_near_slow(128, scenes[::6])


def test_a_grating_answers_at_its_scale_and_orientation():
    y, x = np.mgrid[:128, :128]
    for scale in range(4):
        for orientation in range(6):
            angle = -np.pi / 6 * orientation
            wave = np.sin(2 * np.pi * 0.3 / 1.85**scale * (x * np.cos(angle) + y * np.sin(angle)))
            photo = np.repeat((128 + 100 * wave).astype(np.uint8)[..., None], 3, 2)
            answer = energies(make_descriptor("gist", 128).describe(photo[None]))[0].mean(axis=0)
            assert answer.argmax() == scale * 6 + orientation


def test_colour_layout_is_the_lab_of_the_mean_colour(photos):
    described = make_descriptor("gist", 128).describe(photos)
    means = photos.reshape(len(photos), 4, 32, 4, 32, 3).mean(axis=(2, 4)) / 255
    expected = rgb2lab(means).reshape(len(photos), 16, 3)
    np.testing.assert_allclose(described[..., 30:] / LAB_SCALE + [50, 0, 0], expected, atol=0.02)


def test_lab_equal_to_skimage():
    colours = np.random.default_rng(0).random((500, 3)).astype(np.float32)
    colours[:100] *= 0.05
    np.testing.assert_allclose(_lab(colours), rgb2lab(colours), atol=0.02)


def test_energies_weigh_about_twice_the_colour(scenes):
    described = make_descriptor("gist", 128).describe(scenes)
    squared = ((described[:, None] - described[None]) ** 2).mean(axis=(0, 1, 2))
    pairs = len(scenes) / (len(scenes) - 1)  # leaves out each photo's distance to itself
    energy, colour = squared[:30].sum() * pairs, squared[30:].sum() * pairs
    assert 1.6 < energy / colour < 2.5
    assert 0.8 < energy + colour < 1.2


def test_batches_do_not_mix(photos):
    descriptor = make_descriptor("gist", 128)
    single = np.concatenate([descriptor.describe(p[None]) for p in photos])
    np.testing.assert_allclose(descriptor.describe(photos), single, atol=1e-6)
    assert descriptor.describe(photos[:0]).shape == (0, 16, 33)


def test_flat_photos_are_finite():
    flat = np.stack([np.full((128, 128, 3), v, np.uint8) for v in (0, 128, 255)])
    described = make_descriptor("gist", 128).describe(flat)
    assert np.isfinite(described).all()
    np.testing.assert_allclose(energies(described), 0, atol=1e-3)


def test_pixels_under_the_hole_are_not_seen(photos, centre):
    holes = np.broadcast_to(centre, (len(photos), 128, 128))
    other = photos.copy()
    other[holes] = 255 - other[holes]
    descriptor = make_descriptor("gist", 128)
    np.testing.assert_array_equal(descriptor.describe(photos, holes), descriptor.describe(other, holes))
    filled = photos.copy()
    for photo in filled:
        photo[centre] = np.rint(photo[~centre].mean(axis=0))
    expected = descriptor.describe(filled)
    np.testing.assert_allclose(descriptor.describe(photos, holes)[..., :30], expected[..., :30], atol=1e-6)
