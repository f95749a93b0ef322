"""`ceret complete --method scenes` and `--method patchmatch`: photos of every pixel layout, tiny ones, lost scenes."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import IndexSettings, build_index, complete, load_photo

METHODS = {"scenes": ("--seam", 0, "--kind", "none"), "patchmatch": ("--kind", "none")}
HOLE = np.zeros((80, 100), bool)
HOLE[20:60, 30:70] = True


def build(folder, bundled_photos, mode="RGB"):
    """The scene that the fixture `photo` is cut from, and two others, as pictures of a mode."""
    crops = {"own": (2, np.s_[42:242:2, 74:324:2]), "cat": (1, np.s_[:200:2, :250:2]), "sky": (3, np.s_[:200, :250])}
    (folder / "scenes").mkdir()
    for name, (number, box) in crops.items():
        scene = Image.fromarray(np.ascontiguousarray(bundled_photos[number][box]))
        scene.convert(mode).save(folder / "scenes" / f"{name}.png")
    settings = IndexSettings(features="thumbnail:16", size=64, workers=1, kind="none")
    build_index([folder / "scenes"], folder / "few.ceret", settings)
    return folder / "few.ceret"


@pytest.fixture(scope="module")
def indexes(tmp_path_factory, bundled_photos):
    """Made once for all tests that leave them as they are."""
    return {mode: build(tmp_path_factory.mktemp(mode), bundled_photos, mode) for mode in ("RGB", "L")}


@pytest.fixture
def index(request, indexes):
    return indexes[getattr(request, "param", "RGB")]


@pytest.fixture
def spoilt(tmp_path, bundled_photos):
    """An index of one's own, whose scenes a test may change: `tmp_path / "scenes"`."""
    return build(tmp_path, bundled_photos)


@pytest.fixture
def layouts(photo):
    """A photo as each layout has it, and the RGB that it shows: by arithmetic, not by a decoder."""
    rgb = np.asarray(Image.open(photo))
    grey = np.asarray(Image.fromarray(rgb).convert("L"))
    wide = grey.astype(np.uint16) * 256 + 90
    palette = Image.fromarray(rgb).quantize(100)
    table = np.array(palette.getpalette()).reshape(-1, 3).astype(np.uint8)
    clear = np.zeros(grey.shape, bool)
    clear[:6, :50] = True  # known pixels, which show white

    def on_white(shown):
        return np.where(clear[..., None], np.uint8(255), shown)

    alpha = np.where(clear, 0, 255).astype(np.uint8)
    return {
        "L": (Image.fromarray(grey), np.dstack([grey] * 3)),
        "I;16": (Image.fromarray(wide), np.dstack([np.rint(wide * 255.0 / 65535).astype(np.uint8)] * 3)),
        "P": (palette, table[np.asarray(palette)]),
        "LA": (Image.fromarray(np.dstack([grey, alpha])), on_white(np.dstack([grey] * 3))),
        "RGBA": (Image.fromarray(np.dstack([rgb, alpha])), on_white(rgb)),
    }


@pytest.mark.parametrize(
    ("layout", "index"), [("L", "L"), ("I;16", "L"), ("LA", "L"), ("P", "RGB"), ("RGBA", "RGB")], indirect=["index"]
)
@pytest.mark.parametrize("method", METHODS)
def test_every_pixel_layout_keeps_what_it_shows(ceret, layouts, photo, mask, index, tmp_path, layout, method):
    image, shown = layouts[layout]
    assert image.mode == layout
    image.save(tmp_path / "given.png")
    arguments = ["complete", tmp_path / "given.png", "--mask", mask, "--index", index, "--rerank", "rim"]
    result = ceret(*arguments, "--allow-same-photo", "--out", tmp_path / "out", "--method", method, *METHODS[method])
    assert result.exit_code == 0
    loses = "the result has 8 bits a channel, not 16" if layout == "I;16" else ""
    assert result.stderr == (f"note: {tmp_path / 'given.png'}: {loses}\n" if loses else "")
    with Image.open(tmp_path / "out" / "given.png") as filled:
        assert (filled.mode, filled.size) == ({"I;16": "L", "P": "RGB"}.get(layout, layout), (100, 80))
    pixels = load_photo(tmp_path / "out" / "given.png").pixels
    np.testing.assert_array_equal(pixels[~HOLE], shown[~HOLE])
    candidates = json.loads((tmp_path / "out" / "given.json").read_text())["candidates"]
    assert candidates[0]["photo"].endswith("own.png")
    truth = np.asarray(Image.open(photo).convert("RGB" if layout in ("P", "RGBA") else "L").convert("RGB"), int)
    assert np.abs(pixels - truth)[HOLE].mean() < 6


def test_what_is_transparent_can_be_the_hole(ceret, photo, index, tmp_path):
    rgb = np.asarray(Image.open(photo))
    alpha = np.where(HOLE, 0, 255).astype(np.uint8)
    erased = np.where(HOLE[..., None], np.uint8(0), rgb)
    Image.fromarray(np.dstack([erased, alpha])).save(tmp_path / "cut.png")
    arguments = ["complete", tmp_path / "cut.png", "--mask", tmp_path / "cut.png", "--mask-alpha", "--index", index]
    result = ceret(
        *arguments,
        "--allow-same-photo",
        "--rerank",
        "rim",
        "--out",
        tmp_path / "out",
        "--method",
        "scenes",
        *METHODS["scenes"],
    )
    assert (result.exit_code, result.stderr) == (0, "")
    filled = np.asarray(Image.open(tmp_path / "out" / "cut.png"))
    np.testing.assert_array_equal(filled[~HOLE], rgb[~HOLE])
    assert np.abs(filled.astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("size", [(2, 2), (3, 3), (1, 40), (40, 1), (200, 15)])
@pytest.mark.parametrize("method", [*METHODS, "patchmatch alone"])
def test_tiny_photos_are_one_line(ceret, one_line_error, index, tmp_path, size, method):
    name, *alone = method.split()
    Image.new("RGB", size, "red").save(tmp_path / "tiny.png")
    hole = Image.new("L", size, 0)
    hole.putpixel((0, 0), 255)
    hole.save(tmp_path / "hole.png")
    arguments = ["complete", tmp_path / "tiny.png", "--mask", tmp_path / "hole.png", "--out", tmp_path / "out"]
    arguments += ["--method", name] if alone else ["--method", name, "--index", index, "--rerank", "rim"]
    error = one_line_error(ceret(*arguments))
    assert (
        "tiny.png" in error
        and f"the photo is {size[0]}x{size[1]}: at least 16 px a side are needed to see a context; enlarge it" in error
    )
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("method", METHODS)
def test_a_changed_scene_is_passed_over_and_recorded(ceret, photo, mask, spoilt, tmp_path, method):
    shutil.copy(tmp_path / "scenes" / "cat.png", tmp_path / "scenes" / "own.png")
    arguments = ["complete", photo, "--mask", mask, "--index", spoilt, "--rerank", "rim", "--method", method]
    arguments += METHODS[method]
    result = ceret(*arguments, "--out", tmp_path / "out")
    assert result.exit_code == 0
    (note,) = result.stderr.splitlines()
    assert note.startswith(f"note: {photo}: 1 scene could not be read, the first: ")
    assert "own.png has changed since it was indexed" in note
    record = json.loads((tmp_path / "out" / "photo.json").read_text())
    (line,) = record["dropped"]
    assert "own.png has changed since it was indexed: restore it, or bring the index up to date with `ceret add" in line
    assert record["candidates"] and not any(c["photo"].endswith("own.png") for c in record["candidates"])


def test_more_aligned_than_there_are_candidates_looks_further(ceret, photo, mask, index, tmp_path):
    arguments = ["complete", photo, "--mask", mask, "--index", index, "--rerank", "rim", "--method", "scenes"]
    for aligned in (2, 300):
        assert ceret(*arguments, "--allow-same-photo", "--aligned", aligned, "--out", tmp_path / "out").exit_code == 0
        record = json.loads((tmp_path / "out" / "photo.json").read_text())
        assert (record["settings"]["aligned"], len(record["candidates"])) == (aligned, min(aligned, 3))
    pixels = np.asarray(Image.open(photo))
    for aligned, count in ((1, 1), (3, 3)):
        assert (
            len(
                complete(
                    pixels,
                    HOLE,
                    index,
                    method="scenes",
                    rerank="rim",
                    candidates=1,
                    aligned=aligned,
                    allow_same_photo=True,
                ).candidates
            )
            == count
        )


OPTIONS = [(method, *more) for method in METHODS for more in ((), ("--aligned", 2), ("--rerank", "none"))]


@pytest.mark.parametrize("options", [*OPTIONS, ("patchmatch", "--start", "smooth")])
def test_no_usable_scene_is_one_line_that_says_why(ceret, one_line_error, photo, mask, spoilt, tmp_path, options):
    shutil.rmtree(tmp_path / "scenes")
    arguments = ["complete", photo, "--mask", mask, "--index", spoilt, "--rerank", "rim", "--method", *options]
    error = one_line_error(ceret(*arguments, "--out", tmp_path / "out"))
    assert "none of the 3 scenes can be read (restore lost files): " in error and "photo.png: " in error
    assert (
        "own.png of" in error
        and "cannot be read any more: put it back, or bring the index up to date with `ceret add" in error
    )
    assert not list((tmp_path / "out").rglob("*.*")), "nothing else has filled it"


def test_a_folder_goes_on_past_tiny_and_grey_photos(ceret, photo, mask, index, tmp_path):
    photos, masks = tmp_path / "photos", tmp_path / "masks"
    for folder in (photos, masks):
        folder.mkdir()
    Image.open(photo).convert("L").save(photos / "grey.png")
    Image.open(photo).save(photos / "whole.png")
    Image.new("RGB", (2, 2), "red").save(photos / "tiny.png")
    for name in ("grey", "whole"):
        shutil.copy(mask, masks / f"{name}.png")
    Image.fromarray(np.array([[255, 0], [0, 0]], np.uint8)).save(masks / "tiny.png")
    arguments = ["complete", photos, "--mask", masks, "--index", index, "--rerank", "rim", "--method", "scenes"]
    arguments += METHODS["scenes"]
    result = ceret(*arguments, "--allow-same-photo", "--out", tmp_path / "out")
    assert (result.exit_code, result.stdout) == (1, f"{tmp_path / 'out'}: 2 completed, 0 done before, 1 failed\n")
    assert result.stderr.startswith(f"failed: {photos / 'tiny.png'}: the photo is 2x2: at least 16 px a side")
    assert len(result.stderr.splitlines()) == 1
