"""`ceret complete --others`: photos of one place fill without an index; what is said, written, skipped and refused."""

import json
import os

import numpy as np
import pytest
from PIL import Image
from place_views import lit, oval, psnr, removed, saved, seen, turned

from ce_retrieval.photo_index import IndexSettings, build_index
from ce_retrieval.photos import load_photo

SIZE = (300, 450)
HOLE = oval(SIZE, (150, 250), (32, 38))


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    return np.ascontiguousarray(bundled_photos[2][60:360, 80:530])


@pytest.fixture(scope="module")
def views(bundled_photos) -> dict[str, np.ndarray]:
    """What two other photos show of the place and of more."""
    coffee = bundled_photos[2]
    return {
        "dark": lit(seen(coffee, turned(coffee.shape[:2], 20, 0.8)), 1.4),
        "near": seen(coffee, turned(coffee.shape[:2], -8, 1.1)),
    }


@pytest.fixture
def place(tmp_path, truth, views):
    """A photo, its mask, and a folder of others."""
    saved(tmp_path, photo=removed(truth, HOLE), mask=HOLE)
    saved(tmp_path / "others", **views)
    return tmp_path


@pytest.fixture
def run(ceret, place):
    """`ceret complete` for the photo, with these further words."""

    def complete(*words, photo="photo.png", mask="mask.png", out="out"):
        return ceret("complete", place / photo, "--mask", place / mask, "--out", place / out, *words)

    return complete


@pytest.mark.parametrize("method", [None, "auto", "places"])
def test_it_fills_without_an_index_and_says_from_what(run, place, truth, method):
    result = run("--others", place / "others", *(["--method", method] if method else []), "--seam", 0)
    assert (result.exit_code, result.stdout) == (0, f"{place / 'out' / 'photo.png'}\n")
    (note,) = result.stderr.splitlines()
    assert note.startswith(f"note: {place / 'photo.png'}: filled from ") and " of the same place: " in note
    best = load_photo(place / "out" / "photo.png").pixels
    assert psnr(best, truth, HOLE) >= 27
    np.testing.assert_array_equal(best[~HOLE], truth[~HOLE])


def test_the_record_names_the_others(run, place):
    assert run("--others", place / "others").exit_code == 0
    record = json.loads((place / "out" / "photo.json").read_text())
    assert record["index"] is None and record["others"]["path"] == str(place / "others")
    assert record["others"]["photos"] == 2 and len(record["others"]["sha256"]) == 64
    (part,) = record["parts"]
    assert part["method"] == "places" and part["evidence"]["inliers"] >= 10
    for candidate in record["candidates"]:
        assert os.path.dirname(candidate["photo"]) == str(place / "others")
        assert np.shape(candidate["homography"]) == (3, 3) and candidate["scores"]["inliers"] >= 10


def test_a_result_is_kept_until_the_others_change(run, place, views):
    words = ("--others", place / "others")
    assert "done before" not in run(*words).stdout
    before = (place / "out" / "photo.png").stat().st_mtime_ns
    for _ in range(2):
        assert run(*words).stdout == f"{place / 'out' / 'photo.png'} (done before)\n"
        assert (place / "out" / "photo.png").stat().st_mtime_ns == before
    os.rename(place / "others", place / "moved")
    assert "done before" in run("--others", place / "moved").stdout, "wherever they lie"
    (place / "moved" / "dark.png").unlink()
    assert "done before" not in run("--others", place / "moved").stdout
    saved(place / "moved", near=views["dark"])
    assert "done before" not in run("--others", place / "moved").stdout
    assert "done before" not in run().stdout, "without others"


def test_the_photos_own_folder_serves_with_its_results_in_it(run, place, views):
    """Neither masks beside photos nor results are taken for other photos, and the photo is not filled from itself."""
    folder = saved(place / "trip", **views, photo=np.asarray(Image.open(place / "photo.png")), photo_mask=HOLE)
    for expected in ("", " (done before)"):
        result = run("--others", folder, photo="trip/photo.png", mask="trip/photo_mask.png", out="trip/out")
        assert (result.exit_code, result.stdout) == (0, f"{folder / 'out' / 'photo.png'}{expected}\n"), result.output
    record = json.loads((folder / "out" / "photo.json").read_text())
    assert record["others"]["photos"] == 3
    assert {os.path.basename(one["photo"]) for one in record["candidates"]} <= {"dark.png", "near.png"}
    assert record["parts"][0]["method"] == "places"


def test_a_folder_of_photos_of_one_place(ceret, place, truth, views):
    photos = saved(place / "photos", a=removed(truth, HOLE), b=removed(lit(truth, 1.2), HOLE))
    words = (
        "complete",
        photos,
        "--mask",
        place / "mask.png",
        "--out",
        place / "out",
        "--others",
        place / "others",
        "--json",
    )
    result = ceret(*words)
    assert result.exit_code == 0
    outcomes = json.loads(result.stdout)
    assert [outcome["done_before"] for outcome in outcomes] == [False, False]
    assert all("filled from" in outcome["hint"] and outcome["error"] is None for outcome in outcomes)
    assert psnr(load_photo(place / "out" / "b.png").pixels, lit(truth, 1.2), HOLE) >= 26
    assert [outcome["done_before"] for outcome in json.loads(ceret(*words).stdout)] == [True, True]


def test_photos_that_cannot_be_read_are_a_note(run, place):
    (place / "others" / "bad.jpg").write_bytes(b"no photo")
    result = run("--others", place / "others")
    assert result.exit_code == 0
    (note,) = [line for line in result.stderr.splitlines() if "not read" in line]
    assert str(place / "others") in note and "1 photo not read, the first: bad.jpg" in note


def test_others_of_another_place_leave_the_old_way_and_a_note(run, place, bundled_photos):
    saved(place / "cats", cat=bundled_photos[1])
    result = run("--others", place / "cats")
    assert result.exit_code == 0
    (note,) = result.stderr.splitlines()
    assert "the other photos do not fill it: no other photo shows this place" in note and "`" not in note
    old = load_photo(place / "out" / "photo.png").pixels
    assert run(out="alone").exit_code == 0
    np.testing.assert_array_equal(old, load_photo(place / "alone" / "photo.png").pixels)


def test_what_method_places_cannot_fill_is_one_line(run, place, bundled_photos, one_line_error):
    saved(place / "cats", cat=bundled_photos[1])
    line = one_line_error(run("--others", place / "cats", "--method", "places"))
    assert (
        "no other photo shows this place: give photos of it; or set --method to auto, which fills by other means"
        in line
    )
    assert not (place / "out" / "photo.png").exists()


def test_copies_are_named_with_their_option(run, place, one_line_error):
    saved(place / "copies", copy=np.asarray(Image.open(place / "photo.png")))
    assert "or set --allow-same-photo" in one_line_error(run("--others", place / "copies", "--method", "places"))
    result = run("--others", place / "copies")
    assert result.exit_code == 0 and "copy.png; set --allow-same-photo to fill from it" in result.stderr


def test_paths_without_photos_are_one_line(run, place, one_line_error):
    (place / "empty").mkdir()
    (place / "letter.txt").write_text("mine")
    for name in ("missing", "empty", "letter.txt"):
        assert str(place / name) in one_line_error(run("--others", place / name))
    assert not (place / "out").exists() or not os.listdir(place / "out")


def test_options_that_do_not_go_together(run, place, crop_index, one_line_error):
    others = ("--others", place / "others")
    for words, said in (
        (
            (*others, "--method", "network"),
            "--method network does not read --others: leave it out, or use --method auto or",
        ),
        ((*others, "--method", "scenes", "--index", crop_index), "--method scenes does not read --others"),
        (("--method", "places"), "--method places needs other photos: give --others FOLDER or --index NAME.ceret"),
        ((*others, "--index", crop_index, "--places", "none"), "--places is none, so that no --others are looked at"),
        ((*others, "--method", "places", "--where", "width > 3"), "does not read --where"),
    ):
        assert said in one_line_error(run(*words)), words


@pytest.mark.parametrize("top", [1, 3])
def test_a_result_of_an_index_that_holds_the_place_is_kept(run, place, top):
    path = place / "photos.ceret"
    build_index([place / "others"], path, IndexSettings("thumbnail", size=64, workers=1, kind="none", places=True))
    words = ("--index", path, "--method", "scenes", "--rerank", "rim", "--aligned", 2, "--top", top)
    first = run(*words)
    assert first.exit_code == 0 and "filled from " in first.stderr and "done before" not in first.stdout
    assert "done before" in run(*words).stdout
    assert "done before" not in run(*words, "--places", "none").stdout
