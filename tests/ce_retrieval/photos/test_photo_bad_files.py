"""Damaged, foreign and over-large files: a PhotoError with a short reason, never anything else, never a warning."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from photo_encoding import encode, pixels
from PIL import Image, ImageCms

from ce_retrieval.errors import PhotoError
from ce_retrieval.photos import decode_photo


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"not a photo at all", "JPEG, PNG, WebP, AVIF, HEIC, TIFF, BMP or PPM"),
        (b"<!DOCTYPE html><html>404</html>", "text page"),
        (b"GIF89a" + bytes(100), "a GIF, which is not read: convert it to PNG"),
        (b"\0\0\0\x0cjP  \r\n" + bytes(100), "a JPEG 2000 image, which is not read"),
        (b"\0\0\0\x1cftypavif" + bytes(100), "AVIF"),
        (b"P6", "expected"),
        (b"P6 9 9", "PPM"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"II*\0", "TIFF"),
        (b"II*\0\xff\xff\xff\xff", "TIFF"),
        (b"BM", "BMP"),
        (bytes(10_000), "expected"),
    ],
)
def test_other_content_is_refused_with_a_reason(data, reason):
    with pytest.raises(PhotoError, match=reason) as caught:
        decode_photo(data, name="some/photo.jpg", size=16)
    message = str(caught.value)
    assert message.startswith("some/photo.jpg: ")
    assert "\n" not in message and "BytesIO" not in message and len(message) < 250


ALL_KINDS = [
    ("PNG", {}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("BMP", {}),
    ("WEBP", {"lossless": True}),
    ("WEBP", {}),
    ("JPEG", {}),
    ("JPEG", {"progressive": True}),
    ("TIFF", {"compression": "jpeg"}),
    ("TIFF", {"compression": "tiff_deflate"}),
    ("AVIF", {}),
    ("PPM", {}),
]


@pytest.mark.parametrize(("kind", "options"), ALL_KINDS)
def test_truncated(photo, kind, options, capfd):
    data = encode(Image.fromarray(photo), kind, **options)
    for share in (0.05, 0.3, 0.6, 0.9):
        with pytest.raises(PhotoError, match=r"^cut: "):
            decode_photo(data[: int(len(data) * share)], name="cut", size=64)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("kind", "options"), ALL_KINDS)
def test_damage_never_escapes_as_anything_else(photo, kind, options, capfd):
    """Random bytes overwritten, mostly in the header: a photo or a PhotoError, no other exception, no warning."""
    rng = np.random.default_rng(3)
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x011A] = 72.0
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    extra = {} if kind in ("BMP", "PPM") else {"exif": exif, "icc_profile": profile}
    whole = encode(Image.fromarray(photo[:40, :40]), kind, **options, **extra)
    failed = 0
    for trial in range(150):
        data = bytearray(whole)
        reach = min(len(data), 300 if trial % 2 else 900) if trial % 3 else len(data)
        for at in rng.integers(0, reach, 1 + trial % 6):
            data[at] = rng.integers(256)
        try:
            decode_photo(bytes(data), name="damaged", size=16 if trial % 5 else None, max_pixels=1_000_000)
        except PhotoError:
            failed += 1
    assert failed > 10
    # On damaged data libtiff itself prints a line, which Python cannot stop.
    assert "compression" in options or capfd.readouterr() == ("", "")


def png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    body = b"IDAT" + zlib.compress(b"\0")
    chunks = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in (header, body, b"IEND")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_pixel_bombs_are_refused_from_the_header():
    webp = encode(Image.new("RGB", (8, 8)), "WEBP")
    vp8x = b"VP8X" + struct.pack("<I", 10) + bytes(4) + (16383 - 1).to_bytes(3, "little") * 2
    webp = b"RIFF" + struct.pack("<I", len(webp) - 8 + len(vp8x)) + b"WEBP" + vp8x + webp[12:]
    tiff = bytearray(encode(Image.new("L", (8, 8)), "TIFF"))
    for tag in (256, 257):
        at = tiff.index(struct.pack("<H", tag), 8)
        struct.pack_into("<HHII", tiff, at, tag, 4, 1, 100_000)
    bmp = bytearray(encode(Image.new("RGB", (8, 8)), "BMP"))
    struct.pack_into("<ii", bmp, 18, 100_000, 100_000)
    for data in (png_header(60_000, 60_000), png_header(11_000, 11_000), webp, bytes(tiff), bytes(bmp)):
        with pytest.raises(PhotoError, match=r"pixels|exceeds|WebP"):
            decode_photo(data, name="bomb", size=128)


def test_max_pixels_is_the_only_limit(photo, monkeypatch):
    """Pillow's limit, which is process-wide and only warns, has no effect."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 9_000)
    data = encode(Image.fromarray(photo), "PNG")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert pixels(data, max_pixels=120 * 90).shape == (90, 120, 3)
        with pytest.raises(PhotoError, match="120x90 pixels are more than the 10799"):
            pixels(data, max_pixels=120 * 90 - 1)


def test_odd_metadata_does_not_warn(photo):
    broken_exif = b"Exif\0\0II*\0\x08\0\0\0\x40\0" + struct.pack("<HHII", 0x011A, 5, 1, 0xFFFFFF)
    data = encode(Image.fromarray(photo), "JPEG", exif=broken_exif)
    assert pixels(data).shape == photo.shape
    with pytest.warns(UserWarning, match="Truncated"):
        Image.open(io.BytesIO(data))
    png = encode(Image.fromarray(photo), "PNG")
    chunk = b"acTL" + bytes(8)  # an animation of no frames
    chunk = struct.pack(">I", 8) + chunk + struct.pack(">I", zlib.crc32(chunk))
    assert np.array_equal(pixels(png[:33] + chunk + png[33:]), photo)
    with pytest.warns(UserWarning, match="APNG"):
        Image.open(io.BytesIO(png[:33] + chunk + png[33:]))
