"""Photos that must not fill, and folders that hold none: the old way with a note, or one line that says why."""

import io

import numpy as np
import pytest
from PIL import Image
from place_cases import HOLE, SIZE, others_of
from place_views import psnr, removed, saved

import ce_retrieval
from ce_retrieval import make_completer
from ce_retrieval.completion.places.others import MOST, OtherPhotos
from ce_retrieval.errors import CeretError, PhotoError, SettingsError, SourceError

PLAIN = np.full((120, 160, 3), (200, 190, 180), np.uint8)


@pytest.fixture(scope="module")
def truth(bundled_photos) -> np.ndarray:
    return bundled_photos[2]


@pytest.fixture(scope="module")
def tourist(truth, bundled_photos) -> np.ndarray:
    """The photo with something real where the hole will be, as the camera saw it."""
    photo = truth.copy()
    photo[HOLE] = bundled_photos[0][:400][np.roll(HOLE[:, 44:-44], -150, axis=1)]
    return photo


@pytest.fixture(scope="module")
def turned(truth) -> np.ndarray:
    return others_of(truth)["turned"]


def complete(photo, hole, folder, method="auto", **settings):
    return ce_retrieval.complete(photo, hole, method=method, others=folder, workers=2, **settings)


def refused(photo, hole, folder) -> str:
    """Why method `places` fills nothing: one line with what to do."""
    with pytest.raises(PhotoError) as caught:
        complete(photo, hole, folder, "places")
    assert "\n" not in str(caught.value) and (
        "`method` to auto" in str(caught.value) or "`allow_same" in str(caught.value)
    )
    return str(caught.value)


def old_way(photo, hole, folder, **settings):
    """What auto makes of it: bit for bit what it makes without others."""
    done = complete(photo, hole, folder, **settings)
    alone = ce_retrieval.complete(photo, hole, workers=2)
    np.testing.assert_array_equal(done.best, alone.best)
    assert [part.method for part in done.parts] == ["patchmatch"] and not done.candidates
    (note,) = done.notes
    assert note.startswith("the other photos do not fill it: ")
    return done


def jpeg(photo: np.ndarray, quality: int = 60) -> np.ndarray:
    data = io.BytesIO()
    Image.fromarray(photo).save(data, "jpeg", quality=quality)
    return np.array(Image.open(data))


def resized(photo: np.ndarray, share: float) -> np.ndarray:
    size = round(photo.shape[1] * share), round(photo.shape[0] * share)
    return np.array(Image.fromarray(photo).resize(size, Image.Resampling.LANCZOS))


def test_a_blank_wall_has_nothing_to_tell_it_by(tmp_path, turned):
    hole = np.zeros(PLAIN.shape[:2], bool)
    hole[40:80, 50:100] = True
    for others in ({"wall": PLAIN // 2}, {"wall": turned}):
        folder = saved(tmp_path / f"others{others['wall'].shape[0]}", **others)
        assert refused(PLAIN, hole, folder).startswith(
            "no photo of the same place can be told: what is left of the photo"
        )
        old_way(PLAIN, hole, folder)


def test_other_places_do_not_fill(tmp_path, truth, bundled_photos):
    folder = saved(tmp_path / "others", cat=bundled_photos[1], face=bundled_photos[0], wall=PLAIN)
    assert refused(truth, HOLE, folder).startswith("no other photo shows this place: give photos of it")
    old_way(truth, HOLE, folder)


def test_a_mirrored_view_does_not_fill(tmp_path, tourist, turned):
    folder = saved(tmp_path / "others", mirrored=turned[:, ::-1])
    assert "no other photo shows this place" in refused(tourist, HOLE, folder)
    old_way(tourist, HOLE, folder)


@pytest.mark.parametrize(
    "copied",
    [
        lambda photo: photo,
        pytest.param(jpeg, marks=pytest.mark.slow),
        pytest.param(lambda photo: resized(photo, 0.6), marks=pytest.mark.slow),
        lambda photo: jpeg(resized(photo, 1.4)),
        lambda photo: photo[:, ::-1],
    ],
    ids=["same", "recompressed", "smaller", "larger", "mirrored"],
)
def test_copies_are_named_and_not_used(tmp_path, tourist, truth, turned, copied):
    """They show what is to be removed; another view of the place is not taken for one."""
    folder = saved(tmp_path / "copies", copy=copied(tourist))
    assert "every other photo of the place is a copy of the photo" in refused(tourist, HOLE, folder)
    done = old_way(tourist, HOLE, folder)
    assert [name[-8:] for name in done.copies] == ["copy.png"] and "left out, the first: " in done.refusal
    both = saved(tmp_path / "both", copy=copied(tourist), turned=turned)
    done = complete(tourist, HOLE, both, "places", seam=0.0)
    assert [candidate.photo[-10:] for candidate in done.candidates] == ["turned.png"] and len(done.copies) == 1
    assert psnr(done.best, truth, HOLE) >= 27


def test_copies_fill_where_that_is_asked_for(tmp_path, tourist, truth):
    folder = saved(tmp_path / "others", copy=jpeg(tourist, 95))
    done = complete(tourist, HOLE, folder, "places", allow_same_photo=True, seam=0.0)
    assert psnr(done.best, tourist, HOLE) > 22 > 12 > psnr(done.best, truth, HOLE) and not done.copies


def test_the_next_frame_of_a_burst_fills(tmp_path, tourist, truth):
    """From the same place, but who passed by has gone."""
    rng = np.random.default_rng(0)
    frame = np.clip(truth + rng.normal(0, 2, truth.shape), 0, 255).astype(np.uint8)
    done = complete(tourist, HOLE, saved(tmp_path / "others", frame=frame), "places", seam=0.0)
    assert psnr(done.best, truth, HOLE) > 33 and not done.copies


def test_a_photo_that_cannot_be_read_is_a_note(tmp_path, truth, turned):
    folder = saved(tmp_path / "others", turned=turned)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff no photo")
    (folder / "cut.png").write_bytes((folder / "turned.png").read_bytes()[:9000])
    (folder / "letter.txt").write_text("mine")
    completer = make_completer("places", others=folder, workers=1)
    (note,) = [line for _, line in completer.notes if "not read" in line]
    assert note.startswith("2 photos not read, the first: bad.jpg: ") and "\n" not in note
    assert completer.others["photos"] == 1
    assert psnr(completer.complete(removed(truth, HOLE), HOLE).best, truth, HOLE) >= 27


def test_a_photo_that_vanishes_or_changes_is_a_loss(tmp_path, truth, turned, bundled_photos):
    folder = saved(tmp_path / "others", turned=turned, gone=bundled_photos[1], other=bundled_photos[3])
    completer = make_completer("places", others=folder, workers=2)
    (folder / "gone.png").unlink()
    saved(folder, other=bundled_photos[0])
    done = completer.complete(removed(truth, HOLE), HOLE)
    assert psnr(done.best, truth, HOLE) >= 27
    assert len(done.lost) == 2 and "2 scenes could not be read" in done.loss
    assert any("other.png has changed while it was used" in line for line in done.lost)


def test_folders_without_photos_are_named(tmp_path, truth):
    (tmp_path / "empty").mkdir()
    (tmp_path / "letter.txt").write_text("mine")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no photo")
    for name, said in (
        ("missing", "missing"),
        ("empty", "photo"),
        ("letter.txt", "letter.txt"),
        ("bad", "no photo that"),
    ):
        for make in (OtherPhotos, lambda path: make_completer("auto", others=path)):
            with pytest.raises(SourceError) as caught:
                make(tmp_path / name)
            assert str(tmp_path / name) in str(caught.value) and said in str(caught.value)
            assert "\n" not in str(caught.value)


def test_too_many_photos_are_better_found_in_an_index(tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    Image.fromarray(PLAIN).save(folder / "0.png")
    for number in range(1, MOST + 1):
        (folder / f"{number}.png").hardlink_to(folder / "0.png")
    with pytest.raises(SourceError, match=rf"{MOST + 1} photos are more than the {MOST} .* `ceret index .* --places"):
        OtherPhotos(folder)


def test_a_single_file_and_a_tar_are_others_too(tmp_path, truth, turned):
    import tarfile

    folder = saved(tmp_path / "others", turned=turned)
    with tarfile.open(tmp_path / "others.tar", "w") as tar:
        tar.add(folder / "turned.png", "turned.png")
    results = [
        complete(truth, HOLE, path, "places") for path in (folder, folder / "turned.png", tmp_path / "others.tar")
    ]
    for done in results:
        np.testing.assert_array_equal(done.best, results[0].best)
    assert results[1].candidates[0].photo == str(folder / "turned.png")
    assert results[2].candidates[0].photo == f"{tmp_path / 'others.tar'}::turned.png"


@pytest.mark.parametrize("method", ["scenes", "retrieval", "patchmatch", "network"])
def test_others_that_a_method_does_not_use_are_refused(tmp_path, turned, index, method):
    folder = saved(tmp_path / "others", turned=turned)
    with pytest.raises(SettingsError) as caught:
        make_completer(method, None if method == "network" else index, others=folder)
    assert str(caught.value) == (f"`method` {method} uses no `others`: leave them out, or use `method` auto or places")


def test_others_that_are_not_to_be_looked_at_are_refused(tmp_path, turned, index):
    with pytest.raises(
        SettingsError, match="`places` is none, so that no `others` are looked at: leave one of them out"
    ):
        make_completer("auto", index, others=saved(tmp_path / "others", turned=turned), settings={"places": "none"})


def test_without_any_photo_there_is_nothing_to_fill_from():
    with pytest.raises(SettingsError, match="`method` places needs other photos: give `others`, an `index`, or both"):
        make_completer("places")


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (20, 30)])
def test_tiny_photos_are_refused_or_filled_as_ever(tmp_path, turned, size):
    photo = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    hole = np.zeros(size, bool)
    hole[size[0] // 2, size[1] // 2] = True
    folder = saved(tmp_path / "others", turned=turned)
    with pytest.raises(CeretError):
        complete(photo, hole, folder, "places")
    try:
        alone = ce_retrieval.complete(photo, hole, workers=1)
    except CeretError as error:
        with pytest.raises(type(error)):
            complete(photo, hole, folder)
    else:
        np.testing.assert_array_equal(complete(photo, hole, folder).best, alone.best)


def test_tiny_others_are_no_matter(tmp_path, truth, turned):
    folder = saved(
        tmp_path / "others", turned=turned, dot=PLAIN[:1, :1], line=PLAIN[:1], small=turned[100:120, 200:230]
    )
    assert psnr(complete(truth, HOLE, folder, "places", seam=0.0).best, truth, HOLE) >= 27


def test_a_hole_that_leaves_nothing_of_the_photo(tmp_path, truth, turned):
    folder = saved(tmp_path / "others", turned=turned)
    hole = np.ones(SIZE, bool)
    with pytest.raises(CeretError):
        complete(truth, hole, folder, "places")
    hole[:2, :3] = False
    assert "no photo of the same place can be told" in refused(truth, hole, folder)
