"""Photos and masks that users give: what is taken, what is refused and how, and what is deleted."""

import io
import os
import time

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.app.home import made_home
from ce_retrieval.app.messages import PageError, told
from ce_retrieval.app.sessions import Sessions
from ce_retrieval.app.uploads import plain_name, take_mask, take_photo
from ce_retrieval.errors import MaskError
from ce_retrieval.photos import LargePhotoError


def encoded(pixels, kind="PNG", **more):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **more)
    return buffer.getvalue()


@pytest.fixture
def home():
    with made_home() as home:
        yield home


@pytest.fixture
def rooms(home):
    return home.rooms()


@pytest.fixture(scope="module")
def pixels(bundled_photos):
    return np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])


def test_a_photo_is_kept_where_the_browser_cannot_fetch_it(home, rooms, pixels):
    photo = take_photo(encoded(pixels), "a/b\\beach.png", *rooms, 10**6)
    assert (photo.name, photo.stem, photo.height, photo.width) == ("beach.png", "beach", 80, 100)
    assert photo.file.is_relative_to(home.kept) and not home.is_served(str(photo.file))
    assert home.is_served(str(photo.preview))
    np.testing.assert_array_equal(photo.read(10**6).pixels, pixels)
    assert home.served.stat().st_mode & 0o777 == 0o700 == home.kept.stat().st_mode & 0o777


def test_exif_is_turned(rooms, pixels):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = take_photo(encoded(pixels, "JPEG", exif=exif), "turned.jpg", *rooms, 10**6)
    with Image.open(photo.preview) as preview:
        assert (photo.height, photo.width) == (100, 80) and preview.size == (80, 100)


@pytest.mark.parametrize("data", [b"", b"GIF89a", b"not a photo at all", encoded(np.zeros((40, 40, 3), np.uint8))[:60]])
def test_what_is_no_photo_is_said(rooms, data):
    with pytest.raises(PageError, match=r"“odd.png” cannot be opened as a photo .*Choose a JPEG"):
        take_photo(data, "odd.png", *rooms, 10**6)


def test_a_photo_that_is_too_large_is_refused_by_its_header(rooms, pixels):
    with pytest.raises(LargePhotoError) as raised:
        take_photo(encoded(pixels), "large.png", *rooms, 7999)
    assert told(raised.value, hide=False).startswith("This photo is too large: it has 0 megapixels. Make it smaller")


def test_a_mask_of_another_size_or_without_a_hole_is_said(rooms, pixels):
    mask = take_mask(encoded(np.zeros((80, 100), np.uint8)), "mask.png", rooms[1], invert=False, alpha=False)
    with pytest.raises(MaskError, match=r"^“mask.png” marks nothing as missing"):
        mask.read((80, 100))
    with pytest.raises(MaskError, match=r"^“mask.png” is 100x80 pixels, its photo is 50x40"):
        mask.read((40, 50))
    white = take_mask(encoded(np.zeros((80, 100), np.uint8)), "mask.png", rooms[1], invert=True, alpha=False)
    with pytest.raises(MaskError, match=r"“mask.png” covers the whole photo"):
        white.read((80, 100))
    mask.file.unlink()
    with pytest.raises(PageError, match="The mask is no longer here"):
        mask.read((80, 100))


@pytest.mark.parametrize(
    ("given", "plain"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\photos\\a b.JPG", "a b.JPG"),
        ("<img src=x>.png", "_img src_x_.png"),
        ("..", "photo"),
        ("", "photo"),
        ("x" * 300 + ".jpeg", "x" * 80 + ".jpeg"),
        ("Überfahrt ☃.jpg", "Überfahrt _.jpg"),
    ],
)
def test_names_are_plain(given, plain):
    assert plain_name(given) == plain


def test_files_are_deleted_after_their_time(home, pixels):
    sessions = Sessions(home, 100.0)
    session = sessions.of("tab")
    session.photo = take_photo(encoded(pixels), "beach.png", session.served, session.kept, 10**6)
    stray = home.served / "stray.png"
    stray.write_bytes(b"an upload that nobody took")
    sessions.sweep()
    assert session.chosen() and stray.exists()
    hour_ago = time.time() - 101
    for path in (session.photo.file, session.photo.preview, stray):
        os.utime(path, (hour_ago, hour_ago))
    sessions.sweep()
    assert not stray.exists() and not session.photo.preview.exists()
    with pytest.raises(PageError, match="Your photo is no longer here"):
        session.chosen()


def test_the_oldest_files_go_where_all_take_too_much(home):
    for number in range(5):
        path = home.served / f"{number}.png"
        path.write_bytes(b"x" * 100)
        os.utime(path, (time.time() - 10 + number,) * 2)
    home.sweep(3600.0, 250)
    assert sorted(path.name for path in home.served.iterdir()) == ["3.png", "4.png"]


def test_users_do_not_see_each_other_and_leave_nothing(home, pixels):
    sessions = Sessions(home, 100.0)
    one, other = sessions.of("one"), sessions.of("other")
    assert sessions.of("one") is one and {one.served, one.kept}.isdisjoint({other.served, other.kept})
    one.photo = take_photo(encoded(pixels), "beach.png", one.served, one.kept, 10**6)
    with pytest.raises(PageError, match="Choose a photo first"):
        other.chosen()
    sessions.drop("one")
    assert not one.served.exists() and other.served.exists()
    sessions.close()
    assert not any(home.served.iterdir()) and not any(home.kept.iterdir())


def test_links_and_folders_are_not_served(home):
    (home.kept / "secret").write_text("secret")
    (home.served / "link").symlink_to(home.kept / "secret")
    (home.served / "folder").symlink_to(home.kept)
    (home.served / "plain").write_text("shown")
    assert home.is_served(str(home.served / "plain"))
    for path in ("link", "folder/secret", "../kept/secret", "missing", "."):
        assert not home.is_served(f"{home.served}/{path}"), path
    assert not home.is_served("plain") and not home.is_served("/etc/passwd") and not home.is_served("\0")


def test_the_folder_goes_with_the_page():
    with made_home() as home:
        (home.served / "left.png").write_bytes(b"x")
        root = home.served.parent
    assert not root.exists()
