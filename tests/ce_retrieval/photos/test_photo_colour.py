"""Colour profiles: photos come to sRGB by them, against the profiles' own formulas; those without one stay as they are."""

import io
from concurrent.futures import ThreadPoolExecutor

import icc_profiles as icc
import numpy as np
import pytest
from photo_encoding import encode, pixels
from PIL import Image, ImageCms, PngImagePlugin

from ce_retrieval.photos import decode_photo

P3 = icc.rgb_profile("Display P3", icc.P3_PRIMARIES, 2.2)
ADOBE = icc.rgb_profile("Adobe RGB (1998)", icc.ADOBE_PRIMARIES, 2.19921875)
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
GREY = icc.grey_profile("Gray Gamma 1.8", 1.8)
KINDS = [("PNG", {}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("JPEG", {"quality": 100, "subsampling": 0})]


def apart(a, b) -> float:
    return float(np.abs(np.asarray(a, float) - np.asarray(b, float)).max())


@pytest.mark.parametrize(
    ("profile", "primaries", "gamma"), [(P3, icc.P3_PRIMARIES, 2.2), (ADOBE, icc.ADOBE_PRIMARIES, 2.2)]
)
@pytest.mark.parametrize(("kind", "options"), KINDS)
def test_colours_come_to_srgb(photo, kind, options, profile, primaries, gamma):
    data = encode(Image.fromarray(photo), kind, icc_profile=profile, **options)
    plain = pixels(encode(Image.fromarray(photo), kind, **options))
    found = decode_photo(data, name="photo")
    assert apart(found.pixels, icc.to_srgb(plain, primaries, gamma)) <= 1.5
    assert apart(found.pixels, plain) > 10
    assert np.array_equal(found.encoding.stored, plain)
    assert found.encoding.about() == {
        "profile": "Display P3" if profile is P3 else "Adobe RGB (1998)",
        "transparency": False,
        "exif": False,
        "not_kept": [],
    }


def test_a_resized_photo_is_converted_after_the_resize(photo):
    data = encode(Image.fromarray(photo), "PNG", icc_profile=P3)
    small = np.asarray(Image.fromarray(photo).resize((32, 32), Image.Resampling.BICUBIC))
    assert apart(pixels(data, size=32), icc.to_srgb(small, icc.P3_PRIMARIES, 2.2)) <= 1.5


@pytest.mark.parametrize(("kind", "options"), KINDS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_srgb_profile_changes_no_bit(photo, kind, options, mode):
    image = Image.fromarray(photo).convert(mode)
    for size in (None, 40):
        plain = pixels(encode(image, kind, **options), size=size)
        assert np.array_equal(pixels(encode(image, kind, icc_profile=SRGB, **options), size=size), plain)
    encoding = decode_photo(encode(image, kind, icc_profile=SRGB, **options), name="").encoding
    assert encoding.stored is None and encoding.notes == ()
    assert encoding.conversion.carried == (SRGB if mode == "RGB" or kind == "WEBP" else b"")


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "JPEG"])
def test_grey_profiles(kind):
    ramp = np.tile(np.arange(256, dtype=np.uint8), (16, 1))
    options = {"quality": 100} if kind == "JPEG" else {}
    found = decode_photo(encode(Image.fromarray(ramp), kind, icc_profile=GREY, **options), name="")
    assert (np.ptp(found.pixels, axis=2) == 0).all()
    assert apart(found.pixels[..., 0], 255 * icc.srgb_curve((ramp / 255) ** 1.8)) <= 1.6
    assert found.encoding.grey and np.array_equal(found.encoding.stored, ramp)


@pytest.mark.parametrize("kind", ["TIFF", "JPEG"])
def test_cmyk_by_its_profile(kind):
    black = np.zeros((8, 256, 4), np.uint8)
    black[..., 3] = np.arange(256)
    black[..., 0] = 77  # an ink that this profile knows nothing of
    options = {"quality": 100, "subsampling": 0} if kind == "JPEG" else {}
    image = Image.frombytes("CMYK", (256, 8), black.tobytes())
    found = decode_photo(encode(image, kind, icc_profile=icc.cmyk_profile("press"), **options), name="")
    lightness = ((1 - np.arange(256) / 255) * 100 + 16) / 116
    linear = np.where(lightness > 6 / 29, lightness**3, 3 * (6 / 29) ** 2 * (lightness - 4 / 29))
    assert apart(found.pixels[0, :, 1], 255 * icc.srgb_curve(linear)) <= (4 if kind == "JPEG" else 2)
    assert found.encoding.notes == ("the result is RGB, not CMYK",)
    assert found.encoding.stored is None and not found.encoding.conversion.carried


@pytest.mark.parametrize(
    ("mode", "profile", "fault"),
    [
        ("RGB", b"no profile" * 50, "is damaged"),
        ("RGB", P3[:200], "is damaged"),
        ("RGB", GREY, "is for GRAY, its pixels are RGB"),
        ("RGB", icc.cmyk_profile("press"), "is for CMYK, its pixels are RGB"),
        ("L", P3, "is for RGB, its pixels are GRAY"),
        ("CMYK", P3, "is for RGB, its pixels are CMYK"),
    ],
)
def test_a_profile_that_does_not_fit_is_said_and_not_used(photo, mode, profile, fault):
    image = Image.fromarray(photo).convert(mode)
    found = decode_photo(encode(image, "TIFF", icc_profile=profile), name="")
    assert np.array_equal(found.pixels, pixels(encode(image, "TIFF")))
    assert f"its colour profile {fault}: its colours are taken as sRGB" in found.encoding.faults[0]
    assert not found.encoding.conversion.carried and len(found.encoding.faults) == 1


def test_a_profile_that_does_not_unpack_is_said(photo):
    data = bytearray(encode(Image.fromarray(photo), "PNG", icc_profile=P3))
    at = data.index(b"iCCP") + 4
    data[at + 20 : at + 60] = bytes(40)
    length = int.from_bytes(data[at - 8 : at - 4])
    data[at + length : at + length + 4] = PngImagePlugin._crc32(bytes(data[at - 4 : at + length])).to_bytes(4)
    found = decode_photo(bytes(data), name="")
    assert np.array_equal(found.pixels, photo) and "profile is damaged" in found.encoding.faults[0]


def test_a_profile_that_leads_one_way_gives_a_result_in_srgb(photo):
    data = encode(Image.fromarray(photo), "PNG", icc_profile=icc.one_way_profile("scanner"))
    found = decode_photo(data, name="")
    assert (np.ptp(found.pixels, axis=2) == 0).all()
    assert found.encoding.stored is None
    assert found.encoding.lost == ("the result is in sRGB: nothing can be converted into its profile scanner",)


def test_colour_codings_without_a_profile_are_said(photo):
    def faults(*chunks: tuple[bytes, bytes]) -> tuple[str, ...]:
        info = PngImagePlugin.PngInfo()
        for name, data in chunks:
            info.add(name, data)
        return decode_photo(encode(Image.fromarray(photo), "PNG", pnginfo=info), name="").encoding.faults

    assert "gamma of 1.00 is not used" in faults((b"gAMA", (100_000).to_bytes(4)))[0]
    assert "primaries 12, transfer 16" in faults((b"cICP", bytes([12, 16, 0, 1])))[0]
    assert faults((b"gAMA", (45_455).to_bytes(4))) == faults((b"cICP", bytes([1, 13, 0, 1]))) == ()
    assert faults((b"sRGB", b"\0"), (b"gAMA", (100_000).to_bytes(4))) == ()


def test_threads_share_conversions(photo):
    datas = [
        encode(Image.fromarray(np.roll(photo, n)), "PNG", icc_profile=p) for n in range(8) for p in (P3, ADOBE, SRGB)
    ]
    alone = [pixels(data) for data in datas]
    with ThreadPoolExecutor(8) as pool:
        for found, expected in zip(pool.map(pixels, datas * 3), alone * 3, strict=True):
            assert np.array_equal(found, expected)


def test_the_depth_that_a_result_loses_is_said(photo):
    grey = photo[..., 0].astype(np.uint16) * 257
    deep = {
        16: [encode(Image.fromarray(grey), "PNG"), encode(Image.fromarray(grey), "TIFF"), b"P5 4 2 65535 " + bytes(16)],
        32: [encode(Image.fromarray(photo[..., 0] / np.float32(255)), "TIFF")],
    }
    for bits, datas in deep.items():
        for data in datas:
            assert decode_photo(data, name="").encoding.lost == (f"the result has 8 bits a channel, not {bits}",)
    for kind in ("PNG", "TIFF", "JPEG", "BMP", "PPM", "AVIF", "WEBP"):
        assert decode_photo(encode(Image.fromarray(photo), kind), name="").encoding.notes == ()


def test_a_plain_photo_is_held_once(photo):
    encoding = decode_photo(encode(Image.fromarray(photo), "PNG"), name="").encoding
    assert encoding.stored is None and encoding.alpha is None and not encoding.exif
    data = io.BytesIO(encode(Image.fromarray(photo), "PNG", icc_profile=P3)).getvalue()
    assert decode_photo(data, name="", size=32).encoding.stored is None
