"""Every pixel layout against an independent reference; and against plain Pillow on real photos."""

import io
from concurrent.futures import ThreadPoolExecutor

import cv2
import numpy as np
import pytest
from photo_encoding import encode, pixels
from PIL import Image, ImageOps

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos import decode_photo


def apart(a: np.ndarray, b: np.ndarray) -> int:
    return int(np.abs(a.astype(int) - b.astype(int)).max())


LOSSLESS = [("PNG", {}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"}), ("BMP", {}), ("WEBP", {"lossless": True})]


@pytest.mark.parametrize(("kind", "options"), LOSSLESS)
def test_lossless_formats_give_the_very_pixels(photo, kind, options):
    result = decode_photo(encode(Image.fromarray(photo), kind, **options), name="photo")
    assert np.array_equal(result.pixels, photo)
    assert (result.width, result.height) == (120, 90)
    assert result.pixels.dtype == np.uint8 and result.pixels.flags.writeable


@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_equals_another_decoder(photo, progressive):
    data = encode(Image.fromarray(photo), "JPEG", quality=90, subsampling=0, progressive=progressive)
    other = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    assert apart(pixels(data), other) <= 2


@pytest.mark.parametrize(
    ("kind", "options"), [*LOSSLESS, ("JPEG", {"quality": 100})], ids=lambda value: str(value) if value else ""
)
def test_grey(photo, kind, options):
    grey = photo[:, :, 1]
    result = pixels(encode(Image.fromarray(grey), kind, **options))
    assert apart(result, np.repeat(grey[:, :, None], 3, axis=2)) <= (3 if kind == "JPEG" else 0)


def test_one_bit():
    bits = np.random.default_rng(0).random((30, 41)) < 0.5
    for kind in ("PNG", "TIFF", "BMP"):
        result = pixels(encode(Image.fromarray(bits), kind))
        assert np.array_equal(result, np.repeat(bits[:, :, None] * np.uint8(255), 3, axis=2)), kind


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_laid_on_white(photo, kind):
    alpha = np.random.default_rng(1).integers(0, 256, photo.shape[:2], dtype=np.uint8)
    alpha[:20] = 0
    alpha[20:40] = 255
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    result = pixels(encode(Image.fromarray(np.dstack([photo, alpha])), kind, **options))
    share = alpha[:, :, None] / 255.0
    assert apart(result, np.rint(photo * share + 255 * (1 - share))) <= 1
    assert (result[:20] == 255).all()
    assert np.array_equal(result[20:40], photo[20:40])


def test_grey_with_alpha_and_grey_with_a_transparent_value(photo):
    grey = photo[:, :, 0].copy()
    alpha = np.where(np.arange(120) < 60, 255, 0).astype(np.uint8) * np.ones((90, 1), np.uint8)
    result = pixels(encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), "PNG"))
    assert np.array_equal(result[:, :60, 1], grey[:, :60]) and (result[:, 60:] == 255).all()
    grey[5, 5] = 7
    result = pixels(encode(Image.fromarray(grey), "PNG", transparency=7))
    assert np.array_equal(result[:, :, 2], np.where(grey == 7, 255, grey))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "BMP"])
def test_palette(photo, kind):
    image = Image.fromarray(photo).quantize(64)
    table = np.array(image.getpalette()).reshape(-1, 3)
    assert np.array_equal(pixels(encode(image, kind)), table[np.asarray(image)])


@pytest.mark.parametrize("transparency", [3, bytes([0, 128, 255, 64])])
def test_palette_with_transparency(photo, transparency):
    image = Image.fromarray(photo).quantize(8)
    colours = np.array(image.getpalette()).reshape(-1, 3)[:8].astype(float)
    alpha = np.ones(8)
    if isinstance(transparency, int):
        alpha[transparency] = 0
    else:
        alpha[:4] = np.frombuffer(transparency, np.uint8) / 255
    table = np.rint(colours * alpha[:, None] + 255 * (1 - alpha[:, None]))
    result = pixels(encode(image, "PNG", transparency=transparency))
    assert apart(result, table[np.asarray(image)]) <= 1


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk(photo, kind):
    """A JPEG holds CMYK inverted, as Adobe does: read as it stands, the photo would come out a negative."""
    cmyk = np.array(Image.fromarray(photo).convert("CMYK"))
    cmyk[:, :, 3] = 40
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    data = encode(Image.fromarray(cmyk, mode="CMYK"), kind, **options)
    assert (b"Adobe" in data) == (kind == "JPEG")
    ink = cmyk.astype(float) / 255
    expected = 255 * (1 - ink[:, :, :3]) * (1 - ink[:, :, 3:])
    assert apart(pixels(data), np.rint(expected)) <= (6 if kind == "JPEG" else 1)


def test_lab_tiff(photo):
    from skimage.color import lab2rgb, rgb2lab

    smooth = np.array(Image.fromarray(photo).resize((60, 45)))
    lab = rgb2lab(smooth)
    coded = np.dstack([lab[:, :, 0] * 2.55, lab[:, :, 1] % 256, lab[:, :, 2] % 256]).astype(np.uint8)
    image = Image.frombytes("LAB", (60, 45), coded.tobytes())
    back = lab2rgb(lab) * 255
    assert np.abs(pixels(encode(image, "TIFF")).astype(float) - back).mean() < 4


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_sixteen_bit_grey_and_colour(suffix):
    wide = np.random.default_rng(2).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    wide[0, :3] = [[0, 0, 0], [65535, 65535, 65535], [32768, 257, 300]]
    exact = wide.astype(float) * 255 / 65535
    grey = pixels(cv2.imencode(suffix, wide[:, :, 0])[1].tobytes())
    assert np.abs(grey[:, :, 1] - exact[:, :, 0]).max() <= 0.5 + 1e-9
    colour = pixels(cv2.imencode(suffix, wide[:, :, ::-1])[1].tobytes())
    assert np.abs(colour - exact).max() <= 1
    assert (colour[0, 0] == 0).all() and (colour[0, 1] == 255).all()


def test_sixteen_bit_grey_of_other_byte_orders_and_polarity(photo):
    wide = photo[:, :, 0].astype(np.uint16) * 257
    big = encode(Image.frombytes("I;16B", (120, 90), wide.astype(">u2").tobytes()), "TIFF")
    assert big[:2] == b"MM"
    assert np.array_equal(pixels(big)[:, :, 0], photo[:, :, 0])
    white_is_zero = encode(Image.fromarray(65535 - wide), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(pixels(white_is_zero)[:, :, 0], photo[:, :, 0])
    transparent = encode(Image.fromarray(wide), "PNG", transparency=int(wide[4, 4]))
    assert np.array_equal(pixels(transparent)[:, :, 0], np.where(photo[:, :, 0] == photo[4, 4, 0], 255, photo[:, :, 0]))


@pytest.mark.parametrize("scale", [1 / 255, 1, 257])
def test_float_tiff(photo, scale):
    values = photo[:, :, 0].astype(np.float32) * np.float32(scale)
    assert np.array_equal(pixels(encode(Image.fromarray(values), "TIFF"))[:, :, 2], photo[:, :, 0])


@pytest.mark.parametrize("scale", [1, 257])
def test_thirty_two_bit_tiff(photo, scale):
    values = photo[:, :, 0].astype(np.int32) * scale
    assert np.array_equal(pixels(encode(Image.fromarray(values), "TIFF"))[:, :, 2], photo[:, :, 0])


@pytest.mark.parametrize(
    ("values", "reason"),
    [([0.5, np.nan], "NaN"), ([-0.1, 1], "-0.1 to 1"), ([0, 1.5], "0 to 1.5"), ([0, 1e6], "0 to 1e"), ([-3, 9], "-3")],
)
def test_values_without_a_known_white_are_refused(values, reason):
    data = encode(Image.fromarray(np.array([values], np.float32)), "TIFF")
    with pytest.raises(PhotoError, match=reason):
        pixels(data)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation(photo, kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x010E] = "a description that stands before the orientation"
    data = encode(Image.fromarray(photo), kind, exif=exif)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    result = decode_photo(data, name="photo")
    assert np.array_equal(result.pixels, np.asarray(expected))
    assert (result.width, result.height) == expected.size == ((90, 120) if orientation > 4 else (120, 90))
    small = pixels(data, size=32)
    reference = np.asarray(expected.resize((32, 32), Image.Resampling.BICUBIC)).astype(int)
    assert apart(small, reference) <= 3
    as_stored = np.asarray(Image.fromarray(photo).resize((32, 32), Image.Resampling.BICUBIC))
    assert (apart(small, as_stored) > 30) == (orientation > 1)


@pytest.mark.parametrize("orientation", [0, 9, 65535])
def test_impossible_orientation_is_none(photo, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    assert np.array_equal(pixels(encode(Image.fromarray(photo), "PNG", exif=exif)), photo)


def test_a_large_jpeg_decodes_at_reduced_scale_and_close(bundled_photos):
    whole = Image.fromarray(bundled_photos[0]).resize((1203, 905), Image.Resampling.LANCZOS)
    data = encode(whole, "JPEG", quality=95)
    result = decode_photo(data, name="photo", size=64)
    assert (result.width, result.height) == (1203, 905)
    full = np.asarray(Image.open(io.BytesIO(data)).resize((64, 64), Image.Resampling.BICUBIC)).astype(float)
    assert np.abs(result.pixels - full).mean() < 1.0
    assert np.abs(result.pixels - full).max() < 20


def test_reduced_scale_keeps_twice_the_size(monkeypatch, photo):
    """905 rows for size 64: scale 1/4 gives 227, scale 1/8 would give 114 < 128."""
    from PIL.JpegImagePlugin import JpegImageFile

    seen = []
    original = JpegImageFile.load_prepare
    monkeypatch.setattr(JpegImageFile, "load_prepare", lambda self: (seen.append(self.size), original(self))[1])
    data = encode(Image.fromarray(photo).resize((1203, 905)), "JPEG")
    pixels(data, size=64)
    pixels(data, size=250)
    pixels(data)
    assert seen == [(301, 227), (1203, 905), (1203, 905)]


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_reduced_scale_of_other_jpeg_modes(bundled_photos, mode):
    image = Image.fromarray(bundled_photos[0]).convert(mode)
    data = encode(image, "JPEG", quality=95)
    full = np.asarray(Image.open(io.BytesIO(data)).convert("RGB").resize((32, 32), Image.Resampling.BICUBIC))
    assert np.abs(pixels(data, size=32).astype(float) - full).mean() < 1.5


@pytest.mark.parametrize(("kind", "options"), [("PNG", {}), ("JPEG", {"quality": 90}), ("TIFF", {}), ("WEBP", {})])
def test_size_squeezes_the_whole_photo(photo, kind, options):
    data = encode(Image.fromarray(photo), kind, **options)
    expected = Image.open(io.BytesIO(data)).convert("RGB").resize((128, 128), Image.Resampling.BICUBIC)
    result = decode_photo(data, name="photo", size=128)
    assert np.array_equal(result.pixels, np.asarray(expected))
    assert (result.width, result.height) == (120, 90)


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_the_first_frame_of_many(photo, kind):
    frames = [Image.fromarray(np.roll(photo, shift, axis=1)) for shift in (0, 30, 60)]
    options = {"lossless": True} if kind == "WEBP" else {}
    data = encode(frames[0], kind, save_all=True, append_images=frames[1:], **options)
    assert np.array_equal(pixels(data), photo)
    what = "pages" if kind == "TIFF" else "frames"
    assert decode_photo(data, name="").encoding.lost == (f"the result is the first of 3 {what}",)


def test_threads_agree_with_one(bundled_photos):
    data = []
    for image in bundled_photos:
        for kind in ("JPEG", "PNG", "TIFF", "WEBP"):
            data.append(encode(Image.fromarray(image).resize((150, 130)), kind))
    alone = [pixels(one, size=64) for one in data]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: pixels(one, size=64), data * 4))
    for index, result in enumerate(together):
        assert np.array_equal(result, alone[index % len(data)])


def test_real_photos_equal_plain_pillow(shared_data):
    files = sorted((shared_data / "scenes" / "val").rglob("*.jpg"))[::40]
    assert files
    for path in files:
        with Image.open(path) as image:
            expected = np.asarray(image.convert("RGB").resize((128, 128), Image.Resampling.BICUBIC))
        assert np.array_equal(pixels(path.read_bytes(), size=128), expected)
