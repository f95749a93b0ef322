"""Duplicates of an index: files with the same bytes, copies in other form, and photos that only look alike."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import SettingsError
from ce_retrieval.photo_index import IndexSettings, PhotoIndex, build_index, remove_photos
from ce_retrieval.retrieval.duplicates import find_duplicates

SETTINGS = IndexSettings(features="thumbnail:16", size=128, workers=1, kind="none")


@pytest.fixture
def folder(tmp_path, bundled_photos):
    """Twelve photos of which three have copies: a file's, a chain of two in other form, and a shrunk one."""
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, photo in enumerate(bundled_photos):
        height, width = photo.shape[0] // 2, photo.shape[1] // 2
        for part in range(3):
            y, x = (part % 2) * (photo.shape[0] - height), (part // 2) * (photo.shape[1] - width)
            Image.fromarray(photo[y : y + height, x : x + width]).save(photos / f"{number}-{part}.png")
    shutil.copy(photos / "0-0.png", photos / "copy.png")
    picture = Image.open(photos / "1-0.png")
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=60)
    (photos / "1-jpeg.jpg").write_bytes(buffer.getvalue())
    shutil.copy(photos / "1-jpeg.jpg", photos / "1-jpeg-again.jpg")
    Image.open(photos / "2-0.png").resize((100, 66)).save(photos / "a-small.png")
    return photos


@pytest.fixture
def index(folder, tmp_path):
    build_index([folder], tmp_path / "all.ceret", SETTINGS)
    return tmp_path / "all.ceret"


def groups(found):
    return [[(one.record.key, one.exact) for one in group] for group in found.groups]


COPIES = [("0-0.png", False), ("copy.png", True)]
JPEGS = [("1-jpeg-again.jpg", False), ("1-jpeg.jpg", True)]


def test_groups_are_found_and_the_largest_photo_is_the_first(index):
    found = find_duplicates(PhotoIndex.open(index), workers=2)
    assert groups(found) == [COPIES, [("1-0.png", False), *JPEGS], [("2-0.png", False), ("a-small.png", False)]]
    assert found.compared > 50 and found.dropped == ()
    assert [one.id for one in found.groups[0]] == [0, 15]


def test_exact_ones_take_no_photo(index, folder):
    shutil.rmtree(folder)
    opened, done = PhotoIndex.open(index), []
    assert groups(find_duplicates(opened, near=False)) == [COPIES, JPEGS]
    found = find_duplicates(opened, progress=lambda *counts: done.append(counts))
    assert groups(found) == [COPIES, JPEGS] and len(found.dropped) == done[-1][1] == 14
    assert found.compared == 0 and done[-1] == (14, 14)


def test_what_is_removed_is_no_duplicate(index, folder):
    remove_photos(index, [folder / "copy.png", folder / "1-0.png"])
    assert groups(find_duplicates(PhotoIndex.open(index))) == [JPEGS, [("2-0.png", False), ("a-small.png", False)]]


def test_one_photo_has_no_duplicates(tmp_path):
    Image.fromarray(np.full((64, 64, 3), 90, np.uint8)).save(tmp_path / "one.png")
    build_index([tmp_path / "one.png"], tmp_path / "one.ceret", SETTINGS)
    assert find_duplicates(PhotoIndex.open(tmp_path / "one.ceret")).groups == ()


def test_a_number_of_workers_that_cannot_be(index):
    with pytest.raises(SettingsError, match="`workers`"):
        find_duplicates(PhotoIndex.open(index), workers=0)


def test_the_command_lists_them(index, folder):
    from click.testing import CliRunner

    from cli.main import main

    def run(*words):
        return CliRunner().invoke(main, ["duplicates", str(index), *words])

    lines = run().stdout.splitlines()
    assert lines[1] == f"   1  exact  {folder}/copy.png" and lines[2] == f"   2  first  {folder}/1-0.png"
    assert lines[-1] == f"{index}: 4 duplicates in 3 groups" and len(lines) == 8
    answer = json.loads(run("--exact", "--json").stdout)
    assert (answer["photos"], answer["duplicates"], len(answer["groups"])) == (16, 2, 2)
    assert set(answer["groups"][0][0]) == {"name", "exact", "sha256"}
    (folder / "0-1.png").unlink()
    assert run().stderr.startswith("1 photo not compared:\n")
