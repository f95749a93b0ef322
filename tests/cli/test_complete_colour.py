"""`ceret complete` and the colours of a photo: profile, transparency, depth, EXIF; soft edges of a cut-out."""

import io
import json
from pathlib import Path

import icc_profiles as icc
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from ce_retrieval.photos import load_photo

P3 = icc.rgb_profile("Display P3", icc.P3_PRIMARIES, 2.2)


@pytest.fixture
def completed(ceret, crop_index, tmp_path):
    """Complete a photo by the quickest method, and return its stderr and its picture."""

    def run(photo: Path, mask: Path, *options: object) -> tuple[str, Image.Image]:
        arguments = ["complete", photo, "--mask", mask, "--index", crop_index, "--out", tmp_path / "out", "-k", 3]
        result = ceret(*arguments, "--method", "retrieval", "--rerank", "rim", *options)
        assert result.exit_code == 0, result.stderr
        return result.stderr, opened(tmp_path / "out" / f"{photo.stem}.png")

    return run


@pytest.fixture
def hole(mask) -> np.ndarray:
    return np.asarray(Image.open(mask)) > 0


def opened(path: Path) -> Image.Image:
    return Image.open(io.BytesIO(path.read_bytes()))


def record(folder: Path, name: str = "a") -> dict:
    return json.loads((folder / "out" / f"{name}.json").read_text())


def test_the_result_has_the_profile_of_its_photo_and_its_known_pixels(completed, photo, mask, hole, tmp_path):
    values = np.asarray(Image.open(photo))
    Image.fromarray(values).save(tmp_path / "a.png", icc_profile=P3)
    notes, image = completed(tmp_path / "a.png", mask, "--save-candidates")
    assert notes == ""
    pictures = [image, *(opened(path) for path in sorted((tmp_path / "out" / "a.candidates").glob("0*.png")))]
    assert len(pictures) == 4
    for picture in pictures:
        assert picture.info["icc_profile"] == P3
        assert np.array_equal(np.asarray(picture)[~hole], values[~hole])
    assert record(tmp_path)["encoding"] == {
        "profile": "Display P3",
        "transparency": False,
        "exif": False,
        "not_kept": [],
    }
    # The fill is the one of the photo in sRGB, in other numbers.
    Image.fromarray(load_photo(tmp_path / "a.png").pixels).save(tmp_path / "b.png")
    _, plain = completed(tmp_path / "b.png", mask)
    seen = load_photo(tmp_path / "out" / "a.png").pixels.astype(int)
    assert np.abs(seen - np.asarray(plain))[hole].mean() < 1.5
    assert np.abs(np.asarray(image).astype(int) - np.asarray(plain))[hole].mean() > 1.5


def test_what_a_result_cannot_keep_is_said(ceret, completed, photo, mask, tmp_path):
    grey = np.asarray(Image.open(photo))[..., 1].astype(np.uint16) * 257
    Image.fromarray(grey).save(tmp_path / "a.png")
    notes, image = completed(tmp_path / "a.png", mask)
    assert notes == f"note: {tmp_path / 'a.png'}: the result has 8 bits a channel, not 16\n" and image.mode == "L"
    assert record(tmp_path)["encoding"]["not_kept"] == ["the result has 8 bits a channel, not 16"]
    Image.open(photo).convert("CMYK").save(tmp_path / "b.jpg")
    assert completed(tmp_path / "b.jpg", mask)[0].endswith("b.jpg: the result is RGB, not CMYK\n")
    Image.open(photo).save(tmp_path / "c.png", icc_profile=b"no profile" * 20)
    notes, image = completed(tmp_path / "c.png", mask)
    assert "its colour profile is damaged: its colours are taken as sRGB" in notes and "icc_profile" not in image.info


def test_query_says_what_it_cannot_use_of_a_photo(ceret, photo, mask, crop_index, tmp_path):
    Image.open(photo).save(tmp_path / "a.png", icc_profile=b"no profile" * 20)
    result = ceret("query", tmp_path / "a.png", "--mask", mask, "--index", crop_index, "-k", 2)
    assert result.exit_code == 0 and len(result.stdout.splitlines()) == 2
    assert result.stderr.startswith("note: its colour profile is damaged") and len(result.stderr.splitlines()) == 1


def test_transparency_is_kept_where_nothing_is_filled(completed, photo, mask, hole, tmp_path):
    values = np.asarray(Image.open(photo))
    alpha = np.tile(np.linspace(0, 255, 100).astype(np.uint8), (80, 1))
    Image.fromarray(np.dstack([values, alpha])).save(tmp_path / "a.png")
    _, image = completed(tmp_path / "a.png", mask)
    found = np.asarray(image)
    assert np.array_equal(found[~hole], np.dstack([values, alpha])[~hole]) and (found[hole, 3] == 255).all()
    assert record(tmp_path)["encoding"]["transparency"] is True


def test_exif_is_carried_and_turned(completed, photo, mask, hole, tmp_path):
    exif = Image.Exif()
    exif[0x0112], exif[0x013B] = 6, "the photographer"
    values = np.asarray(Image.open(photo))
    Image.fromarray(np.rot90(values)).save(tmp_path / "a.png", exif=exif)
    _, image = completed(tmp_path / "a.png", mask)
    assert image.getexif()[0x013B] == "the photographer" and image.getexif()[0x0112] == 1
    assert np.array_equal(np.asarray(image)[~hole], values[~hole])


@pytest.mark.parametrize("sigma", [0.8, 2.5])
def test_the_soft_edge_of_a_cut_out_leaves_no_halo(completed, photo, hole, tmp_path, sigma):
    """What the eraser touched is filled as if it had been erased, whatever stands under it."""
    values = np.asarray(Image.open(photo))
    alpha = ndimage.gaussian_filter(np.where(hole, 0.0, 255.0), sigma).round().astype(np.uint8)
    erased = (values * (alpha[..., None] / 255.0)).astype(np.uint8)  # as programs darken what they erase
    Image.fromarray(np.dstack([erased, alpha])).save(tmp_path / "a.png")
    _, image = completed(tmp_path / "a.png", tmp_path / "a.png", "--mask-alpha")
    Image.fromarray(np.where(alpha < 255, 255, 0).astype(np.uint8)).save(tmp_path / "hard.png")
    _, expected = completed(photo, tmp_path / "hard.png")
    assert image.mode == "RGB" and np.array_equal(np.asarray(image), np.asarray(expected))


def test_a_damaged_or_huge_photo_has_a_remedy(ceret, one_line_error, photo, mask, crop_index, tmp_path, monkeypatch):
    data = Path(photo).read_bytes()
    (tmp_path / "cut.png").write_bytes(data[: len(data) // 2])
    base = ["--mask", mask, "--index", crop_index]
    for command in ("complete", "query"):
        out = ["--out", tmp_path / "out", "--method", "retrieval", "--rerank", "rim"] if command == "complete" else []
        assert "copy or download it again" in one_line_error(ceret(command, tmp_path / "cut.png", *base, *out))
        line = one_line_error(ceret(command, photo, *base, *out, "--max-pixels", 7999))
        assert "100x80 pixels are more than the 7999 that are read: raise --max-pixels, or make it smaller" in line


def test_index_names_the_memory_that_a_huge_photo_needs(ceret, tmp_path):
    (tmp_path / "photos").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / "photos" / "a.png")
    Image.new("RGB", (3000, 3000)).save(tmp_path / "photos" / "b.png")
    options = ["--features", "thumbnail:8", "--size", 32, "--workers", 1, "--kind", "none"]
    result = ceret("index", tmp_path / "photos", "--out", tmp_path / "i.ceret", *options, "--max-memory", "400MB")
    assert result.exit_code == 0
    assert "b.png: 9000000 pixels take too much memory to decode: set --max-memory to " in result.stderr
    needed = result.stderr.split("--max-memory to ")[1].split()[0]
    assert f"set --max-memory to {needed}" in ceret("info", tmp_path / "i.ceret", "--skipped").stdout
    result = ceret("index", tmp_path / "photos", "--out", tmp_path / "j.ceret", *options, "--max-memory", needed)
    assert result.exit_code == 0 and result.stderr == ""
