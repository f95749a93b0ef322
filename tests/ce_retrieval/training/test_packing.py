"""Packed photos are the decoded ones; bad photos are named; a failed write leaves nothing behind."""

import errno
import os
import resource
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import SettingsError, SourceError, StorageError
from ce_retrieval.photos import load_photo, open_source
from ce_retrieval.training.packed_file import open_packed
from ce_retrieval.training.packing import open_photos, pack_photos


@pytest.fixture
def folder(tmp_path, bundled_photos):
    path = tmp_path / "photos"
    for number, photo in enumerate(bundled_photos):
        (path / f"kind{number % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo[: 200 + 10 * number]).save(path / f"kind{number % 2}" / f"{number}.png")
    return path


def test_pixels_names_and_labels_are_those_of_the_source(folder, tmp_path):
    source = open_source(str(folder))
    report = pack_photos([folder], tmp_path / "out.h5", 48)
    packed = open_packed(tmp_path / "out.h5")
    items = list(source.items())
    assert packed.keys == tuple(item.key for item in items) and packed.labels == tuple(item.label for item in items)
    assert len(packed) == report.count == 4 and packed.size == 48 and not report.skipped
    for item, pixels in zip(items, packed.pixels, strict=True):
        np.testing.assert_array_equal(pixels, load_photo(folder / item.key, size=48).pixels)


def test_memory_and_file_agree(folder, tmp_path):
    pack_photos([folder], tmp_path / "out.h5", 48)
    from_file, from_folder = open_photos([tmp_path / "out.h5"], 99)[0], open_photos([folder], 48)[0]
    np.testing.assert_array_equal(from_file.pixels, from_folder.pixels)
    assert from_file.keys == from_folder.keys and from_file.fingerprint == from_folder.fingerprint


def test_the_fingerprint_follows_the_pixels(folder):
    before = open_photos([folder], 48)[0].fingerprint
    path = folder / "kind0" / "0.png"
    pixels = np.asarray(Image.open(path)).copy()
    pixels[:20] = 0
    Image.fromarray(pixels).save(path)
    assert open_photos([folder], 48)[0].fingerprint != before


def test_bad_photos_are_skipped_and_named(folder, tmp_path):
    (folder / "kind0" / "broken.jpg").write_bytes(b"no photo")
    report = pack_photos([folder], tmp_path / "out.h5", 48)
    assert report.count == 4 and [key for key, _ in report.skipped] == ["kind0/broken.jpg"]
    assert len(open_packed(tmp_path / "out.h5")) == 4
    Image.new("RGB", (8, 300)).save(folder / "kind0" / "tiny.png")
    (folder / "kind0" / "gone.jpg").symlink_to("nowhere")
    skipped = open_photos([folder], 48)[1].skipped
    assert [key for key, _ in skipped] == ["kind0/broken.jpg", "kind0/gone.jpg", "kind0/tiny.png"]
    assert all("kind0" not in reason for _, reason in skipped), "the name stands beside the reason"
    assert skipped[2][1].startswith("the photo is 8x300: at least 16 px a side are needed")


def test_what_is_passed_over_is_named(folder, tmp_path, unlistable):
    (folder / "art.psd").touch()
    unlistable("kind1")
    report = pack_photos([folder], tmp_path / "out.h5", 48)
    notes = dict(report.notes)
    assert report.count == 2 and notes[f"{folder}/kind1/"] == "the folder cannot be listed: permission denied"
    assert notes[str(folder)].startswith("1 file with suffix .psd was not looked at")
    assert open_photos([folder], 48)[1] == report


def test_a_collection_of_bad_photos(tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"no photo")
    with pytest.raises(SourceError, match=r"no photo could be read \(a\.jpg: [^a]"):
        pack_photos([tmp_path / "photos"], tmp_path / "out.h5", 48)
    assert not list(tmp_path.glob("*.h5")) and not list(tmp_path.glob(".*"))


def test_damaged_and_foreign_files(folder, tmp_path):
    path = tmp_path / "out.h5"
    pack_photos([folder], path, 48)
    data = path.read_bytes()
    for length in (0, 100, len(data) // 2):
        path.write_bytes(data[:length])
        with pytest.raises(SourceError, match=r"out.h5: truncated, or not an HDF5 file"):
            open_packed(path)
    with h5py.File(path, "w") as file:
        file["other"] = 1
    with pytest.raises(SourceError, match="not packed photos"):
        open_packed(path)
    with pytest.raises(SourceError, match="no such file"):
        open_packed(tmp_path / "absent.h5")


def test_a_full_disk_leaves_the_older_file(folder, tmp_path, monkeypatch):
    path = tmp_path / "out.h5"
    pack_photos([folder], path, 48)
    before = path.read_bytes()

    def full(*_names):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(StorageError, match="no space left"):
        pack_photos([folder], path, 32)
    assert path.read_bytes() == before and not list(tmp_path.glob(".out*"))


@pytest.fixture
def limited():
    """A function that sets the largest size of a file in bytes, until the test ends."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_is_said_before_any_photo_is_decoded(folder, tmp_path, monkeypatch, limited):
    monkeypatch.setattr("ce_retrieval.photos.decode_photo", lambda *_, **__: 1 / 0)
    needed = r"cannot write .*out.h5: 4 photos of 160 px take 0.3 MB, and there is room for 0.\d MB; free space, choose"
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=4 * 160 * 160 * 3 - 1))
        with pytest.raises(StorageError, match=needed):
            pack_photos([folder], tmp_path / "out.h5", 160)
    limited(100_000)
    with pytest.raises(StorageError, match=needed):
        pack_photos([folder], tmp_path / "out.h5", 160)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


@pytest.mark.parametrize("size", [500, 100_000, 4 * 160 * 160 * 3 + 1000])
def test_a_disk_that_fills_up_while_packing(folder, tmp_path, monkeypatch, limited, size):
    """Neither HDF5's own error nor its temporary file is left, at whichever write the disk is full."""
    monkeypatch.setattr("ce_retrieval.training.packed_file._check_room", lambda *_: None)
    limited(size)
    with pytest.raises(
        StorageError, match=r"^cannot write .*out\.h5: file too large; free space or choose another folder$"
    ):
        pack_photos([folder], tmp_path / "out.h5", 160)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


def test_what_a_killed_process_left_is_deleted_but_not_what_another_writes(folder, tmp_path):
    left, foreign, busy = (tmp_path / f".{name}.tmp" for name in ("out.h5.0123", "in.h5.0123", "out.h5.4567"))
    left.write_bytes(b"gigabytes")
    foreign.write_bytes(b"of another file")
    with h5py.File(busy, "w"):
        pack_photos([folder], tmp_path / "out.h5", 48)
    assert not left.exists() and foreign.exists() and busy.exists()
    shards = tmp_path / f".shards.{'0' * 16}.tmp"
    shards.mkdir()
    (shards / "00000.tar").write_bytes(b"half of it")
    pack_photos([folder], tmp_path / "shards", 48, format="webp")
    assert not shards.exists()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"size": 8}, "`size` is 8: expected a whole number from 16 to 4096"),
        ({"size": 5000}, "`size` is 5000"),
        ({"size": 32, "workers": 0}, "`workers` is 0: expected a whole number from 1 to 1024"),
    ],
)
def test_impossible_settings(folder, tmp_path, settings, message):
    with pytest.raises(SettingsError, match=message):
        pack_photos([folder], tmp_path / "out.h5", **settings)
    with pytest.raises(SettingsError, match=message):
        open_photos([folder], **settings)
    assert [entry.name for entry in tmp_path.iterdir()] == ["photos"]


def test_several_sources_are_one_collection(folder, tmp_path):
    (tmp_path / "more").mkdir()
    Image.new("RGB", (60, 40), (9, 99, 199)).save(tmp_path / "more" / "x.png")
    photos, report = open_photos([folder, tmp_path / "more"], 48)
    assert report.count == 5 and photos.keys[-1] == "x.png"
    with pytest.raises(SettingsError, match=r"a packed \.h5 file is read alone"):
        pack_photos([folder], tmp_path / "a.h5", 48)
        open_photos([tmp_path / "a.h5", folder], 48)


def shards(folder, tmp_path, **options):
    report = pack_photos([folder], tmp_path / "shards", 160, format="webp", **options)
    return report, open_photos([tmp_path / "shards"], 160)[0]


def test_shards_hold_nearly_the_same_photos_with_their_labels(folder, tmp_path):
    (folder / "kind0" / "broken.jpg").write_bytes(b"no photo")
    whole = open_photos([folder], 160)[0]
    report, packed = shards(folder, tmp_path, quality=95)
    assert report.count == len(packed) == 4 and [key for key, _ in report.skipped] == ["kind0/broken.jpg"]
    assert packed.labels == whole.labels and sorted(os.listdir(tmp_path / "shards")) == ["00000.tar"]
    assert np.abs(packed.pixels.astype(int) - whole.pixels).mean() < 6
    assert shards(folder, tmp_path / "small", quality=5)[1].labels == whole.labels
    sizes = [(path / "shards" / "00000.tar").stat().st_size for path in (tmp_path, tmp_path / "small")]
    assert sizes[1] < sizes[0] < whole.pixels.nbytes


def test_a_label_that_is_no_name_of_a_folder(tmp_path):
    import tarfile

    with tarfile.open(tmp_path / "odd.tar", "w") as tar:
        for name, label in (("a", "sea/../shore"), ("b", "")):
            Image.new("RGB", (60, 40), (9, 99, 199)).save(tmp_path / f"{name}.png")
            (tmp_path / f"{name}.cls").write_text(label)
            tar.add(tmp_path / f"{name}.png", f"{name}.png")
            tar.add(tmp_path / f"{name}.cls", f"{name}.cls")
    assert shards(tmp_path / "odd.tar", tmp_path)[1].labels == ("sea/../shore", "")


def test_shards_keep_their_size(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 300, 300, 3), dtype=np.uint8)
    (tmp_path / "noise").mkdir()
    for number, photo in enumerate(noise):
        Image.fromarray(photo).save(tmp_path / "noise" / f"{number:02d}.png")
    pack_photos([tmp_path / "noise"], tmp_path / "out", 300, format="webp", quality=90, shard_size=1 << 20)
    sizes = [path.stat().st_size for path in sorted((tmp_path / "out").iterdir())]
    assert len(sizes) > 1 and max(sizes) <= 1 << 20 and min(sizes[:-1]) > 900_000
    assert len(open_photos([tmp_path / "out"], 64)[0]) == 40


def test_what_shards_cannot_be_written_to(folder, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    with pytest.raises(StorageError, match="full is not empty: choose a new folder for the shards"):
        pack_photos([folder], tmp_path / "full", 48, format="webp")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no photo")
    with pytest.raises(SourceError, match="no photo could be read"):
        pack_photos([tmp_path / "bad"], tmp_path / "out", 48, format="webp")
    with pytest.raises(SettingsError, match="`quality` is 0: expected a whole number from 1 to 100"):
        pack_photos([folder], tmp_path / "out", 48, format="webp", quality=0)
    with pytest.raises(SettingsError, match="belong to `format` webp"):
        pack_photos([folder], tmp_path / "out.h5", 48, quality=80)
    with pytest.raises(SettingsError, match="`format` is 'zip': expected one of h5, webp"):
        pack_photos([folder], tmp_path / "out", 48, format="zip")
    assert sorted(os.listdir(tmp_path)) == ["bad", "full", "photos"]


def test_a_full_disk_leaves_no_shards(folder, tmp_path, limited):
    limited(2000)
    with pytest.raises(StorageError, match=r"^cannot write .*shards: file too large; free space or choose another"):
        shards(folder, tmp_path)
    assert os.listdir(tmp_path) == ["photos"]
