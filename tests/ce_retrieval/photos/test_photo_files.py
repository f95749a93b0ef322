"""Loading and saving single photos: bit-identical where promised, whole or not at all."""

import os

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import PhotoError, SettingsError, StorageError
from ce_retrieval.photos import load_photo, save_photo


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (31, 47, 3), dtype=np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".tif", ".tiff", ".bmp", ".webp"])
def test_lossless_round_trip(tmp_path, pixels, suffix):
    path = tmp_path / f"photo{suffix}"
    save_photo(path, pixels)
    with Image.open(path) as image:
        assert np.array_equal(np.asarray(image), pixels)
    photo = load_photo(path)
    assert np.array_equal(photo.pixels, pixels) and (photo.width, photo.height) == (47, 31)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


def test_jpeg_is_close_and_size_and_limit_reach_the_decoder(tmp_path, bundled_photos):
    save_photo(tmp_path / "photo.jpg", bundled_photos[1])
    photo = load_photo(str(tmp_path / "photo.jpg"))
    assert np.abs(photo.pixels.astype(int) - bundled_photos[1]).mean() < 2
    assert load_photo(tmp_path / "photo.jpg", size=20).pixels.shape == (20, 20, 3)
    with pytest.raises(PhotoError, match=r"photo.jpg: .*more than the 100"):
        load_photo(tmp_path / "photo.jpg", max_pixels=100)


def test_a_failed_save_leaves_what_was_there(tmp_path, pixels, monkeypatch):
    path = tmp_path / "photo.png"
    save_photo(path, pixels)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match=r"cannot write .*photo\.png: no space left on device; free space"):
        save_photo(path, 255 - pixels)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_where_nothing_can_be_saved(tmp_path, pixels):
    with pytest.raises(StorageError, match=r"cannot write .*missing does not exist; make it, or"):
        save_photo(tmp_path / "missing" / "photo.png", pixels)
    for name in ("photo", "photo.gif"):
        with pytest.raises(SettingsError, match=r"unknown photo suffix.*\.png"):
            save_photo(tmp_path / name, pixels)
    for wrong in (pixels[:, :, 0], pixels.astype(np.float32), pixels[:, :, :2]):
        with pytest.raises(ValueError, match=r"expected uint8 \(H, W, 3\)"):
            save_photo(tmp_path / "photo.png", wrong)
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(PhotoError, match=r"missing.jpg: cannot be read: no such file"):
        load_photo(tmp_path / "missing.jpg")
    with pytest.raises(PhotoError, match="a folder; give a photo"):
        load_photo(tmp_path)
    with pytest.raises(PhotoError, match="null"):
        load_photo(str(tmp_path / "a\0b.jpg"))
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(PhotoError, match=r"pipe.jpg: not a regular file"):
        load_photo(tmp_path / "pipe.jpg")
    (tmp_path / "empty.png").touch()
    with pytest.raises(PhotoError, match=r"empty.png: the file is empty"):
        load_photo(tmp_path / "empty.png")


def test_an_absurdly_large_file_is_not_read(tmp_path):
    with open(tmp_path / "huge.jpg", "wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(PhotoError, match=r"huge.jpg: 1073741825 bytes are more"):
        load_photo(tmp_path / "huge.jpg")


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "9", float("nan")])
@pytest.mark.parametrize("name", ["size", "max_pixels"])
def test_sizes_out_of_range_are_named(tmp_path, name, value):
    """They are no fault of the photo."""
    save_photo(tmp_path / "a.jpg", np.zeros((20, 20, 3), np.uint8))
    with pytest.raises(SettingsError, match=f"^`{name}` is .*: expected a whole number from 1 to "):
        load_photo(tmp_path / "a.jpg", **{name: value})
