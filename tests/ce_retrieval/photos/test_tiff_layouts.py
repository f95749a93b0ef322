"""Every layout of a TIFF that tifffile can write is read as tifffile reads it, or refused: as a photo and as a mask."""

import io
import itertools
import logging
import struct
from collections import Counter

import numpy as np
import PIL
import pytest
import tifffile
from photo_encoding import pixels

from ce_retrieval.errors import MaskError, PhotoError
from ce_retrieval.holes.files import read_mask

HEIGHT, WIDTH = 22, 35
TYPES = ("bool", "uint8", "uint16", "uint32", "int8", "int16", "float16", "float32")
# photometric, channels, kind of the channels beyond its own, least number of 8-bit files that must be read and not refused
CHANNELS = [
    *[("minisblack", 1, None, 7), ("miniswhite", 1, None, 7), ("palette", 1, None, 7)],
    *[("minisblack", 2, extra, 7) for extra in ("unassalpha", "assocalpha", "unspecified")],
    *[
        ("rgb", 3, None, 14),
        ("rgb", 5, "unspecified", 7),
        ("separated", 4, None, 14),
        ("separated", 5, "unspecified", 7),
    ],
    *[("rgb", 4, extra, 7) for extra in ("unassalpha", "assocalpha", "unspecified")],
    *[
        ("ycbcr", 3, None, 7),
        ("cielab", 3, None, 7),
        ("icclab", 3, None, 0),
        ("logluv", 3, None, 0),
        ("cfa", 1, None, 0),
    ],
]
# What Pillow before 13 reads fewer of: it knows no grey with an unnamed or premultiplied second channel.
OLDER = {("minisblack", 2, "assocalpha"): 0, ("minisblack", 2, "unspecified"): 4}
STORED = [
    dict(zip(("byteorder", "compression", "predictor", "rowsperstrip", "tile"), values, strict=True))
    for values in (
        *[(order, packed, None, None, None) for order in "<>" for packed in (None, "zlib")],
        *[("<", "lzma", 2, 8, None), (">", "zlib", 2, None, (16, 16)), ("<", None, None, None, (16, 16))],
    )
]
RIGHT = 0.6  # levels: half of one by rounding
#: Where Pillow rounds on the way: levels that a value may be off.
COARSER = {"assocalpha": 3, "separated": 2, "ycbcr": 2, "rgb16": 1.6}


def picture(kind: str, channels: int) -> np.ndarray:
    """Smooth colours with some noise, in the whole range of a type."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    ramps = [x / WIDTH, y / HEIGHT, (x + y) / (HEIGHT + WIDTH), 0.3 + 0.4 * ((x // 8 + y // 8) % 2), 1 - x / WIDTH]
    values = np.stack(ramps[:channels], -1) * 0.96 + np.random.default_rng(0).uniform(
        0, 0.04, (HEIGHT, WIDTH, channels)
    )
    if kind == "bool":
        return values > 0.5
    return (values * np.iinfo(kind).max).astype(kind) if kind[0] in "ui" else values.astype(kind)


def tiff(values: np.ndarray, photometric: str, extra: str | None, planes: str, stored: dict) -> bytes | None:
    """A file, or None if tifffile cannot write it."""
    options = {name: value for name, value in stored.items() if value is not None}
    own = {"rgb": 3, "separated": 4, "ycbcr": 3, "cielab": 3, "icclab": 3, "logluv": 3}.get(photometric, 1)
    if values.ndim == 3:
        options["planarconfig"] = planes
        values = np.moveaxis(values, -1, 0) if planes == "separate" else values
    if extra:
        options["extrasamples"] = [extra] * (values.shape[0 if planes == "separate" else 2] - own)
    if photometric == "palette":
        if values.dtype not in (np.uint8, np.uint16):
            return None
        options["colormap"] = palette(values)
    file = io.BytesIO()
    try:
        tifffile.imwrite(file, values, photometric=photometric, **options)
    except (ValueError, KeyError, RuntimeError, TypeError, NotImplementedError):
        return None
    return file.getvalue()


def palette(values: np.ndarray) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (3, 1 << 8 * values.itemsize), dtype=np.uint16) * np.uint16(257)


def expected(data: bytes, photometric: str, extra: str | None, planes: str) -> np.ndarray | None:
    """RGB levels (H, W, 3) by tifffile's reading and the TIFF standard; None where the white is unknown."""
    values = tifffile.imread(io.BytesIO(data))
    if planes == "separate" and values.ndim == 3:
        values = np.moveaxis(values, 0, -1)
    if photometric == "palette":
        return np.moveaxis(palette(values)[:, values], 0, -1) / 257
    if values.dtype.kind == "i" or values.dtype == np.uint32:
        return None
    unit = values / np.iinfo(values.dtype).max if values.dtype.kind == "u" else values.astype(float)
    unit = unit.reshape(HEIGHT, WIDTH, -1)
    if photometric in ("minisblack", "miniswhite"):
        grey = unit[..., :1] if photometric == "minisblack" else 1 - unit[..., :1]
        colours, rest = np.repeat(grey, 3, axis=2), unit[..., 1:]
    elif photometric == "rgb":
        colours, rest = unit[..., :3], unit[..., 3:]
    elif photometric == "separated":
        colours, rest = (1 - unit[..., :3]) * (1 - unit[..., 3:4]), unit[..., 4:]
    elif photometric == "ycbcr":
        y, blue, red = unit[..., 0], unit[..., 1] - 128 / 255, unit[..., 2] - 128 / 255
        colours = np.stack([y + 1.402 * red, y - 0.344136 * blue - 0.714136 * red, y + 1.772 * blue], -1)
        rest = unit[..., 3:]
    elif photometric == "cielab":
        from skimage.color import lab2rgb

        lab = np.dstack([values[..., 0] / 2.55, values[..., 1:].astype(np.int8)])
        return lab2rgb(lab) * 255
    else:
        return None
    if extra == "unassalpha":
        colours = colours * rest[..., :1] + 1 - rest[..., :1]
    elif extra == "assocalpha":
        colours = colours + 1 - rest[..., :1]
    return np.clip(colours, 0, 1) * 255


@pytest.fixture(autouse=True)
def quiet():
    """tifffile logs what it thinks of odd files."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("photometric", "channels", "extra", "least"), CHANNELS)
@pytest.mark.filterwarnings("ignore")  # those of the writer
def test_a_photo_is_read_as_tifffile_reads_it_or_refused(photometric, channels, extra, least):
    seen: Counter[str] = Counter()
    for kind, planes, stored in itertools.product(TYPES, ("contig", "separate"), STORED):
        values = picture(kind, channels)
        data = tiff(values[..., 0] if channels == 1 else values, photometric, extra, planes, stored)
        if data is None or (channels == 1 and planes == "separate"):
            continue
        try:
            found = pixels(data)
        except PhotoError as error:
            assert len(str(error)) < 250 and "\n" not in str(error)
            seen["refused"] += 1
            continue
        truth = expected(data, photometric, extra, planes)
        what = (kind, planes, stored)
        assert truth is not None, what
        if photometric == "cielab":  # OpenCV's and LittleCMS's white points differ
            assert np.abs(found - truth).mean() < 5, what
            seen[kind] += 1
            continue
        coarser = COARSER.get(extra or photometric, COARSER["rgb16"] if kind == "uint16" else RIGHT)
        assert np.abs(found - truth).max() <= max(coarser, COARSER.get(photometric, 0)), what
        seen[kind] += 1
    older = int(PIL.__version__.partition(".")[0]) < 13
    assert seen["uint8"] >= (OLDER.get((photometric, channels, extra), least) if older else least)


@pytest.mark.parametrize(
    ("photometric", "channels"), [("minisblack", 1), ("miniswhite", 1), ("rgb", 3), ("separated", 4)]
)
@pytest.mark.filterwarnings("ignore")
def test_a_mask_is_read_as_tifffile_reads_it_or_refused(photometric, channels, tmp_path):
    hole = np.zeros((HEIGHT, WIDTH), bool)
    hole[5:15, 8:30] = True
    read = 0
    for kind, planes, stored in itertools.product(TYPES, ("contig", "separate"), STORED):
        full = 1 if kind[0] in "bf" else np.iinfo(kind).max
        dark = photometric in ("miniswhite", "separated")
        values = np.where(hole != dark, full, 0).astype(kind)
        if photometric == "separated":  # black ink alone
            values = np.stack([np.zeros_like(values)] * 3 + [values], -1)
        elif channels == 3:
            values = np.stack([values] * 3, -1)
        data = tiff(values, photometric, None, planes, stored)
        if data is None:
            continue
        (tmp_path / "mask.tif").write_bytes(data)
        try:
            found = read_mask(tmp_path / "mask.tif", hole.shape)
        except MaskError as error:
            assert "mask.tif" in str(error) and len(str(error)) < 400
            continue
        assert np.array_equal(found, hole), (kind, planes, stored)
        read += 1
    assert read >= 20


@pytest.mark.parametrize("kind", ["uint8", "uint16"])
@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_the_layouts_that_programs_write_are_read(kind, planes):
    """8 bits in any planes; 16 bits interleaved. 16 bits in planes only if they are compressed."""
    for packed in (None, "zlib"):
        data = tiff(picture(kind, 3), "rgb", None, planes, {"compression": packed})
        assert data is not None
        if kind == "uint16" and planes == "separate" and packed is None:
            with pytest.raises(PhotoError, match=r"16 bits in separate planes: save it as interleaved RGB"):
                pixels(data)
        else:
            assert pixels(data).shape == (HEIGHT, WIDTH, 3)


def test_what_only_looks_like_a_photo_is_refused():
    rgb = picture("uint8", 3)
    for options, reason in (
        ({"photometric": "rgb", "subfiletype": 1}, "whose first page is a reduced copy"),
        ({"photometric": "separated", "extratags": [(332, "H", 1, 2, True)]}, "of other inks than CMYK"),
        ({"photometric": "ycbcr"}, "of subsampled or scaled YCbCr"),
    ):
        file = io.BytesIO()
        tifffile.imwrite(file, picture("uint8", 4) if options["photometric"] == "separated" else rgb, **options)
        subsampling = [struct.pack("<HHIHH", 530, 3, 2, n, n) for n in (1, 2)]
        with pytest.raises(PhotoError, match=reason):
            pixels(file.getvalue().replace(*subsampling))
