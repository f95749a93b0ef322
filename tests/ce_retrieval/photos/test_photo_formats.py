"""Formats beyond the usual: every name of JPEG, AVIF, HEIC, PPM, BMPs with an unused alpha, JPEGs that end early."""

import struct
import sys

import numpy as np
import pytest
from photo_encoding import encode, pixels
from PIL import Image

from ce_retrieval.errors import PhotoError, SourceError
from ce_retrieval.photos import formats, load_photo, open_source
from ce_retrieval.photos.base import (
    EXTRA_PACKAGES,
    IMAGE_SUFFIXES,
    is_image_name,
    photo_suffixes,
    remedy_for,
    unread_suffix,
)


def apart(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.abs(a.astype(int) - b).mean())


@pytest.mark.parametrize("suffix", [".jpg", ".jpeg", ".jpe", ".jif", ".jfif", ".JFIF"])
def test_every_name_of_jpeg_is_a_photo(photo, tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_bytes(encode(Image.fromarray(photo), "JPEG"))
    assert [item.key for item in open_source(tmp_path).items()] == [f"a{suffix}"]
    assert load_photo(tmp_path / f"a{suffix}").width == 120


def test_the_first_picture_of_an_mpo(photo, tmp_path):
    frames = [Image.fromarray(photo), Image.fromarray(255 - photo)]
    frames[0].save(tmp_path / "a.mpo", "MPO", save_all=True, append_images=frames[1:], quality=95)
    assert open_source(tmp_path).count() == 1
    assert apart(load_photo(tmp_path / "a.mpo").pixels, photo) < 4


@pytest.mark.parametrize("suffix", [".ppm", ".pgm", ".pbm", ".pnm"])
def test_portable_pixmaps(photo, tmp_path, suffix):
    mode = {".pgm": "L", ".pbm": "1"}.get(suffix, "RGB")
    image = Image.fromarray(photo).convert(mode)
    image.save(tmp_path / f"a{suffix}", "PPM")
    assert open_source(tmp_path).count() == 1
    assert np.array_equal(load_photo(tmp_path / f"a{suffix}").pixels, np.asarray(image.convert("RGB")))


def test_deep_and_written_out_pixmaps():
    assert pixels(b"P3 2 1 15\n0 15 3  15 0 6 ").tolist() == [[[0, 255, 51], [255, 0, 102]]]
    deep = np.array([[0, 255, 25700, 65535]], ">u2")
    assert pixels(b"P5 4 1 65535\n" + deep.tobytes())[0, :, 0].tolist() == [0, 1, 100, 255]
    assert pixels(b"P5 2 1 65535\n" + deep[:, :2].tobytes())[0, :, 0].tolist() == [0, 1], "16 bits by its header"


def test_avif(photo, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    (tmp_path / "a.AVIF").write_bytes(encode(Image.fromarray(photo), "AVIF", quality=95, exif=exif))
    assert open_source(tmp_path).count() == 1
    assert apart(load_photo(tmp_path / "a.AVIF").pixels, np.rot90(photo, -1)) < 4
    with pytest.raises(PhotoError, match="120x90 pixels"):
        pixels(encode(Image.fromarray(photo), "AVIF"), max_pixels=100)


def test_heic(photo, tmp_path):
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(Image.fromarray(photo)).save(tmp_path / "a.heic", quality=95)
    assert open_source(tmp_path).count() == 1
    assert apart(load_photo(tmp_path / "a.heic").pixels, photo) < 4


def test_heic_without_its_extra_names_it(tmp_path, monkeypatch):
    monkeypatch.setitem(EXTRA_PACKAGES, "heif", "no_package_of_this_name")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    photo_suffixes.cache_clear()
    formats._reader.cache_clear()
    try:
        (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
        with pytest.raises(
            PhotoError, match=r"a\.heic: HEIC needs pillow-heif: pip install '\.\[heif\]' in the folder of ceret"
        ):
            load_photo(tmp_path / "a.heic")
        with pytest.raises(
            SourceError,
            match=r"suffix \.heic are not read here: pip install '\.\[heif\]' in the folder of ceret, and they are",
        ):
            open_source(tmp_path / "a.heic")
        assert (unread_suffix("IMG_1.HEIC"), is_image_name("IMG_1.HEIC")) == (".heic", False)
    finally:
        photo_suffixes.cache_clear()
        formats._reader.cache_clear()


def test_what_is_read_and_what_is_not():
    assert set(IMAGE_SUFFIXES) <= set(photo_suffixes())
    for name, suffix in (
        ("a.GIF", ".gif"),
        ("a.b.jp2", ".jp2"),
        ("a.cr2", ".cr2"),
        ("a.txt", ""),
        ("a.jpg", ""),
        ("gif", ""),
    ):
        assert unread_suffix(name) == suffix
        assert not (suffix and is_image_name(name))
    assert remedy_for(".gif") == "convert them to JPEG or PNG"


def bmp(values: np.ndarray, alpha_mask: int) -> bytes:
    """A 32-bit BMP of BGRA (H, W, 4) with a version 4 header and colour masks."""
    height, width = values.shape[:2]
    masks = struct.pack("<4I", 0xFF0000, 0xFF00, 0xFF, alpha_mask)
    head = struct.pack("<IiiHHIIiiII", 108, width, -height, 1, 32, 3, values.size, 2835, 2835, 0, 0) + masks
    head += b"BGRs" + bytes(48)
    return b"BM" + struct.pack("<IHHI", 14 + len(head) + values.size, 0, 0, 14 + len(head)) + head + values.tobytes()


@pytest.mark.parametrize("alpha_mask", [0xFF000000, 0])
@pytest.mark.parametrize("unused", [0, 255])
def test_a_bmp_whose_alpha_is_unused_is_opaque(photo, alpha_mask, unused):
    values = np.dstack([photo[..., ::-1], np.full(photo.shape[:2], unused, np.uint8)])
    assert np.array_equal(pixels(bmp(values, alpha_mask)), photo)


def test_a_bmp_whose_alpha_is_used_is_laid_on_white(photo):
    alpha = np.zeros(photo.shape[:2], np.uint8)
    alpha[20:60, 30:80] = 255
    found = pixels(bmp(np.dstack([photo[..., ::-1], alpha]), 0xFF000000))
    assert np.array_equal(found, np.where(alpha[..., None] == 255, photo, 255))


JPEGS = [
    {"quality": 90},
    {"quality": 75, "progressive": True},
    {"quality": 90, "subsampling": 0, "optimize": True},
    {"quality": 90, "restart_marker_blocks": 3},
]


@pytest.mark.parametrize("options", JPEGS, ids=str)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_without_its_end_mark_is_whole(photo, mode, options):
    data = encode(Image.fromarray(photo).convert(mode), "JPEG", **options)
    assert data.endswith(b"\xff\xd9")
    for size in (None, 20):
        for cut in (1, 2):
            assert np.array_equal(pixels(data[:-cut], size=size), pixels(data, size=size))


@pytest.mark.parametrize("options", JPEGS, ids=str)
def test_a_jpeg_that_lacks_more_is_refused_with_a_remedy(photo, options):
    data = encode(Image.fromarray(photo), "JPEG", **options)
    scans = [at for at in range(len(data)) if data[at : at + 2] == b"\xff\xda"]
    assert len(scans) > 1 or not options.get("progressive")
    for length in (*scans[1:], len(data) - 5, len(data) - 40, len(data) // 2, 30):
        with pytest.raises(PhotoError, match=r"JPEG: .*copy or download it again"):
            pixels(data[:length])
