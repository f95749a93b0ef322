"""What the file of a photo holds is in its result: known pixels bit for bit, profile, transparency, EXIF."""

import io
import struct

import icc_profiles as icc
import numpy as np
import pytest
from photo_encoding import encode
from PIL import Image

from ce_retrieval.photos import DecodedPhoto, decode_photo
from ce_retrieval.photos.exif import orientation_of, upright
from ce_retrieval.photos.files import save_filled

P3 = icc.rgb_profile("Display P3", icc.P3_PRIMARIES, 2.2)
GREY = icc.grey_profile("Gray Gamma 1.8", 1.8)


@pytest.fixture
def filled() -> np.ndarray:
    hole = np.zeros((90, 120), bool)
    hole[30:50, 40:90] = True
    return hole


@pytest.fixture
def result(tmp_path, filled):
    """Fill a photo with a colour, and return the photo and the file of the result."""

    def save(data: bytes, colour=(200, 60, 90), shift: int = 0) -> tuple[DecodedPhoto, Image.Image]:
        photo = decode_photo(data, name="photo")
        pixels = photo.pixels.copy()
        pixels[filled] = colour
        pixels[50:52] = np.clip(pixels[50:52].astype(int) + shift, 0, 255)
        save_filled(tmp_path / "result.png", pixels, photo, filled)
        return photo, Image.open(io.BytesIO((tmp_path / "result.png").read_bytes()))

    return save


def as_seen(image: Image.Image) -> np.ndarray:
    return decode_photo(encode(image, "PNG", icc_profile=image.info.get("icc_profile")), name="").pixels


def test_a_photo_in_another_profile(photo, result, filled):
    _, image = result(encode(Image.fromarray(photo), "PNG", icc_profile=P3))
    assert image.info["icc_profile"] == P3
    assert np.array_equal(np.asarray(image)[~filled], photo[~filled])
    assert np.abs(as_seen(image)[filled].astype(int) - (200, 60, 90)).max() <= 3
    assert np.abs(np.asarray(image)[filled].astype(int) - (200, 60, 90)).max() > 5


def test_a_pixel_that_a_blend_moved_is_moved_in_the_profile(photo, result, filled):
    """One of a colour outside sRGB is not pulled into it."""
    vivid = photo.copy()
    vivid[:, 60:] = (5, 250, 10)
    decoded, image = result(encode(Image.fromarray(vivid), "PNG", icc_profile=P3), shift=2)
    assert (decoded.pixels[50, 100] == (0, 255, 0)).all()
    found = np.asarray(image)
    assert np.array_equal(found[52:], vivid[52:]) and np.array_equal(found[:30], vivid[:30])
    assert np.abs(found[50:52, 60:].astype(int) - vivid[50:52, 60:]).max() <= 3
    seen = np.abs(as_seen(image)[50:52].astype(int) - np.clip(decoded.pixels[50:52].astype(int) + 2, 0, 255))
    assert seen[:, :60].mean() < 1.5


def test_a_plain_photo_gives_a_plain_file(photo, result, tmp_path):
    from ce_retrieval.own_files import marked
    from ce_retrieval.photos import save_photo

    _, image = result(encode(Image.fromarray(photo), "PNG"))
    assert image.mode == "RGB" and set(image.info) == {"Software"}
    save_photo(tmp_path / "plain.png", np.asarray(image))
    assert marked((tmp_path / "plain.png").read_bytes()) == (tmp_path / "result.png").read_bytes()


@pytest.mark.parametrize("profile", [None, P3])
@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF"])
def test_transparency_is_kept_and_what_is_filled_is_opaque(photo, result, filled, kind, profile):
    alpha = np.tile(np.linspace(0, 255, 120).astype(np.uint8), (90, 1))
    more = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    data = encode(
        Image.fromarray(np.dstack([photo, alpha])), kind, **more, **({"icc_profile": profile} if profile else {})
    )
    _, image = result(data, shift=3)
    assert image.mode == "RGBA" and image.info.get("icc_profile") == profile
    found = np.asarray(image)
    kept = ~filled & ((alpha < 255) | (np.arange(90)[:, None] < 50) | (np.arange(90)[:, None] > 51))
    assert np.array_equal(found[kept], np.dstack([photo, alpha])[kept])
    assert (found[filled, 3] == 255).all()
    assert np.array_equal(found[~filled, 3], alpha[~filled])
    assert profile or (found[filled, :3] == (200, 60, 90)).all()


def test_a_cut_out_that_is_filled_whole_is_opaque(photo, result, filled):
    alpha = np.where(filled, 90, 255).astype(np.uint8)
    _, image = result(encode(Image.fromarray(np.dstack([photo, alpha])), "PNG"))
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image)[~filled], photo[~filled])


@pytest.mark.parametrize("profile", [None, GREY])
def test_a_grey_photo_stays_grey(photo, result, filled, profile):
    grey = photo[..., 1]
    data = encode(Image.fromarray(grey), "PNG", **({"icc_profile": profile} if profile else {}))
    _, image = result(data, (120, 120, 120))
    assert image.mode == "L" and image.info.get("icc_profile") == profile
    assert np.array_equal(np.asarray(image)[~filled], grey[~filled])
    assert np.abs(as_seen(image)[filled].astype(int) - 120).max() <= 2
    _, image = result(data, (200, 60, 90))
    assert image.mode == "L", "its fill too, even of a network that knows colours"


def test_grey_with_transparency(photo, result, filled):
    grey, alpha = photo[..., 1], photo[..., 2]
    _, image = result(
        encode(Image.merge("LA", [Image.fromarray(grey), Image.fromarray(alpha)]), "PNG"), (120, 120, 120)
    )
    assert image.mode == "LA"
    found = np.asarray(image)
    assert np.array_equal(found[~filled], np.dstack([grey, alpha])[~filled])
    assert (found[filled] == (120, 255)).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_is_carried_and_its_turn_undone(photo, tmp_path, kind, orientation):
    exif = Image.Exif()
    exif[0x010F], exif[0x0112], exif[0x8298] = "a maker", orientation, "all rights"
    for tag, values in ((0x8769, {0x9003: "2026:01:02 03:04:05"}), (0x8825, {1: "N"})):
        exif.get_ifd(tag).update(values)
        exif[tag] = exif.get_ifd(tag)
    decoded = decode_photo(encode(Image.fromarray(photo), kind, exif=exif, icc_profile=P3), name="")
    save_filled(tmp_path / "a.png", decoded.pixels, decoded, np.zeros(decoded.pixels.shape[:2], bool))
    with Image.open(tmp_path / "a.png") as image:
        assert image.size == (decoded.width, decoded.height) == decoded.encoding.stored.shape[1::-1]
        assert np.array_equal(np.asarray(image), decoded.encoding.stored)
        found = image.getexif()
        assert (found[0x010F], found[0x8298]) == ("a maker", "all rights") and found.get(0x0112, 1) == 1
        assert found.get_ifd(0x8769)[0x9003] == "2026:01:02 03:04:05" and found.get_ifd(0x8825)[1] == "N"
    again = decode_photo((tmp_path / "a.png").read_bytes(), name="")
    assert np.array_equal(again.pixels, decoded.pixels)


@pytest.mark.parametrize("order", ["<", ">"])
def test_the_thumbnail_in_exif_is_taken_out(order):
    """It shows what was under the hole."""
    thumbnail = b"\xff\xd8 what was removed \xff\xd9"
    mark = b"II*\0" if order == "<" else b"MM\0*"
    second = 8 + 2 + 12 + 4
    data = mark + struct.pack(order + "IHHHIHHI", 8, 1, 0x0112, 3, 1, 6, 0, second)
    data += struct.pack(order + "H", 2) + struct.pack(order + "HHII", 0x0201, 4, 1, second + 2 + 24 + 4)
    data += struct.pack(order + "HHIII", 0x0202, 4, 1, len(thumbnail), 0) + thumbnail + b"after it"
    assert orientation_of(data) == 6
    found = upright(data)
    assert orientation_of(found) == 1 and len(found) == len(data) and found.endswith(b"after it")
    assert b"removed" in data and b"removed" not in found
    assert struct.unpack_from(order + "I", found, 22) == (0,)


def test_damaged_exif_is_said_and_not_carried(photo):
    for damaged in (b"Exif\0\0II*\0\xff\xff\0\0", b"Exif\0\0no exif", b"Exif\0\0MM\0*\0\0\0\x08\0\x09"):
        encoding = decode_photo(encode(Image.fromarray(photo), "JPEG", exif=damaged), name="").encoding
        assert encoding.exif == b"" and encoding.faults == ("its EXIF data are damaged: the result has none",)
