"""Results among photos are not taken for photos by any command: index, add, complete, evaluate, pack, train."""

import json
import shutil
import tarfile

import pytest

BUILD = ("--features", "thumbnail:8", "--size", 32, "--workers", 1, "--kind", "none")
FILL = ("--method", "scenes", "--rerank", "rim", "--top", 2, "--aligned", 4, "--save-candidates")


@pytest.fixture
def photos(crop_folder, tmp_path):
    """Four photos in a folder and a subfolder."""
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    for number, place in enumerate((folder, folder, folder, folder / "sub")):
        shutil.copy(crop_folder / "photo1" / f"0{number}.png", place)
    return folder


@pytest.fixture
def hole(tmp_path):
    import numpy as np
    from PIL import Image

    made = np.zeros((96, 96), np.uint8)
    made[36:60, 40:64] = 255
    Image.fromarray(made).save(tmp_path / "hole.png")
    return tmp_path / "hole.png"


@pytest.fixture
def messy(ceret, photos, hole, crop_index):
    """The photos with results of `ceret complete` among them: fills, sheets, seams, candidates; 4 x 5 pictures."""
    filled = ceret("complete", photos, "--mask", hole, "--index", crop_index, *FILL, "--out", photos / "filled")
    assert (filled.exit_code, filled.stdout.split(": ")[1]) == (0, "4 completed, 0 done before, 0 failed\n"), (
        filled.stderr
    )
    assert len(list((photos / "filled").rglob("*.png"))) == 20
    return photos


NOTE = "passed over 20 files that ceret wrote"


def test_complete_fills_no_results(ceret, messy, hole, crop_index):
    for name, count, told in (("filled", "4 done before", NOTE), ("filled2", "0 done before", NOTE)):
        again = ceret("complete", messy, "--mask", hole, "--index", crop_index, *FILL, "--out", messy / name)
        assert again.exit_code == 0 and count in again.stdout and "0 failed" in again.stdout
        assert f"note: {messy}: {told}\n" in again.stderr
    assert sorted(path.name for path in (messy / "filled2").rglob("*.json")) == [
        "00.json",
        "01.json",
        "02.json",
        "03.json",
    ]


def test_complete_beside_the_photos(ceret, photos, hole, crop_index):
    """The result of a single photo lies beside it, and only the photo is read again."""
    photo = (photos / "00.png").rename(photos / "00.jpg")
    alone = ceret("complete", photo, "--mask", hole, "--index", crop_index, *FILL, "--out", photos)
    assert alone.exit_code == 0 and (photos / "00.png").exists()
    done = ceret("complete", photos, "--mask", hole, "--index", crop_index, *FILL, "--out", photos / "filled", "--json")
    names = [one["photo"].removeprefix(f"{photos}/") for one in json.loads(done.stdout)]
    assert (done.exit_code, names) == (0, ["00.jpg", "01.png", "02.png", "sub/03.png"])


def test_index_and_add_take_no_results(ceret, messy, hole, crop_index, photos, tmp_path):
    built = ceret("index", messy, "--out", tmp_path / "a.ceret", *BUILD)
    assert built.stdout == f"{tmp_path / 'a.ceret'}: 4 photos; 0 files skipped; no kind features\n"
    assert built.stderr == f"note: {messy}: {NOTE}\n"
    ceret("complete", messy, "--mask", hole, "--index", crop_index, *FILL, "--out", messy / "more")
    added = ceret("add", tmp_path / "a.ceret", messy)
    assert "0 photos added, 4 were there already, 4 in all" in added.stdout
    assert "passed over 40 files that ceret wrote" in added.stderr


def test_evaluate_pack_and_train_take_no_results(ceret, messy, crop_index, tmp_path):
    out = messy / "evaluation"
    for told in (20, 21):  # then also its own sheet
        measured = ceret(
            "evaluate", messy, "--index", crop_index, "--methods", "smooth,oracle", "--keep-leaks", "--out", out
        )
        assert measured.exit_code == 0 and "\n4 photos at " in measured.stdout
        assert f"note: {messy}: passed over {told} files that ceret wrote" in measured.stderr
    packed = ceret("pack", messy, "--out", tmp_path / "a.h5", "--size", 16)
    assert "4 photos of 16 x 16 px, 0 skipped" in packed.stdout and "passed over 21 files" in packed.stderr
    pytest.importorskip("torch")
    trained = ceret("train", messy, "--out", tmp_path / "run", "--steps", 1)
    assert (
        trained.exit_code == 1 and "4 photos are too few" in trained.stderr and "passed over 21 files" in trained.stderr
    )


def test_evaluate_into_the_folder_of_its_photos(ceret, photos, crop_index):
    """Its sheet and its indexes are not counted."""
    arguments = ["evaluate", photos, "--index", crop_index, "--methods", "hog,smooth", "--keep-leaks", "--out", photos]
    for _ in range(2):
        result = ceret(*arguments)
        assert result.exit_code == 0 and "4 photos at 64x64" in result.stdout
    assert f"note: {photos}: passed over 1 file that ceret wrote\n" in result.stderr


def test_the_folder_of_the_results_is_not_read(ceret, photos, hole, crop_index, crop_folder):
    """Even what ceret did not write there."""
    out = photos / "out"
    out.mkdir()
    shutil.copy(crop_folder / "photo0" / "00.png", out / "kept.png")
    for command in (
        ["complete", photos, "--mask", hole, "--index", crop_index, *FILL],
        ["evaluate", photos, "--index", crop_index, "--methods", "smooth", "--keep-leaks"],
    ):
        result = ceret(*command, "--out", out)
        assert result.exit_code == 0, result.output
        assert f"note: {photos}: passed over 1 file where the results go\n" in result.stderr


def test_an_index_among_its_shards(ceret, crop_folder, tmp_path):
    shards = tmp_path / "shards"
    shards.mkdir()

    def shard(number: int) -> None:
        with tarfile.open(shards / f"{number}.tar", "w") as tar:
            tar.add(crop_folder / "photo0" / f"0{number}.png", f"0{number}.png")

    shard(0)
    for name in ("i.ceret", "without-suffix"):
        assert ceret("index", shards, "--out", shards / name, *BUILD).exit_code == 0
    again = ceret("index", shards, "--out", shards / "i.ceret", *BUILD)
    assert "1 photo, 1 of them" in again.stdout
    shard(1)
    for name in ("i.ceret", "without-suffix"):
        added = ceret("add", shards / name, shards)
        assert "1 photo added, 1 was there already, 2 in all; 0 files skipped" in added.stdout, added.output


def test_pictures_are_known_by_their_mark_wherever_they_lie(ceret, photos, hole, crop_index, tmp_path):
    """The picture of a query, a result away from its record, a contact sheet of another name."""
    query = ["query", photos / "00.png", "--mask", hole, "--index", crop_index, "-k", 2]
    assert ceret(*query, "--out", photos / "NEAR.PNG").exit_code == 0
    assert ceret("complete", photos / "00.png", "--mask", hole, "--index", crop_index, *FILL, "--out", tmp_path / "o")
    shutil.copy(tmp_path / "o" / "00.png", photos / "sub" / "filled.png")
    shutil.copy(tmp_path / "o" / "00.candidates" / "sheet.png", photos / "overview.png")
    built = ceret("index", photos, "--out", tmp_path / "a.ceret", *BUILD)
    assert built.stdout == f"{tmp_path / 'a.ceret'}: 4 photos; 0 files skipped; no kind features\n"
    assert built.stderr == f"note: {photos}: passed over 3 files that ceret wrote\n"


def test_a_folder_of_results_alone_says_so(ceret, one_line_error, messy, hole, crop_index, tmp_path):
    error = one_line_error(ceret("index", messy / "filled", "--out", tmp_path / "a.ceret", *BUILD))
    assert "no photo in it" in error and "passed over 20 files that ceret wrote" in error
    given = ceret("index", messy / "filled" / "00.png", "--out", tmp_path / "a.ceret", *BUILD)
    assert given.exit_code == 0, "a file that is named is read"


def test_other_files_beside_photos_change_nothing(ceret, photos, tmp_path):
    """Sidecars of downloaders have the names of records."""
    (photos / "00.json").write_text('{"caption": "a cat"}')
    (photos / "01.json").write_text("{\n broken")
    (photos / "results.json").write_text('{"photos": []}')
    shutil.copy(photos / "00.png", photos / "sheet-01.png")
    (photos / "segments").mkdir()
    shutil.copy(photos / "00.png", photos / "segments")
    (photos / "manifest.json").write_text('{"format": "another"}')
    built = ceret("index", photos, "--out", tmp_path / "a.ceret", *BUILD)
    assert (built.stdout, built.stderr) == (
        f"{tmp_path / 'a.ceret'}: 6 photos; 0 files skipped; no kind features\n",
        "",
    )


def test_masks_beside_their_photos_are_not_photos(ceret, photos, hole, crop_index, tmp_path):
    for name in ("00_mask.png", "01-mask.png", "mask_02.png"):
        shutil.copy(hole, photos / name)
    built = ceret("index", photos, "--out", tmp_path / "a.ceret", *BUILD)
    assert "4 photos" in built.stdout and "passed over 3 files named as masks of photos beside them" in built.stderr
    done = ceret("complete", photos, "--mask", photos, "--index", crop_index, *FILL, "--out", tmp_path / "out")
    assert "3 completed, 0 done before, 1 failed" in done.stdout
    (line,) = [line for line in done.stderr.splitlines() if not line.startswith("note: ")]
    assert line.startswith("failed: ") and line.endswith("add sub/03_mask.png")
