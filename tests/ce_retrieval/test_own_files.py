"""What ceret wrote is known by its mark or its record, and what anybody else wrote or changed is not."""

import io
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval.errors import StorageError
from ce_retrieval.own_files import (
    RESULTS,
    check_free,
    is_marked,
    is_own,
    marked,
    own_names,
    read_record,
    sealed_json,
    sealed_pdf,
    sealed_text,
)
from ce_retrieval.photos import load_photo, save_photo
from ce_retrieval.photos.files import save_result

PIXELS = np.random.default_rng(0).integers(0, 256, (20, 30, 3), np.uint8)
RECORD = {"software": "ceret", "files": {}, "hole": {}, "method": "scenes", "settings": {}, "candidates": []}
EVALUATION = {"about": {}, "settings": {}, "methods": [], "photos": [], "leaks": []}


def write(path: Path, value: dict) -> Path:
    path.write_bytes(sealed_json(lines(value)))
    return path


def lines(value: dict) -> str:
    return "{\n" + ",\n".join(f" {json.dumps(k)}: {json.dumps(v)}" for k, v in value.items()) + "\n}\n"


def png(**more) -> bytes:
    stored = io.BytesIO()
    Image.fromarray(PIXELS).save(stored, "PNG", **more)
    return stored.getvalue()


def test_a_marked_picture_shows_the_same_and_any_change_unmarks_it(tmp_path):
    path = tmp_path / "a.png"
    save_result(path, PIXELS)
    np.testing.assert_array_equal(load_photo(path).pixels, PIXELS)
    assert is_marked(path) and is_own(path)
    data = path.read_bytes()
    for changed in (data[:-60] + bytes([data[-60] ^ 1]) + data[-59:], png(), data.replace(b"Software", b"softWare")):
        path.write_bytes(changed)
        assert not is_own(path)
    with Image.open(io.BytesIO(data)) as image:  # as an editor does, that keeps what it was told
        from PIL.PngImagePlugin import PngInfo

        kept = PngInfo()
        kept.add_text("Software", image.info["Software"])
        image.point(lambda value: value // 2).save(path, pnginfo=kept)
    assert not is_own(path)
    path.write_bytes(data[:-20])
    assert is_own(path), "what a loss of power left has nothing to lose"
    for end in (b"my notes", b"\0" * 99):
        path.write_bytes(data + end)
        assert not is_own(path), "something stands behind the end of the picture"
    for absent in (tmp_path / "none.png", tmp_path):
        assert not is_marked(absent) and not is_own(absent)


def test_pictures_of_an_earlier_version_are_known_by_the_record(tmp_path):
    import hashlib

    for name in ("a.png", "a.candidates/01.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(png())
        assert not is_own(path)
    digest = hashlib.sha256(png()).hexdigest()
    write(tmp_path / "a.json", {**RECORD, "files": {"a.png": digest, "a.candidates/01.png": digest}})
    assert is_own(tmp_path / "a.png") and is_own(tmp_path / "a.candidates" / "01.png") and is_own(tmp_path / "a.json")
    save_photo(tmp_path / "a.png", 255 - PIXELS)
    assert not is_own(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("", True),
        ('{\n "software": "ceret",\n "photo": {"pa', True),
        ('{\n "software": "ceret",\n "photo": {"path": "a"}\n}\n// my notes', False),
        ('{\n "software": "ceret",\n "photo": {"path": "a"}\n}\n', False),
        ('{"caption": "a beach"}', False),
        ('{\n "caption": "a beach"\n}', False),
        ("[1, 2]", False),
        ("\x00\xff", False),
        ('{\n "files": 3, "hole": 1, "method": 1, "settings": 1, "candidates": 1}', False),
    ],
)
def test_only_the_records_of_ceret_are_its_own(tmp_path, text, own):
    (tmp_path / "a.json").write_text(text)
    assert is_own(tmp_path / "a.json") is own
    assert read_record(tmp_path / "a.json") is None
    if not own:
        with pytest.raises(StorageError, match=r"a\.json is there already, and ceret did not write it") as caught:
            check_free(tmp_path / "a.json")
        assert "\n" not in str(caught.value)


def test_inputs_and_links_are_not_free(tmp_path):
    save_result(tmp_path / "own.png", PIXELS)
    os.link(tmp_path / "own.png", tmp_path / "linked.png")
    (tmp_path / "pointer.png").symlink_to(tmp_path / "own.png")
    check_free(tmp_path / "own.png")
    for name in ("own.png", "linked.png", "pointer.png"):
        with pytest.raises(StorageError, match="overwrite the mask"):
            check_free(tmp_path / name, {"photo": tmp_path / "none.png", "mask": tmp_path / "own.png"})
    (tmp_path / "nowhere.png").symlink_to(tmp_path / "gone.png")
    with pytest.raises(StorageError, match="did not write it"):
        check_free(tmp_path / "nowhere.png")
    check_free(tmp_path / "new.png", {"photo": tmp_path / "own.png"})


def test_results_in_a_folder_are_told_by_names_and_records(tmp_path):
    write(tmp_path / "a.json", {**RECORD, "files": {"a.png": "0"}})
    write(tmp_path / "b.json", {"caption": "not a record"})
    (tmp_path / "y.ceret").mkdir()
    write(tmp_path / "y.ceret" / "manifest.json", {"format": "ceret-index"})
    names = {"a.png", "a.jpg", "a.json", "b.png", "b.json", "c.png", "a.candidates/", "y.ceret/", "candidates/"}
    assert own_names(str(tmp_path), names) == {"a.png", "a.candidates/", "y.ceret/"}


def test_folders_of_others_may_have_names_like_ours(tmp_path):
    write(tmp_path / "b.json", {"caption": "not a record"})
    (tmp_path / "z.ceret").mkdir()
    assert (
        own_names(str(tmp_path), {"Wedding.candidates/", "b.candidates/", "b.json", "z.ceret/", "none.ceret/"}) == set()
    )
    names = {"sheet-01.png", "sheet-1.png", "photo.png", "segments/", "samples/", "best.safetensors"}
    assert own_names(str(tmp_path), names) == set()
    write(tmp_path / RESULTS, EVALUATION)
    (tmp_path / "manifest.json").write_text('{\n "format": "ceret-index",\n')
    more = {RESULTS, "manifest.json", "metrics.csv"}
    assert own_names(str(tmp_path), names | more) == {"segments/", "samples/"}
    save_result(tmp_path / "sheet-01.png", PIXELS)
    save_result(tmp_path / "photo.png", PIXELS)
    with open(tmp_path / "photo.png", "ab") as file:
        file.write(b"more")
    assert own_names(str(tmp_path), names | more) == {"sheet-01.png", "photo.png", "segments/", "samples/"}
    for name in ("sheet-01.png", "photo.png"):
        save_photo(tmp_path / name, PIXELS)
    (tmp_path / "manifest.json").write_text('{"format": "another"}')
    assert own_names(str(tmp_path), names | more) == {"samples/"}


def test_a_mark_of_any_png(tmp_path):
    (tmp_path / "a.png").write_bytes(marked(png(exif=b"Exif\0\0II*\0\x08\0\0\0\0\0\0\0\0\0", icc_profile=b"x" * 200)))
    assert is_marked(tmp_path / "a.png")
    assert load_photo(tmp_path / "a.png").pixels.shape == PIXELS.shape


def test_any_change_of_a_sealed_text_shows(tmp_path):
    for name, data in (
        ("a.json", sealed_json(lines(RECORD | {"photo": "x\udcff.png"}))),
        (RESULTS, sealed_json(json.dumps(EVALUATION, indent=1) + "\n")),
        ("table.md", sealed_text("| method | L1 % |\n|---|\n\n")),
        ("report.html", sealed_text("<p>method</p>\n<p>me</p>\n")),
        ("figure.pdf", sealed_pdf(b"%PDF-1.4\nme\n%%EOF\n")),
    ):
        path = tmp_path / name
        path.write_bytes(data)
        assert is_own(path)
        if path.suffix == ".json":
            assert list(json.loads(data))[-1] == "sha256"
        start = data.index(b"\n") + 1
        for changed in (
            data[:start] + b' "comment": "mine",\n' + data[start:],
            data + b"a note\n",
            data + b" ",
            data.rstrip(),
            data.replace(b"me", b"mi", 1),
            data.replace(b"\n", b"\r\n"),
        ):
            path.write_bytes(changed)
            assert not is_own(path), changed


def test_texts_of_earlier_versions_count_as_changed(tmp_path):
    """They have no hash, so an edit of them would not show."""
    (tmp_path / "a.json").write_text(lines(RECORD))
    (tmp_path / RESULTS).write_text(json.dumps(EVALUATION, indent=1) + "\n")
    (tmp_path / "table.md").write_text("| method | L1 % |\n")
    for name in ("a.json", RESULTS, "table.md"):
        with pytest.raises(StorageError, match="ceret did not write it or it has changed since"):
            check_free(tmp_path / name)
    assert read_record(tmp_path / "a.json") == RECORD


@pytest.mark.parametrize("name", ["a.png", "a.json", "table.md"])
def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path, name):
    os.mkfifo(tmp_path / name)
    assert not is_own(tmp_path / name) and own_names(str(tmp_path), {name, "a.png", "a.json"}) == set()
    with pytest.raises(StorageError, match="it is a device or a pipe: choose a file"):
        check_free(tmp_path / name)
