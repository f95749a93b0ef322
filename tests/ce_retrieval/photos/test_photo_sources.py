"""Folders, single files, and what opens them."""

import os
import random
import subprocess
import sys
import tarfile

import pytest
from PIL import Image

from ce_retrieval.errors import PhotoError, SettingsError, SourceError
from ce_retrieval.photos import PhotoItem, load_photo, open_source, open_sources

NAMES = [
    "a.jpg",
    "a-1.jpg",
    "a/b.JPG",
    "a/b/c.jpeg",
    "a-b/x.png",
    "z.webp",
    "B/y.TIF",
    "a/é.tiff",
    "a b/q.bmp",
    "ab/1.png",
]


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "photos"
    for name in random.Random(0).sample(NAMES, len(NAMES)):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def keys(source) -> list[str]:
    return [item.key for item in source.items()]


def make_tar(path, names) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name in names:
            info = tarfile.TarInfo(name)
            tar.addfile(info)


def test_order_labels_and_bytes(folder):
    source = open_source(folder)
    assert (source.kind, source.root) == ("folder", str(folder))
    assert keys(source) == sorted(NAMES) == keys(source)
    assert source.count() == len(NAMES)
    for item in source.items():
        assert item.label == (item.key.split("/")[0] if "/" in item.key else "")
        assert source.read(item) == item.key.encode()
        assert (item.caption, item.licence, item.offset, item.length) == ("", "", -1, -1)
    source.close()


def test_order_does_not_depend_on_the_file_system(folder, monkeypatch):
    expected = keys(open_source(folder))
    scandir = os.scandir

    class Shuffled:
        def __init__(self, path):
            with scandir(path) as entries:
                self.entries = random.Random(1).sample(all_ := list(entries), len(all_))

        def __enter__(self):
            return iter(self.entries)

        def __exit__(self, *_):
            return None

    monkeypatch.setattr(os, "scandir", Shuffled)
    assert keys(open_source(folder)) == expected


def test_what_is_passed_over(folder):
    for name in ("notes.txt", ".hidden.jpg", "a/Thumbs.db", "a/jpg", "x.jpg.part", ".git/y.jpg", "a/x.svg"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).touch()
    (folder / "folder.jpg").mkdir()
    assert keys(open_source(folder)) == sorted(NAMES)


def test_bad_photos_are_items_that_say_why(tmp_path):
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "gone.jpg").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "self.png").symlink_to(tmp_path / "self.png")
    source = open_source(tmp_path)
    reasons = {"gone.jpg": "no such file", "pipe.png": "not a regular file", "self.png": "symbolic link"}
    assert keys(source) == ["empty.jpg", *sorted(reasons)]
    assert source.read(PhotoItem("empty.jpg")) == b""
    for key, reason in reasons.items():
        with pytest.raises(PhotoError, match=f"{key}: .*{reason}"):
            source.read(PhotoItem(key))


def test_names_that_are_not_utf8(tmp_path):
    bad = os.fsencode(tmp_path) + b"/caf\xe9.jpg"
    try:
        with open(bad, "wb") as file:
            file.write(b"x")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    source = open_source(tmp_path)
    (item,) = source.items()
    assert item.key == "caf\\xe9.jpg"
    item.key.encode("utf-8")
    with pytest.raises(PhotoError, match="not valid UTF-8; rename"):
        source.read(item)


def test_links_are_followed_and_loops_are_not(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for path in (root / "a" / "1.jpg", elsewhere / "2.jpg"):
        path.parent.mkdir(parents=True)
        path.write_bytes(path.name.encode())
    (root / "linked.jpg").symlink_to(elsewhere / "2.jpg")
    (root / "other").symlink_to(elsewhere)
    (root / "a" / "up").symlink_to(root)
    (elsewhere / "back").symlink_to(root)
    source = open_source(root)
    assert keys(source) == ["a/1.jpg", "linked.jpg"], "other/2.jpg is linked.jpg"
    assert source.read(PhotoItem("linked.jpg")) == b"2.jpg"
    (root / "linked.jpg").unlink()
    assert keys(source) == ["a/1.jpg", "other/2.jpg"]
    assert source.read(PhotoItem("other/2.jpg")) == b"2.jpg"


@pytest.mark.parametrize("target", ["..", "../..", "/"])
def test_a_link_to_a_folder_that_contains_the_source_is_passed_over_and_named(tmp_path, target):
    for name in ("1.jpg", "root/2.jpg", "root/a/3.jpg", "elsewhere/4.jpg"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"photo")
    (tmp_path / "root" / "up").symlink_to(target)
    (tmp_path / "root" / "other").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to("..")
    source = open_source(tmp_path / "root")
    assert keys(source) == ["2.jpg", "a/3.jpg", "other/4.jpg"]
    assert source.passed_over.notes(source.root) == [
        (f"{tmp_path}/root/{name}/", "passed over, a link to a folder that contains it")
        for name in ("other/back", "up")
    ]


@pytest.mark.parametrize("key", ["../secret.jpg", "a/../../secret.jpg", "/etc/passwd"])
def test_no_key_leads_out_of_the_folder(folder, key):
    (folder.parent / "secret.jpg").write_bytes(b"secret")
    with pytest.raises(PhotoError, match="leads out of the folder"):
        open_source(folder).read(PhotoItem(key))


def test_a_subfolder_that_cannot_be_listed_is_passed_over_and_named(folder, unlistable):
    unlistable("a-b")
    source = open_source(folder)
    assert keys(source) == [name for name in sorted(NAMES) if not name.startswith("a-b/")]
    reason = "the folder cannot be listed: permission denied"
    assert source.passed_over.notes(source.root) == [(f"{folder}/a-b/", reason)]
    unlistable("photos")
    with pytest.raises(SourceError, match=f"{folder}: {reason}; make it readable"):
        open_source(folder)


def test_images_that_are_not_read_are_counted(folder):
    for name in ("one.PSD", "a/two.psd", "three.gif", "cat.txt"):
        (folder / name).touch()
    source = open_source(folder)
    assert keys(source) == sorted(NAMES)
    told = ("1 file with suffix .gif was", "2 files with suffix .psd were")
    notes = [f"{one} not looked at: convert them to JPEG or PNG" for one in told]
    assert source.passed_over.notes(source.root) == [(str(folder), note) for note in notes]
    for name in NAMES:
        (folder / name).unlink()
    with pytest.raises(SourceError, match=rf"no photo in it \(.jpg.*; {notes[0]}; {notes[1]}"):
        open_source(folder)


def test_a_single_photo(tmp_path):
    path = tmp_path / "One.JPG"
    Image.new("RGB", (9, 5), "red").save(path, "JPEG")
    source = open_source(path)
    (item,) = source.items()
    assert (source.kind, source.root, source.count(), item) == ("file", str(path), 1, PhotoItem("One.JPG"))
    assert source.read(item) == path.read_bytes()
    assert load_photo(path).width == 9
    with pytest.raises(PhotoError, match="single photo"):
        source.read(PhotoItem("Two.JPG"))


def test_roots_are_absolute(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)
    assert open_source("photos").root == str(folder)


def test_nothing_to_open(tmp_path):
    with pytest.raises(SourceError, match=r"nowhere: no such file or folder; check"):
        open_source(tmp_path / "nowhere")
    with pytest.raises(SourceError, match=r"no photo in it \(\.jpg"):
        open_source(tmp_path)
    (tmp_path / "notes.docx").touch()
    with pytest.raises(SourceError, match=r"notes.docx: not a known kind.*folder, a .tar, a .parquet"):
        open_source(tmp_path / "notes.docx")
    with pytest.raises(SettingsError, match="'zip': use one of folder, tar, parquet, file, files"):
        open_source(tmp_path, "zip")
    with pytest.raises(SourceError, match="not a folder"):
        open_source(tmp_path / "notes.docx", "folder")
    with pytest.raises(SourceError, match="not a photo file"):
        open_source(tmp_path, "file")
    with pytest.raises(SourceError, match="nothing matches"):
        open_sources([tmp_path / "*.tar"])
    with pytest.raises(SourceError, match="no photo source was given"):
        open_sources([])


def test_check_can_be_left_out(tmp_path):
    assert open_source(tmp_path, check=False).kind == "folder"


def test_a_folder_of_shards_stands_for_its_shards(tmp_path):
    for name in ("b.tar", "a.TAR", "sub/c.tar"):
        make_tar(tmp_path / "shards" / name, ["1.jpg"])
    with pytest.raises(SourceError, match="it holds 3 shards"):
        open_source(tmp_path / "shards")
    sources = open_sources([tmp_path / "shards"])
    assert [os.path.relpath(s.root, tmp_path / "shards") for s in sources] == ["a.TAR", "b.tar", "sub/c.tar"]
    (tmp_path / "shards" / "p.jpg").touch()
    assert [s.kind for s in open_sources([tmp_path / "shards"])] == ["folder"]


def test_patterns(tmp_path):
    for number in range(9, 12):
        make_tar(tmp_path / f"train-{number:03d}.tar", ["1.jpg"])
    (tmp_path / "odd[1].jpg").touch()
    expected = [str(tmp_path / f"train-{n}.tar") for n in ("009", "010", "011")]
    for pattern in ("train-*.tar", "train-{009..011}.tar"):
        assert [source.root for source in open_sources([tmp_path / pattern])] == expected
    twice = open_sources([tmp_path / "train-010.tar", tmp_path / "train-*.tar"])
    assert [source.root for source in twice] == [expected[1], expected[0], expected[2]]
    assert [source.kind for source in open_sources([tmp_path / "odd[1].jpg"])] == ["file"]
    with pytest.raises(SourceError, match=r"train-012\.tar: no such file"):
        open_sources([str(tmp_path / "train-{009..012}.tar")])


def test_import_is_light():
    code = "import sys, ce_retrieval.photos; print([m for m in ('torch', 'pyarrow', 'cv2', 'skimage') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_real_folder(shared_data):
    source = open_source(shared_data / "scenes" / "val")
    items = list(source.items())
    assert len(items) == source.count() == 600
    assert [item.key for item in items] == sorted(item.key for item in items)
    assert {item.label for item in items} == {"buildings", "forest", "glacier", "mountain", "sea", "street"}
