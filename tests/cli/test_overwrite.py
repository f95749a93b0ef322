"""No command replaces an input, or a file that ceret did not write: an error before any work."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ce_retrieval import load_photo

RETRIEVAL = ("--method", "retrieval", "--rerank", "rim", "-k", 2)


def contents(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture
def refused(ceret, one_line_error, tmp_path, monkeypatch):
    """Run a command that must fail before it opens an index or reads a photo; return its error."""

    def run(*arguments: object) -> str:
        before = contents(tmp_path)
        with monkeypatch.context() as patch:
            for work in (
                "ce_retrieval.photo_index.reader.PhotoIndex.open",
                "ce_retrieval.photos.decode.decode_photo",
                "ce_retrieval.completion.methods.make_completer",
            ):
                patch.setattr(work, lambda *_, **__: pytest.fail("work was done first"))
            line = one_line_error(ceret(*arguments))
        assert contents(tmp_path) == before
        return line

    return run


@pytest.mark.parametrize("name", ["photo.png", "mask.png", "notes.png", "linked.png"])
def test_query_replaces_its_own_pictures_alone(ceret, refused, photo, mask, crop_index, tmp_path, name):
    Image.new("RGB", (9, 9)).save(tmp_path / "notes.png")
    (tmp_path / "linked.png").symlink_to(photo)
    arguments = ["query", photo, "--mask", mask, "--index", crop_index, "-k", 2, "--out"]
    kind = {"photo.png": "overwrite the photo", "linked.png": "overwrite the photo", "mask.png": "overwrite the mask"}
    assert kind.get(name, "ceret did not write it") in refused(*arguments, tmp_path / name)


def test_query_draws_its_picture_again(ceret, photo, mask, crop_index, tmp_path):
    arguments = ["query", photo, "--mask", mask, "--index", crop_index, "-k", 2, "--out", tmp_path / "sheet.png"]
    (tmp_path / "sheet.png").touch()  # as mktemp does
    for _ in range(2):
        assert ceret(*arguments).exit_code == 0
    assert load_photo(tmp_path / "sheet.png").width > 200


def test_complete_beside_files_of_others(refused, photo, mask, crop_index, tmp_path):
    (tmp_path / "photos").mkdir()
    beach = tmp_path / "photos" / "beach.jpg"
    Image.open(photo).save(beach)
    arguments = ["complete", beach, "--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", beach.parent]
    (tmp_path / "photos" / "beach.json").write_text('{"caption": "a beach"}')
    assert "beach.json is there already, and ceret did not write it" in refused(*arguments)
    (tmp_path / "photos" / "beach.json").unlink()
    shutil.copy(photo, tmp_path / "photos" / "beach.png")
    assert "beach.png is there already" in refused(*arguments)
    (tmp_path / "photos" / "beach.png").unlink()
    (tmp_path / "photos" / "beach.candidates").mkdir()
    shutil.copy(photo, tmp_path / "photos" / "beach.candidates" / "01.png")
    assert "01.png is there already" in refused(*arguments)


def test_a_retouched_result_is_kept(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    assert ceret(*arguments, "--save-candidates").exit_code == 0
    (tmp_path / "out" / "photo.candidates" / "011.png").write_bytes(b"mine")
    assert ceret(*arguments, "--save-candidates", "--fill", "paste").exit_code == 1, "011.png could be replaced"
    (tmp_path / "out" / "photo.candidates" / "011.png").unlink()
    assert ceret(*arguments, "--save-candidates", "--fill", "paste").exit_code == 0, "its own results are replaced"
    Image.new("RGB", (9, 9)).save(tmp_path / "out" / "photo.png")
    assert "or it has changed since" in one_line_error(ceret(*arguments))
    assert load_photo(tmp_path / "out" / "photo.png").width == 9


def test_a_result_of_ones_own_as_the_photo(ceret, refused, photo, mask, crop_index, tmp_path):
    out = tmp_path / "out"
    arguments = ["--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", out]
    assert ceret("complete", photo, *arguments).exit_code == 0
    assert "overwrite the photo" in refused("complete", out / "photo.png", *arguments)


def test_two_photos_of_one_name_into_one_folder(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    Image.open(photo).rotate(180).save(other / "photo.jpg")
    arguments = ["--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    assert ceret("complete", photo, *arguments).exit_code == 0
    before = contents(tmp_path / "out")
    line = one_line_error(ceret("complete", other / "photo.jpg", *arguments))
    assert f"is the result of another photo, {photo}: choose another folder" in line
    assert contents(tmp_path / "out") == before
    (tmp_path / "moved").mkdir()
    photo.rename(tmp_path / "moved" / "photo.png")
    assert "done before" in ceret("complete", tmp_path / "moved" / "photo.png", *arguments).stdout
    Image.open(tmp_path / "moved" / "photo.png").rotate(180).save(tmp_path / "moved" / "photo.png")
    assert "another photo" in one_line_error(ceret("complete", tmp_path / "moved" / "photo.png", *arguments))


def test_relative_paths_name_one_photo_wherever_they_are_given(
    ceret, one_line_error, photo, mask, crop_index, tmp_path, monkeypatch
):
    arguments = ["complete", "x.png", "--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    for name, turn in (("a", 0), ("b", 180)):
        (tmp_path / name).mkdir()
        Image.open(photo).rotate(turn).save(tmp_path / name / "x.png")
    monkeypatch.chdir(tmp_path / "a")
    assert ceret(*arguments).exit_code == 0
    record = json.loads((tmp_path / "out" / "x.json").read_text())
    assert record["photo"]["path"] == str(tmp_path / "a" / "x.png") and record["mask"]["path"] == str(mask)
    monkeypatch.chdir(tmp_path / "b")
    assert "result of another photo" in one_line_error(ceret(*arguments))
    monkeypatch.chdir(tmp_path / "a")
    Image.open("x.png").rotate(180).save("x.png")
    assert ceret(*arguments).exit_code == 0, "the photo at its place was edited"


def test_one_photo_of_a_folder_is_refused_and_the_others_are_done(ceret, photo, mask, crop_index, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "out").mkdir()
    for name in ("a", "b"):
        shutil.copy(photo, tmp_path / "photos" / f"{name}.png")
    (tmp_path / "out" / "a.json").write_text("mine")
    arguments = ["--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    result = ceret("complete", tmp_path / "photos", *arguments)
    assert (result.exit_code, result.stdout) == (1, f"{tmp_path / 'out'}: 1 completed, 0 done before, 1 failed\n")
    assert "a.json is there already" in result.stderr and (tmp_path / "out" / "a.json").read_text() == "mine"
    assert not (tmp_path / "out" / "a.png").exists() and (tmp_path / "out" / "b.png").exists()


@pytest.mark.parametrize("name", ["table.md", "results.json", "sheet-01.png", "sheet-02.png"])
def test_evaluate_replaces_its_own_results_alone(ceret, one_line_error, photo, crop_folder, crop_index, tmp_path, name):
    out = tmp_path / "out"
    arguments = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"]
    arguments += ["--limit", 2, "--out", out]
    out.mkdir()
    shutil.copy(photo, out / name)
    assert f"{name} is there already" in one_line_error(ceret(*arguments))
    assert contents(out) == {(out / name).relative_to(out): photo.read_bytes()}


def test_evaluate_again_and_sheets_of_others(ceret, photo, crop_folder, crop_index, tmp_path):
    arguments = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"]
    for limit in (9, 2):
        assert ceret(*arguments, "--limit", limit, "--out", tmp_path / "out").exit_code == 0
        if limit == 9:
            assert (tmp_path / "out" / "sheet-02.png").exists()
            (tmp_path / "out" / "results.json").unlink()  # as a run that was stopped leaves it
            shutil.copy(photo, tmp_path / "out" / "sheet-07.png")
            shutil.copy(tmp_path / "out" / "sheet-01.png", tmp_path / "out" / "sheet-08.png")
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["results.json", "sheet-01.png", "sheet-07.png", "table.md"], "a sheet of its own too many is gone"
    assert ceret(*arguments, "--limit", 2, "--out", tmp_path / "out").exit_code == 0
    assert (tmp_path / "out" / "sheet-07.png").read_bytes() == photo.read_bytes()


@pytest.mark.parametrize("name", ["table.md", "results.json", "sheet-01.png"])
def test_evaluate_keeps_results_that_have_been_edited(
    ceret, one_line_error, photo, crop_folder, crop_index, tmp_path, name
):
    out = tmp_path / "out"
    arguments = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"]
    arguments += ["--limit", 2, "--out", out]
    assert ceret(*arguments).exit_code == 0
    if name == "sheet-01.png":
        shutil.copy(photo, out / name)
    elif name == "table.md":
        (out / name).write_text((out / name).read_text() + "my notes\n")
    else:
        (out / name).write_text(json.dumps(json.loads((out / name).read_text()) | {"comment": "mine"}, indent=1) + "\n")
    before = contents(out)
    error = one_line_error(ceret(*arguments))
    assert f"{name} is there already, and ceret did not write it or it has changed since" in error
    assert contents(out) == before


def test_no_command_replaces_pictures_of_another(ceret, one_line_error, photo, mask, crop_folder, crop_index, tmp_path):
    """A photo may be called sheet-01; a sheet of neighbours may be asked for in the place of a fill."""
    sheet = tmp_path / "sheet-01.png"
    shutil.copy(photo, sheet)
    measure = ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"]
    fill = ["complete", sheet, "--mask", mask, "--method", "patchmatch", "--start", "smooth"]
    for first, second in ((measure, fill), (fill, measure)):
        out = tmp_path / first[0]
        assert ceret(*first, "--out", out).exit_code == 0
        before = contents(out)
        assert "sheet-01.png is of another command" in one_line_error(ceret(*second, "--out", out))
        assert contents(out) == before
    query = [
        "query",
        photo,
        "--mask",
        mask,
        "--index",
        crop_index,
        "-k",
        2,
        "--out",
        tmp_path / "complete/sheet-01.png",
    ]
    assert "sheet-01.png is of another command" in one_line_error(ceret(*query))
    assert contents(tmp_path / "complete") == before


def test_nothing_is_put_inside_an_index(ceret, one_line_error, photo, mask, crop_folder, crop_index, tmp_path):
    index = tmp_path / "own.ceret"
    shutil.copytree(crop_index, index)
    shutil.copytree(crop_folder / "photo0", tmp_path / "val/photo0")
    before = contents(index)
    for out in (index, index / "segments/y"):
        for command in (
            ["complete", photo, "--mask", mask, "--method", "patchmatch", "--start", "smooth"],
            ["evaluate", crop_folder / "photo1", "--index", crop_index, "--methods", "smooth", "--keep-leaks"],
            ["contexts", crop_folder / "photo1", "--index", crop_index],
            ["transfer", "classify", "--data", crop_folder, "--val", tmp_path / "val", "--init", "random"],
            ["train", crop_folder, "--steps", 1],
            ["pack", crop_folder, "--format", "webp"],
        ):
            assert "lies inside the index" in one_line_error(ceret(*command, "--out", out)), command
    for command in (
        ["query", photo, "--index", crop_index, "--out", index / "a.png"],
        ["pack", crop_folder, "--out", index / "a.h5"],
    ):
        assert "lies inside the index" in one_line_error(ceret(*command)), command
    assert contents(index) == before


@pytest.mark.parametrize("left", [b"", bytes(700), b"\x89PN", b"\x89PNG\r\n\x1a\n\0\0"])
def test_what_a_loss_of_power_leaves_of_a_result_is_made_again(ceret, photo, mask, tmp_path, left):
    command = [
        "complete",
        photo,
        "--mask",
        mask,
        "--method",
        "patchmatch",
        "--start",
        "smooth",
        "--out",
        tmp_path / "out",
    ]
    assert ceret(*command).exit_code == 0
    before = contents(tmp_path / "out")
    (tmp_path / "out/photo.png").write_bytes(left)
    (tmp_path / "out/photo.json").write_bytes(left if left[:1] in (b"", b"\0") else b'{\n "s')
    assert ceret(*command).exit_code == 0
    assert contents(tmp_path / "out")[Path("photo.png")] == before[Path("photo.png")]


def test_pictures_of_another_hole_do_not_stay(ceret, photo, mask, crop_index, tmp_path):
    command = ["complete", photo, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out", "--mask"]
    assert ceret(*command, mask, "--save-candidates").exit_code == 0
    assert (tmp_path / "out/photo.candidates/01.png").exists()
    other = np.zeros_like(np.asarray(Image.open(mask)))
    other[5:20, 5:20] = 255
    Image.fromarray(other).save(tmp_path / "other.png")
    assert ceret(*command, tmp_path / "other.png").exit_code == 0
    assert not list((tmp_path / "out/photo.candidates").glob("*.png")) or {
        f"photo.candidates/{path.name}" for path in (tmp_path / "out/photo.candidates").glob("*.png")
    } <= set(json.loads((tmp_path / "out/photo.json").read_text())["files"])
    assert not (tmp_path / "out/photo.candidates/01.png").exists()


def test_pictures_of_all_candidates_stay_when_another_is_chosen(ceret, photo, mask, crop_index, tmp_path):
    command = ["complete", photo, "--mask", mask, "--index", crop_index, "--method", "scenes", "--rerank", "rim"]
    command += ["--aligned", 5, "--top", 3, "--kind", "none", "--out", tmp_path / "out"]
    assert ceret(*command, "--save-candidates").exit_code == 0
    before = contents(tmp_path / "out/photo.candidates")
    assert {Path("01.png"), Path("02.png"), Path("03.png")} <= before.keys()
    assert ceret(*command, "--pick", 2).exit_code == 0
    after = contents(tmp_path / "out/photo.candidates")
    assert all(after[name] == before[name] for name in before if name.stem.isdigit())
    assert ceret(*command[:4], "--method", "patchmatch", "--start", "smooth", "--out", tmp_path / "out").exit_code == 0
    left = list((tmp_path / "out").rglob("*.png"))
    assert left == [tmp_path / "out/photo.png"], "of another method, neither candidates nor sheet nor seam stay"


def test_a_record_that_has_been_edited_is_kept(ceret, one_line_error, photo, mask, crop_index, tmp_path):
    arguments = ["complete", photo, "--mask", mask, "--index", crop_index, *RETRIEVAL, "--out", tmp_path / "out"]
    assert ceret(*arguments).exit_code == 0
    record = tmp_path / "out" / "photo.json"
    first, rest = record.read_text().split("\n", 2)[1:]
    record.write_text("{\n" + first + '\n "comment": "mine",\n' + rest)
    before = contents(tmp_path / "out")
    error = one_line_error(ceret(*arguments, "--fill", "paste"))
    assert "photo.json is there already" in error and "or it has changed since" in error
    assert contents(tmp_path / "out") == before


def test_pack_replaces_packed_photos_alone(ceret, refused, crop_folder, tmp_path):
    photos = tmp_path / "col"
    shutil.copytree(crop_folder / "photo3", photos)
    error = refused("pack", photos, "--out", photos / "00.png", "--size", 16)
    assert "--out is" in error and "expected NAME.h5" in error
    (tmp_path / "notes.h5").write_text("mine")
    assert "ceret did not write it" in refused("pack", photos, "--out", tmp_path / "notes.h5", "--size", 16)
    for _ in range(2):
        assert ceret("pack", photos, "--out", tmp_path / "a.h5", "--size", 16).exit_code == 0


@pytest.mark.parametrize("name", ["best.safetensors", "metrics.csv", "samples/step-00000002.png"])
def test_train_replaces_nothing(ceret, refused, crop_folder, tmp_path, name):
    pytest.importorskip("torch")
    path = tmp_path / "run" / name
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    shutil.copytree(crop_folder / "photo3", tmp_path / "photos")
    for more, message in (((), f"{name} is there already"), (("--resume",), "holds no checkpoint to resume from")):
        error = refused("train", tmp_path / "photos", "--out", tmp_path / "run", "--steps", 1, *more)
        assert message in error and "--out" in error


def test_index_takes_no_folder_of_others(ceret, one_line_error, crop_folder, tmp_path):
    arguments = ["index", crop_folder / "photo3", "--features", "thumbnail:8", "--size", 16, "--kind", "none", "--out"]
    for name, text in (("notes.txt", "mine"), ("manifest.json", "{}"), ("lock", "my own lock")):
        folder = tmp_path / name.partition(".")[0]
        folder.mkdir()
        (folder / name).write_text(text)
        one_line_error(ceret(*arguments, folder))
        assert (folder / name).read_text() == text and os.listdir(folder) == [name]


def test_the_library_refuses_too(photo, mask, crop_index, tmp_path):
    from ce_retrieval import complete, read_mask
    from ce_retrieval.errors import StorageError

    pixels = load_photo(photo).pixels
    done = complete(pixels, read_mask(mask, pixels.shape[:2]), crop_index, method="retrieval", rerank="rim")
    for name in ("photo.png", "photo.json"):
        place = tmp_path / name.partition(".")[2]
        place.mkdir()
        (place / name).write_bytes(np.full(9, 65, np.uint8).tobytes())
        with pytest.raises(StorageError, match="ceret did not write it"):
            done.save(place / "photo.png")
        assert os.listdir(place) == [name]
